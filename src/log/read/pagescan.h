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
	LogCursor	cursor;			/* of this page, for rows that go on */
	MemoryContext context;		/* of what the scan remembers */
	LogBlockMap *map;			/* for log_page_scan_load_block, NULL at first */
	int64		base;
	int			nrows;			/* rows that start on the page */
	int			nranges;
	/* stop_*: a run in progress ended the collection, if asked to stop there */
	bool		stopped;
	int64		stop_offset;
	TransactionId stop_xid;
	TimestampTz stop_time;
	bool		full;			/* the last row may go on behind the page */
	bool		cut;			/* it does, and expired before it was read:
								 * off */
	/* iteration */
	int			range;
	uint32		pos;			/* header of a row of the range */
	uint32		skip;			/* the next one comes so many rows later */
	uint32		left;
	uint16		natts;			/* of the range's rows */
	int64		off;			/* of the row last returned */
	TimestampTz time;
	LogRange	ranges[LOG_MAX_RANGES];
} LogPageScan;

#define LOG_STOP_NEVER	0
#define LOG_STOP_IN_PROGRESS 1	/* others' in progress */
#define LOG_STOP_OWN	2		/* and our own */

extern void log_page_scan_init(LogPageScan *ps, Relation rel);

/*
 * Collect the visible rows of the page at the cursor; keeps it pinned.  False
 * if the cursor is behind the tail or on an expired page.
 */
extern bool log_page_scan_load(LogPageScan *ps, LogCursor *cursor, Snapshot snapshot, int stop);

/*
 * The same for who reads forward: *expected is the offset that comes next.  If
 * it has expired, both the cursor and *expected move to what is retained.
 */
extern bool log_page_scan_load_forward(LogPageScan *ps, LogCursor *cursor, Snapshot snapshot,
									   int stop, int64 *expected);

/*
 * The same for a physical block, for parallel, sample and analyze scans; false
 * if it holds no live rows.
 */
extern bool log_page_scan_load_block(LogPageScan *ps, BlockNumber block,
									 Snapshot snapshot, BufferAccessStrategy strategy);
extern bool log_page_scan_next(LogPageScan *ps, TupleTableSlot *slot);

/* the next row of the range into the slot, which pins the page already */
static inline void
log_page_scan_point(LogPageScan *ps, LogSlot *slot)
{
	/* if the slot has found the row before, go on from there */
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

/* log_page_scan_next, quick where it is easy */
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
 * Make sure that there is a next row, and that it ends on the page for all that is
 * known without a look at it.
 */
extern bool log_page_scan_on_page(LogPageScan *ps);

/* to the header of the next row */
extern void log_page_scan_walk(LogPageScan *ps);

/* position before the row with offset off or the first visible after it */
extern void log_page_scan_position(LogPageScan *ps, int64 off);

/* the row before the one last returned; from the end after log_page_scan_to_end */
extern bool log_page_scan_prev(LogPageScan *ps, TupleTableSlot *slot);
extern void log_page_scan_to_end(LogPageScan *ps);
extern void log_page_scan_release(LogPageScan *ps);

/* ---- columns.c ---- */

/*
 * Columns of the next row, without a slot; they are valid as long as the page is
 * pinned.  If false, log_page_scan_next has to take that row, if there is one.
 */
extern bool log_page_scan_take(LogPageScan *ps, LogColumns *columns,
							   Datum *values, bool *isnull);

/* the same of the row that was put into the slot */
extern void log_page_scan_columns(const LogPageScan *ps, LogColumns *columns,
								  TupleTableSlot *slot, Datum *values, bool *isnull);

#endif
