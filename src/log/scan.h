/*
 * scan.h
 *	  Scans of ranges of messages, which the planner bounded.
 */
#ifndef STREAMQ_LOG_SCAN_H
#define STREAMQ_LOG_SCAN_H

#include "postgres.h"

#include "access/tableam.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

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

#endif
