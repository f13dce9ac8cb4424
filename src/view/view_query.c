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
 * Emission reads the rows of closed windows by a similar query.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_clause.h"
#include "parser/parse_func.h"
#include "parser/parse_node.h"
#include "parser/parse_oper.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/analyze.h"
#include "view/state_table.h"
#include "view/view_define.h"

typedef struct RewriteState
{
	ViewQuery  *vq;
	Oid			result_func;	/* streamq.aggregate_result */
} RewriteState;

/*
 * The value of an aggregate: the state itself if that is the result, otherwise
 * a call of aggregate_result().
 */
static Node *
finish_expression(RewriteState *rs, ViewAgg *agg, Var *state)
{
	Aggref	   *aggref = agg->aggref;
	HeapTuple	tup;
	Oid			finalfn;
	Node	   *result_type;

	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	finalfn = ((Form_pg_aggregate) GETSTRUCT(tup))->aggfinalfn;
	ReleaseSysCache(tup);

	/* the state is the result */
	if (!OidIsValid(finalfn) && agg->transtype == aggref->aggtype &&
		exprCollation((Node *) state) == aggref->aggcollid)
		return (Node *) state;

	result_type = (Node *) makeNullConst(aggref->aggtype, -1,
										 get_typcollation(aggref->aggtype));
	if (OidIsValid(aggref->inputcollid) &&
		OidIsValid(get_typcollation(aggref->aggtype)) &&
		aggref->inputcollid != get_typcollation(aggref->aggtype))
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = (Expr *) result_type;
		collate->collOid = aggref->inputcollid;
		collate->location = -1;
		result_type = (Node *) collate;
	}

	return (Node *) makeFuncExpr(rs->result_func, aggref->aggtype,
								 list_make4(makeConst(REGPROCEDUREOID, -1, InvalidOid, sizeof(Oid),
													  ObjectIdGetDatum(aggref->aggfnoid), false, true),
											view_agg_argument_types(aggref),
											state,
											result_type),
								 aggref->aggcollid, aggref->inputcollid,
								 COERCE_EXPLICIT_CALL);
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
	ListCell   *lc;

	if (node == NULL)
		return NULL;

	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);

		if (equal(key->expr, node))
			return (Node *) makeVar(1, view_state_key_attno(vq, foreach_current_index(lc)),
									key->type, key->typmod, key->collation, 0);
	}
	if (IsA(node, Aggref))
	{
		foreach(lc, vq->aggs)
		{
			ViewAgg    *agg = lfirst(lc);

			if (equal(agg->aggref, node))
				return finish_expression(rs, agg,
										 makeVar(1, view_state_agg_attno(vq, foreach_current_index(lc)),
												 agg->storedtype, -1, agg->storedcollation, 0));
		}
		elog(ERROR, "aggregate not found");
	}
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		/* the parser accepts grouped columns only */
		if (var->varno != vq->window_rti)
			elog(ERROR, "column is not grouped");
		return (Node *) makeVar(1, var->varattno, var->vartype, var->vartypmod,
								var->varcollid, 0);
	}
	return expression_tree_mutator(node, rewrite_mutator, context);
}

/*
 * The query "SELECT * FROM state table", as the parser makes it.  The parser
 * looks up names, so this runs as a role that has USAGE on the schema.
 */
static Query *
parse_scan(Oid state)
{
	char	   *sql = psprintf("SELECT * FROM %s.%s state", STREAMQ_SCHEMA,
							   quote_identifier(get_rel_name(state)));
	RawStmt    *raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	Oid			save_user;
	int			save_context;
	Query	   *query;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(view_state_owner(), save_context | SECURITY_LOCAL_USERID_CHANGE);
	query = parse_analyze_fixedparams(raw, sql, NULL, 0, NULL);
	SetUserIdAndSecContext(save_user, save_context);
	return query;
}

static void
init_rewrite(RewriteState *rs, ViewQuery *vq)
{
	Oid			argtypes[] = {REGPROCEDUREOID, REGTYPEARRAYOID, ANYOID, ANYELEMENTOID};

	rs->vq = vq;
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

Query *
view_make_query(ViewQuery *vq, Oid state)
{
	RewriteState rs;
	Query	   *query = parse_scan(state);
	Oid			loaded;

	init_rewrite(&rs, vq);
	query->targetList = add_outputs(&rs, NIL);
	loaded = LookupFuncName(list_make2(makeString(STREAMQ_SCHEMA), makeString("is_loaded")),
							0, NULL, false);
	query->jointree->quals =
		make_and_qual((Node *) makeFuncExpr(loaded, BOOLOID, NIL, InvalidOid, InvalidOid,
											COERCE_EXPLICIT_CALL),
					  rewrite_mutator(vq->query->havingQual, &rs));
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

/* compare a column of the window with a parameter of its type */
static Node *
compare_window(ViewQuery *vq, AttrNumber attno, const char *op, int parameter)
{
	return (Node *) make_op(make_parsestate(NULL),
							list_make2(makeString("pg_catalog"), makeString(pstrdup(op))),
							(Node *) makeVar(1, attno, vq->event_type, -1, InvalidOid, 0),
							make_parameter(parameter, vq->event_type), NULL, -1);
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
	tle->ressortgroupref = list_length(query->sortClause) + 1;
	clause->tleSortGroupRef = tle->ressortgroupref;
	query->sortClause = lappend(query->sortClause, clause);
}

Query *
view_make_window_query(ViewQuery *vq, Oid state, ViewWindowChoice choice)
{
	RewriteState rs;
	Query	   *query = parse_scan(state);
	AttrNumber	hash = view_state_first_attno(vq);
	int			nprefix = 3 + list_length(vq->keys);
	List	   *tlist = NIL;
	List	   *quals;

	init_rewrite(&rs, vq);
	for (int i = 0; i < nprefix; i++)
	{
		AttrNumber	attno = i < WINDOW_END_ATTNO ? i + 1 : hash + i - WINDOW_END_ATTNO;
		TargetEntry *tle = list_nth_node(TargetEntry, query->targetList, attno - 1);

		tlist = lappend(tlist, makeTargetEntry(tle->expr, i + 1, tle->resname, false));
	}
	query->targetList = add_outputs(&rs, tlist);

	if (choice == VIEW_CLOSED_WINDOWS)
		quals = list_make4(view_is_merging(vq) ? compare_window(vq, VIEW_STATE_DUE_ATTNO, "<=", 2) :
						   compare_window(vq, WINDOW_START_ATTNO, ">=", 3),
						   compare_window(vq, WINDOW_START_ATTNO, "<", 2),
						   compare_window(vq, WINDOW_END_ATTNO, ">", 1),
						   compare_window(vq, WINDOW_END_ATTNO, "<=", 2));
	else
		quals = list_make3(compare_window(vq, WINDOW_START_ATTNO, "=", 1),
						   compare_window(vq, WINDOW_END_ATTNO, "=", 2),
						   make_scalar_array_op(make_parsestate(NULL),
												list_make2(makeString("pg_catalog"), makeString("=")),
												true,
												(Node *) makeVar(1, hash, INT8OID, -1, InvalidOid, 0),
												make_parameter(3, INT8ARRAYOID), -1));
	if (vq->query->havingQual)
		quals = lappend(quals, rewrite_mutator(vq->query->havingQual, &rs));
	query->jointree->quals = (Node *) make_ands_explicit(quals);

	add_sort(query, WINDOW_END_ATTNO);
	add_sort(query, WINDOW_START_ATTNO);
	for (int i = 3; i < nprefix; i++)
		add_sort(query, i + 1);
	return query;
}
