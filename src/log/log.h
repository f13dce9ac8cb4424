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

/* True if the relation is an ordinary table that uses the access method. */
extern bool log_is_stream(Relation rel);

/*
 * The same, decided by the pg_class row: the relation is neither opened nor
 * locked.
 */
extern bool log_is_stream_class(Form_pg_class form);

/*
 * Open a stream, or fail with ERRCODE_WRONG_OBJECT_TYPE naming the relation
 * and a hint when it is anything else.  No privilege is checked.
 */
extern Relation log_open_stream(Oid relid, LOCKMODE lockmode);

/* Hint that names what to use instead of a relation that is not a stream. */
extern char *log_not_a_stream_hint(Relation rel);

/*
 * False for an unlogged stream on a standby, whose file does not exist there.
 * log_open_stream() fails for such a stream with
 * ERRCODE_FEATURE_NOT_SUPPORTED.
 */
extern bool log_is_accessible(Relation rel);

/* operations that no stream supports */
typedef enum LogRefusal
{
	LOG_REFUSE_UPDATE,
	LOG_REFUSE_DELETE,
	LOG_REFUSE_MERGE,
	LOG_REFUSE_LOCK,
	LOG_REFUSE_ON_CONFLICT,
	LOG_REFUSE_CHANGE,			/* UPDATE or DELETE, not known which */
	LOG_REFUSE_INDEX,
	LOG_REFUSE_PUBLICATION,
	LOG_REFUSE_REWRITE,
	LOG_REFUSE_ACCESS_METHOD
} LogRefusal;

/*
 * Raise ERRCODE_FEATURE_NOT_SUPPORTED, naming the stream and an alternative.
 */
extern void log_refuse(const char *stream, LogRefusal what) pg_attribute_noreturn();

/*
 * Raise ERRCODE_FEATURE_NOT_SUPPORTED if a foreign key would change rows of a
 * stream.  With `conversion`, the table is about to become a stream.
 */
extern void log_check_foreign_key(Form_pg_constraint key, bool conversion);

/*
 * Raise the same error if a stream becomes a partition of a table that is in a
 * publication.
 */
extern void log_check_partition(Relation rel, Oid parent);

/* ---- identity ---- */

/* offset numbers in TIDs range from 1 to this */
#define LOG_TID_NUMBERS	0x8000

/* Partition and full 64-bit offset of the message with this TID. */
extern int	log_tid_partition(ItemPointer tid);
extern int64 log_tid_offset(Relation rel, ItemPointer tid);

/* The same, given a next offset of the partition that may be out of date. */
extern int64 log_tid_offset_near(ItemPointer tid, int64 next);
extern int64 log_tid_msg_id(Relation rel, ItemPointer tid);

/* Make the TID of a message.  It holds only the low bits of the offset. */
extern void log_make_tid(int partition, int64 off, ItemPointer tid);

/* ---- bounds ---- */

typedef struct LogBounds
{
	int64		first_offset;	/* oldest retained offset */
	int64		next_offset;	/* offset of the next append */
	int64		frozen_offset;	/* everything below is settled for good */
	int64		bytes;			/* size of the live extents */
	int64		free_bytes;		/* size reserved for the tail */
	int			extents;		/* live extents */
	int			reserved_extents;	/* reserved for the tail, not yet used */
} LogBounds;

/* Number of partitions in the file; at least 1, even if the file is empty. */
extern int	log_partition_count(Relation rel);
extern void log_get_bounds(Relation rel, int partition, LogBounds *bounds);
extern int64 log_first_offset(Relation rel, int partition);
extern int64 log_next_offset(Relation rel, int partition);

/*
 * Partitions whose earlier messages must be finished before this partition may
 * be delivered.  When partitions were added, ranges of keys moved from the
 * parents; what a parent held then ends at parent_offset (exclusive).  Returns
 * the number of entries stored in the two arrays, which are LOG_MAX_PARTITIONS
 * long.
 */
extern int	log_get_parents(Relation rel, int partition,
							int *parents, int64 *parent_offsets);

/*
 * May messages of a partition have to wait until those of another one are
 * finished?  Not if the stream had all its partitions and its routing columns
 * from the start.
 */
extern bool log_partitions_depend(Relation rel);

/*
 * Make the file hold at least npartitions partitions.  The caller holds
 * ShareRowExclusiveLock or a stronger lock on the stream, so no transaction
 * that wrote to it is still running.  New partitions get the next offset of
 * every existing one as a parent.
 *
 * Rollback does not undo this.  Nothing is ever written to a partition beyond
 * the number in the options.
 */
extern void log_add_partitions(Relation rel, int npartitions);

/*
 * Rows are about to be routed by other columns: record where each partition
 * ends.  The caller's lock is as for log_add_partitions().  Rollback does not
 * undo this; a superfluous barrier only delays some deliveries.
 */
extern void log_add_barrier(Relation rel);

/*
 * The running command adds or changes a column of the stream or, with
 * `dropped`, drops it.  The options follow.  If rows are routed differently
 * from now on, the log gets a barrier.
 */
extern void log_column_changed(Relation rel, AttrNumber attnum, bool dropped);

/*
 * Offsets up to which each partition may be delivered to a group that has
 * finished everything below `positions`.  False if there is no such limit.  A
 * limit comes from a change of the routing columns: what was written before it
 * must be finished in every partition first.
 */
extern bool log_barrier_limits(Relation rel, int npartitions, const int64 *positions,
							   int64 *limits);

/* ---- keys ---- */

/*
 * Hash of a message's key, which are its routing columns.  log_key_hash()
 * returns false if the message has no key: the stream has no such columns, or
 * all are null.  Hash functions of user-defined types may run any code.
 */
typedef struct LogKeyHash LogKeyHash;
extern LogKeyHash *log_key_hash_create(Relation rel);
extern bool log_key_hash(const LogKeyHash *key, TupleTableSlot *slot, uint64 *hash);

/* ---- appending ---- */

/*
 * Append rows from slots of any kind; each slot gets its TID.  partition >= 0
 * puts all rows into that partition, contiguous, because its append lock is
 * held throughout.  -1 routes them by the stream's options, as INSERT does.
 * The stream's doorbell rings after commit.
 *
 * No triggers fire and no constraints are checked; a caller that needs them
 * wraps this in the executor's functions.
 */
extern void log_append(Relation rel, TupleTableSlot **slots, int nslots,
					   CommandId cid, int partition);

/*
 * Append up to max_rows rows that are in no slot.  log_batch_add() encodes a
 * row at once, so its values are not needed afterwards; it takes one value per
 * attribute of the stream.  log_batch_append() returns the message ids in the
 * order of the rows and frees the batch.  A batch that is never appended goes
 * away with its memory context.
 */
typedef struct LogBatch LogBatch;
extern LogBatch *log_batch_begin(Relation rel, int max_rows, int partition);
extern void log_batch_add(LogBatch *batch, const Datum *values, const bool *isnull);
extern void log_batch_append(LogBatch *batch, CommandId cid, int64 *msg_ids);

/*
 * Called in the appending transaction after rows were appended.  signal/ sets
 * it.
 */
extern PGDLLIMPORT void (*log_append_hook) (Oid relid, int partition, int64 last_offset);

/*
 * ---- files that go away ----
 */

/* The current transaction drops the stream. */
extern void log_note_dropped(Relation rel);

/*
 * The files of a database have been removed or moved.  No other process may be
 * connected to that database.
 */
extern void log_forget_database(Oid dboid);

/* ---- start-up ---- */

extern void log_init(void);		/* from _PG_init */
extern void log_shmem_request(void);
extern void log_shmem_startup(void);

#endif
