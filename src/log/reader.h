/*
 * reader.h
 *	  Reading the log: messages in offset order, slots, rows kept for
 *	  later, and questions about offsets.
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
 * Read the offsets [from, to) of one partition in order, returning the
 * committed rows that the snapshot sees.  If `from` has expired, reading
 * begins at the first offset.  The caller keeps the relation open and locked,
 * and the snapshot registered.
 *
 * The reader stops for good before the first row whose transaction the
 * snapshot sees as in progress.  With stop_at_own it also stops before the
 * first row of the caller's own transaction.  Without stop_at_own, own rows of
 * older commands are returned.
 */
extern LogReader *log_reader_begin(Relation rel, int partition, int64 from,
								   int64 to, Snapshot snapshot, bool stop_at_own);

/*
 * Put the next row into a slot made with log_slot_create(); false at the end.
 * Values in the slot stay valid until the next call with this slot.
 */
extern bool log_reader_next(LogReader *reader, TupleTableSlot *slot);
extern int64 log_reader_offset(LogReader *reader);	/* of the last row */
extern TimestampTz log_reader_produced_at(LogReader *reader);

/*
 * After log_reader_next() has returned false, everything below this offset is
 * settled, and has been returned or will never be visible (aborted or
 * expired).  After true, it is the offset after the row returned last.
 */
extern int64 log_reader_position(LogReader *reader);

/*
 * Did messages expire before the reader could return them, since the last call
 * or since the reader began?  Their offsets are [*from, *to), gaps included.
 */
extern bool log_reader_expired(LogReader *reader, int64 *from, int64 *to);

/* The transaction that stopped the reader, or InvalidTransactionId. */
extern TransactionId log_reader_blocked_by(LogReader *reader);
extern TimestampTz log_reader_blocked_since(LogReader *reader);
extern void log_reader_end(LogReader *reader);

extern TupleTableSlot *log_slot_create(Relation rel);

/*
 * Size of the row in such a slot as a stream stores it, with compressed
 * values.  PG_UINT32_MAX if the slot holds values, or a row older than its
 * last column.
 */
extern uint32 log_slot_stored_size(TupleTableSlot *slot);

/* The operations of such slots. */
extern const TupleTableSlotOps log_slot_ops;

/* ---- rows kept for later ---- */

/*
 * Rows of one stream, copied as bytes, which need neither the relation nor a
 * snapshot any more.  They are kept in memory up to work_mem, then in a
 * temporary file of the current resource owner.  All rows are added before the
 * first is read.  log_row_store_next() returns them in the order in which they
 * were added, in a slot that stays valid until the next call; NULL at the end.
 */
typedef struct LogKeptRow
{
	int64		msg_id;
	TimestampTz produced_at;
	int32		note;			/* for the caller's use */
} LogKeptRow;

typedef struct LogRowStore LogRowStore;

extern LogRowStore *log_row_store_create(Relation rel);
extern void log_row_store_add(LogRowStore *store, TupleTableSlot *slot, const LogKeptRow *kept);
extern TupleTableSlot *log_row_store_next(LogRowStore *store, LogKeptRow *kept);
extern void log_row_store_rewind(LogRowStore *store);
extern void log_row_store_end(LogRowStore *store);

/* ---- offsets ---- */

/*
 * Append time of a message; DT_NOBEGIN (-infinity) if it has expired or was
 * never there.
 */
extern TimestampTz log_produced_at(Relation rel, int partition, int64 off);

/* Append time of a message, and the offsets [*from, *to) that share it. */
extern TimestampTz log_produced_at_range(Relation rel, int partition, int64 off,
										 int64 *from, int64 *to);

/*
 * First offset with append time t or later; the next offset if there is none.
 */
extern int64 log_offset_at_time(Relation rel, int partition, TimestampTz t);

/*
 * The stable offset: no transaction that is in progress now has rows below it.
 * If a transaction holds it back, blocked_by and blocked_since (each may be
 * NULL) say which one and since when; otherwise *blocked_by is
 * InvalidTransactionId.
 */
extern int64 log_stable_offset(Relation rel, int partition,
							   TransactionId *blocked_by, TimestampTz *blocked_since);

/*
 * Number of rows in [from, to) that the snapshot sees; reads run headers only.
 */
extern int64 log_count_rows(Relation rel, int partition, int64 from, int64 to,
							Snapshot snapshot);

/*
 * What a snapshot can read from an offset on, found by run headers only.
 *
 * The visible messages are the ranges, which are sorted and do not touch each
 * other.  All other offsets in [from, end) were rolled back or expired.  The
 * peek ends before the first run that the snapshot sees as in progress, before
 * the first run of the caller's own transaction, at `to`, after at least
 * `want` messages, or when the ranges are full.
 */
#define LOG_PEEK_RANGES	64

typedef struct LogPeek
{
	int64		end;
	int64		expired_from;	/* messages at these offsets expired before */
	int64		expired_to;		/* they could be read, gaps included */
	int64		nmessages;
	int			nranges;
	struct
	{
		int64		from;
		int64		to;			/* exclusive */
	}			ranges[LOG_PEEK_RANGES];
} LogPeek;

extern void log_peek(Relation rel, int partition, int64 from, int64 to, int64 want,
					 Snapshot snapshot, LogPeek *peek);

/*
 * Number of rows in [from, to) that did not roll back, including those of
 * transactions in progress.  Reads run headers only.
 */
extern int64 log_count_live(Relation rel, int partition, int64 from, int64 to);

/*
 * Number of messages of a partition that a recent snapshot sees.  Reads the
 * run headers of what was appended since the last VACUUM.
 */
extern int64 log_count_messages(Relation rel, int partition, Snapshot snapshot);

#endif
