/*
 * reader.h
 *	  Reading the log: messages in offset order, slots, rows kept for later,
 *	  and questions about offsets.
 */
#ifndef STREAMQ_LOG_READER_H
#define STREAMQ_LOG_READER_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "log/log.h"

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
extern const TupleTableSlotOps log_slot_ops;

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

/* ---- offsets ---- */

/* append time of a message; -infinity (DT_NOBEGIN) when it is gone or was never there */
extern TimestampTz log_produced_at(Relation rel, int partition, int64 off);

/* the same; it is that of all offsets in [*from, *to) */
extern TimestampTz log_produced_at_range(Relation rel, int partition, int64 off,
										 int64 *from, int64 *to);

/* first offset whose append time is at or after t (next_offset when none) */
extern int64 log_offset_at_time(Relation rel, int partition, TimestampTz t);

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

#endif
