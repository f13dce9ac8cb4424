/*
 * analyze_from.c
 *	  The FROM clause of the query of a continuous view: the stream, its window
 *	  function, and ordinary tables that are joined with it.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "log/log.h"
#include "view/analyze.h"
#include "view/analyze_internal.h"
#include "view/window.h"

typedef struct FromState
{
	ViewQuery  *vq;
	Query	   *query;
	List	   *quals;			/* conditions that decide which rows there are */
	const char *not_a_stream;	/* hint about the first table; NULL: none */
} FromState;

static void
add_stream(FromState *from, Index rti, RangeTblEntry *rte, bool nullable, bool is_permanent)
{
	ViewQuery  *vq = from->vq;

	if (vq->source_rti != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("continuous view cannot read more than one stream"),
				 errdetail("The query reads \"%s\" and \"%s\".",
						   get_rel_name(vq->source), get_rel_name(rte->relid)),
				 errhint("Create one continuous view for each stream, or copy the messages into one stream.")));

	/* after a crash its offsets start at 0 again, below the job's position */
	if (!is_permanent)
		view_refuse("an unlogged stream", "Create the stream without UNLOGGED.");
	if (rte->tablesample)
		view_refuse("TABLESAMPLE", NULL);
	if (rte->inh && has_subclass(rte->relid))
		view_refuse("a stream with child tables", "Write ONLY before its name.");
	if (nullable)
		view_refuse("an outer join that keeps rows of a table without a message",
					"Put the stream on the left side of a LEFT JOIN.");
	vq->source_rti = rti;
	vq->source = rte->relid;
}

/* add the stream, or a table or view that is joined with it */
static void
add_relation(FromState *from, Index rti, RangeTblEntry *rte, bool nullable)
{
	Relation	rel = table_open(rte->relid, AccessShareLock);
	bool		is_stream = log_is_stream(rel);
	bool		is_permanent = RelationIsPermanent(rel);
	bool		is_temporary = rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP;

	if (!is_stream && from->not_a_stream == NULL)
		from->not_a_stream = rel->rd_rel->relhassubclass ? log_not_a_stream_hint(rel) :
			"A continuous view reads exactly one stream, a table created with USING streamq.";
	table_close(rel, NoLock);

	if (is_stream)
	{
		add_stream(from, rti, rte, nullable, is_permanent);
		return;
	}
	if (is_temporary)
		view_refuse("a temporary table", NULL);
	if (rte->tablesample)
		view_refuse("TABLESAMPLE", NULL);
	from->vq->tables = lappend_int(from->vq->tables, rti);
}

static void
add_window(FromState *from, Index rti, RangeTblEntry *rte, bool nullable)
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
	if (from->vq->window_rti != 0)
		view_refuse("more than one window function", NULL);
	if (nullable)
		view_refuse("an outer join with a window function", NULL);
	from->vq->window_rti = rti;
}

static void
add_item(FromState *from, Index rti, bool nullable)
{
	RangeTblEntry *rte = rt_fetch(rti, from->query->rtable);

	switch (rte->rtekind)
	{
		case RTE_RELATION:
			add_relation(from, rti, rte, nullable);
			break;
		case RTE_FUNCTION:
			add_window(from, rti, rte, nullable);
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
					 errhint("FROM must name one stream, which a window function and tables can follow.")));
	}
}

/*
 * Collect the relations in FROM, and the conditions of WHERE and joins.
 * nullable: an outer join may add rows of nulls here.
 */
static void
walk_jointree(FromState *from, Node *node, bool nullable)
{
	check_stack_depth();
	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *f = (FromExpr *) node;
		ListCell   *lc;

		foreach(lc, f->fromlist)
			walk_jointree(from, lfirst(lc), nullable);
		if (f->quals)
			from->quals = lappend(from->quals, f->quals);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *j = (JoinExpr *) node;
		bool		outer = j->jointype != JOIN_INNER;

		walk_jointree(from, j->larg, nullable || (outer && j->jointype != JOIN_LEFT));
		walk_jointree(from, j->rarg, nullable || (outer && j->jointype != JOIN_RIGHT));
		if (j->quals == NULL)
			return;
		if (outer || nullable)
			from->vq->outer_quals = lappend(from->vq->outer_quals, j->quals);
		else
			from->quals = lappend(from->quals, j->quals);
	}
	else
		add_item(from, castNode(RangeTblRef, node)->rtindex, nullable);
}

void
view_find_relations(ViewQuery *vq)
{
	FromState	from = {.vq = vq, .query = vq->query};

	walk_jointree(&from, (Node *) vq->query->jointree, false);
	if (vq->source_rti == 0 && vq->tables)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream",
						get_rel_name(rt_fetch(linitial_int(vq->tables),
											  vq->query->rtable)->relid)),
				 errhint("%s", from.not_a_stream)));
	if (vq->source_rti == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query of a continuous view must read from a stream")));
	if (from.quals)
		vq->where = (Expr *) make_ands_explicit(from.quals);
}
