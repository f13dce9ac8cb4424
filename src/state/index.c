/*
 * index.c
 *	  Building indexes on state tables.
 *
 * All versions of a row have the same values in indexed columns, so any of
 * them will do.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"

#include "compat.h"
#include "state/state_am.h"

/* what evaluates the expressions of an index */
typedef struct StateIndexBuild
{
	EState	   *estate;
	ExprContext *econtext;
	TupleTableSlot *slot;
	ExprState  *predicate;
} StateIndexBuild;

static void
begin_build(StateIndexBuild *build, Relation rel, IndexInfo *info)
{
	build->estate = CreateExecutorState();
	build->econtext = GetPerTupleExprContext(build->estate);
	build->slot = table_slot_create(rel, NULL);
	build->econtext->ecxt_scantuple = build->slot;
	build->predicate = ExecPrepareQual(info->ii_Predicate, build->estate);
}

static void
end_build(StateIndexBuild *build, IndexInfo *info)
{
	ExecDropSingleTupleTableSlot(build->slot);
	FreeExecutorState(build->estate);

	/* these may have been pointing to the now-gone estate */
	info->ii_ExpressionsState = NIL;
	info->ii_PredicateState = NULL;
}

double
state_index_build_range_scan(Relation rel, Relation index, struct IndexInfo *info,
							 bool allow_sync, bool anyvisible, bool progress,
							 BlockNumber start, BlockNumber nblocks,
							 IndexBuildCallback callback, void *arg, TableScanDesc scan)
{
	StateIndexBuild build;
	Snapshot	registered = NULL;
	double		ntuples = 0;
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	if (start != 0 || nblocks != InvalidBlockNumber)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot index a range of blocks of state table \"%s\"",
						RelationGetRelationName(rel))));
	begin_build(&build, rel, info);
	if (scan == NULL)
	{
		/*
		 * A concurrent build takes the rows of a snapshot.  Otherwise rows
		 * that were deleted are indexed, too, because older snapshots may see
		 * them.
		 */
		Snapshot	snapshot = SnapshotAny;

		if (info->ii_Concurrent)
			snapshot = registered = RegisterSnapshot(GetTransactionSnapshot());
		scan = table_beginscan_strat(rel, snapshot, 0, NULL, true, false);
	}
	while (table_scan_getnextslot(scan, ForwardScanDirection, build.slot))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(build.econtext->ecxt_per_tuple_memory);
		ntuples += 1;
		if (build.predicate && !ExecQual(build.predicate, build.econtext))
			continue;
		FormIndexDatum(info, build.slot, build.estate, values, isnull);
		callback(index, &build.slot->tts_tid, values, isnull, true, arg);
	}
	table_endscan(scan);
	if (registered)
		UnregisterSnapshot(registered);
	end_build(&build, info);
	return ntuples;
}

/* the next TID that is in the index, in order; false after the last */
static bool
next_indexed(Tuplesortstate *sort, ItemPointer tid)
{
	Datum		value;
	bool		isnull;

	if (!COMPAT_TUPLESORT_GETDATUM(sort, &value, &isnull))
		return false;
	itemptr_decode(tid, DatumGetInt64(value));
	return true;
}

/* insert rows that the snapshot sees and that are not in the index yet */
void
state_index_validate_scan(Relation rel, Relation index, struct IndexInfo *info,
						  Snapshot snapshot, struct ValidateIndexState *state)
{
	StateIndexBuild build;
	TableScanDesc scan;
	ItemPointerData indexed;
	bool		more = next_indexed(state->tuplesort, &indexed);
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	begin_build(&build, rel, info);
	scan = table_beginscan_strat(rel, snapshot, 0, NULL, true, false);
	while (table_scan_getnextslot(scan, ForwardScanDirection, build.slot))
	{
		ItemPointer tid = &build.slot->tts_tid;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(build.econtext->ecxt_per_tuple_memory);
		state->htups += 1;
		while (more && ItemPointerCompare(&indexed, tid) < 0)
			more = next_indexed(state->tuplesort, &indexed);
		if (more && ItemPointerEquals(&indexed, tid))
			continue;
		if (build.predicate && !ExecQual(build.predicate, build.econtext))
			continue;
		FormIndexDatum(info, build.slot, build.estate, values, isnull);
		index_insert(index, values, isnull, tid, rel,
					 info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
		state->tups_inserted += 1;
	}
	table_endscan(scan);
	end_build(&build, info);
}
