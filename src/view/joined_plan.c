/*
 * joined_plan.c
 *	  The query that joins the messages of a round with tables.
 *
 * It is the FROM clause and WHERE of the user's query, without the window
 * function and without conditions that use the window's columns.  Its columns
 * are the message's id, and what expressions over rows use.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"

#include "compat.h"
#include "view/analyze_internal.h"
#include "view/joined.h"

/* a plan for this many times more or fewer rows than there are is made again */
#define REPLAN_FACTOR	8

struct ViewJoin
{
	ViewQuery  *vq;
	const char *text;
	MemoryContext context;		/* of the batch */
	PlannedStmt *plan;
	double		planned_rows;
};

/* ---- columns and conditions ---- */

/* conditions that use the window's columns, or those that do not */
static List *
select_quals(Node *quals, Index window_rti, bool use_window)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (quals == NULL)
		return NIL;
	if (!is_andclause(quals))
		return view_uses(quals, window_rti) == use_window ? list_make1(quals) : NIL;
	foreach(lc, ((BoolExpr *) quals)->args)
		result = list_concat(result, select_quals(lfirst(lc), window_rti, use_window));
	return result;
}

static Node *
join_quals(ViewQuery *vq, Node *quals, bool use_window)
{
	List	   *selected = select_quals(quals, vq->window_rti, use_window);

	return selected ? (Node *) make_ands_explicit(selected) : NULL;
}

static void
add_columns(ViewQuery *vq, Node *node)
{
	ListCell   *lc;

	foreach(lc, pull_var_clause(node, PVC_RECURSE_AGGREGATES | PVC_RECURSE_PLACEHOLDERS))
	{
		if (lfirst_node(Var, lc)->varno != vq->window_rti)
			vq->columns = list_append_unique(vq->columns, lfirst(lc));
	}
}

void
view_join_choose_columns(ViewQuery *vq)
{
	if (view_uses((Node *) vq->outer_quals, vq->window_rti))
		view_refuse("window_start or window_end in the condition of an outer join",
					"Join the table when you read the view.");
	vq->window_quals = (Expr *) join_quals(vq, (Node *) vq->where, true);
	add_columns(vq, (Node *) vq->query->targetList);
	add_columns(vq, vq->query->havingQual);
	add_columns(vq, (Node *) vq->window_quals);
	add_columns(vq, (Node *) vq->window_start);
}

Var *
view_join_column(const ViewQuery *vq, const Var *var)
{
	ListCell   *lc;

	foreach(lc, vq->columns)
	{
		/* the first column is the message's */
		if (equal(lfirst(lc), var))
			return makeVar(1, foreach_current_index(lc) + 2, var->vartype, var->vartypmod,
						   var->varcollid, 0);
	}
	elog(ERROR, "column %d of range table entry %d is not in the join", var->varattno,
		 var->varno);
}

/* ---- the query ---- */

/* a part of the FROM clause without the window function; NULL: nothing is left */
static Node *
remove_window(ViewQuery *vq, Node *node)
{
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		List	   *items = NIL;
		ListCell   *lc;

		foreach(lc, from->fromlist)
		{
			Node	   *item = remove_window(vq, lfirst(lc));

			if (item)
				items = lappend(items, item);
		}
		return (Node *) makeFromExpr(items, join_quals(vq, from->quals, false));
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		join->larg = remove_window(vq, join->larg);
		join->rarg = remove_window(vq, join->rarg);
		if (join->jointype == JOIN_INNER)
			join->quals = join_quals(vq, join->quals, false);
		if (join->larg && join->rarg)
			return node;
		return (Node *) makeFromExpr(list_make1(join->larg ? join->larg : join->rarg),
									 join->quals);
	}
	return castNode(RangeTblRef, node)->rtindex == vq->window_rti ? NULL : node;
}

static void
forget_others(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		RangeTblEntry *result;

		if (rte->rtekind == RTE_RELATION || rte->rtekind == RTE_JOIN)
			continue;
		result = makeNode(RangeTblEntry);
		result->rtekind = RTE_RESULT;
		result->eref = makeAlias(rte->eref->aliasname, NIL);
		lfirst(lc) = result;
	}
	COMPAT_FORGET_GROUP(query);
}

/* make the query, rewritten and with the stream marked */
static Query *
make_query(ViewQuery *vq)
{
	Query	   *query = copyObject(vq->query);
	List	   *queries;
	TargetEntry *id;
	ListCell   *lc;

	/* this looks at columns of joins, before the window is removed */
	AcquireRewriteLocks(query, true, false);

	query->hasAggs = false;
	query->groupClause = NIL;
	query->havingQual = NULL;
	query->jointree = castNode(FromExpr, remove_window(vq, (Node *) query->jointree));
	forget_others(query);
	id = makeTargetEntry(query_message_order(vq->source_rti), 1, pstrdup("msg_id"), false);
	query->targetList = list_make1(id);
	foreach(lc, vq->columns)
	{
		AttrNumber	resno = foreach_current_index(lc) + 2;

		query->targetList = lappend(query->targetList,
									makeTargetEntry(copyObject(lfirst(lc)), resno,
													psprintf("column_%d", resno), false));
	}

	queries = QueryRewrite(query);
	if (list_length(queries) != 1)
		elog(ERROR, "unexpected result of rewriting a SELECT");
	query = linitial_node(Query, queries);
	(void) query_mark_source(query, vq->source);
	return query;
}

static void
plan_for(ViewJoin *join, double nrows)
{
	MemoryContext old = MemoryContextSwitchTo(join->context);

	join->plan = query_plan(make_query(join->vq), join->text, nrows);
	join->planned_rows = nrows;
	MemoryContextSwitchTo(old);
}

ViewJoin *
view_join_prepare(ViewQuery *vq, const char *text)
{
	ViewJoin   *join = palloc0(sizeof(ViewJoin));

	join->vq = vq;
	join->text = text;

	join->context = CurrentMemoryContext;
	plan_for(join, 1000);
	query_check_relations(join->plan);
	return join;
}

void
view_join_execute(ViewJoin *join, QueryRows *rows, DestReceiver *receiver)
{
	double		n = (double) query_rows_count(rows);

	if (n > join->planned_rows * REPLAN_FACTOR || n < join->planned_rows / REPLAN_FACTOR)
		plan_for(join, n);
	(void) query_run(join->plan, join->text, rows, receiver);
}
