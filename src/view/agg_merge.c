/*
 * agg_merge.c
 *	  The SQL aggregate that merges stored states of one aggregate.
 *
 * A group may have several rows in a state table: hopping windows keep one for
 * each slice, for example.  The view's query groups them, and merges their
 * states with streamq.aggregate_merge().  The result is a stored state again,
 * which streamq.aggregate_result() finishes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/agg.h"

PG_FUNCTION_INFO_V1(streamq_aggregate_merge_add);
PG_FUNCTION_INFO_V1(streamq_aggregate_merge_final);

/* one call of aggregate_merge() in a query */
typedef struct ViewMergeCall
{
	ViewAggSet *set;
	Oid			aggregate;
} ViewMergeCall;

/* the transition state */
typedef struct ViewMerge
{
	ViewMergeCall *call;
	bool		loaded;			/* the state is in value, else in stored */
	Datum		stored;			/* the only state so far */
	bool		isnull;
	bool		sealed;
	ViewAggValue value;
} ViewMerge;

static ViewMergeCall *
make_merge_call(FunctionCallInfo fcinfo)
{
	ViewMergeCall *call = palloc0(sizeof(ViewMergeCall));
	Aggref	   *aggref;
	Oid			transtype;

	base_require_loaded();
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("aggregate and argument types must not be null")));
	call->aggregate = PG_GETARG_OID(1);
	aggref = view_agg_named(call->aggregate, PG_GETARG_ARRAYTYPE_P(2), PG_GET_COLLATION());
	transtype = aggref->aggtranstype;
	if (get_fn_expr_argtype(fcinfo->flinfo, 3) !=
		(transtype == INTERNALOID ? view_agg_state_type() : transtype))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("state type does not belong to the aggregate")));
	call->set = view_agg_make_set(1);
	view_agg_init_call(&call->set->calls[0], aggref, transtype);
	view_agg_init_merge(&call->set->calls[0]);
	return call;
}

/* run the aggregate's functions in the memory of the query's group */
static void
use_context(ViewAggSet *set, FunctionCallInfo fcinfo)
{
	AggState   *aggstate = castNode(AggState, fcinfo->context);

	set->aggcontext = aggstate->curaggcontext;
	set->aggstate->curaggcontext = aggstate->curaggcontext;
}

static void
load_stored(ViewMerge *merge)
{
	merge->value.isnull = true;
	merge->value.none = true;
	view_agg_merge(merge->call->set, 0, &merge->value, merge->stored, merge->isnull,
				   merge->sealed);
	merge->loaded = true;
}

/*
 * Transition function of aggregate_merge(aggregate regprocedure,
 * argument_types regtype[], state anyelement, sealed bytea, n int4,
 * collated text).
 *
 * `sealed` and n tell whether the state is NULL for good (state_table.c).
 * `collated` has the collation of the aggregate's input; its value is not
 * used.
 */
Datum
streamq_aggregate_merge_add(PG_FUNCTION_ARGS)
{
	ViewMerge  *merge = PG_ARGISNULL(0) ? NULL : (ViewMerge *) PG_GETARG_POINTER(0);
	ViewMergeCall *call = fcinfo->flinfo->fn_extra;
	MemoryContext aggcontext;
	Datum		stored = PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3);
	bool		isnull = PG_ARGISNULL(3);
	bool		sealed = false;
	ViewAggCall *agg;

	if (AggCheckCallContext(fcinfo, &aggcontext) != AGG_CONTEXT_AGGREGATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("aggregate_merge() cannot be a window function")));
	if (call == NULL || PG_ARGISNULL(1) || call->aggregate != PG_GETARG_OID(1))
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		if (call != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("aggregate must be the same for all states")));
		call = make_merge_call(fcinfo);
		fcinfo->flinfo->fn_extra = call;
		MemoryContextSwitchTo(old);
	}
	agg = &call->set->calls[0];
	use_context(call->set, fcinfo);
	if (isnull && !PG_ARGISNULL(4) && !PG_ARGISNULL(5))
		sealed = view_agg_is_sealed(PG_GETARG_BYTEA_PP(4), PG_GETARG_INT32(5));

	if (merge == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(aggcontext);

		merge = palloc0(sizeof(ViewMerge));
		merge->call = call;
		merge->isnull = true;
		MemoryContextSwitchTo(old);
	}

	if (isnull && !sealed)
		PG_RETURN_POINTER(merge);
	if (!merge->loaded && merge->isnull && !merge->sealed)
	{
		MemoryContext old = MemoryContextSwitchTo(aggcontext);

		/* most groups have one state, which need not be loaded */
		merge->isnull = isnull;
		merge->sealed = sealed;
		if (!isnull)
			merge->stored = agg->internal ? datumCopy(stored, false, -1) :
				datumCopy(stored, agg->transbyval, agg->translen);
		MemoryContextSwitchTo(old);
		PG_RETURN_POINTER(merge);
	}
	if (!merge->loaded)
		load_stored(merge);
	view_agg_merge(call->set, 0, &merge->value, stored, isnull, sealed);
	PG_RETURN_POINTER(merge);
}

Datum
streamq_aggregate_merge_final(PG_FUNCTION_ARGS)
{
	ViewMerge  *merge = PG_ARGISNULL(0) ? NULL : (ViewMerge *) PG_GETARG_POINTER(0);
	Datum		result;
	bool		isnull;
	bool		sealed;

	if (AggCheckCallContext(fcinfo, NULL) != AGG_CONTEXT_AGGREGATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("aggregate_merge() cannot be a window function")));
	if (merge == NULL)
		PG_RETURN_NULL();
	if (!merge->loaded)
	{
		if (merge->isnull)
			PG_RETURN_NULL();
		PG_RETURN_DATUM(merge->stored);
	}
	use_context(merge->call->set, fcinfo);
	result = view_agg_save(merge->call->set, 0, &merge->value, &isnull, &sealed);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}
