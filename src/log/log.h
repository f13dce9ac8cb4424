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

#include "access/tableam.h"
#include "catalog/pg_constraint.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

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
 * How far each partition may be delivered to a group that has finished what is below
 * positions, if there is such a limit: the rest comes after what other partitions had
 * when the columns changed.
 */
extern bool log_barrier_limits(Relation rel, int npartitions, const int64 *positions,
							   int64 *limits);

/*
 * All barriers of a stream, the first one first: offsets[i * npartitions + p].  Room is
 * for LOG_MAX_BARRIERS times npartitions.
 */
#define LOG_MAX_BARRIERS	32
extern int	log_get_barriers(Relation rel, int npartitions, int64 *offsets);
extern void log_set_barriers(Relation rel, int npartitions, int n, const int64 *offsets);

/* append time of a message; -infinity (DT_NOBEGIN) when it is gone or was never there */
extern TimestampTz log_produced_at(Relation rel, int partition, int64 off);

/* the same; it is that of all offsets in [*from, *to) */
extern TimestampTz log_produced_at_range(Relation rel, int partition, int64 off,
										 int64 *from, int64 *to);

/* first offset whose append time is at or after t (next_offset when none) */
extern int64 log_offset_at_time(Relation rel, int partition, TimestampTz t);

/* ---- reading forward, for groups, jobs and read() ---- */

typedef struct LogReader LogReader;

/*
 * Read [from, to) of one partition in offset order, committed rows only as
 * the snapshot sees them.  The reader stops for good before the first row
 * whose transaction is still in progress in the snapshot (or is the caller's
 * own, with stop_at_own; without it own rows with an older command id are
 * returned).  `from` below first_offset begins at first_offset.  The relation
 * stays open and locked by the caller; the snapshot stays registered.
 */
extern LogReader *log_reader_begin(Relation rel, int partition, int64 from,
								   int64 to, Snapshot snapshot, bool stop_at_own);

/*
 * Next row into slot (made with log_slot_create), false at the end.  Values in
 * the slot stay valid until the next call with this slot.
 */
extern bool log_reader_next(LogReader *reader, TupleTableSlot *slot);
extern int64 log_reader_offset(LogReader *reader);	/* of the row last
													 * returned */
extern TimestampTz log_reader_produced_at(LogReader *reader);

/*
 * After log_reader_next returned false: everything below is settled and was
 * returned or is not visible for good (aborted, expired).  After a true: the
 * offset behind the row last returned.
 */
extern int64 log_reader_position(LogReader *reader);

/*
 * Did messages expire before the reader could return them, since the last call
 * (or since it began)?  [*from, *to) are their offsets, gaps included.
 */
extern bool log_reader_expired(LogReader *reader, int64 *from, int64 *to);

/* the transaction that stopped the reader, InvalidTransactionId if none did */
extern TransactionId log_reader_blocked_by(LogReader *reader);
extern TimestampTz log_reader_blocked_since(LogReader *reader);
extern void log_reader_end(LogReader *reader);

extern TupleTableSlot *log_slot_create(Relation rel);

/*
 * Bytes of the row in such a slot as a stream stores it, with compressed values.
 * PG_UINT32_MAX if the slot holds values, or a row from before a column was added.
 */
extern uint32 log_slot_stored_size(TupleTableSlot *slot);

/* the kind of such slots */
extern const TupleTableSlotOps LogSlotOps;

/* ---- rows kept for later ---- */

/*
 * Rows of one stream, copied as bytes; they need neither the relation nor a snapshot
 * any more.  Memory up to work_mem, then a temporary file of the current resource owner.
 * log_row_store_next returns them in the order in which they were added, in a slot
 * that is good until the next call; NULL at the end.  Add all before the first is
 * asked for.
 */
typedef struct LogKeptRow
{
	int64		msg_id;
	TimestampTz produced_at;
	int32		note;			/* whatever the caller wants to know of it */
} LogKeptRow;

typedef struct LogRowStore LogRowStore;

extern LogRowStore *log_row_store_create(Relation rel);
extern void log_row_store_add(LogRowStore *store, TupleTableSlot *slot, const LogKeptRow *kept);
extern TupleTableSlot *log_row_store_next(LogRowStore *store, LogKeptRow *kept);
extern void log_row_store_rewind(LogRowStore *store);
extern void log_row_store_end(LogRowStore *store);

/* ---- ranges of messages, for scans that the planner bounded ---- */

/*
 * Messages whose id is in [from, to] and whose append time is in
 * [since, until).  Any int64 and any timestamp will do; DT_NOBEGIN and DT_NOEND leave
 * that end open.
 */
typedef struct LogMessageRange
{
	int64		from;
	int64		to;
	TimestampTz since;
	TimestampTz until;
} LogMessageRange;

#define LOG_WHOLE_RANGE \
	((LogMessageRange) {0, PG_INT64_MAX, DT_NOBEGIN, DT_NOEND})

/*
 * A scan of such a range, in log order or backward: set the range, then
 * call log_range_scan_next; table_endscan() at the end.  The range can be set
 * again.  A scan of the whole stream begins with table_beginscan() instead, and again
 * with table_rescan().
 */
extern TableScanDesc log_range_scan_begin(Relation rel, Snapshot snapshot);
extern void log_range_scan_set(TableScanDesc scan, const LogMessageRange *range);
extern bool log_range_scan_next(TableScanDesc scan, ScanDirection direction,
								TupleTableSlot *slot);

/*
 * The same for who wants nothing but some columns of the row, also ctid and tableoid, or its
 * msg_id and append time: they are put into values and isnull, and are valid until the
 * next call.  The slot is for rows that are not simple.  log_columns_create
 * returns NULL if that is not possible: a column may be wanted once.
 */
#define LOG_COLUMN_MSG_ID		(-101)
#define LOG_COLUMN_PRODUCED_AT	(-102)

typedef struct LogColumns LogColumns;

extern LogColumns *log_columns_create(TupleDesc desc, const AttrNumber *attnums, int nvalues);
extern bool log_range_scan_next_columns(TableScanDesc scan, ScanDirection direction,
										TupleTableSlot *slot, LogColumns *columns,
										Datum *values, bool *isnull);

/*
 * Decode the first attributes of a slot that a scan just filled: `columns` are attributes 1 to n.
 * Only a short cut: the slot does it when it is asked for them.
 */
extern void log_slot_decode(TupleTableSlot *slot, const LogColumns *columns);

/* is the message with this TID, of this stream, in the range? */
extern bool log_range_contains(Relation rel, const LogMessageRange *range, ItemPointer tid);

/* offsets in the range as of now, in *npartitions partitions; reads a few pages */
extern double log_range_count(Relation rel, const LogMessageRange *range, int *npartitions);

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

/* ---- retention ---- */

/*
 * Drop the messages below `upto`, as far as they fill whole extents and are
 * not in flight.  Their blocks are used again.  Returns how many offsets went.
 * With `quick` no page of the extents is read: nothing goes where the rows that
 * were rolled back have to be counted.
 */
extern int64 log_expire(Relation rel, int partition, int64 upto, bool quick);

/* streamq.extend_size: most blocks that a partition's file space is extended by in advance */
extern PGDLLIMPORT int log_extend_size;

/*
 * Called before so many bytes are reserved in a stream that has a limit and
 * would be above it; set by the part above, which drops what may go.
 */
extern PGDLLIMPORT void (*log_space_hook) (Relation rel, int64 bytes);

/*
 * Make the list of free blocks anew from what is in use, if it had no room for all
 * of them.  Only if it has become half empty since, unless `always`.
 */
extern void log_restore_free_list(Relation rel, bool always);

/*
 * Who stands below the first offset has lost messages up to this one: from there
 * to the first offset there were only rolled-back ones.
 */
extern int64 log_lost_offset(Relation rel, int partition);

/*
 * Offsets in [from, to) that VACUUM found to be rolled back.  Reads the pages, if
 * there are any in the partition.
 */
extern int64 log_known_dead(Relation rel, int partition, int64 from, int64 to);

/* the same of the whole partition, without reading it */
extern int64 log_all_known_dead(Relation rel, int partition);

/* where the partition began, or began anew with TRUNCATE */
extern int64 log_origin_offset(Relation rel, int partition);

typedef struct LogHeadExtent
{
	int64		end;			/* exclusive */
	int64		bytes;			/* of what can be freed with it */
	TimestampTz last_time;		/* append time of its last message, or at most
								 * of the one after that */
} LogHeadExtent;

/* the extent with the message at `from`; false if it is the last one in use */
extern bool log_get_head_extent(Relation rel, int partition, int64 from,
								LogHeadExtent *extent);

/* called after rows were appended, in their transaction; set by the part above */
extern PGDLLIMPORT void (*log_append_hook) (Oid relid, int partition, int64 last_offset);

/* ---- pages of state that belong to the parts above ---- */

/*
 * A small piece of state (up to LOG_STATE_MAX bytes) for an owner (a consumer
 * group's id) and a partition, in a page of the stream's own file, changed in
 * place, WAL-logged, crash-safe.  No transaction semantics: the owner puts
 * them into the bytes.  Writers of one (owner, partition) exclude each other
 * by a heavyweight lock of their own.
 */
#define LOG_STATE_MAX	8000

/* copy the state out; false when there is none.  data holds LOG_STATE_MAX bytes */
extern bool log_state_read(Relation rel, uint32 owner, int partition,
						   char *data, int *len);

/* write it, allocating the page at first */
extern void log_state_write(Relation rel, uint32 owner, int partition,
							const char *data, int len);

/*
 * Free the pages of owners for which keep(owner, arg) is false.  Call it where no
 * such owner can come back by rollback.
 */
extern void log_state_free(Relation rel, bool (*keep) (uint32 owner, void *arg), void *arg);

/* how long the list of states is: some 680 of them stand on a page */
extern int	log_state_directory_pages(Relation rel);

/*
 * What the owner of the states does for the log: vacuum settles transaction
 * ids older than cutoff in place (returns the oldest one left, or
 * InvalidTransactionId), and a TRUNCATE carries a state to the new file, where the
 * partition goes on at first_offset.  These two may change data and len.
 */
typedef struct LogStateCallbacks
{
	TransactionId (*settle) (char *data, int *len, TransactionId cutoff, bool *changed);
	void		(*carry) (char *data, int *len, int64 first_offset);

	/*
	 * for log_check: what is wrong with a state of a partition that ends at
	 * next_offset; NULL if nothing is.  May fail with ERRCODE_DATA_CORRUPTED.
	 * Optional.
	 */
	const char *(*verify) (const char *data, int len, int64 next_offset);
} LogStateCallbacks;

extern void log_register_state_callbacks(const LogStateCallbacks *callbacks);

/* the stream is being dropped by this transaction */
extern void log_note_dropped(Relation rel);

/*
 * The files of a database have gone or are in another place.  No other
 * process may be in the database.
 */
extern void log_forget_database(Oid dboid);

/*
 * The first offset that is still in flight: nothing below is of a transaction
 * in progress, as of now.  blocked_by and blocked_since (may be NULL) tell
 * which transaction, InvalidTransactionId if none does.
 */
extern int64 log_stable_offset(Relation rel, int partition,
							   TransactionId *blocked_by, TimestampTz *blocked_since);

/* rows in [from, to) that the snapshot sees; reads run headers only */
extern int64 log_count_rows(Relation rel, int partition, int64 from, int64 to,
							Snapshot snapshot);

/*
 * All messages of a partition that the snapshot, a recent one, sees.  Reads run
 * headers, but only of what was written since the last vacuum.
 */
extern int64 log_count_messages(Relation rel, int partition, Snapshot snapshot);

/* ---- dump and restore ---- */

/*
 * Offsets of the ns[i]-th visible messages of a partition (1 is the first), -1
 * where there are fewer.  The n numbers ascend.
 */
extern void log_nth_rows(Relation rel, int partition, const int64 *ns, int n,
						 Snapshot snapshot, int64 *offsets);

/*
 * Can a load have ended with the first n messages of a partition?  Not if there are
 * less, or if one transaction wrote the n-th and the next one.
 */
extern bool log_ends_load(Relation rel, int partition, int64 n, Snapshot snapshot);

/* messages below each of n ascending offsets of a partition */
extern void log_count_below(Relation rel, int partition, const int64 *offsets, int n,
							Snapshot snapshot, int64 *counts);

/*
 * A print of the first n messages of a partition: of what is in some of them,
 * which stand at these numbers.  0 if there are not so many.
 */
#define LOG_PRINT_SAMPLES	64
extern int64 log_print(Relation rel, int partition, int64 n, Snapshot snapshot);
extern int	log_print_samples(int64 n, int64 *ns);

/* what a print is combined from: what is in one message */
extern uint64 log_hash_slot(TupleTableSlot *slot);

/*
 * What a dump says about the places of a stream's messages, each an array of
 * int8.  For each partition: how many messages it had, a print of the first one and of
 * all.  And what was to be finished before a partition's messages: triples of the
 * partition, a parent, and how many messages of the parent; for barriers of a changed
 * partition_by of the partition, the negative number of the barrier, and how many
 * messages were before it.
 */
typedef struct LogPlan
{
	int			npartitions;
	int64		messages[LOG_MAX_PARTITIONS];
	int64		firsts[LOG_MAX_PARTITIONS];
	int64		prints[LOG_MAX_PARTITIONS];
	int			nbarriers;		/* triples */
	int64	   *barriers;
} LogPlan;

/* of a stream, as the snapshot sees it */
extern void log_plan_make(Relation rel, Snapshot snapshot, LogPlan *plan);

/*
 * The stream comes from a dump: bring its messages into their places, or see to it that
 * they get there when they come.  The caller holds ShareRowExclusiveLock, which becomes
 * AccessExclusiveLock if messages move: then true is returned.
 */
extern bool log_plan_follow(Relation rel, const LogPlan *plan);

/* the stream is dropped: what is known of its restore goes */
extern void log_plan_forget(Oid relid);

/* ---- checking ---- */

/* partition -1, InvalidBlockNumber, off -1: it is about none in particular */
typedef void (*LogProblem) (void *arg, int partition, BlockNumber block, int64 off,
							const char *text);

/*
 * Read the whole file of a stream and report what is wrong with it.  The caller
 * holds AccessShareLock; writers may go on meanwhile.  Damage is no error here,
 * whatever it is.
 */
extern void log_check(Relation rel, LogProblem report, void *arg);

/* ---- start-up ---- */

extern void log_init(void);		/* from _PG_init */
extern void log_shmem_request(void);
extern void log_shmem_startup(void);

#endif
