/*
 * analyze.c
 *	  Analyzing the query of a continuous view: finding stream, window, keys
 *	  and aggregates, and refusing queries whose result cannot be kept up to
 *	  date.
 *
 * PostgreSQL's own parser analyzes the text.  So names, types, overloaded
 * functions and collations mean the same as in the query run by hand.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "job/job_define.h"
#include "log/log.h"
#include "view/analyze.h"
#include "view/analyze_internal.h"
#include "view/joined.h"
#include "view/latest.h"
#include "view/trunc.h"
#include "view/view.h"
#include "view/window.h"

/* most windows of a row, and of one that is processed once for each of them */
#define MAX_WINDOWS				1000000
#define MAX_UNSLICED_WINDOWS	1000

void
view_refuse(const char *what, const char *hint)
{
	job_refuse(VIEW_JOB_KIND, what, hint);
}

Query *
view_parse_query(const char *text)
{
	return job_parse_query(text, VIEW_JOB_KIND,
						   "Write SELECT ... FROM a stream, with GROUP BY or aggregates.");
}

/* analyze the call of the window function */
static void
analyze_window(ViewQuery *vq)
{
	RangeTblEntry *rte = rt_fetch(vq->window_rti, vq->query->rtable);
	RangeTblFunction *rtfunc = linitial_node(RangeTblFunction, rte->functions);
	FuncExpr   *func;

	/* this adds defaults, orders named arguments, and folds constants */
	func = castNode(FuncExpr, eval_const_expressions(NULL, copyObject(rtfunc->funcexpr)));
	vq->event_time = linitial(func->args);
	/* a date is its midnight */
	if (exprType((Node *) vq->event_time) == DATEOID)
		vq->event_time = (Expr *) makeFuncExpr(F_TIMESTAMP_DATE, TIMESTAMPOID,
											   list_make1(vq->event_time), InvalidOid,
											   InvalidOid, COERCE_EXPLICIT_CAST);
	vq->event_type = exprType((Node *) vq->event_time);
	vq->windowed = true;
	vq->window.kind = view_window_find_kind(func->funcid);
	vq->window_args = list_copy_tail(func->args, 1);
	vq->window.kind->take_arguments(&vq->window, vq->window_args);
	if (!contain_vars_of_level((Node *) vq->event_time, 0) ||
		view_uses_tables(vq, (Node *) vq->event_time))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("event time of a continuous view must come from the stream"),
				 errhint("Give the window function a column of the stream.")));
}

/*
 * Windows that overlap are kept in slices.  This is not possible if a row has
 * another meaning in each of its windows: then it is processed once for each.
 */
static void
choose_slices(ViewQuery *vq)
{
	if (vq->window.kind->find_slice == NULL)
		return;
	if (vq->window.max_windows > MAX_WINDOWS)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of a continuous view cannot be in more than %d windows", MAX_WINDOWS),
				 errdetail("A row is in up to %lld windows.", (long long) vq->window.max_windows)));
	vq->sliced = !view_rows_use_window(vq);
	vq->merged = vq->sliced;
	if (!vq->sliced && vq->window.max_windows > MAX_UNSLICED_WINDOWS)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use columns of the window in expressions over rows that are in more than %d windows",
						MAX_UNSLICED_WINDOWS),
				 errdetail("A row is in up to %lld windows.", (long long) vq->window.max_windows),
				 errhint("Use them in GROUP BY, in the select list or in HAVING.")));
}

/*
 * Without a window function, the first GROUP BY expression that cuts time gives
 * the windows.  It is a key like the others, too.
 */
static void
find_truncation(ViewQuery *vq)
{
	ViewTrunc  *trunc = view_trunc_create();
	ListCell   *lc;

	foreach(lc, vq->query->groupClause)
	{
		Node	   *expr = get_sortgroupclause_expr(lfirst(lc), vq->query->targetList);

		if (!view_trunc_match(expr, trunc, &vq->event_time) ||
			view_uses_tables(vq, (Node *) vq->event_time))
			continue;
		vq->windowed = true;
		vq->window.kind = &view_truncated;
		vq->window.trunc = trunc;
		vq->window_start = view_trunc_start(trunc, (Expr *) expr);
		vq->event_type = view_trunc_type(trunc);
		return;
	}
	vq->event_time = NULL;
}

/* GROUP BY must tell windows apart */
static void
check_grouping(ViewQuery *vq, bool has_window)
{
	ListCell   *lc;

	if (vq->window_rti == 0)
		return;
	if (!has_window)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("GROUP BY of a continuous view over windows must contain the window"),
				 errhint("Add window_start or window_end to GROUP BY.")));
	if (!vq->window.kind->same_start)
		return;
	foreach(lc, vq->query->groupClause)
	{
		Var		   *var = (Var *) get_sortgroupclause_expr(lfirst(lc), vq->query->targetList);

		if (IsA(var, Var) && var->varno == vq->window_rti && var->varattno == WINDOW_END_ATTNO)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("GROUP BY of a continuous view over cumulating windows must contain window_end"),
			 errdetail("Several windows have the same start.")));
}

static void
refuse_clauses(Query *query)
{
	if (query->setOperations)
		view_refuse("UNION, INTERSECT or EXCEPT", NULL);
	if (query->cteList)
		view_refuse("WITH", NULL);
	if (query->hasSubLinks)
		view_refuse("a subquery", "Use it in a pipe whose target the view reads.");
	if (query->hasWindowFuncs || query->windowClause)
		view_refuse("window functions with OVER", "Use them when you read the view.");
	if (query->hasTargetSRFs)
		view_refuse("set-returning functions in the select list", NULL);
	if (query->distinctClause || query->hasDistinctOn)
		view_refuse("DISTINCT", "Use GROUP BY.");
	if (query->groupingSets)
		view_refuse("GROUPING SETS, CUBE or ROLLUP", "Create one continuous view for each grouping.");
	/* GROUP BY does not set sortClause, so this is an ORDER BY */
	if (query->sortClause)
		view_refuse("ORDER BY", "Order the rows when you read the view.");
	if (query->limitCount || query->limitOffset)
		view_refuse("LIMIT, OFFSET or FETCH", "Limit the rows when you read the view.");
	if (query->rowMarks)
		view_refuse("FOR UPDATE or FOR SHARE", NULL);
	/* the parser has found a primary key in GROUP BY */
	if (query->constraintDeps)
		view_refuse("a column that is not in GROUP BY", "Add it to GROUP BY.");
}

Bitmapset *
view_source_columns(const ViewQuery *vq)
{
	Bitmapset  *attrs = NULL;

	pull_varattnos((Node *) vq->query->targetList, vq->source_rti, &attrs);
	pull_varattnos(vq->query->havingQual, vq->source_rti, &attrs);
	pull_varattnos((Node *) vq->where, vq->source_rti, &attrs);
	pull_varattnos((Node *) vq->event_time, vq->source_rti, &attrs);
	pull_varattnos((Node *) vq->outer_quals, vq->source_rti, &attrs);
	return attrs;
}

/* refuse columns that are computed when read: rows of the stream lack them */
static void
check_columns(ViewQuery *vq)
{
	Relation	rel = table_open(vq->source, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	Bitmapset  *attrs = view_source_columns(vq);
	int			x = -1;

	while ((x = bms_next_member(attrs, x)) >= 0)
	{
		AttrNumber	attno = x + FirstLowInvalidHeapAttributeNumber;

		if (attno > 0 && TupleDescAttr(desc, attno - 1)->attgenerated == 'v')
			view_refuse("a virtual generated column", "Write its expression instead.");
	}
	table_close(rel, NoLock);
}

/* replace columns of joins by those of their tables */
static void
flatten_joins(Query *query)
{
	ListCell   *lc;

	query->targetList = (List *) COMPAT_FLATTEN_JOIN_VARS(query, (Node *) query->targetList);
	query->havingQual = COMPAT_FLATTEN_JOIN_VARS(query, query->havingQual);
	query->jointree = (FromExpr *) COMPAT_FLATTEN_JOIN_VARS(query, (Node *) query->jointree);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		rte->functions = (List *) COMPAT_FLATTEN_JOIN_VARS(query, (Node *) rte->functions);
	}
}

ViewQuery *
view_analyze(Query *query)
{
	ViewQuery  *vq = palloc0(sizeof(ViewQuery));
	bool		has_window = false;
	ListCell   *lc;

	refuse_clauses(query);

	query = copyObject(query);
	query->targetList = (List *) flatten_group_vars(query, (Node *) query->targetList);
	query->havingQual = flatten_group_vars(query, query->havingQual);
	flatten_joins(query);
	vq->query = query;

	view_find_relations(vq);

	if (!query->hasAggs && query->groupClause == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query of a continuous view must have GROUP BY or aggregates"),
				 errhint("Use an ordinary view to show single rows of a stream.")));

	if (vq->window_rti != 0)
	{
		analyze_window(vq);
		view_check_row_expression(vq, (Node *) vq->event_time);
	}
	view_check_row_expression(vq, (Node *) vq->where);
	view_check_row_expression(vq, (Node *) vq->outer_quals);

	if (vq->window_rti != 0)
		choose_slices(vq);
	else
		find_truncation(vq);
	foreach(lc, query->groupClause)
		view_add_group_expression(vq, lfirst_node(SortGroupClause, lc), &has_window);
	check_grouping(vq, has_window);
	vq->single_group = query->groupClause == NIL;

	view_collect_aggregates(vq, (Node *) query->targetList);
	view_collect_aggregates(vq, query->havingQual);
	view_refuse_volatile((Node *) query->targetList);
	view_refuse_volatile(query->havingQual);
	view_find_latest(vq);
	check_columns(vq);
	if (vq->tables)
		view_join_choose_columns(vq);
	return vq;
}
