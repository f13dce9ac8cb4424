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

/* ---- the FROM clause ---- */

typedef struct FromState
{
	Query	   *query;
	Index		source_rti;
	Index		window_rti;
	List	   *quals;
} FromState;

/* add a table in FROM, which must be the stream */
static void
add_source(FromState *from, Index rti, RangeTblEntry *rte)
{
	Relation	rel;
	bool		is_stream;
	bool		is_permanent;
	char	   *hint;

	rel = table_open(rte->relid, AccessShareLock);
	is_stream = log_is_stream(rel);
	is_permanent = RelationIsPermanent(rel);
	hint = is_stream || !rel->rd_rel->relhassubclass ? NULL : log_not_a_stream_hint(rel);
	table_close(rel, NoLock);

	if (from->source_rti != 0)
	{
		if (is_stream)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("continuous view cannot read more than one stream"),
					 errdetail("The query reads \"%s\" and \"%s\".",
							   get_rel_name(rt_fetch(from->source_rti, from->query->rtable)->relid),
							   get_rel_name(rte->relid)),
					 errhint("Create one continuous view for each stream, or copy the messages into one stream.")));
		view_refuse("a join with a table",
					"Join the table when you read the view, or in a pipe whose target the view reads.");
	}
	if (!is_stream)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream", get_rel_name(rte->relid)),
				 hint ? errhint("%s", hint) :
				 errhint("A continuous view reads exactly one stream, a table created with USING streamq.")));

	/* after a crash its offsets start at 0 again, below the job's position */
	if (!is_permanent)
		view_refuse("an unlogged stream", "Create the stream without UNLOGGED.");
	if (rte->tablesample)
		view_refuse("TABLESAMPLE", NULL);
	if (rte->inh && has_subclass(rte->relid))
		view_refuse("a stream with child tables", "Write ONLY before its name.");
	from->source_rti = rti;
}

static void
add_window(FromState *from, Index rti, RangeTblEntry *rte)
{
	RangeTblFunction *rtfunc;
	FuncExpr   *func;

	if (list_length(rte->functions) != 1)
		view_refuse("ROWS FROM with several functions", NULL);
	if (rte->funcordinality)
		view_refuse("WITH ORDINALITY", NULL);
	rtfunc = linitial_node(RangeTblFunction, rte->functions);
	func = (FuncExpr *) rtfunc->funcexpr;

	if (!IsA(func, FuncExpr) || view_window_find_kind(func->funcid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use function \"%s\" in FROM of a continuous view",
						IsA(func, FuncExpr) ? get_func_name(func->funcid) : rte->eref->aliasname),
				 errhint("Only the window functions of streamq, such as streamq.tumble(), can be used there.")));
	if (from->window_rti != 0)
		view_refuse("more than one window function", NULL);
	from->window_rti = rti;
}

/* collect the relations in FROM, and the conditions of WHERE and joins */
static void
walk_jointree(FromState *from, Node *node)
{
	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *f = (FromExpr *) node;
		ListCell   *lc;

		foreach(lc, f->fromlist)
			walk_jointree(from, lfirst(lc));
		if (f->quals)
			from->quals = lappend(from->quals, f->quals);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *j = (JoinExpr *) node;

		walk_jointree(from, j->larg);
		walk_jointree(from, j->rarg);
		if (j->jointype != JOIN_INNER)
			view_refuse("an outer join", NULL);
		if (j->quals)
			from->quals = lappend(from->quals, j->quals);
	}
	else
	{
		Index		rti = castNode(RangeTblRef, node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, from->query->rtable);

		switch (rte->rtekind)
		{
			case RTE_RELATION:
				add_source(from, rti, rte);
				break;
			case RTE_FUNCTION:
				add_window(from, rti, rte);
				break;
			case RTE_SUBQUERY:
				view_refuse("a subquery", "Use it in a pipe whose target the view reads.");
				break;
			case RTE_VALUES:
				view_refuse("VALUES", NULL);
				break;
			default:
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot use \"%s\" in FROM of a continuous view",
								rte->eref->aliasname),
						 errhint("FROM must name one stream, which a window function can follow.")));
		}
	}
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
	if (!contain_vars_of_level((Node *) vq->event_time, 0))
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

		if (!view_trunc_match(expr, trunc, &vq->event_time))
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
}


Bitmapset *
view_source_columns(const ViewQuery *vq)
{
	Bitmapset  *attrs = NULL;

	pull_varattnos((Node *) vq->query->targetList, vq->source_rti, &attrs);
	pull_varattnos(vq->query->havingQual, vq->source_rti, &attrs);
	pull_varattnos((Node *) vq->where, vq->source_rti, &attrs);
	pull_varattnos((Node *) vq->event_time, vq->source_rti, &attrs);
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

ViewQuery *
view_analyze(Query *query)
{
	ViewQuery  *vq = palloc0(sizeof(ViewQuery));
	FromState	from = {0};
	bool		has_window = false;
	ListCell   *lc;

	refuse_clauses(query);

	query = copyObject(query);
	query->targetList = (List *) flatten_group_vars(query, (Node *) query->targetList);
	query->havingQual = flatten_group_vars(query, query->havingQual);
	vq->query = query;

	from.query = query;
	walk_jointree(&from, (Node *) query->jointree);
	if (from.source_rti == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query of a continuous view must read from a stream")));
	vq->source_rti = from.source_rti;
	vq->source = rt_fetch(from.source_rti, query->rtable)->relid;
	vq->window_rti = from.window_rti;

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
	if (from.quals)
	{
		vq->where = (Expr *) make_ands_explicit(from.quals);
		view_check_row_expression(vq, (Node *) vq->where);
	}

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
	check_columns(vq);
	return vq;
}
