/*
 * scan.h
 *	  Scans of message ranges, for the custom scans of plan/.
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
 * Messages with an id in [from, to] and an append time in [since, until).
 * Every int64 and every timestamp is allowed.  DT_NOBEGIN and DT_NOEND leave
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
 * A scan of a range, in log order or backward: set the range, then call
 * log_range_scan_next(), and table_endscan() at the end.  The range can be set
 * again.  A scan of the whole stream is begun with table_beginscan() instead
 * and restarted with table_rescan().
 */
extern TableScanDesc log_range_scan_begin(Relation rel, Snapshot snapshot);
extern void log_range_scan_set(TableScanDesc scan, const LogMessageRange *range);
extern bool log_range_scan_next(TableScanDesc scan, ScanDirection direction,
								TupleTableSlot *slot);

/*
 * A scan that returns some columns of the row, its ctid, tableoid, msg_id or
 * append time, and no slot.  The values stay valid until the next call.  The
 * slot is used for rows that cannot be decoded column by column.
 * log_columns_create() returns NULL if a column is asked for more than once.
 */
#define LOG_COLUMN_MSG_ID		(-101)
#define LOG_COLUMN_PRODUCED_AT	(-102)

typedef struct LogColumns LogColumns;

extern LogColumns *log_columns_create(TupleDesc desc, const AttrNumber *attnums, int nvalues);
extern bool log_range_scan_next_columns(TableScanDesc scan, ScanDirection direction,
										TupleTableSlot *slot, LogColumns *columns,
										Datum *values, bool *isnull);

/*
 * Decode attributes 1 to n of a slot that a scan has just filled; `columns`
 * stands for these attributes.  This is only a short cut, because the slot
 * decodes attributes itself when it is asked for them.
 */
extern void log_slot_decode(TupleTableSlot *slot, const LogColumns *columns);

/* True if the message of this stream with this TID is in the range. */
extern bool log_range_contains(Relation rel, const LogMessageRange *range, ItemPointer tid);

/*
 * Number of offsets in the range as of now, and of the partitions that have
 * any.  Reads a few pages.
 */
extern double log_range_count(Relation rel, const LogMessageRange *range, int *npartitions);

#endif
