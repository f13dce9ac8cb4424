/*
 * log.h
 *	  The log: what the parts above the table access method see of it.
 *
 * A stream is a relation that holds up to 256 append-only logs, called
 * partitions.  A message is named by its partition and its offset, a 64-bit
 * count within the partition; the TID carries both, so every slot that comes
 * out of a stream knows which message it holds.
 */
#ifndef STREAMQ_LOG_H
#define STREAMQ_LOG_H

#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"

#include "compat.h"

#define LOG_MAX_PARTITIONS	256
#define LOG_OFFSET_BITS		48
#define LOG_OFFSET_MASK		((INT64CONST(1) << LOG_OFFSET_BITS) - 1)

/* msg_id = partition * 2^48 + msg_offset */
#define LOG_MSG_ID(partition, off)	(((int64) (partition) << LOG_OFFSET_BITS) | (off))
#define LOG_MSG_PARTITION(msg_id)	((int) ((msg_id) >> LOG_OFFSET_BITS))
#define LOG_MSG_OFFSET(msg_id)		((msg_id) & LOG_OFFSET_MASK)

/* ---- relations ---- */

/* is this an ordinary table that uses the access method? */
extern bool log_is_stream(Relation rel);

/* the same by the row of pg_class, without opening (and so locking) it */
extern bool log_is_stream_class(Form_pg_class form);

/*
 * Open a stream, or fail with ERRCODE_WRONG_OBJECT_TYPE naming the relation
 * and a hint when it is anything else.  No privilege is checked.
 */
extern Relation log_open_stream(Oid relid, LOCKMODE lockmode);

/* the hint: what to use instead of a relation that is no stream */
extern char *log_not_a_stream_hint(Relation rel);

/*
 * Is the stream's file there?  Not that of an unlogged stream on a standby.
 * log_open_stream fails in that case, ERRCODE_FEATURE_NOT_SUPPORTED.
 */
extern bool log_is_accessible(Relation rel);

/* what no stream can do */
typedef enum LogRefusal
{
	LOG_REFUSE_UPDATE,
	LOG_REFUSE_DELETE,
	LOG_REFUSE_MERGE,
	LOG_REFUSE_LOCK,
	LOG_REFUSE_ON_CONFLICT,
	LOG_REFUSE_CHANGE,			/* to update or delete, it is not known which */
	LOG_REFUSE_INDEX,
	LOG_REFUSE_PUBLICATION,
	LOG_REFUSE_REWRITE,
	LOG_REFUSE_ACCESS_METHOD
} LogRefusal;

/* ERRCODE_FEATURE_NOT_SUPPORTED, with the name of the stream and what to do instead */
extern void log_refuse(const char *stream, LogRefusal what) pg_attribute_noreturn();

/*
 * ERRCODE_FEATURE_NOT_SUPPORTED for a foreign key of a stream, or of a table that is to
 * become one, that would change its rows.
 */
extern void log_check_foreign_key(Form_pg_constraint key, bool conversion);

/* the same for a stream that is becoming a partition of a table that is published */
extern void log_check_partition(Relation rel, Oid parent);

/* ---- identity ---- */

/* offset numbers in TIDs are 1 to this */
#define LOG_TID_NUMBERS	0x8000

/* partition and the full 64-bit offset a slot's TID stands for */
extern int	log_tid_partition(ItemPointer tid);
extern int64 log_tid_offset(Relation rel, ItemPointer tid);

/* the same by a next offset of the partition that was read a while ago */
extern int64 log_tid_offset_near(ItemPointer tid, int64 next);
extern int64 log_tid_msg_id(Relation rel, ItemPointer tid);

/* the TID of a message (low bits of the offset only) */
extern void log_make_tid(int partition, int64 off, ItemPointer tid);

/* ---- bounds ---- */

typedef struct LogBounds
{
	int64		first_offset;	/* oldest retained offset */
	int64		next_offset;	/* the next append gets this one */
	int64		frozen_offset;	/* everything below is settled for ever */
	int64		bytes;			/* of the blocks in live extents */
	int64		free_bytes;		/* and in those that are reserved for the tail */
	int			extents;		/* live extents */
	int			reserved_extents;	/* reserved for the tail, not yet used */
} LogBounds;

/* number of logs in the file; at least 1, also for an empty file */
extern int	log_partition_count(Relation rel);
extern void log_get_bounds(Relation rel, int partition, LogBounds *bounds);
extern int64 log_first_offset(Relation rel, int partition);
extern int64 log_next_offset(Relation rel, int partition);

/*
 * Partitions whose earlier messages must be finished before this one's may be
 * delivered: when partitions were added, key ranges moved from the parents at
 * parent_offset (exclusive end of what was written before).  Returns the
 * number of entries put in the two arrays (LOG_MAX_PARTITIONS long).
 */
extern int	log_get_parents(Relation rel, int partition,
							int *parents, int64 *parent_offsets);

/*
 * Make the file hold at least npartitions logs.  The caller holds
 * ShareRowExclusiveLock or stronger on the stream, so no transaction that
 * wrote to it is still running.  New ones get every present partition's next
 * offset as a parent dependency.  Not undone by rollback: partitions beyond
 * those in the options are never written to.
 */
extern void log_add_partitions(Relation rel, int npartitions);

/*
 * Rows are about to be routed by other columns: note where each partition ends.  The
 * caller's lock is as for log_add_partitions.  Not undone by rollback: then it
 * holds up a little what need not wait.
 */
extern void log_add_barrier(Relation rel);

/*
 * The running command adds or changes a column of the stream, or it goes away
 * (dropped).  The options follow; if rows are routed in another way from now
 * on, the log gets a barrier.
 */
extern void log_column_changed(Relation rel, AttrNumber attnum, bool dropped);

/*
 * How far each partition may be delivered to a group that has finished what is below
 * positions, if there is such a limit: the rest comes after what other partitions had
 * when the columns changed.
 */
extern bool log_barrier_limits(Relation rel, int npartitions, const int64 *positions,
							   int64 *limits);

/* ---- appending ---- */

/*
 * Append rows.  Slots may be of any kind; each gets its TID.  partition >= 0
 * puts all of them there, contiguous when no other append to that partition comes
 * between pages (never: the append lock is held throughout); -1 routes them
 * by the stream's options as INSERT does.  Rings the stream's doorbell after
 * commit.  Fires no triggers and checks no constraints: callers that need
 * those use the executor's functions around it.
 */
extern void log_append(Relation rel, TupleTableSlot **slots, int nslots,
					   CommandId cid, int partition);

/*
 * The same for rows that are in no slot, up to max_rows of them.  A row is encoded
 * as it is added, so its values are not needed any longer; there is one for
 * every attribute of the stream.  log_batch_append tells each row's message id, in the
 * order in which they were added, and frees the batch; what is begun and
 * not appended goes with its memory context.
 */
typedef struct LogBatch LogBatch;
extern LogBatch *log_batch_begin(Relation rel, int max_rows, int partition);
extern void log_batch_add(LogBatch *batch, const Datum *values, const bool *isnull);
extern void log_batch_append(LogBatch *batch, CommandId cid, int64 *msg_ids);

/* called after rows were appended, in their transaction; set by the part above */
extern PGDLLIMPORT void (*log_append_hook) (Oid relid, int partition, int64 last_offset);

/* ---- files that go ---- */

/* the stream is being dropped by this transaction */
extern void log_note_dropped(Relation rel);

/*
 * The files of a database have gone or are in another place.  No other
 * process may be in the database.
 */
extern void log_forget_database(Oid dboid);

/* ---- start-up ---- */

extern void log_init(void);		/* from _PG_init */
extern void log_shmem_request(void);
extern void log_shmem_startup(void);

#endif
