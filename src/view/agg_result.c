/*
 * agg_result.c
 *	  SQL functions for stored states of aggregates: the value of a state,
 *	  and the type of serialized states.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_agg.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/agg.h"

PG_FUNCTION_INFO_V1(streamq_aggregate_state_in);
PG_FUNCTION_INFO_V1(streamq_aggregate_state_out);
PG_FUNCTION_INFO_V1(streamq_aggregate_result);

typedef struct ViewResultCall
{
	ViewAggSet *set;
	Oid			aggregate;
	FmgrInfo	finalfn;		/* fn_oid is InvalidOid if the state is the
								 * result */
	int			nfinalargs;
	int16		resultlen;
	bool		resultbyval;
} ViewResultCall;

/*
 * Support functions may look at the Aggref, so it is built as far as they need
 * it.  The types are checked, because anybody may call the SQL functions.
 */
Aggref *
view_agg_named(Oid aggregate, ArrayType *argtypes, Oid collation)
{
	Aggref	   *aggref = makeNode(Aggref);
	Oid			types[FUNC_MAX_ARGS];
	Datum	   *elems;
	bool	   *nulls;
	int			ntypes;
	Oid		   *declared;
	int			ndeclared;
	HeapTuple	tup;
	Form_pg_aggregate form;

	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	if (!HeapTupleIsValid(tup))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("function with OID %u is not an aggregate", aggregate)));
	form = (Form_pg_aggregate) GETSTRUCT(tup);
	if (form->aggkind != AGGKIND_NORMAL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ordered-set aggregates have no stored state")));

	deconstruct_array(argtypes, REGTYPEOID, sizeof(Oid), true, TYPALIGN_INT,
					  &elems, &nulls, &ntypes);
	aggref->aggtype = get_func_signature(aggregate, &declared, &ndeclared);
	if (ntypes < ndeclared || ntypes > FUNC_MAX_ARGS ||
		array_contains_nulls(argtypes))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument types do not fit the aggregate")));
	for (int i = 0; i < ntypes; i++)
	{
		types[i] = DatumGetObjectId(elems[i]);
		aggref->aggargtypes = lappend_oid(aggref->aggargtypes, types[i]);
	}
	aggref->aggtranstype = resolve_aggregate_transtype(aggregate, form->aggtranstype,
													   types, ntypes);
	if (IsPolymorphicType(aggref->aggtype))
		aggref->aggtype = enforce_generic_type_consistency(types, declared, ndeclared,
														   aggref->aggtype, false);
	if (aggref->aggtranstype == INTERNALOID &&
		(!OidIsValid(form->aggserialfn) || !OidIsValid(form->aggdeserialfn) ||
		 !OidIsValid(form->aggcombinefn)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("aggregate %s has no stored state", format_procedure(aggregate))));
	ReleaseSysCache(tup);

	aggref->aggfnoid = aggregate;
	aggref->aggcollid = collation;
	aggref->inputcollid = collation;
	aggref->aggkind = AGGKIND_NORMAL;
	return aggref;
}

/* set up the call for an aggregate and its argument types */
static ViewResultCall *
make_result_call(FunctionCallInfo fcinfo, Oid aggregate, ArrayType *argtypes)
{
	ViewResultCall *result = palloc0(sizeof(ViewResultCall));
	Aggref	   *aggref = view_agg_named(aggregate, argtypes, PG_GET_COLLATION());
	Oid			transtype = aggref->aggtranstype;
	HeapTuple	tup;
	Form_pg_aggregate form;

	if (get_fn_expr_argtype(fcinfo->flinfo, 2) !=
		(transtype == INTERNALOID ? view_agg_state_type() : transtype) ||
		get_fn_expr_rettype(fcinfo->flinfo) != aggref->aggtype)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("state or result type does not belong to the aggregate")));

	result->set = view_agg_make_set(1);
	view_agg_init_call(&result->set->calls[0], aggref, transtype);
	get_typlenbyval(aggref->aggtype, &result->resultlen, &result->resultbyval);

	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", aggregate);
	form = (Form_pg_aggregate) GETSTRUCT(tup);
	if (OidIsValid(form->aggfinalfn))
	{
		Oid			types[FUNC_MAX_ARGS];
		int			ntypes = get_aggregate_argtypes(aggref, types);
		Expr	   *fnexpr;

		view_agg_check_execute(form->aggfinalfn, view_agg_function_owner(aggregate));
		result->nfinalargs = form->aggfinalextra ? ntypes + 1 : 1;
		fmgr_info(form->aggfinalfn, &result->finalfn);
		build_aggregate_finalfn_expr(types, result->nfinalargs, transtype,
									 aggref->aggtype, PG_GET_COLLATION(),
									 form->aggfinalfn, &fnexpr);
		fmgr_info_set_expr((Node *) fnexpr, &result->finalfn);
	}
	ReleaseSysCache(tup);
	return result;
}

/* run the final function; the result may be part of the state */
static Datum
finish(ViewResultCall *call, ViewAggValue *value, bool *isnull)
{
	ViewAggSet *set = call->set;

	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	bool		anynull = value->isnull;
	Datum		result;

	if (!OidIsValid(call->finalfn.fn_oid))
	{
		*isnull = value->isnull;
		return value->value;
	}

	InitFunctionCallInfoData(*fcinfo, &call->finalfn, call->nfinalargs,
							 set->calls[0].collation,
							 (fmNodePtr) set->aggstate, NULL);
	fcinfo->args[0].value = MakeExpandedObjectReadOnly(value->value, value->isnull,
													   set->calls[0].translen);
	fcinfo->args[0].isnull = value->isnull;
	for (int i = 1; i < call->nfinalargs; i++)
	{
		fcinfo->args[i].value = (Datum) 0;
		fcinfo->args[i].isnull = true;
		anynull = true;
	}
	*isnull = true;
	if (anynull && call->finalfn.fn_strict)
		return (Datum) 0;

	set->aggstate->curpertrans = &set->calls[0].pertrans;
	result = FunctionCallInvoke(fcinfo);
	set->aggstate->curpertrans = NULL;
	*isnull = fcinfo->isnull;
	return result;
}

/*
 * aggregate_result(aggregate regprocedure, argument_types regtype[],
 *				 state "any", result anyelement) returns anyelement
 *
 * Returns the value of an aggregate for a stored state.  Only the type of
 * `result` matters.
 */
Datum
streamq_aggregate_result(PG_FUNCTION_ARGS)
{
	ViewResultCall *call = fcinfo->flinfo->fn_extra;
	MemoryContext old;
	ViewAggValue value;
	Datum		result;
	bool		isnull;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("aggregate and argument types must not be null")));
	if (call == NULL)
		base_require_loaded();
	if (call == NULL || call->aggregate != PG_GETARG_OID(0))
	{
		old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		call = make_result_call(fcinfo, PG_GETARG_OID(0), PG_GETARG_ARRAYTYPE_P(1));
		call->aggregate = PG_GETARG_OID(0);
		fcinfo->flinfo->fn_extra = call;
		MemoryContextSwitchTo(old);
	}

	view_agg_load(call->set, 0, &value,
				  PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2), PG_ARGISNULL(2), false);

	old = MemoryContextSwitchTo(call->set->tmpcontext->ecxt_per_tuple_memory);
	result = finish(call, &value, &isnull);
	MemoryContextSwitchTo(old);
	if (!isnull)
		result = datumCopy(result, call->resultbyval, call->resultlen);

	ReScanExprContext(call->set->tmpcontext);
	ReScanExprContext(call->set->aggcontext);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/*
 * Text form of serialized states: hexadecimal.  The bytes are trusted, so only
 * a superuser may convert text into a state, for example to restore a dump.
 */
Datum
streamq_aggregate_state_in(PG_FUNCTION_ARGS)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to make an aggregate state from text")));
	return DirectFunctionCall1(byteain, PG_GETARG_DATUM(0));
}

Datum
streamq_aggregate_state_out(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	Size		len = VARSIZE_ANY_EXHDR(bytes);
	char	   *result = palloc(len * 2 + 3);

	strcpy(result, "\\x");
	result[2 + hex_encode(VARDATA_ANY(bytes), len, result + 2)] = '\0';
	PG_RETURN_CSTRING(result);
}
