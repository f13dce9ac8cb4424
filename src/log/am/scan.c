/*
 * scan.c
 *	  Scans: sequential, TID ranges, message ranges, parallel, samples,
 *	  ANALYZE.
 *
 * A serial scan returns partition after partition, each in offset order,
 * forward or backward.  A parallel scan hands out blocks of the file, which is
 * possible because every page says what it is and where in the log it belongs.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "access/tsmapi.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/snapmgr.h"

#include "log/am/am.h"
#include "log/log.h"
#include "log/read/cursor.h"
#include "log/read/pagescan.h"
#include "log/reader.h"
#include "log/scan.h"
#include "log/space/blockmap.h"
#include "log/space/shared.h"
#include "base/loaded.h"

typedef struct LogScanData
{
	TableScanDescData base;
	BufferAccessStrategy strategy;

	/* range of (partition, offset), both ends inclusive */
	int			first_partition;
	int			last_partition;
	int64		from;			/* in first_partition */
	int64		to;				/* in last_partition */
	/* range of append times [since, until) */
	TimestampTz since;
	TimestampTz until;

	/* serial scans */
	bool		started;
	int			last;			/* partition to end with */
	int			partition;
	int64		low;			/* the scan returns the offsets [low, high) of
								 * the partition */
	int64		high;
	int64		expected;		/* forward, the next page begins at this
								 * offset or before; backward, at most at this
								 * offset */
	bool		loaded;
	LogCursor	cursor;

	/* scans of blocks */
	BlockNumber nblocks;		/* for samples */
	ParallelBlockTableScanWorkerData worker;
	bool		worker_started;
	BlockNumber block;
	bool		block_live;

	LogPageScan ps;
} LogScanData;

typedef LogScanData *LogScan;

static void
reset_scan(LogScan scan)
{
	log_page_scan_release(&scan->ps);
	scan->started = false;
	scan->loaded = false;
	scan->worker_started = false;
	scan->block = InvalidBlockNumber;
	scan->block_live = false;
}

static void
whole_range(LogScan scan)
{
	scan->first_partition = 0;
	scan->last_partition = LOG_MAX_PARTITIONS - 1;
	scan->from = 0;
	scan->to = PG_INT64_MAX - 1;
	scan->since = DT_NOBEGIN;
	scan->until = DT_NOEND;
}

TableScanDesc
log_scan_begin(Relation rel, Snapshot snapshot, int nkeys, struct ScanKeyData *key,
			   ParallelTableScanDesc parallel, uint32 flags)
{
	LogScan		scan;

	base_require_loaded();
	if (nkeys > 0)
		elog(ERROR, "scan keys are for catalogs only");
	scan = palloc0(sizeof(LogScanData));
	RelationIncrementReferenceCount(rel);
	scan->base.rs_rd = rel;
	scan->base.rs_snapshot = snapshot;
	scan->base.rs_nkeys = nkeys;
	scan->base.rs_flags = flags;
	scan->base.rs_parallel = parallel;
	log_page_scan_init(&scan->ps, rel);
	whole_range(scan);
	reset_scan(scan);
	/* a scan in block order would not notice that the file is too short */
	if (flags & (SO_TYPE_SAMPLESCAN | SO_TYPE_ANALYZE))
		log_check_length(rel);
	if (flags & (SO_ALLOW_STRAT | SO_TYPE_SAMPLESCAN))
		scan->nblocks = RelationGetNumberOfBlocks(rel);

	/* a scan of more than a quarter of the buffers must not evict the rest */
	if ((flags & SO_ALLOW_STRAT) && scan->nblocks > NBuffers / 4)
		scan->strategy = GetAccessStrategy(BAS_BULKREAD);

	if (flags & (SO_TYPE_SEQSCAN | SO_TYPE_SAMPLESCAN | SO_TYPE_TIDRANGESCAN))
	{
		Assert(snapshot);
		PredicateLockRelation(rel, snapshot);
	}
	if (flags & SO_TYPE_SEQSCAN)
		pgstat_count_heap_scan(rel);
	return (TableScanDesc) scan;
}

void
log_scan_end(TableScanDesc sscan)
{
	LogScan		scan = (LogScan) sscan;

	log_page_scan_release(&scan->ps);
	RelationDecrementReferenceCount(scan->base.rs_rd);
	if (scan->strategy)
		FreeAccessStrategy(scan->strategy);
	if (scan->base.rs_flags & SO_TEMP_SNAPSHOT)
		UnregisterSnapshot(scan->base.rs_snapshot);
	pfree(scan);
}

void
log_scan_rescan(TableScanDesc sscan, struct ScanKeyData *key, bool set_params,
				bool allow_strat, bool allow_sync, bool allow_pagemode)
{
	LogScan		scan = (LogScan) sscan;

	reset_scan(scan);
	if (scan->base.rs_flags & SO_TYPE_SAMPLESCAN)
		scan->nblocks = RelationGetNumberOfBlocks(scan->base.rs_rd);
	if (scan->base.rs_flags & SO_TYPE_SEQSCAN)
		pgstat_count_heap_scan(scan->base.rs_rd);
}

/* ---- serial scans ---- */

/*
 * There is no page where the scan should begin or, backward, end.  Raises an
 * error unless it has expired.
 */
static void
check_missing(LogScan scan, bool forward, int64 position)
{
	if (forward)
		log_check_missing(scan->base.rs_rd, scan->partition, position, scan->high);
	else if (position > scan->low)
		log_check_missing(scan->base.rs_rd, scan->partition, position - 1, position);
}

/*
 * Narrow [low, high) down to what was appended in [since, until).  This is
 * exact, because append times never decrease within a partition.
 */
static void
limit_by_time(Relation rel, int partition, TimestampTz since, TimestampTz until,
			  int64 *low, int64 *high)
{
	if (since > DT_NOBEGIN)
		*low = Max(*low, log_offset_at_time(rel, partition, since));
	if (until < DT_NOEND && *low < *high)
		*high = Min(*high, log_offset_at_time(rel, partition, until));
}

/*
 * Enter a partition, at the end where the direction begins.  False if it has
 * nothing in the range.
 */
static bool
enter_partition(LogScan scan, int partition, bool forward)
{
	Relation	rel = scan->base.rs_rd;
	int64		first = log_first_offset(rel, partition);
	int64		next = log_next_offset(rel, partition);

	scan->partition = partition;
	scan->loaded = false;
	scan->low = first;
	scan->high = next;
	if (partition == scan->first_partition)
		scan->low = Max(scan->low, scan->from);
	if (partition == scan->last_partition)
		scan->high = Min(scan->high, scan->to + 1);
	if (scan->low < scan->high)
		limit_by_time(rel, partition, scan->since, scan->until, &scan->low, &scan->high);
	if (scan->low >= scan->high)
		return false;
	scan->expected = forward ? scan->low : scan->high;
	log_cursor_init(&scan->cursor, rel, partition);
	scan->cursor.strategy = scan->strategy;
	if (log_cursor_seek(&scan->cursor, forward ? scan->low : scan->high - 1))
		return true;
	check_missing(scan, forward, forward ? scan->low : scan->high);
	return false;
}

/*
 * Load the cursor's page and position for the direction.  Expired pages are
 * skipped.
 */
static bool
load_page(LogScan scan, bool forward)
{
	LogPageScan *ps = &scan->ps;

	if (forward)
	{
		if (!log_page_scan_load_forward(ps, &scan->cursor, scan->base.rs_snapshot,
										LOG_STOP_NEVER, &scan->expected))
		{
			check_missing(scan, true, scan->expected);
			return false;
		}
		scan->loaded = true;
		if (ps->base < scan->low)
			log_page_scan_position(ps, scan->low);
	}
	else
	{
		/* if a page has expired, so has everything before it */
		if (!log_page_scan_load(ps, &scan->cursor, scan->base.rs_snapshot,
								LOG_STOP_NEVER) ||
			ps->base > scan->expected)
		{
			check_missing(scan, false, scan->expected);
			return false;
		}
		if (unlikely(ps->base + ps->nrows < scan->expected) &&
			scan->partition < LOG_MAX_PARTITIONS - 1)
			check_missing(scan, false, scan->expected);
		scan->loaded = true;
		log_page_scan_to_end(ps);
		ps->off = Min(ps->off, scan->high);
	}
	return true;
}

static bool
next_row(LogScan scan, TupleTableSlot *slot)
{
	LogPageScan *ps = &scan->ps;

	if (scan->loaded || load_page(scan, true))
	{
		do
		{
			if (log_page_scan_next(ps, slot))
				return ps->off < scan->high;
			scan->expected = ps->base + ps->nrows;
			if (scan->expected >= scan->high)
				return false;
			CHECK_FOR_INTERRUPTS();
			if (!log_cursor_next(&scan->cursor))
			{
				check_missing(scan, true, scan->expected);
				return false;
			}
		} while (load_page(scan, true));
	}
	return false;
}

static bool
prev_row(LogScan scan, TupleTableSlot *slot)
{
	LogPageScan *ps = &scan->ps;

	if (scan->loaded || load_page(scan, false))
	{
		do
		{
			if (log_page_scan_prev(ps, slot))
				return ps->off >= scan->low;
			scan->expected = ps->base;
			if (scan->expected <= scan->low)
				return false;
			CHECK_FOR_INTERRUPTS();
			if (!log_cursor_prev(&scan->cursor))
			{
				check_missing(scan, false, scan->expected);
				return false;
			}
		} while (load_page(scan, false));
	}
	return false;
}

/* If a cursor ran off one end and turns round, it begins at that end. */
static void
serial_turn(LogScan scan, ScanDirection direction)
{
	if (!scan->started || scan->loaded)
		return;
	if (ScanDirectionIsBackward(direction) && scan->partition > scan->last)
		scan->started = false;
	else if (!ScanDirectionIsBackward(direction) &&
			 scan->partition < scan->first_partition)
		scan->started = false;
}

/* Fast path: forward, and the next row is on the same page. */
static inline bool
serial_step(LogScan scan, ScanDirection direction, TupleTableSlot *slot)
{
	return likely(scan->loaded && !ScanDirectionIsBackward(direction)) &&
		log_page_scan_step(&scan->ps, slot) && scan->ps.off < scan->high;
}

/*
 * Return the next row in either direction, entering the next partition where
 * one ends.
 */
static pg_noinline bool
serial_next(LogScan scan, ScanDirection direction, TupleTableSlot *slot)
{
	bool		forward = !ScanDirectionIsBackward(direction);
	bool		in;

	if (!scan->loaded)
		serial_turn(scan, direction);
	if (!scan->started)
	{
		int			begin;

		/* partitions added later hold nothing that the scan may see */
		scan->last = Min(scan->last_partition,
						 log_partition_count(scan->base.rs_rd) - 1);
		begin = forward ? scan->first_partition : scan->last;
		if (begin > scan->last || begin < scan->first_partition)
		{
			ExecClearTuple(slot);
			return false;
		}
		scan->started = true;
		in = enter_partition(scan, begin, forward);
	}
	else
		in = scan->partition >= scan->first_partition && scan->partition <= scan->last &&
			(scan->loaded || enter_partition(scan, scan->partition, forward));

	for (;;)
	{
		int			partition;

		if (in && (forward ? next_row(scan, slot) : prev_row(scan, slot)))
			return true;
		partition = scan->partition + (forward ? 1 : -1);
		log_page_scan_release(&scan->ps);
		scan->loaded = false;
		if (partition < scan->first_partition || partition > scan->last)
		{
			/* stay beyond the end, where the other direction begins */
			scan->partition = partition;
			if (forward && scan->partition > scan->last)
				scan->partition = scan->last + 1;
			ExecClearTuple(slot);
			return false;
		}
		in = enter_partition(scan, partition, forward);
	}
}

/* ---- scans of blocks ---- */

static bool
parallel_next(LogScan scan, TupleTableSlot *slot)
{
	ParallelBlockTableScanDesc pscan = (ParallelBlockTableScanDesc) scan->base.rs_parallel;

	for (;;)
	{
		BlockNumber block;

		if (scan->block_live && log_page_scan_step(&scan->ps, slot))
			return true;
		CHECK_FOR_INTERRUPTS();
		if (!scan->worker_started)
		{
			table_block_parallelscan_startblock_init(scan->base.rs_rd, &scan->worker, pscan);
			scan->worker_started = true;
		}
		block = table_block_parallelscan_nextpage(scan->base.rs_rd, &scan->worker, pscan);
		if (block == InvalidBlockNumber)
			break;
		scan->block_live = log_page_scan_load_block(&scan->ps, block,
													scan->base.rs_snapshot, scan->strategy);
	}
	log_page_scan_release(&scan->ps);
	scan->block_live = false;
	ExecClearTuple(slot);
	return false;
}

Size
log_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan)
{
	Size		size;

	/* before the end of the file is looked at; see log_append_rows() */
	if (IsolationIsSerializable() && ActiveSnapshotSet())
		PredicateLockRelation(rel, GetActiveSnapshot());
	size = table_block_parallelscan_initialize(rel, pscan);
	log_check_length(rel);
	/* a scan in log order always begins at the beginning */
	pscan->phs_syncscan = false;
	return size;
}

bool
log_scan_getnextslot(TableScanDesc sscan, ScanDirection direction, TupleTableSlot *slot)
{
	LogScan		scan = (LogScan) sscan;

	if (!serial_step(scan, direction, slot) &&
		!(sscan->rs_parallel ? parallel_next(scan, slot) :
		  serial_next(scan, direction, slot)))
		return false;
	pgstat_count_heap_getnext(sscan->rs_rd);
	return true;
}

/* ---- TID ranges ---- */

/*
 * TIDs are ordered as (partition, offset).  The offset number of a bound may
 * be any 16-bit value.
 */
void
log_scan_set_tidrange(TableScanDesc sscan, ItemPointer mintid, ItemPointer maxtid)
{
	LogScan		scan = (LogScan) sscan;
	OffsetNumber minoff = ItemPointerGetOffsetNumberNoCheck(mintid);
	OffsetNumber maxoff = ItemPointerGetOffsetNumberNoCheck(maxtid);
	ItemPointerData tid;

	reset_scan(scan);
	scan->first_partition = log_tid_partition(mintid);
	scan->last_partition = log_tid_partition(maxtid);

	ItemPointerSet(&tid, ItemPointerGetBlockNumberNoCheck(mintid), 1);
	scan->from = log_tid_offset(sscan->rs_rd, &tid);
	scan->from += Min(Max(minoff, 1), LOG_TID_NUMBERS + 1) - 1;

	ItemPointerSet(&tid, ItemPointerGetBlockNumberNoCheck(maxtid), 1);
	scan->to = log_tid_offset(sscan->rs_rd, &tid);
	scan->to += Min((int) maxoff, LOG_TID_NUMBERS) - 1;
}

bool
log_scan_getnextslot_tidrange(TableScanDesc sscan, ScanDirection direction,
							  TupleTableSlot *slot)
{
	LogScan		scan = (LogScan) sscan;

	if (!serial_step(scan, direction, slot) && !serial_next(scan, direction, slot))
		return false;
	pgstat_count_heap_getnext(sscan->rs_rd);
	return true;
}

/* ---- ranges of messages ---- */

/*
 * Partitions and offsets of the range; false if it is empty whatever the log
 * holds.
 */
static bool
split_range(const LogMessageRange *range, int *first_partition, int64 *from,
			int *last_partition, int64 *to)
{
	int64		last_id = LOG_MSG_ID(LOG_MAX_PARTITIONS - 1, LOG_OFFSET_MASK);
	int64		first = Max(range->from, 0);
	int64		last = Min(range->to, last_id);

	if (first > last || range->since >= range->until)
		return false;
	*first_partition = LOG_MSG_PARTITION(first);
	*from = LOG_MSG_OFFSET(first);
	*last_partition = LOG_MSG_PARTITION(last);
	*to = LOG_MSG_OFFSET(last);
	return true;
}

TableScanDesc
log_range_scan_begin(Relation rel, Snapshot snapshot)
{
	return log_scan_begin(rel, snapshot, 0, NULL, NULL, SO_TYPE_TIDRANGESCAN);
}

void
log_range_scan_set(TableScanDesc sscan, const LogMessageRange *range)
{
	LogScan		scan = (LogScan) sscan;

	reset_scan(scan);
	whole_range(scan);
	if (split_range(range, &scan->first_partition, &scan->from,
					&scan->last_partition, &scan->to))
	{
		scan->since = range->since;
		scan->until = range->until;
	}
	else
	{
		scan->first_partition = 0;
		scan->last_partition = -1;
	}
}

bool
log_range_scan_next(TableScanDesc sscan, ScanDirection direction, TupleTableSlot *slot)
{
	return log_scan_getnextslot_tidrange(sscan, direction, slot);
}

bool
log_range_scan_next_columns(TableScanDesc sscan, ScanDirection direction,
							TupleTableSlot *slot, LogColumns *columns,
							Datum *values, bool *isnull)
{
	LogScan		scan = (LogScan) sscan;

	/* as in serial_step() */
	if (!(likely(scan->loaded && !ScanDirectionIsBackward(direction)) &&
		  log_page_scan_take(&scan->ps, columns, values, isnull) &&
		  scan->ps.off < scan->high))
	{
		if (!serial_next(scan, direction, slot))
			return false;
		log_page_scan_columns(&scan->ps, columns, slot, values, isnull);
	}
	pgstat_count_heap_getnext(sscan->rs_rd);
	return true;
}

bool
log_range_contains(Relation rel, const LogMessageRange *range, ItemPointer tid)
{
	int64		msg_id = log_tid_msg_id(rel, tid);
	TimestampTz time;

	if (msg_id < range->from || msg_id > range->to)
		return false;
	if (range->since <= DT_NOBEGIN && range->until >= DT_NOEND)
		return true;
	time = log_produced_at(rel, LOG_MSG_PARTITION(msg_id), LOG_MSG_OFFSET(msg_id));
	return time >= range->since && time < range->until;
}

double
log_range_count(Relation rel, const LogMessageRange *range, int *npartitions)
{
	int			first_partition;
	int			last_partition;
	int64		from;
	int64		to;
	double		count = 0;

	*npartitions = 0;
	if (!split_range(range, &first_partition, &from, &last_partition, &to))
		return 0;
	last_partition = Min(last_partition, log_partition_count(rel) - 1);
	for (int p = first_partition; p <= last_partition; p++)
	{
		int64		low = log_first_offset(rel, p);
		int64		high = log_next_offset(rel, p);

		if (p == first_partition)
			low = Max(low, from);
		if (p == LOG_MSG_PARTITION(range->to))
			high = Min(high, to + 1);
		if (low < high)
			limit_by_time(rel, p, range->since, range->until, &low, &high);
		if (low < high)
		{
			count += (double) (high - low);
			(*npartitions)++;
		}
	}
	return count;
}

/* ---- TABLESAMPLE ---- */

bool
log_scan_sample_next_block(TableScanDesc sscan, struct SampleScanState *state)
{
	LogScan		scan = (LogScan) sscan;
	TsmRoutine *tsm = state->tsmroutine;

	for (;;)
	{
		BlockNumber block;

		CHECK_FOR_INTERRUPTS();
		if (tsm->NextSampleBlock)
			block = tsm->NextSampleBlock(state, scan->nblocks);
		else
			block = BlockNumberIsValid(scan->block) ? scan->block + 1 : 0;
		if (!BlockNumberIsValid(block) || block >= scan->nblocks)
		{
			log_page_scan_release(&scan->ps);
			scan->block = InvalidBlockNumber;
			return false;
		}
		scan->block = block;
		if (log_page_scan_load_block(&scan->ps, block, sscan->rs_snapshot, scan->strategy))
			return true;
	}
}

bool
log_scan_sample_next_tuple(TableScanDesc sscan, struct SampleScanState *state,
						   TupleTableSlot *slot)
{
	LogScan		scan = (LogScan) sscan;
	LogPageScan *ps = &scan->ps;

	/* a page can have more rows than MaxOffsetNumber */
	OffsetNumber maxoffset = (OffsetNumber) ps->nrows;

	for (;;)
	{
		OffsetNumber off;

		CHECK_FOR_INTERRUPTS();
		off = state->tsmroutine->NextSampleTuple(state, scan->block, maxoffset);
		if (off == InvalidOffsetNumber)
			break;
		/* return the row if it is visible, not the next visible one */
		log_page_scan_position(ps, ps->base + off - 1);
		if (ps->left > 0 && ps->off + 1 == ps->base + off - 1 &&
			log_page_scan_next(ps, slot))
		{
			pgstat_count_heap_getnext(sscan->rs_rd);
			return true;
		}
	}
	ExecClearTuple(slot);
	return false;
}

/* ---- ANALYZE ---- */

bool
log_analyze_load_block(TableScanDesc sscan, BlockNumber block, BufferAccessStrategy strategy)
{
	LogScan		scan = (LogScan) sscan;
	SnapshotData self;

	/*
	 * Count what is committed now.  Rows in progress count as neither live
	 * nor dead, because their transaction reports them when it ends.
	 */
	memset(&self, 0, sizeof(self));
	self.snapshot_type = SNAPSHOT_SELF;
	scan->block = block;
	scan->block_live = log_page_scan_load_block(&scan->ps, block, &self, strategy);
	return true;
}

bool
log_analyze_next_row(TableScanDesc sscan, double *live, double *dead, TupleTableSlot *slot)
{
	LogScan		scan = (LogScan) sscan;

	if (scan->block_live && log_page_scan_next(&scan->ps, slot))
	{
		*live += 1;
		return true;
	}
	log_page_scan_release(&scan->ps);
	scan->block_live = false;
	ExecClearTuple(slot);
	return false;
}
