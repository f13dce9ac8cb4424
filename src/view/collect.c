/*
 * collect.c
 *	  Aggregates that keep their input instead of a state: which ones, the
 *	  columns of the input, and the subquery that computes the value.
 *
 * The value is computed by PostgreSQL's own Agg node:
 *
 *		(SELECT aggregate(v1, v2 ORDER BY v3)
 *		 FROM streamq.aggregate_inputs('state table', state.agg_n)
 *			AS inputs (v1 type, v2 type, v3 type))
 *
 * FILTER and null arguments of strict functions are dealt with when a row is
 * collected.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_node.h"
#include "parser/parse_oper.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/analyze.h"
#include "view/analyze_internal.h"
#include "view/collect.h"
#include "view/inputs.h"
#include "view/state_table.h"

bool
view_must_collect(Aggref *aggref, Oid transtype, Form_pg_aggregate form, bool merged)
{
	if (AGGKIND_IS_ORDERED_SET(aggref->aggkind) || aggref->aggdistinct || aggref->aggorder)
		return true;
	if (transtype == INTERNALOID &&
		(!OidIsValid(form->aggserialfn) || !OidIsValid(form->aggdeserialfn) ||
		 !OidIsValid(form->aggcombinefn)))
		return true;
	if (transtype != INTERNALOID && get_typtype(transtype) == TYPTYPE_PSEUDO)
		return true;
	if (merged && !OidIsValid(form->aggcombinefn))
		return true;
	/* such a state would be written again with every batch, and grows */
	return COMPAT_STATE_IS_INPUT(form->aggserialfn);
}

/* make a column for an expression, and return a Var of it */
static Node *
add_column(ViewAgg *agg, Node *expr)
{
	Oid			type = exprType(expr);
	int			n = 0;

	while (n < list_length(agg->inputs) && !equal(list_nth(agg->inputs, n), expr))
		n++;
	if (n == list_length(agg->inputs))
	{
		if (get_typtype(type) == TYPTYPE_PSEUDO)
			view_refuse_aggregate(agg->aggref,
								  psprintf("Its input has the type %s, which cannot be stored.",
										   format_type_be(type)));
		agg->inputs = lappend(agg->inputs, expr);
		agg->input_types = lappend_oid(agg->input_types, type);
	}
	return (Node *) makeVar(1, n + 1, type, exprTypmod(expr), exprCollation(expr), 0);
}

/*
 * Replace an argument by Vars of columns.  A row without a named type cannot
 * be stored, but its fields can.
 */
static Expr *
column_expression(ViewAgg *agg, Node *expr)
{
	/* there must be a column, to count rows */
	if (IsA(expr, Const) && agg->inputs != NIL)
		return copyObject((Expr *) expr);
	if (IsA(expr, RowExpr) && exprType(expr) == RECORDOID)
	{
		RowExpr    *row = copyObject((RowExpr *) expr);
		ListCell   *lc;

		foreach(lc, row->args)
			lfirst(lc) = column_expression(agg, lfirst(lc));
		return (Expr *) row;
	}
	return (Expr *) add_column(agg, expr);
}

/*
 * Sort by the number of the row in the stream, so that the result does not
 * depend on how rows were put together.
 */
static void
add_ordinal(ViewAgg *agg)
{
	SortGroupClause *clause = makeNode(SortGroupClause);
	Aggref	   *aggref = agg->over_inputs;
	TargetEntry *tle;

	agg->ordinal = true;
	agg->input_types = lappend_oid(agg->input_types, INT8OID);
	tle = makeTargetEntry((Expr *) makeVar(1, list_length(agg->input_types), INT8OID, -1,
										   InvalidOid, 0),
						  list_length(aggref->args) + 1, NULL, true);
	tle->ressortgroupref = 1;
	aggref->args = lappend(aggref->args, tle);
	clause->tleSortGroupRef = 1;
	get_sort_group_operators(INT8OID, true, true, false, &clause->sortop, &clause->eqop, NULL,
							 &clause->hashable);
	aggref->aggorder = list_make1(clause);
}

/*
 * The collation of an argument may be explicit, but columns of `inputs` have
 * implicit collations, which may conflict.  PostgreSQL would notice when the
 * subquery is restored from a dump, so the collation is made explicit.
 */
static void
keep_collation(Aggref *aggref)
{
	bool		differs = false;
	ListCell   *lc;

	if (!OidIsValid(aggref->inputcollid))
		return;
	foreach(lc, aggref->args)
	{
		Oid			collation = exprCollation((Node *) lfirst_node(TargetEntry, lc)->expr);

		differs = differs || (OidIsValid(collation) && collation != aggref->inputcollid);
	}
	foreach(lc, aggref->args)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (differs && !tle->resjunk && exprCollation((Node *) tle->expr) == aggref->inputcollid)
		{
			CollateExpr *collate = makeNode(CollateExpr);

			collate->arg = tle->expr;
			collate->collOid = aggref->inputcollid;
			collate->location = -1;
			tle->expr = (Expr *) collate;
			return;
		}
	}
}

/* number of arguments whose nulls the transition function ignores */
static int
count_strict(ViewAgg *agg)
{
	HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(agg->aggref->aggfnoid));
	bool		strict;
	int			n = 0;
	ListCell   *lc;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", agg->aggref->aggfnoid);
	strict = func_strict(((Form_pg_aggregate) GETSTRUCT(tup))->aggtransfn);
	ReleaseSysCache(tup);
	if (!strict)
		return 0;

	/* columns are numbered as they come, so those of arguments come first */
	foreach(lc, agg->over_inputs->args)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk)
			break;
		if (!IsA(tle->expr, Var))
			break;
		n = Max(n, ((Var *) tle->expr)->varattno);
	}
	return n;
}

void
view_collect_inputs(ViewAgg *agg)
{
	Aggref	   *aggref = copyObject(agg->aggref);
	ListCell   *lc;

	agg->collected = true;
	agg->over_inputs = aggref;
	aggref->aggfilter = NULL;
	aggref->aggtranstype = InvalidOid;
	foreach(lc, aggref->args)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		tle->expr = column_expression(agg, (Node *) tle->expr);
	}
	agg->nstrict = count_strict(agg);
	if (aggref->aggkind == AGGKIND_NORMAL && aggref->aggdistinct == NIL && aggref->aggorder == NIL)
		add_ordinal(agg);
	keep_collation(aggref);
	agg->storedtype = view_input_type();
	agg->storedcollation = InvalidOid;
}

/* streamq.aggregate_inputs(...) AS inputs (v1 type, ...) */
static void
add_inputs_rte(ParseState *pstate, ViewAgg *agg, Oid state, Node *input)
{
	RangeFunction *range = makeNode(RangeFunction);
	Oid			argtypes[] = {REGCLASSOID, view_input_type()};
	List	   *name = list_make2(makeString(STREAMQ_SCHEMA), makeString("aggregate_inputs"));
	FuncExpr   *func;
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, agg->input_types)
	{
		int			n = foreach_current_index(lc);
		Node	   *expr = n < list_length(agg->inputs) ? list_nth(agg->inputs, n) : NULL;

		columns = lappend(columns,
						  makeColumnDef(psprintf("v%d", n + 1), lfirst_oid(lc),
										expr ? exprTypmod(expr) : -1,
										expr ? exprCollation(expr) : InvalidOid));
	}
	range->alias = makeAlias("inputs", NIL);
	range->coldeflist = columns;
	func = makeFuncExpr(LookupFuncName(name, lengthof(argtypes), argtypes, false), RECORDOID,
						list_make2(makeConst(REGCLASSOID, -1, InvalidOid, sizeof(Oid),
											 ObjectIdGetDatum(state), false, true),
								   input),
						InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	func->funcretset = true;
	(void) addRangeTableEntryForFunction(pstate, list_make1(pstrdup("aggregate_inputs")),
										 list_make1(func), list_make1(columns), range,
										 false, true);
}

Node *
view_collected_expression(ViewAgg *agg, Oid state, Node *input, List *directargs)
{
	ParseState *pstate = make_parsestate(NULL);
	Query	   *query = makeNode(Query);
	SubLink    *sublink = makeNode(SubLink);
	Aggref	   *aggref = copyObject(agg->over_inputs);
	RangeTblRef *ref = makeNode(RangeTblRef);

	input = copyObject(input);
	IncrementVarSublevelsUp(input, 1, 0);
	add_inputs_rte(pstate, agg, state, input);
	ref->rtindex = 1;

	aggref->aggdirectargs = copyObject(directargs);
	IncrementVarSublevelsUp((Node *) aggref->aggdirectargs, 1, 0);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = pstate->p_rtable;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = list_make1(makeTargetEntry((Expr *) aggref, 1, pstrdup("value"), false));
	query->hasAggs = true;

	sublink->subLinkType = EXPR_SUBLINK;
	sublink->subselect = (Node *) query;
	sublink->location = -1;
	return (Node *) sublink;
}

void
view_exclude_chunks(ViewQuery *vq, Query *query)
{
	NullTest   *is_group = makeNode(NullTest);

	is_group->arg = (Expr *) makeVar(1, view_state_chunk_attno(vq), view_input_type(), -1,
									 InvalidOid, 0);
	is_group->nulltesttype = IS_NULL;
	is_group->location = -1;
	query->jointree->quals = make_and_qual(query->jointree->quals, (Node *) is_group);
	query->hasSubLinks = true;
}
