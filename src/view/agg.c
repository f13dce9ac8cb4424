/*
 * agg.c
 *	  Running aggregates outside of an Agg node: transition functions, and
 *	  storing and loading of states.
 *
 * The state of a group is loaded, advanced by the transition function, and
 * stored again.  So sums of floating point numbers are the same as in one pass
 * over the stream.
 *
 * States of type internal are stored in serialized form, as
 * streamq.aggregate_state.  Deserialization functions trust their input, so
 * only this file can create values of that type.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_agg.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/agg.h"
#include "view/analyze.h"
#include "view/inputs.h"
#include "view/joined.h"

/* appended to the bytes of a serialized state */
typedef struct ViewStateTag
{
	uint32		deserialfn;		/* pg_proc OID */
	uint32		argtypes;		/* hash of the argument types' OIDs */
	uint16		major;			/* server version that wrote it */
	uint16		format;			/* AGG_STATE_FORMAT */
} ViewStateTag;

StaticAssertDecl(sizeof(ViewStateTag) == 12, "ViewStateTag is stored");

#define AGG_STATE_FORMAT	1

Oid
view_agg_state_type(void)
{
	Oid			nsp = get_namespace_oid(STREAMQ_SCHEMA, false);
	Oid			type;

	type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum("aggregate_state"),
						   ObjectIdGetDatum(nsp));
	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type \"%s\" does not exist", "streamq.aggregate_state")));
	return type;
}

void
view_agg_check_execute(Oid func, Oid role)
{
	AclResult	result = object_aclcheck(ProcedureRelationId, func, role, ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(func));
}

Oid
view_agg_function_owner(Oid func)
{
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(func));
	Oid			owner;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for function %u", func);
	owner = ((Form_pg_proc) GETSTRUCT(tup))->proowner;
	ReleaseSysCache(tup);
	return owner;
}

ViewAggSet *
view_agg_make_set(int ncalls)
{
	ViewAggSet *set = palloc0(sizeof(ViewAggSet));

	set->ncalls = ncalls;
	set->calls = palloc0(sizeof(ViewAggCall) * Max(ncalls, 1));
	set->aggcontext = CreateStandaloneExprContext();
	set->tmpcontext = CreateStandaloneExprContext();
	set->aggstate = makeNode(AggState);
	set->aggstate->curaggcontext = set->aggcontext;
	set->aggstate->tmpcontext = set->tmpcontext;
	return set;
}

static void
init_combine(ViewAggCall *call, Oid func)
{
	Oid			argtypes[] = {call->transtype};
	Expr	   *fnexpr;

	view_agg_check_execute(func, view_agg_function_owner(call->pertrans.aggref->aggfnoid));
	fmgr_info(func, &call->combinefn);
	build_aggregate_transfn_expr(argtypes, 1, 0, false, call->transtype,
								 call->collation, func, InvalidOid, &fnexpr, NULL);
	fmgr_info_set_expr((Node *) fnexpr, &call->combinefn);
}

void
view_agg_init_merge(ViewAggCall *call)
{
	Oid			aggregate = call->pertrans.aggref->aggfnoid;
	HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	Oid			func;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", aggregate);
	func = ((Form_pg_aggregate) GETSTRUCT(tup))->aggcombinefn;
	ReleaseSysCache(tup);
	if (OidIsValid(func) && !OidIsValid(call->combinefn.fn_oid))
		init_combine(call, func);
}

/*
 * Look up the functions of one aggregate.  The final function is left to the
 * caller, because only readers of the view need it.
 */
void
view_agg_init_call(ViewAggCall *call, Aggref *aggref, Oid transtype)
{
	HeapTuple	tup;
	Form_pg_aggregate form;
	Oid			argtypes[FUNC_MAX_ARGS];
	int			nargs = get_aggregate_argtypes(aggref, argtypes);
	Oid			owner = view_agg_function_owner(aggref->aggfnoid);
	Datum		init;
	Expr	   *fnexpr;

	view_agg_check_execute(aggref->aggfnoid, GetUserId());

	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tup);

	call->collation = aggref->inputcollid;
	call->transtype = transtype;
	call->internal = transtype == INTERNALOID;
	get_typlenbyval(transtype, &call->translen, &call->transbyval);
	call->pertrans.aggref = aggref;
	call->pertrans.aggshared = false;
	call->pertrans.aggCollation = aggref->inputcollid;
	call->pertrans.aggtranstype = transtype;
	call->pertrans.transtypeLen = call->translen;
	call->pertrans.transtypeByVal = call->transbyval;

	view_agg_check_execute(form->aggtransfn, owner);
	fmgr_info(form->aggtransfn, &call->transfn);
	build_aggregate_transfn_expr(argtypes, nargs, 0, aggref->aggvariadic,
								 transtype, aggref->inputcollid,
								 form->aggtransfn, InvalidOid, &fnexpr, NULL);
	fmgr_info_set_expr((Node *) fnexpr, &call->transfn);

	if (call->internal)
	{
		init_combine(call, form->aggcombinefn);

		view_agg_check_execute(form->aggserialfn, owner);
		fmgr_info(form->aggserialfn, &call->serialfn);
		build_aggregate_serialfn_expr(form->aggserialfn, &fnexpr);
		fmgr_info_set_expr((Node *) fnexpr, &call->serialfn);

		view_agg_check_execute(form->aggdeserialfn, owner);
		fmgr_info(form->aggdeserialfn, &call->deserialfn);
		build_aggregate_deserialfn_expr(form->aggdeserialfn, &fnexpr);
		fmgr_info_set_expr((Node *) fnexpr, &call->deserialfn);
		call->deserialfn_oid = form->aggdeserialfn;
		call->argtypes_hash = hash_bytes((unsigned char *) argtypes, nargs * sizeof(Oid));
	}

	init = SysCacheGetAttr(AGGFNOID, tup, Anum_pg_aggregate_agginitval,
						   &call->initnull);
	if (!call->initnull)
	{
		Oid			input;
		Oid			ioparam;

		getTypeInputInfo(transtype, &input, &ioparam);
		call->initvalue = OidInputFunctionCall(input, TextDatumGetCString(init),
											   ioparam, -1);
	}
	ReleaseSysCache(tup);
}

/* is a transition function int8inc(), as that of count()? */
static bool
is_counting(Oid func)
{
	return func == F_INT8INC || func == F_INT8INC_ANY;
}

/* refer to the window, and to rows of a join, by the slots of the context */
static Node *
slot_mutator(Node *node, void *context)
{
	const ViewQuery *vq = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) copyObject(node);

		if (var->varno == vq->window_rti)
			var->varno = INNER_VAR;
		else if (vq->tables)
			return (Node *) view_join_column(vq, var);
		return (Node *) var;
	}
	return expression_tree_mutator(node, slot_mutator, context);
}

static Expr *
plan_expression(ViewQuery *vq, Expr *expr)
{
	return expression_planner((Expr *) slot_mutator((Node *) expr, vq));
}

ExprState *
view_compile_expression(ViewQuery *vq, Expr *expr)
{
	return ExecInitExpr(plan_expression(vq, expr), NULL);
}

static List *
add_target(List *targets, ViewQuery *vq, Expr *expr)
{
	return lappend(targets, makeTargetEntry(plan_expression(vq, expr),
											list_length(targets) + 1, NULL, false));
}

ProjectionInfo *
view_agg_project(ViewAggSet *set, ViewQuery *vq, ExprContext *econtext)
{
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, vq->keys)
		targets = add_target(targets, vq, ((ViewKey *) lfirst(lc))->expr);
	foreach(lc, vq->aggs)
	{
		ViewAgg    *agg = lfirst(lc);
		ViewAggCall *call = &set->calls[foreach_current_index(lc)];
		ListCell   *arg;

		if (call->inputs || call->filter)
			continue;
		call->projected = list_length(targets);
		foreach(arg, agg->aggref->args)
			targets = add_target(targets, vq, lfirst_node(TargetEntry, arg)->expr);
	}
	set->row = MakeSingleTupleTableSlot(ExecTypeFromTL(targets), &TTSOpsVirtual);
	return ExecBuildProjectionInfo(targets, econtext, set->row, NULL, NULL);
}

ViewAggSet *
view_agg_set_create(ViewQuery *vq)
{
	ViewAggSet *set = view_agg_make_set(list_length(vq->aggs));
	ListCell   *lc;
	int			i = 0;

	foreach(lc, vq->aggs)
	{
		ViewAgg    *agg = lfirst(lc);
		ViewAggCall *call = &set->calls[i++];
		ListCell   *lc2;

		call->projected = -1;
		if (agg->collected)
		{
			view_agg_check_execute(agg->aggref->aggfnoid, GetUserId());
			call->inputs = view_input_call(vq, agg);
			if (agg->aggref->aggfilter)
				call->filter = view_compile_expression(vq, agg->aggref->aggfilter);
			continue;
		}
		view_agg_init_call(call, agg->aggref, agg->transtype);
		if (view_is_merging(vq))
			view_agg_init_merge(call);
		call->args = palloc(sizeof(ExprState *) * Max(1, list_length(agg->aggref->args)));
		foreach(lc2, agg->aggref->args)
			call->args[call->nargs++] =
			view_compile_expression(vq, lfirst_node(TargetEntry, lc2)->expr);
		if (agg->aggref->aggfilter)
			call->filter = view_compile_expression(vq, agg->aggref->aggfilter);

		call->trans_fcinfo = palloc(SizeForFunctionCallInfo(call->nargs + 1));
		InitFunctionCallInfoData(*call->trans_fcinfo, &call->transfn,
								 call->nargs + 1, call->collation,
								 (fmNodePtr) set->aggstate, NULL);
		call->counts = is_counting(call->transfn.fn_oid) && call->transbyval && !call->initnull;
	}
	return set;
}

void
view_agg_init(ViewAggSet *set, ViewAggValue *values)
{
	MemoryContext old = MemoryContextSwitchTo(set->aggcontext->ecxt_per_tuple_memory);

	for (int i = 0; i < set->ncalls; i++)
	{
		ViewAggCall *call = &set->calls[i];

		values[i].isnull = call->initnull || call->inputs;
		values[i].none = values[i].isnull;
		values[i].value = values[i].isnull ? (Datum) 0 :
			datumCopy(call->initvalue, call->transbyval, call->translen);
	}
	MemoryContextSwitchTo(old);
}

/* copy a new state into the aggregate context, and free the old one */
static void
replace_state(ViewAggSet *set, ViewAggCall *call, ViewAggValue *value, Datum result, bool isnull)
{
	bool		changed = DatumGetPointer(result) != DatumGetPointer(value->value);

	if (!call->transbyval && (changed || isnull))
	{
		MemoryContext aggmem = set->aggcontext->ecxt_per_tuple_memory;
		Datum		kept = (Datum) 0;

		if (!isnull)
		{
			if (DatumIsReadWriteExpandedObject(result, false, call->translen) &&
				MemoryContextGetParent(DatumGetEOHP(result)->eoh_context) == aggmem)
				kept = result;
			else
			{
				MemoryContext old = MemoryContextSwitchTo(aggmem);

				kept = datumCopy(result, false, call->translen);
				MemoryContextSwitchTo(old);
			}
		}
		if (!value->isnull)
		{
			if (DatumIsReadWriteExpandedObject(value->value, false, call->translen))
				DeleteExpandedObject(value->value);
			else
				pfree(DatumGetPointer(value->value));
		}
		result = kept;
	}
	value->value = result;
	value->isnull = isnull;
	value->none = false;
}

/* the input that an aggregate has collected, which may be none */
static ViewInputs *
get_inputs(ViewAggSet *set, ViewAggValue *value)
{
	if (value->isnull)
	{
		value->value =
			PointerGetDatum(view_inputs_create(set->aggcontext->ecxt_per_tuple_memory));
		value->isnull = false;
		value->none = false;
	}
	return (ViewInputs *) DatumGetPointer(value->value);
}

/* advance one aggregate by one row, as an Agg node does */
static inline void
advance_one(ViewAggSet *set, ViewAggCall *call, ViewAggValue *value, ExprContext *econtext)
{
	FunctionCallInfo fcinfo = call->trans_fcinfo;
	MemoryContext old;
	Datum		result;

	if (call->filter)
	{
		bool		isnull;
		Datum		pass = ExecEvalExprSwitchContext(call->filter, econtext, &isnull);

		if (isnull || !DatumGetBool(pass))
			return;
	}
	if (call->inputs)
	{
		old = MemoryContextSwitchTo(set->tmpcontext->ecxt_per_tuple_memory);
		view_inputs_add(call->inputs, get_inputs(set, value), econtext, set->ordinal);
		MemoryContextSwitchTo(old);
		return;
	}
	for (int i = 0; i < call->nargs; i++)
	{
		NullableDatum *arg = &fcinfo->args[i + 1];

		if (call->projected >= 0)
		{
			arg->value = set->row->tts_values[call->projected + i];
			arg->isnull = set->row->tts_isnull[call->projected + i];
		}
		else
			arg->value = ExecEvalExprSwitchContext(call->args[i], econtext, &arg->isnull);
		if (arg->isnull && call->transfn.fn_strict)
			return;
	}
	if (call->counts && !value->isnull && DatumGetInt64(value->value) < PG_INT64_MAX)
	{
		value->value = Int64GetDatum(DatumGetInt64(value->value) + 1);
		return;
	}

	if (call->transfn.fn_strict)
	{
		if (value->none)
		{
			/*
			 * the first input becomes the state; its type is binary
			 * compatible
			 */
			old = MemoryContextSwitchTo(set->aggcontext->ecxt_per_tuple_memory);
			value->value = datumCopy(fcinfo->args[1].value, call->transbyval,
									 call->translen);
			value->isnull = false;
			value->none = false;
			MemoryContextSwitchTo(old);
			return;
		}
		if (value->isnull)
			return;
	}

	old = MemoryContextSwitchTo(set->tmpcontext->ecxt_per_tuple_memory);
	set->aggstate->curpertrans = &call->pertrans;
	fcinfo->args[0].value = value->value;
	fcinfo->args[0].isnull = value->isnull;
	fcinfo->isnull = false;
	result = FunctionCallInvoke(fcinfo);
	set->aggstate->curpertrans = NULL;
	MemoryContextSwitchTo(old);

	if (call->transbyval)
	{
		value->value = result;
		value->isnull = fcinfo->isnull;
		value->none = false;
	}
	else
		replace_state(set, call, value, result, fcinfo->isnull);
}

void
view_agg_advance(ViewAggSet *set, ViewAggValue *values, ExprContext *econtext)
{
	for (int i = 0; i < set->ncalls; i++)
		advance_one(set, &set->calls[i], &values[i], econtext);
	ResetExprContext(set->tmpcontext);
}

bool
view_agg_is_sealed(bytea *sealed, int i)
{
	return i >= 0 && i / BITS_PER_BYTE < VARSIZE_ANY_EXHDR(sealed) &&
		(VARDATA_ANY(sealed)[i / BITS_PER_BYTE] & (1 << (i % BITS_PER_BYTE))) != 0;
}

/* these functions must not return null, but users may write one that does */
static void
report_null_result(const char *kind, Oid func)
{
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s function %s returned null", kind, format_procedure(func))));
}

/*
 * The result is in the current memory context, or part of the state.
 *
 * A state is sealed if it is NULL forever, because a strict transition
 * function returned NULL.  NULL may also mean that there was no input so far;
 * such a state is not sealed.
 */
Datum
view_agg_save(ViewAggSet *set, int i, ViewAggValue *value, bool *isnull, bool *sealed)
{
	ViewAggCall *call = &set->calls[i];

	LOCAL_FCINFO(fcinfo, 1);
	Datum		serialized;
	bytea	   *bytes;
	ViewStateTag tag;
	Size		len;
	char	   *result;

	*isnull = value->isnull;
	*sealed = value->isnull && !value->none && call->transfn.fn_strict;
	if (!value->isnull && call->inputs)
		return view_inputs_save(call->inputs->desc, (ViewInputs *) DatumGetPointer(value->value));
	if (value->isnull || !call->internal)
		return value->value;

	InitFunctionCallInfoData(*fcinfo, &call->serialfn, 1, InvalidOid,
							 (fmNodePtr) set->aggstate, NULL);
	fcinfo->args[0].value = value->value;
	fcinfo->args[0].isnull = false;
	serialized = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		report_null_result("serialization", call->serialfn.fn_oid);
	bytes = DatumGetByteaPP(serialized);

	len = VARSIZE_ANY_EXHDR(bytes);
	result = palloc(VARHDRSZ + len + sizeof(ViewStateTag));
	SET_VARSIZE(result, VARHDRSZ + len + sizeof(ViewStateTag));
	memcpy(VARDATA(result), VARDATA_ANY(bytes), len);
	tag.deserialfn = call->deserialfn_oid;
	tag.argtypes = call->argtypes_hash;
	tag.major = COMPAT_SERVER_MAJOR;
	tag.format = AGG_STATE_FORMAT;
	memcpy(VARDATA(result) + len, &tag, sizeof(ViewStateTag));
	return PointerGetDatum(result);
}

/*
 * Deserialize a state into the current memory context.  The serialized form is
 * passed to the deserialization function only if it was written by the
 * matching serialization function.
 */
static Datum
deserialize(ViewAggSet *set, ViewAggCall *call, Datum stored)
{
	LOCAL_FCINFO(fcinfo, 2);
	bytea	   *bytes = DatumGetByteaPCopy(stored);
	ViewStateTag tag;
	Size		len = VARSIZE(bytes);
	Datum		state;

	if (len < VARHDRSZ + sizeof(ViewStateTag))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("aggregate state is too short")));
	len -= sizeof(ViewStateTag);
	memcpy(&tag, (char *) bytes + len, sizeof(ViewStateTag));
	SET_VARSIZE(bytes, len);
	if (tag.major != COMPAT_SERVER_MAJOR || tag.format != AGG_STATE_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("aggregate state was written by PostgreSQL %d, format %d",
						tag.major, tag.format),
				 errdetail("This server reads states of PostgreSQL %d, format %d.",
						   COMPAT_SERVER_MAJOR, AGG_STATE_FORMAT),
				 errhint("Drop the continuous view and create it again.")));
	if (tag.deserialfn != call->deserialfn_oid ||
		tag.argtypes != call->argtypes_hash)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("aggregate state belongs to another aggregate")));

	InitFunctionCallInfoData(*fcinfo, &call->deserialfn, 2, InvalidOid,
							 (fmNodePtr) set->aggstate, NULL);
	fcinfo->args[0].value = PointerGetDatum(bytes);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = (Datum) 0;	/* tells the type only */
	fcinfo->args[1].isnull = false;
	state = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		report_null_result("deserialization", call->deserialfn.fn_oid);
	return state;
}

/*
 * Call the combine function.  The other state is in memory that the caller
 * frees.
 */
static Datum
combine(ViewAggSet *set, ViewAggCall *call, ViewAggValue *value, Datum other, bool othernull,
		bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, &call->combinefn, 2, call->collation,
							 (fmNodePtr) set->aggstate, NULL);
	fcinfo->args[0].value = value->value;
	fcinfo->args[0].isnull = value->isnull;
	fcinfo->args[1].value = other;
	fcinfo->args[1].isnull = othernull;
	set->aggstate->curpertrans = &call->pertrans;
	result = FunctionCallInvoke(fcinfo);
	set->aggstate->curpertrans = NULL;
	*isnull = fcinfo->isnull;
	return result;
}

/* stored may be toasted; the loaded state does not refer to it */
void
view_agg_load(ViewAggSet *set, int i, ViewAggValue *value, Datum stored, bool isnull, bool sealed)
{
	ViewAggCall *call = &set->calls[i];
	MemoryContext old;

	value->value = (Datum) 0;
	value->isnull = true;
	value->none = isnull && !sealed;
	if (isnull)
		return;

	if (call->inputs)
	{
		old = MemoryContextSwitchTo(set->tmpcontext->ecxt_per_tuple_memory);
		view_inputs_load(call->inputs->desc, get_inputs(set, value), stored);
	}
	else if (call->internal)
	{
		/*
		 * combining with an empty state makes a state that the transition
		 * function can use
		 */
		old = MemoryContextSwitchTo(set->tmpcontext->ecxt_per_tuple_memory);
		value->value = combine(set, call, value, deserialize(set, call, stored), false,
							   &value->isnull);
	}
	else
	{
		old = MemoryContextSwitchTo(set->aggcontext->ecxt_per_tuple_memory);
		if (!call->transbyval && call->translen == -1)
			value->value = PointerGetDatum(PG_DETOAST_DATUM_COPY(stored));
		else
			value->value = datumCopy(stored, call->transbyval, call->translen);
		value->isnull = false;
	}
	MemoryContextSwitchTo(old);
	ResetExprContext(set->tmpcontext);
}

/*
 * Does the state add nothing to another one?  A NULL state of a transition
 * function that is not strict may have had input, such as sum() of nulls.  But
 * a strict combine function is never called with NULL, so then it counts for
 * nothing, as in PostgreSQL.
 */
static bool
is_empty(const ViewAggCall *call, const ViewAggValue *value)
{
	return value->isnull &&
		(value->none || (!call->transfn.fn_strict && call->combinefn.fn_strict &&
						 OidIsValid(call->combinefn.fn_oid)));
}

/* merge a state without the combine function, if one of them is NULL */
static bool
merge_null(ViewAggSet *set, ViewAggCall *call, ViewAggValue *value, bool isnull)
{
	if (call->transfn.fn_strict && (value->isnull || isnull))
	{
		if (!value->isnull)
			replace_state(set, call, value, (Datum) 0, true);
		return true;
	}
	if (!OidIsValid(call->combinefn.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("states of aggregate %s cannot be merged",
						format_procedure(call->pertrans.aggref->aggfnoid)),
				 errdetail("The aggregate has no combine function.")));
	return call->combinefn.fn_strict && (value->isnull || isnull);
}

/*
 * As the Agg node that finishes a parallel aggregation does it.  In addition,
 * a state that is NULL and not sealed has had no input, and a sealed state
 * seals the result.
 */
void
view_agg_merge(ViewAggSet *set, int i, ViewAggValue *value, Datum stored, bool isnull, bool sealed)
{
	ViewAggCall *call = &set->calls[i];
	MemoryContext old;
	Datum		result;

	if (isnull && !sealed)
		return;
	if (call->inputs)
	{
		old = MemoryContextSwitchTo(set->tmpcontext->ecxt_per_tuple_memory);
		view_inputs_load(call->inputs->desc, get_inputs(set, value), stored);
		MemoryContextSwitchTo(old);
		ResetExprContext(set->tmpcontext);
		return;
	}
	if (is_empty(call, value))
	{
		view_agg_load(set, i, value, stored, isnull, sealed);
		return;
	}
	if (merge_null(set, call, value, isnull))
		return;

	old = MemoryContextSwitchTo(set->tmpcontext->ecxt_per_tuple_memory);
	if (call->internal && !isnull)
		stored = deserialize(set, call, stored);
	result = combine(set, call, value, stored, isnull, &isnull);
	MemoryContextSwitchTo(old);
	replace_state(set, call, value, result, isnull);
	ResetExprContext(set->tmpcontext);
}

void
view_agg_combine(ViewAggSet *set, ViewAggValue *values, ViewAggValue *others)
{
	for (int i = 0; i < set->ncalls; i++)
	{
		ViewAggCall *call = &set->calls[i];
		ViewAggValue *value = &values[i];
		ViewAggValue *other = &others[i];
		MemoryContext old;
		Datum		result;
		bool		isnull;

		if (is_empty(call, other))
			continue;
		if (is_empty(call, value))
		{
			*value = *other;
			continue;
		}
		if (call->inputs)
		{
			view_inputs_append((ViewInputs *) DatumGetPointer(value->value),
							   (ViewInputs *) DatumGetPointer(other->value));
			continue;
		}
		if (merge_null(set, call, value, other->isnull))
			continue;

		old = MemoryContextSwitchTo(set->tmpcontext->ecxt_per_tuple_memory);
		result = combine(set, call, value, other->value, other->isnull, &isnull);
		MemoryContextSwitchTo(old);
		replace_state(set, call, value, result, isnull);
	}
	ResetExprContext(set->tmpcontext);
}
