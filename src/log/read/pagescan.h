/*
 * pagescan.h
 *	  The visible rows of one data page.
 */
#ifndef STREAMQ_LOG_READ_PAGESCAN_H
#define STREAMQ_LOG_READ_PAGESCAN_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/memutils.h"

#include "log/scan.h"
#include "log/read/cursor.h"
#include "log/read/slot.h"
#include "log/space/blockmap.h"
#include "log/space/tid.h"

typedef struct LogRange
{
	uint16		pos;			/* of the first row's header */
	uint16		nrows;
	uint16		index;			/* of the first row within the page */
	uint16		natts;
	TimestampTz time;
} LogRange;

#define LOG_MAX_RANGES	((LOG_PAGE_END - LOG_PAGE_START) / (sizeof(LogRun) + sizeof(uint16)) + 1)

typedef struct LogPageScan
{
	Relation	rel;
	int			partition;
	Buffer		buffer;			/* pinned, or InvalidBuffer */
	LogCursor	cursor;			/* at this page, for rows that continue on the
								 * next one */
	MemoryContext context;		/* for what the scan remembers */
	LogBlockMap *map;			/* for log_page_scan_load_block(), NULL at
								 * first */
	int64		base;
	int			nrows;			/* rows that start on the page */
	int			nranges;
	/* stop_*: a run in progress ended the collection, as the caller asked */
	bool		stopped;
	int64		stop_offset;
	TransactionId stop_xid;
	TimestampTz stop_time;
	bool		full;			/* the last row may continue on the next page */
	bool		cut;			/* the row at off continues on the next page,
								 * and expired before it was read */
	/* iteration */
	int			range;
	uint32		pos;			/* header of a row of the range */
	uint32		skip;			/* the next row comes this many rows later */
	uint32		left;
	uint16		natts;			/* of the rows of the range */
	int64		off;			/* of the row last returned */
	TimestampTz time;
	LogRange	ranges[LOG_MAX_RANGES];
} LogPageScan;

#define LOG_STOP_NEVER_LIVE (-1)	/* and collect rows in progress, too */
#define LOG_STOP_NEVER	0
#define LOG_STOP_IN_PROGRESS 1	/* at other transactions in progress */
#define LOG_STOP_OWN	2		/* at our own, too */

extern void log_page_scan_init(LogPageScan *ps, Relation rel);

/*
 * Collect the visible rows of the page at the cursor, and keep it pinned.
 * False if the cursor is beyond the tail or on an expired page.
 */
extern bool log_page_scan_load(LogPageScan *ps, LogCursor *cursor, Snapshot snapshot, int stop);

/*
 * The same for a forward scan, which knows the next offset, *expected.  If
 * that has expired, the cursor and *expected move to the first offset.
 */
extern bool log_page_scan_load_forward(LogPageScan *ps, LogCursor *cursor, Snapshot snapshot,
									   int stop, int64 *expected);

/*
 * The same for a block of the file, for parallel, sample and analyze scans.
 * False if it holds no live rows.
 */
extern bool log_page_scan_load_block(LogPageScan *ps, BlockNumber block,
									 Snapshot snapshot, BufferAccessStrategy strategy);
extern bool log_page_scan_next(LogPageScan *ps, TupleTableSlot *slot);

/* Point the slot, which has the page pinned, at the next row of the range. */
static inline void
log_page_scan_point(LogPageScan *ps, LogSlot *slot)
{
	/* continue where the slot has found the end of the previous row */
	if (ps->skip > 0 && slot->end > 0 && slot->row_off == ps->off)
	{
		ps->pos = slot->end;
		ps->skip = 0;
	}
	ps->left--;
	ps->off++;
	slot->body = NULL;
	slot->page = BufferGetPage(ps->buffer);
	slot->natts = ps->natts;
	slot->off = 0;
	slot->pos = ps->pos;
	slot->skip = ps->skip++;
	slot->end = 0;
	slot->row_off = ps->off;
	slot->base.tts_nvalid = 0;
	slot->base.tts_flags &= ~(TTS_FLAG_EMPTY | TTS_FLAG_SHOULDFREE);
	log_set_tid(ps->partition, ps->off, &slot->base.tts_tid);
	slot->base.tts_tableOid = RelationGetRelid(ps->rel);
}

/* Fast path of log_page_scan_next(). */
static inline bool
log_page_scan_step(LogPageScan *ps, TupleTableSlot *slot)
{
	LogSlot    *ls = (LogSlot *) slot;

	if (unlikely(ps->left <= 1 || ls->buffer != ps->buffer))
		return log_page_scan_next(ps, slot);
	log_page_scan_point(ps, ls);
	return true;
}

/*
 * True if there is a next row on the page that certainly ends there.  The row
 * is not looked at.
 */
extern bool log_page_scan_on_page(LogPageScan *ps);

/* Move to the header of the next row. */
extern void log_page_scan_walk(LogPageScan *ps);

/*
 * Position before the row with offset off, or before the first visible row
 * after it.
 */
extern void log_page_scan_position(LogPageScan *ps, int64 off);

/*
 * Return the row before the last one; from the end after
 * log_page_scan_to_end().
 */
extern bool log_page_scan_prev(LogPageScan *ps, TupleTableSlot *slot);
extern void log_page_scan_to_end(LogPageScan *ps);
extern void log_page_scan_release(LogPageScan *ps);

/* ---- columns.c ---- */

/*
 * Decode columns of the next row without a slot.  They stay valid while the
 * page is pinned.  After false, the caller lets log_page_scan_next() take the
 * next row, if there is one.
 */
extern bool log_page_scan_take(LogPageScan *ps, LogColumns *columns,
							   Datum *values, bool *isnull);

/* The same for the row that is in the slot. */
extern void log_page_scan_columns(const LogPageScan *ps, LogColumns *columns,
								  TupleTableSlot *slot, Datum *values, bool *isnull);

#endif
