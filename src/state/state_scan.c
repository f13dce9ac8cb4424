/*
 * state_scan.c
 *	  Reading a state table.
 *
 * Rows change in place, so a reader copies what it sees while it has the page
 * locked.
 *
 * A row is found at its home, also if it has moved to another page.  So a scan
 * that runs while a row moves finds it exactly once.
 */
#include "postgres.h"

#include "access/skey.h"
#include "access/tsmapi.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "pgstat.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "state/keep.h"
#include "state/state_scan.h"
#include "state/spill.h"
#include "state/state.h"

/* ---- copies of rows ---- */

/* space in front of a version for the rest of a heap tuple's header */
#define FRONT	MINIMAL_TUPLE_OFFSET

/* make a heap tuple of a version; `to` has room for FRONT and the version */
static void
copy_version(StateVersion *v, ItemPointer tid, char *to)
{
	HeapTupleHeader header = (HeapTupleHeader) to;

	memcpy(to + FRONT, v, STATE_VERSION_LEN(v));
	HeapTupleHeaderSetXmin(header, v->xmin);
	HeapTupleHeaderSetXmax(header, InvalidTransactionId);
	HeapTupleHeaderSetCmin(header, FirstCommandId);
	header->t_ctid = *tid;
	header->t_infomask |= HEAP_XMIN_COMMITTED | HEAP_XMAX_INVALID;
}

static HeapTuple
make_tuple(Relation rel, StateVersion *v, ItemPointer tid)
{
	Size		len = FRONT + STATE_VERSION_LEN(v);
	HeapTuple	tuple = palloc(HEAPTUPLESIZE + len);

	tuple->t_data = (HeapTupleHeader) ((char *) tuple + HEAPTUPLESIZE);
	tuple->t_len = len;
	tuple->t_self = *tid;
	tuple->t_tableOid = RelationGetRelid(rel);
	copy_version(v, tid, (char *) tuple->t_data);
	return tuple;
}

/* ---- one row ---- */

/*
 * Find the row with this home, at `at`.  If it has moved, *at is set to its
 * place, and NULL returned; the same if there is no row, and *at is invalid
 * then.  The page must be locked.
 */
static StateRow *
find_row(Page page, ItemPointer home, ItemPointer at)
{
	StateRow   *row = state_get_row(page, ItemPointerGetOffsetNumber(at));
	bool		is_home = ItemPointerEquals(at, home);

	if (is_home && row && (row->flags & STATE_ROW_FORWARD))
	{
		StateForward *forward = (StateForward *) row;

		ItemPointerSet(at, forward->block, forward->off);
		return NULL;
	}
	if (row && is_home && !(row->flags & STATE_ROW_MOVED))
		return row;
	if (row && !is_home && (row->flags & STATE_ROW_MOVED) &&
		ItemPointerEquals(STATE_ROW_HOME(row), home))
		return row;

	/* no row, or one that has moved on since we saw its home */
	if (is_home)
		ItemPointerSetInvalid(at);
	else
		*at = *home;
	return NULL;
}

HeapTuple
state_copy_row(Relation rel, ItemPointer tid, StateEye *eye, Buffer *buffer, bool whole)
{
	ItemPointerData at = *tid;
	HeapTuple	tuple = NULL;
	bool		done = false;

	while (!done && ItemPointerIsValid(&at))
	{
		Page		page;
		StateRow   *row;

		CHECK_FOR_INTERRUPTS();
		*buffer = ReleaseAndReadBuffer(*buffer, rel, ItemPointerGetBlockNumber(&at));
		LockBuffer(*buffer, BUFFER_LOCK_SHARE);
		page = BufferGetPage(*buffer);
		state_check_page(rel, ItemPointerGetBlockNumber(&at), page);
		row = find_row(page, tid, &at);
		if (row)
		{
			StateVersion *v = state_visible_version(rel, eye, row);

			if (v)
				tuple = make_tuple(rel, v, tid);
			done = true;
		}
		LockBuffer(*buffer, BUFFER_LOCK_UNLOCK);
	}
	if (tuple && whole && STATE_TUPLE_IS_SPILLED(tuple))
	{
		HeapTuple	spilled = tuple;

		tuple = state_unspill(spilled);
		heap_freetuple(spilled);
	}
	return tuple;
}

HeapTuple
state_fetch(Relation rel, ItemPointer tid, Snapshot snapshot)
{
	StateEye	eye;
	Buffer		buffer = InvalidBuffer;
	HeapTuple	tuple;

	if (ItemPointerGetBlockNumber(tid) >= RelationGetNumberOfBlocks(rel))
		return NULL;
	state_eye_init(&eye, snapshot);
	tuple = state_copy_row(rel, tid, &eye, &buffer, true);
	if (BufferIsValid(buffer))
		ReleaseBuffer(buffer);
	return tuple;
}

/* ---- the rows of a page ---- */

void
state_rows_init(StatePageRows *rows)
{
	rows->nrows = rows->nforward = 0;
	rows->size = BLCKSZ;
	rows->used = 0;
	rows->data = palloc(rows->size);
}

void
state_rows_free(StatePageRows *rows)
{
	pfree(rows->data);
}

/* reserve space for a row with this home */
static char *
add_row(StatePageRows *rows, OffsetNumber off, Size len)
{
	char	   *to;

	if (rows->used + MAXALIGN(len) > rows->size)
	{
		rows->size = Max(rows->size * 2, rows->used + MAXALIGN(len));
		rows->data = repalloc(rows->data, rows->size);
	}
	to = rows->data + rows->used;
	rows->offs[rows->nrows] = off;
	rows->starts[rows->nrows] = rows->used;
	rows->lens[rows->nrows++] = len;
	rows->used += MAXALIGN(len);
	return to;
}

static void
read_home_page(StatePageRows *rows, Relation rel, Page page, BlockNumber block, StateEye *eye)
{
	OffsetNumber max = PageIsNew(page) ? 0 : PageGetMaxOffsetNumber(page);

	for (OffsetNumber off = FirstOffsetNumber; off <= max; off++)
	{
		StateRow   *row = state_get_row(page, off);
		StateVersion *v;
		ItemPointerData tid;

		if (row == NULL || (row->flags & STATE_ROW_MOVED))
			continue;
		if (row->flags & STATE_ROW_FORWARD)
		{
			rows->forwards[rows->nforward++] = off;
			continue;
		}
		v = state_visible_version(rel, eye, row);
		if (v == NULL)
			continue;
		ItemPointerSet(&tid, block, off);
		copy_version(v, &tid, add_row(rows, off, FRONT + STATE_VERSION_LEN(v)));
	}
}

/* replace a row that was put out of line, at the end of the copy */
static void
unspill(StatePageRows *rows, Relation rel, BlockNumber block, int i)
{
	HeapTupleData spilled;
	HeapTuple	tuple;
	int			n = rows->nrows;

	state_rows_get(rows, rel, block, i, &spilled);
	if (!STATE_TUPLE_IS_SPILLED(&spilled))
		return;
	tuple = state_unspill(&spilled);
	memcpy(add_row(rows, rows->offs[i], tuple->t_len), tuple->t_data, tuple->t_len);
	rows->starts[i] = rows->starts[n];
	rows->lens[i] = rows->lens[n];
	rows->nrows = n;
	heap_freetuple(tuple);
}

void
state_rows_read(StatePageRows *rows, Relation rel, BlockNumber block, StateEye *eye,
				BufferAccessStrategy strategy)
{
	Buffer		buffer;
	Buffer		other = InvalidBuffer;

	rows->nrows = rows->nforward = 0;
	rows->used = 0;
	buffer = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	state_check_page(rel, block, BufferGetPage(buffer));
	read_home_page(rows, rel, BufferGetPage(buffer), block, eye);
	UnlockReleaseBuffer(buffer);

	for (int i = 0; i < rows->nrows; i++)
		unspill(rows, rel, block, i);
	for (int i = 0; i < rows->nforward; i++)
	{
		ItemPointerData tid;
		HeapTuple	tuple;

		ItemPointerSet(&tid, block, rows->forwards[i]);
		tuple = state_copy_row(rel, &tid, eye, &other, true);
		if (tuple)
		{
			memcpy(add_row(rows, rows->forwards[i], tuple->t_len), tuple->t_data, tuple->t_len);
			heap_freetuple(tuple);
		}
	}
	if (BufferIsValid(other))
		ReleaseBuffer(other);
}

void
state_rows_get(StatePageRows *rows, Relation rel, BlockNumber block, int i, HeapTuple tuple)
{
	tuple->t_data = (HeapTupleHeader) (rows->data + rows->starts[i]);
	tuple->t_len = rows->lens[i];
	ItemPointerSet(&tuple->t_self, block, rows->offs[i]);
	tuple->t_tableOid = RelationGetRelid(rel);
}

/* ---- scans ---- */

typedef struct StateScanData
{
	TableScanDescData base;
	ParallelBlockTableScanWorkerData worker;
	BufferAccessStrategy strategy;
	BlockNumber nblocks;
	bool		started;
	BlockNumber block;			/* of the rows below */
	int			next;			/* row to return next, going forward */
	StateEye	eye;
	StatePageRows rows;
	HeapTupleData tuple;
} StateScanData;

typedef StateScanData *StateScan;

/* (re)start */
static void
start_scan(StateScan scan)
{
	Relation	rel = scan->base.rs_rd;

	scan->nblocks = scan->base.rs_parallel ?
		((ParallelBlockTableScanDesc) scan->base.rs_parallel)->phs_nblocks :
		RelationGetNumberOfBlocks(rel);
	if (scan->strategy == NULL && (scan->base.rs_flags & SO_ALLOW_STRAT) &&
		!RelationUsesLocalBuffers(rel) && scan->nblocks > (BlockNumber) NBuffers / 4)
		scan->strategy = GetAccessStrategy(BAS_BULKREAD);
	scan->started = false;
	scan->block = InvalidBlockNumber;
	scan->rows.nrows = 0;
	scan->next = 0;
	state_eye_init(&scan->eye, scan->base.rs_snapshot);
}

TableScanDesc
state_scan_begin(Relation rel, Snapshot snapshot, int nkeys, struct ScanKeyData *keys,
				 ParallelTableScanDesc pscan, uint32 flags)
{
	StateScan	scan = palloc0(sizeof(StateScanData));

	RelationIncrementReferenceCount(rel);
	scan->base.rs_rd = rel;
	scan->base.rs_snapshot = snapshot;
	scan->base.rs_nkeys = nkeys;
	scan->base.rs_flags = flags;
	scan->base.rs_parallel = pscan;
	if (nkeys > 0)
	{
		scan->base.rs_key = palloc(sizeof(ScanKeyData) * nkeys);
		memcpy(scan->base.rs_key, keys, sizeof(ScanKeyData) * nkeys);
	}
	state_rows_init(&scan->rows);
	start_scan(scan);
	if (snapshot)
		state_keep_note_snapshot(snapshot);
	if (flags & SO_TYPE_SEQSCAN)
		pgstat_count_heap_scan(rel);
	return &scan->base;
}

void
state_scan_rescan(TableScanDesc sscan, struct ScanKeyData *keys, bool set_params,
				  bool allow_strat, bool allow_sync, bool allow_pagemode)
{
	if (keys && sscan->rs_nkeys > 0)
		memcpy(sscan->rs_key, keys, sizeof(ScanKeyData) * sscan->rs_nkeys);
	start_scan((StateScan) sscan);
}

void
state_scan_end(TableScanDesc sscan)
{
	StateScan	scan = (StateScan) sscan;

	RelationDecrementReferenceCount(sscan->rs_rd);
	if (scan->strategy)
		FreeAccessStrategy(scan->strategy);
	if (sscan->rs_key)
		pfree(sscan->rs_key);
	if (sscan->rs_flags & SO_TEMP_SNAPSHOT)
		UnregisterSnapshot(sscan->rs_snapshot);
	state_rows_free(&scan->rows);
	pfree(scan);
}

/* the page after the current one, or InvalidBlockNumber */
static BlockNumber
next_page(StateScan scan, bool forward)
{
	ParallelBlockTableScanDesc parallel = (ParallelBlockTableScanDesc) scan->base.rs_parallel;

	if (parallel)
	{
		if (!scan->started)
			table_block_parallelscan_startblock_init(scan->base.rs_rd, &scan->worker, parallel);
		return table_block_parallelscan_nextpage(scan->base.rs_rd, &scan->worker, parallel);
	}
	if (!scan->started)
	{
		if (scan->nblocks == 0)
			return InvalidBlockNumber;
		return forward ? 0 : scan->nblocks - 1;
	}
	if (forward)
		return scan->block + 1 < scan->nblocks ? scan->block + 1 : InvalidBlockNumber;
	return scan->block > 0 ? scan->block - 1 : InvalidBlockNumber;
}

/* do the conditions of the scan hold?  All its keys are about plain columns. */
static bool
passes(StateScan scan)
{
	for (int i = 0; i < scan->base.rs_nkeys; i++)
	{
		ScanKey		key = &scan->base.rs_key[i];
		bool		isnull;
		Datum		value;

		if (key->sk_flags & SK_ISNULL)
			return false;
		value = heap_getattr(&scan->tuple, key->sk_attno, RelationGetDescr(scan->base.rs_rd),
							 &isnull);
		if (isnull || !DatumGetBool(FunctionCall2Coll(&key->sk_func, key->sk_collation,
													  value, key->sk_argument)))
			return false;
	}
	return true;
}

/* go to the next row; false at the end */
static bool
next_row(StateScan scan, bool forward)
{
	for (;;)
	{
		int			i = forward ? scan->next : scan->next - 2;

		if (scan->started && i >= 0 && i < scan->rows.nrows)
		{
			scan->next = i + 1;
			state_rows_get(&scan->rows, scan->base.rs_rd, scan->block, i, &scan->tuple);
			if (passes(scan))
				return true;
			continue;
		}

		CHECK_FOR_INTERRUPTS();
		scan->block = next_page(scan, forward);
		scan->started = BlockNumberIsValid(scan->block);
		if (!scan->started)
			return false;
		state_rows_read(&scan->rows, scan->base.rs_rd, scan->block, &scan->eye, scan->strategy);
		scan->next = forward ? 0 : scan->rows.nrows + 1;
	}
}

static void
store_row(StateScan scan, TupleTableSlot *slot)
{
	ExecStoreHeapTuple(&scan->tuple, slot, false);
	slot->tts_tableOid = RelationGetRelid(scan->base.rs_rd);
}

bool
state_scan_getnextslot(TableScanDesc sscan, ScanDirection direction, TupleTableSlot *slot)
{
	StateScan	scan = (StateScan) sscan;

	if (!next_row(scan, ScanDirectionIsForward(direction)))
	{
		ExecClearTuple(slot);
		return false;
	}
	store_row(scan, slot);
	pgstat_count_heap_getnext(sscan->rs_rd);
	return true;
}

/* ---- TABLESAMPLE ---- */

bool
state_scan_sample_next_block(TableScanDesc sscan, struct SampleScanState *state)
{
	StateScan	scan = (StateScan) sscan;
	TsmRoutine *tsm = state->tsmroutine;
	BlockNumber block;

	CHECK_FOR_INTERRUPTS();
	if (tsm->NextSampleBlock)
		block = tsm->NextSampleBlock(state, scan->nblocks);
	else
		block = BlockNumberIsValid(scan->block) ? scan->block + 1 : 0;
	if (!BlockNumberIsValid(block) || block >= scan->nblocks)
	{
		scan->block = InvalidBlockNumber;
		return false;
	}
	scan->block = block;
	state_rows_read(&scan->rows, sscan->rs_rd, block, &scan->eye, scan->strategy);
	return true;
}

bool
state_scan_sample_next_tuple(TableScanDesc sscan, struct SampleScanState *state,
							 TupleTableSlot *slot)
{
	StateScan	scan = (StateScan) sscan;
	OffsetNumber off;

	/* rows of the page that the snapshot sees are numbered from 1 */
	CHECK_FOR_INTERRUPTS();
	off = state->tsmroutine->NextSampleTuple(state, scan->block, scan->rows.nrows);
	if (off == InvalidOffsetNumber || off > scan->rows.nrows)
	{
		ExecClearTuple(slot);
		return false;
	}
	state_rows_get(&scan->rows, sscan->rs_rd, scan->block, off - 1, &scan->tuple);
	store_row(scan, slot);
	pgstat_count_heap_getnext(sscan->rs_rd);
	return true;
}

/* ---- ANALYZE ---- */

bool
state_analyze_load_block(TableScanDesc sscan, BlockNumber block, BufferAccessStrategy strategy)
{
	StateScan	scan = (StateScan) sscan;
	SnapshotData self;

	memset(&self, 0, sizeof(self));
	self.snapshot_type = SNAPSHOT_SELF;
	state_eye_init(&scan->eye, &self);
	state_rows_read(&scan->rows, sscan->rs_rd, block, &scan->eye, strategy);
	scan->block = block;
	scan->next = 0;
	scan->started = true;
	return true;
}

bool
state_analyze_next_row(TableScanDesc sscan, double *live, double *dead, TupleTableSlot *slot)
{
	StateScan	scan = (StateScan) sscan;

	if (scan->next >= scan->rows.nrows)
	{
		ExecClearTuple(slot);
		return false;
	}
	state_rows_get(&scan->rows, sscan->rs_rd, scan->block, scan->next++, &scan->tuple);
	store_row(scan, slot);
	*live += 1;
	return true;
}
