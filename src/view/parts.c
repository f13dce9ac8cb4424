/*
 * parts.c
 *	  Views whose rows several processes share: which ones, and how the
 *	  states of a group come together.
 *
 * A helper keeps its groups in memory, as if there were no state table.  It
 * sends them as rows of that table.  The leader merges them into its own
 * groups, by the combine functions.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "optimizer/clauses.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "job/share.h"
#include "view/parts.h"
#include "view/state_internal.h"

/*
 * Does the order of rows not matter for the state?  Sums of floating point
 * numbers depend on it in their last digits, and a view shows the same ones as
 * its query.  A sort operator tells that the aggregate is a minimum or maximum.
 */
static bool
may_merge(const ViewAgg *agg)
{
	HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(agg->aggref->aggfnoid));
	Form_pg_aggregate form;
	Oid			type = getBaseType(agg->transtype);
	bool		result;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", agg->aggref->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tup);
	result = OidIsValid(form->aggcombinefn) &&
		(OidIsValid(form->aggsortop) ||
		 (type != FLOAT4OID && type != FLOAT8OID &&
		  type != FLOAT4ARRAYOID && type != FLOAT8ARRAYOID));
	ReleaseSysCache(tup);
	return result;
}

JobSharing
view_may_share(const JobRow *job, ViewQuery *vq)
{
	const JobEventTime *options = &job->event_time;
	ListCell   *lc;

	if (OidIsValid(job->emit_into) || options->late != JOB_LATE_UPDATE ||
		options->idle_timeout != JOB_NO_LIMIT || options->retention != JOB_NO_LIMIT ||
		vq->tables || vq->collects || vq->latest || view_is_merging(vq))
		return JOB_SHARE_NEVER;
	foreach(lc, vq->aggs)
	{
		if (!may_merge(lfirst(lc)))
			return JOB_SHARE_NEVER;
	}
	if (max_parallel_hazard(vq->query) != PROPARALLEL_SAFE)
		return JOB_SHARE_NEVER;
	return vq->windowed ? JOB_SHARE_BY_TIME : JOB_SHARE_FREELY;
}

void
view_parts_begin(ViewAggSet *aggs)
{
	for (int i = 0; i < aggs->ncalls; i++)
		view_agg_init_merge(&aggs->calls[i]);
}

void
view_parts_send(JobRound *round, ViewStateTable *state)
{
	int			natts = RelationGetDescr(state->rel)->natts;
	Datum	   *values = palloc(sizeof(Datum) * natts);
	bool	   *nulls = palloc(sizeof(bool) * natts);
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "streamq state row",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);

	for (uint32 i = 0; i < state->nplaces; i++)
	{
		HeapTuple	tup;

		if (state->groups[i].group == NULL)
			continue;
		tup = view_state_form_row(state, state->groups[i].group, values, nulls);
		job_part_send(round, tup->t_data, tup->t_len);
		MemoryContextReset(work);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}

void
view_parts_take(ViewStateTable *state, void *data, Size size)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	HeapTupleData tup = {.t_len = size, .t_data = data};
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	Timestamp	counts_after = DT_NOBEGIN;
	ViewWindow	window = {0, 0};
	ViewStateGroup *group;
	bytea	   *sealed;

	heap_deform_tuple(&tup, desc, values, nulls);
	if (state->windowed)
	{
		window.start = DatumGetTimestamp(values[WINDOW_START_ATTNO - 1]);
		window.end = DatumGetTimestamp(values[WINDOW_END_ATTNO - 1]);
	}
	if (state->sliced)
		counts_after = DatumGetTimestamp(values[VIEW_STATE_COUNTS_AFTER_ATTNO - 1]);
	group = view_state_find_group(state, &window, counts_after, values + state->first,
								  nulls + state->first);
	sealed = nulls[state->sealed] ? NULL : DatumGetByteaPP(values[state->sealed]);
	for (int i = 0; i < state->aggs->ncalls; i++)
	{
		int			att = state->first + state->nkeys + i;

		view_agg_merge(state->aggs, i, &group->aggs[i], values[att], nulls[att],
					   sealed != NULL && view_agg_is_sealed(sealed, i));
	}
	pfree(values);
	pfree(nulls);
}
