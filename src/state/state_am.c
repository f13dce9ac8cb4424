/*
 * state_am.c
 *	  The table access method "streamq_state".
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/tableam.h"
#include "access/tsmapi.h"
#include "catalog/pg_am.h"
#include "catalog/pg_am_d.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/loaded.h"
#include "compat.h"
#include "state/state_am.h"
#include "state/keep.h"
#include "state/state_scan.h"
#include "state/spill.h"
#include "state/state.h"
#include "state/write.h"

static void
refuse_change(Relation rel)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot change state table \"%s\"", RelationGetRelationName(rel)),
			 errdetail("Only the job to which it belongs can do that.")));
}

static const TupleTableSlotOps *
slot_callbacks(Relation rel)
{
	return &TTSOpsHeapTuple;
}

/* ---- by TID ---- */

typedef struct StateIndexFetch
{
	IndexFetchTableData base;
	Buffer		buffer;
	Snapshot	snapshot;		/* of eye */
	StateEye	eye;
} StateIndexFetch;

static struct IndexFetchTableData *
index_fetch_begin(Relation rel)
{
	StateIndexFetch *fetch = palloc0(sizeof(StateIndexFetch));

	fetch->base.rel = rel;
	fetch->buffer = InvalidBuffer;
	return &fetch->base;
}

static void
index_fetch_reset(struct IndexFetchTableData *data)
{
	StateIndexFetch *fetch = (StateIndexFetch *) data;

	if (BufferIsValid(fetch->buffer))
		ReleaseBuffer(fetch->buffer);
	fetch->buffer = InvalidBuffer;
	fetch->snapshot = NULL;
}

static void
index_fetch_end(struct IndexFetchTableData *data)
{
	index_fetch_reset(data);
	pfree(data);
}

static bool
fetch_into_slot(Relation rel, ItemPointer tid, StateEye *eye, Buffer *buffer,
				TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(slot->tts_mcxt);
	HeapTuple	tuple = state_copy_row(rel, tid, eye, buffer, true);

	MemoryContextSwitchTo(old);
	if (tuple == NULL)
		return false;
	ExecForceStoreHeapTuple(tuple, slot, true);
	slot->tts_tableOid = RelationGetRelid(rel);
	slot->tts_tid = *tid;
	return true;
}

/*
 * Index entries are not marked as dead: *all_dead stays false.  A row has one
 * entry, which VACUUM removes.
 */
static bool
index_fetch_tuple(struct IndexFetchTableData *data, ItemPointer tid, Snapshot snapshot,
				  TupleTableSlot *slot, bool *call_again, bool *all_dead)
{
	StateIndexFetch *fetch = (StateIndexFetch *) data;

	*call_again = false;
	if (all_dead)
		*all_dead = false;
	if (fetch->snapshot != snapshot || !IsMVCCSnapshot(snapshot))
	{
		state_eye_init(&fetch->eye, snapshot);
		state_keep_note_snapshot(snapshot);
		fetch->snapshot = snapshot;
	}
	return fetch_into_slot(data->rel, tid, &fetch->eye, &fetch->buffer, slot);
}

static TransactionId
index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate)
{
	/* nothing is known to be deletable */
	delstate->ndeltids = 0;
	return InvalidTransactionId;
}

static bool
fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot)
{
	StateEye	eye;
	Buffer		buffer = InvalidBuffer;
	bool		found;

	if (ItemPointerGetBlockNumber(tid) >= RelationGetNumberOfBlocks(rel))
		return false;
	state_eye_init(&eye, snapshot);
	found = fetch_into_slot(rel, tid, &eye, &buffer, slot);
	if (BufferIsValid(buffer))
		ReleaseBuffer(buffer);
	return found;
}

static bool
tuple_tid_valid(TableScanDesc scan, ItemPointer tid)
{
	return ItemPointerIsValid(tid) &&
		ItemPointerGetBlockNumber(tid) < RelationGetNumberOfBlocks(scan->rs_rd);
}

static void
tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid)
{
	/* a row keeps its TID */
}

static bool
tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot)
{
	HeapTuple	tuple = state_fetch(rel, &slot->tts_tid, snapshot);

	return tuple != NULL;
}

/* ---- writing ---- */

/*
 * Rows can be inserted: that is how a dump is restored.  A trigger refuses
 * what else users do.
 */
static void
multi_insert(Relation rel, TupleTableSlot **slots, int n, CommandId cid, int options,
			 struct BulkInsertStateData *bistate)
{
	HeapTuple  *tuples = palloc(sizeof(HeapTuple) * n);

	for (int i = 0; i < n; i++)
		tuples[i] = state_spill(rel, ExecCopySlotHeapTuple(slots[i]), NULL);
	state_put_rows(rel, tuples, n);
	for (int i = 0; i < n; i++)
	{
		slots[i]->tts_tid = tuples[i]->t_self;
		slots[i]->tts_tableOid = RelationGetRelid(rel);
		heap_freetuple(tuples[i]);
	}
	pfree(tuples);
}

static void
tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
			 struct BulkInsertStateData *bistate)
{
	multi_insert(rel, &slot, 1, cid, options, bistate);
}

static void
tuple_insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
						 struct BulkInsertStateData *bistate, uint32 token)
{
	refuse_change(rel);
}

static void
tuple_complete_speculative(Relation rel, TupleTableSlot *slot, uint32 token, bool succeeded)
{
	refuse_change(rel);
}

static TM_Result
tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
			 Snapshot crosscheck, bool wait, TM_FailureData *tmfd, bool changing_part)
{
	refuse_change(rel);
	return TM_Invisible;
}

static TM_Result
tuple_update(Relation rel, ItemPointer tid, TupleTableSlot *slot, CommandId cid,
			 Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData *tmfd,
			 LockTupleMode *lockmode, COMPAT_UPDATE_INDEXES *update_indexes)
{
	refuse_change(rel);
	return TM_Invisible;
}

static TM_Result
tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot,
		   CommandId cid, LockTupleMode mode, LockWaitPolicy wait_policy, uint8 flags,
		   TM_FailureData *tmfd)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot lock rows in state table \"%s\"", RelationGetRelationName(rel))));
	return TM_Invisible;
}

/* ---- maintenance ---- */

#if COMPAT_ANALYZE_STREAM
static bool
scan_analyze_next_block(TableScanDesc scan, ReadStream *stream)
{
	Buffer		buffer = read_stream_next_buffer(stream, NULL);
	BlockNumber block;

	if (!BufferIsValid(buffer))
		return false;
	block = BufferGetBlockNumber(buffer);
	ReleaseBuffer(buffer);
	return state_analyze_load_block(scan, block, NULL);
}
#else
static bool
scan_analyze_next_block(TableScanDesc scan, BlockNumber block, BufferAccessStrategy strategy)
{
	return state_analyze_load_block(scan, block, strategy);
}
#endif

static bool
scan_analyze_next_tuple(TableScanDesc scan, TransactionId oldest_xmin, double *live,
						double *dead, TupleTableSlot *slot)
{
	return state_analyze_next_row(scan, live, dead, slot);
}

/* large values are in a TOAST table as heap makes it */
static bool
needs_toast_table(Relation rel)
{
	return GetHeapamTableAmRoutine()->relation_needs_toast_table(rel);
}

static Oid
toast_am(Relation rel)
{
	return HEAP_TABLE_AM_OID;
}

static void
estimate_size(Relation rel, int32 *attr_widths, BlockNumber *pages, double *tuples,
			  double *allvisfrac)
{
	table_block_relation_estimate_size(rel, attr_widths, pages, tuples, allvisfrac,
									   MAXALIGN(sizeof(StateRow)) + sizeof(StateVersion) +
									   sizeof(ItemIdData),
									   STATE_MAX_ROW_SIZE * STATE_FILLFACTOR / 100);
}

static const TableAmRoutine state_table_am = {
	.type = T_TableAmRoutine,

	.slot_callbacks = slot_callbacks,

	.scan_begin = state_scan_begin,
	.scan_end = state_scan_end,
	.scan_rescan = state_scan_rescan,
	.scan_getnextslot = state_scan_getnextslot,

	.parallelscan_estimate = table_block_parallelscan_estimate,
	.parallelscan_initialize = table_block_parallelscan_initialize,
	.parallelscan_reinitialize = table_block_parallelscan_reinitialize,

	.index_fetch_begin = index_fetch_begin,
	.index_fetch_reset = index_fetch_reset,
	.index_fetch_end = index_fetch_end,
	.index_fetch_tuple = index_fetch_tuple,
	.index_delete_tuples = index_delete_tuples,

	.tuple_fetch_row_version = fetch_row_version,
	.tuple_tid_valid = tuple_tid_valid,
	.tuple_get_latest_tid = tuple_get_latest_tid,
	.tuple_satisfies_snapshot = tuple_satisfies_snapshot,

	.tuple_insert = tuple_insert,
	.tuple_insert_speculative = tuple_insert_speculative,
	.tuple_complete_speculative = tuple_complete_speculative,
	.multi_insert = multi_insert,
	.tuple_delete = tuple_delete,
	.tuple_update = tuple_update,
	.tuple_lock = tuple_lock,

	COMPAT_SET_NEW_FILELOCATOR = state_set_new_filelocator,
	.relation_nontransactional_truncate = state_nontransactional_truncate,
	.relation_copy_data = state_copy_data,
	.relation_copy_for_cluster = state_copy_for_cluster,
	.relation_vacuum = state_vacuum,
	.scan_analyze_next_block = scan_analyze_next_block,
	.scan_analyze_next_tuple = scan_analyze_next_tuple,
	.index_build_range_scan = state_index_build_range_scan,
	.index_validate_scan = state_index_validate_scan,

	.relation_size = table_block_relation_size,
	.relation_needs_toast_table = needs_toast_table,
	.relation_toast_am = toast_am,
	.relation_fetch_toast_slice = heap_fetch_toast_slice,
	.relation_estimate_size = estimate_size,

	.scan_sample_next_block = state_scan_sample_next_block,
	.scan_sample_next_tuple = state_scan_sample_next_tuple,
};

PG_FUNCTION_INFO_V1(streamq_state_handler);
Datum
streamq_state_handler(PG_FUNCTION_ARGS)
{
	base_require_loaded();
	PG_RETURN_POINTER(&state_table_am);
}

bool
state_is_table(Relation rel)
{
	return rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_tableam == &state_table_am;
}

bool
state_is_table_class(Form_pg_class form)
{
	HeapTuple	tuple;
	Oid			handler = InvalidOid;

	if (form->relkind != RELKIND_RELATION || form->relam == HEAP_TABLE_AM_OID)
		return false;
	tuple = SearchSysCache1(AMOID, ObjectIdGetDatum(form->relam));
	if (HeapTupleIsValid(tuple))
	{
		handler = ((Form_pg_am) GETSTRUCT(tuple))->amhandler;
		ReleaseSysCache(tuple);
	}
	return OidIsValid(handler) && GetTableAmRoutine(handler) == &state_table_am;
}

void
state_note_plan(PlannedStmt *plan, Snapshot snapshot)
{
	ListCell   *lc;

	if (!state_keep_is_newer(snapshot))
		return;
	foreach(lc, plan->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		HeapTuple	tuple;

		if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_RELATION)
			continue;
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(rte->relid));
		if (!HeapTupleIsValid(tuple))
			continue;
		if (state_is_table_class((Form_pg_class) GETSTRUCT(tuple)))
			state_keep_note_snapshot(snapshot);
		ReleaseSysCache(tuple);
	}
}

void
state_shmem_request(void)
{
	state_keep_shmem_request();
}

void
state_shmem_startup(void)
{
	state_keep_shmem_startup();
}
