/*
 * view_query.c
 *	  The query of a continuous view over its state table.
 *
 * It is the target list of the user's query, with these changes: grouping
 * expressions are key columns, aggregates are calls of
 * streamq.aggregate_result() on state columns, and HAVING is WHERE.  A
 * condition streamq.is_loaded() is added, because without the library the
 * state is not kept up to date.
 *
 * If a group may have several rows, the query has GROUP BY, HAVING, and calls
 * of streamq.aggregate_merge() within aggregate_result().  If rows are of
 * slices of windows, it joins each row with the slice's windows: a call of the
 * window function that the user's query calls, for the start of the slice.
 *
 * Emission reads the rows of closed windows by a similar query.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/tlist.h"
#include "parser/analyze.h"
#include "parser/parse_clause.h"
#include "parser/parse_func.h"
#include "parser/parse_node.h"
#include "parser/parse_oper.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/analyze.h"
#include "view/collect.h"
#include "view/latest.h"
#include "view/state_table.h"
#include "view/view_define.h"

typedef struct RewriteState
{
	ViewQuery  *vq;
	Oid			state;			/* the state table */
	Oid			result_func;	/* streamq.aggregate_result */
	bool		has_aggs;		/* calls of aggregate_merge() were made */
} RewriteState;

static Node *rewrite_mutator(Node *node, void *context);

/* range table of the query */
#define STATE_RTI		1
#define WINDOWS_RTI		2		/* of slices */

/* a null constant of a type, with a collation if that is not the type's own */
static Node *
collated_null(Oid type, Oid collation)
{
	Node	   *result = (Node *) makeNullConst(type, -1, get_typcollation(type));

	if (OidIsValid(collation) && OidIsValid(get_typcollation(type)) &&
		collation != get_typcollation(type))
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = (Expr *) result;
		collate->collOid = collation;
		collate->location = -1;
		result = (Node *) collate;
	}
	return result;
}

/*
 * The state of an aggregate: a column, or the merged states of the group's
 * rows.
 */
static Node *
state_expression(RewriteState *rs, ViewAgg *agg, int i)
{
	Var		   *column = makeVar(STATE_RTI, view_state_agg_attno(rs->vq, i), agg->storedtype, -1,
								 agg->storedcollation, 0);
	Var		   *sealed;

	if (!rs->vq->merged)
		return (Node *) column;
	sealed = makeVar(STATE_RTI, view_state_agg_attno(rs->vq, list_length(rs->vq->aggs)),
					 BYTEAOID, -1, InvalidOid, 0);
	rs->has_aggs = true;
	return (Node *) view_agg_merge_expression(agg, i, (Expr *) column, (Expr *) sealed);
}

/*
 * The value of an aggregate: the state itself if that is the result, otherwise
 * a call of aggregate_result().
 */
static Node *
finish_expression(RewriteState *rs, ViewAgg *agg, Node *state)
{
	Aggref	   *aggref = agg->aggref;
	HeapTuple	tup;
	Oid			finalfn;

	if (agg->collected)
		return view_collected_expression(agg, rs->state, (Node *) state,
										 (List *) rewrite_mutator((Node *) aggref->aggdirectargs, rs));

	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	finalfn = ((Form_pg_aggregate) GETSTRUCT(tup))->aggfinalfn;
	ReleaseSysCache(tup);

	/* the state is the result; a user's aggregate may get a final function */
	if ((aggref->aggfnoid < FirstNormalObjectId || view_is_latest((Node *) aggref)) &&
		!OidIsValid(finalfn) && agg->transtype == aggref->aggtype &&
		exprCollation(state) == aggref->aggcollid)
		return state;

	return (Node *) makeFuncExpr(rs->result_func, aggref->aggtype,
								 list_make4(makeConst(REGPROCEDUREOID, -1, InvalidOid, sizeof(Oid),
													  ObjectIdGetDatum(aggref->aggfnoid), false, true),
											view_agg_argument_types(aggref),
											state,
											collated_null(aggref->aggtype, aggref->inputcollid)),
								 aggref->aggcollid, aggref->inputcollid,
								 COERCE_EXPLICIT_CALL);
}

static Var *
key_column(ViewQuery *vq, int i)
{
	ViewKey    *key = list_nth(vq->keys, i);

	return makeVar(STATE_RTI, view_state_key_attno(vq, i), key->type, key->typmod,
				   key->collation, 0);
}

static Var *
window_column(ViewQuery *vq, AttrNumber attno)
{
	return makeVar(vq->sliced ? WINDOWS_RTI : STATE_RTI, attno, vq->event_type, -1, InvalidOid, 0);
}

static Node *
cast_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CaseTestExpr))
		return (Node *) context;
	return expression_tree_mutator(node, cast_mutator, context);
}

/*
 * replace keys, aggregates and columns of the window by columns of the state
 * table
 */
static Node *
rewrite_mutator(Node *node, void *context)
{
	RewriteState *rs = context;
	ViewQuery  *vq = rs->vq;
	Node	   *aggregate;
	ListCell   *lc;

	if (node == NULL)
		return NULL;

	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);

		if (equal(key->expr, node))
			return (Node *) key_column(vq, foreach_current_index(lc));
	}
	if (IsA(node, Aggref))
	{
		foreach(lc, vq->aggs)
		{
			ViewAgg    *agg = lfirst(lc);

			if (equal(agg->aggref, node))
				return finish_expression(rs, agg,
										 state_expression(rs, agg, foreach_current_index(lc)));
		}
		elog(ERROR, "aggregate not found");
	}
	/* ruleutils.c expects an aggregate in it, so its parts take its place */
	aggregate = COMPAT_JSON_AGGREGATE(node);
	if (aggregate)
	{
		aggregate = rewrite_mutator(aggregate, rs);
		return COMPAT_JSON_AGG_CAST(node) ? cast_mutator(COMPAT_JSON_AGG_CAST(node), aggregate) :
			aggregate;
	}
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		/* the parser accepts grouped columns only */
		if (var->varno != vq->window_rti)
			elog(ERROR, "column is not grouped");
		return (Node *) window_column(vq, var->varattno);
	}
	return expression_tree_mutator(node, rewrite_mutator, context);
}

/* group by a column, with the operators of a GROUP BY clause of its type */
static void
group_by(Query *query, Var *column, SortGroupClause *operators)
{
	SortGroupClause *clause = copyObject(operators);
	TargetEntry *tle = tlist_member((Expr *) column, query->targetList);

	if (tle == NULL)
	{
		tle = makeTargetEntry((Expr *) column, list_length(query->targetList) + 1, NULL, true);
		query->targetList = lappend(query->targetList, tle);
	}
	clause->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
	query->groupClause = lappend(query->groupClause, clause);
}

/* the operators that GROUP BY uses for a type, unless it is told others */
static SortGroupClause *
usual_operators(Oid type)
{
	SortGroupClause *clause = makeNode(SortGroupClause);

	get_sort_group_operators(type, true, true, false, &clause->sortop, &clause->eqop, NULL,
							 &clause->hashable);
	return clause;
}

/* make the query merge the rows of each window and group */
static void
add_grouping(RewriteState *rs, Query *query, Node *having)
{
	ViewQuery  *vq = rs->vq;
	ListCell   *lc;

	if (vq->windowed)
	{
		SortGroupClause *operators = usual_operators(vq->event_type);

		group_by(query, window_column(vq, WINDOW_START_ATTNO), operators);
		group_by(query, window_column(vq, WINDOW_END_ATTNO), operators);
	}
	foreach(lc, vq->keys)
		group_by(query, key_column(vq, foreach_current_index(lc)),
				 ((ViewKey *) lfirst(lc))->clause);
	query->hasAggs = rs->has_aggs;
	query->havingQual = having;
}

/*
 * SELECT * FROM the state table, joined with the windows of slices.
 *
 * The parser makes the range table.  It looks up names, so it runs as a role
 * that has USAGE on the schema.
 */
static Query *
parse_scan(ViewQuery *vq, Oid state)
{
	StringInfoData sql;
	Query	   *query;
	RawStmt    *raw;
	Oid			save_user;
	int			save_context;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT * FROM %s.%s state", STREAMQ_SCHEMA,
					 quote_identifier(get_rel_name(state)));
	if (vq->sliced)
	{
		appendStringInfo(&sql, ", %s.%s(state.window_start", STREAMQ_SCHEMA,
						 vq->window.kind->function);
		for (int i = 0; i < list_length(vq->window_args); i++)
			appendStringInfoString(&sql, ", NULL");
		appendStringInfoString(&sql, ") windows WHERE windows.window_end "
							   "OPERATOR(pg_catalog.>) state.counts_after");
	}

	raw = linitial_node(RawStmt, raw_parser(sql.data, RAW_PARSE_DEFAULT));
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(view_state_owner(), save_context | SECURITY_LOCAL_USERID_CHANGE);
	query = parse_analyze_fixedparams(raw, sql.data, NULL, 0, NULL);
	SetUserIdAndSecContext(save_user, save_context);

	if (vq->sliced)
	{
		RangeTblEntry *rte = rt_fetch(WINDOWS_RTI, query->rtable);
		RangeTblFunction *rtfunc = linitial_node(RangeTblFunction, rte->functions);
		FuncExpr   *func = castNode(FuncExpr, rtfunc->funcexpr);

		func->args = lcons(linitial(func->args), copyObject(vq->window_args));
	}
	if (vq->collects)
		view_exclude_chunks(vq, query);
	return query;
}

static void
init_rewrite(RewriteState *rs, ViewQuery *vq, Oid state)
{
	Oid			argtypes[] = {REGPROCEDUREOID, REGTYPEARRAYOID, ANYOID, ANYELEMENTOID};

	rs->vq = vq;
	rs->state = state;
	rs->has_aggs = false;
	rs->result_func = LookupFuncName(list_make2(makeString(STREAMQ_SCHEMA),
												makeString("aggregate_result")),
									 4, argtypes, false);
}

/* add the outputs of the user's query to a target list */
static List *
add_outputs(RewriteState *rs, List *tlist)
{
	ListCell   *lc;

	foreach(lc, rs->vq->query->targetList)
	{
		TargetEntry *old = lfirst_node(TargetEntry, lc);

		if (old->resjunk)
			continue;
		tlist = lappend(tlist,
						makeTargetEntry((Expr *) rewrite_mutator((Node *) old->expr, rs),
										list_length(tlist) + 1,
										pstrdup(old->resname), false));
	}
	return tlist;
}

/* add a condition of WHERE, and HAVING of the user's query */
static void
add_conditions(RewriteState *rs, Query *query, Node *condition)
{
	Node	   *having = rewrite_mutator(rs->vq->query->havingQual, rs);

	query->jointree->quals = make_and_qual(query->jointree->quals, condition);
	if (rs->vq->merged)
		add_grouping(rs, query, having);
	else
		query->jointree->quals = make_and_qual(query->jointree->quals, having);
}

Query *
view_make_query(ViewQuery *vq, Oid state)
{
	RewriteState rs;
	Query	   *query = parse_scan(vq, state);
	Oid			loaded;

	init_rewrite(&rs, vq, state);
	query->targetList = add_outputs(&rs, NIL);
	loaded = LookupFuncName(list_make2(makeString(STREAMQ_SCHEMA), makeString("is_loaded")),
							0, NULL, false);
	add_conditions(&rs, query, (Node *) makeFuncExpr(loaded, BOOLOID, NIL, InvalidOid, InvalidOid,
													 COERCE_EXPLICIT_CALL));
	return query;
}

/* ---- the rows of some windows ---- */

static Node *
make_parameter(int n, Oid type)
{
	Param	   *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = n;
	param->paramtype = type;
	param->paramtypmod = -1;
	param->location = -1;
	return (Node *) param;
}

/* compare a column of the state table or of a window with a parameter */
static Node *
compare(Var *column, const char *op, int parameter)
{
	return (Node *) make_op(make_parsestate(NULL),
							list_make2(makeString("pg_catalog"), makeString(pstrdup(op))),
							(Node *) column, make_parameter(parameter, column->vartype), NULL, -1);
}

/* sort by a column, if its type has an order */
static void
add_sort(Query *query, AttrNumber resno)
{
	TargetEntry *tle = list_nth_node(TargetEntry, query->targetList, resno - 1);
	SortGroupClause *clause = makeNode(SortGroupClause);

	get_sort_group_operators(exprType((Node *) tle->expr), false, false, false,
							 &clause->sortop, &clause->eqop, NULL, &clause->hashable);
	if (!OidIsValid(clause->sortop))
		return;
	clause->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
	query->sortClause = lappend(query->sortClause, clause);
}

/*
 * A slice is within its windows, so conditions on the start of a window imply
 * those on the start of the state's row, for which there is an index.
 */
static List *
window_conditions(ViewQuery *vq, Var *hash, ViewWindowChoice choice)
{
	Var		   *row_start = makeVar(STATE_RTI, WINDOW_START_ATTNO, vq->event_type, -1,
									InvalidOid, 0);
	Var		   *start = window_column(vq, WINDOW_START_ATTNO);
	Var		   *end = window_column(vq, WINDOW_END_ATTNO);

	if (choice == VIEW_CLOSED_WINDOWS)
		return list_make4(view_is_merging(vq) ?
						  compare(makeVar(STATE_RTI, VIEW_STATE_DUE_ATTNO, vq->event_type, -1,
										  InvalidOid, 0), "<=", 2) :
						  compare(row_start, ">=", 3),
						  compare(row_start, "<", 2),
						  compare(end, ">", 1), compare(end, "<=", 2));
	return list_make5(compare(row_start, ">=", 1), compare(row_start, "<", 2),
					  compare(start, "=", 1), compare(end, "=", 2),
					  make_scalar_array_op(make_parsestate(NULL),
										   list_make2(makeString("pg_catalog"), makeString("=")),
										   true, (Node *) hash, make_parameter(3, INT8ARRAYOID),
										   -1));
}

Query *
view_make_window_query(ViewQuery *vq, Oid state, ViewWindowChoice choice)
{
	RewriteState rs;
	Query	   *query = parse_scan(vq, state);
	AttrNumber	hash_attno = view_state_first_attno(vq);
	Var		   *hash = makeVar(STATE_RTI, hash_attno, INT8OID, -1, InvalidOid, 0);
	List	   *prefix = list_make3(window_column(vq, WINDOW_START_ATTNO),
									window_column(vq, WINDOW_END_ATTNO), hash);
	List	   *tlist = NIL;
	ListCell   *lc;

	init_rewrite(&rs, vq, state);
	foreach(lc, vq->keys)
		prefix = lappend(prefix, key_column(vq, foreach_current_index(lc)));
	foreach(lc, prefix)
	{
		AttrNumber	resno = foreach_current_index(lc) + 1;

		tlist = lappend(tlist, makeTargetEntry(lfirst(lc), resno, psprintf("column_%d", resno),
											   false));
	}
	query->targetList = add_outputs(&rs, tlist);
	add_conditions(&rs, query,
				   (Node *) make_ands_explicit(window_conditions(vq, hash, choice)));
	if (vq->merged)
		group_by(query, hash, usual_operators(INT8OID));

	add_sort(query, WINDOW_END_ATTNO);
	add_sort(query, WINDOW_START_ATTNO);
	for (int i = WINDOW_END_ATTNO + 2; i <= list_length(prefix); i++)
		add_sort(query, i);
	return query;
}
