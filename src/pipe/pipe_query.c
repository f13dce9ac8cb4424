/*
 * pipe_query.c
 *	  Checking the query of a pipe.
 *
 * A pipe computes for each row of its stream, alone, which rows to write.  So
 * everything is refused that looks at several rows of the stream at once.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "job/job_define.h"
#include "log/log.h"
#include "pipe/pipe.h"
#include "pipe/pipe_internal.h"
#include "query/query.h"

static void
refuse(const char *what, const char *hint)
{
	job_refuse(PIPE_JOB_KIND, what, hint);
}

static bool
is_stream(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		result = log_is_stream(rel);

	table_close(rel, NoLock);
	return result;
}

static void
refuse_clauses(Query *query)
{
	if (query->setOperations)
		refuse("UNION, INTERSECT or EXCEPT", "Create a pipe for each part.");
	if (query->hasAggs || query->havingQual)
		refuse("aggregates", "Use streamq.create_continuous_view() to aggregate.");
	if (query->groupClause || query->groupingSets)
		refuse("GROUP BY", "Use streamq.create_continuous_view() to group rows.");
	if (query->hasWindowFuncs || query->windowClause)
		refuse("window functions with OVER", NULL);
	if (query->distinctClause || query->hasDistinctOn)
		refuse("DISTINCT", NULL);
	if (query->sortClause)
		refuse("ORDER BY", "A pipe writes rows in the order in which it reads them.");
	if (query->limitCount || query->limitOffset)
		refuse("LIMIT, OFFSET or FETCH", NULL);
	if (query->rowMarks)
		refuse("FOR UPDATE or FOR SHARE", NULL);
	if (query->hasModifyingCTE)
		refuse("INSERT, UPDATE or DELETE in WITH", NULL);
	if (isQueryUsingTempRelation(query))
		refuse("a temporary table", NULL);
	if (query->targetList == NIL)
		refuse("an empty select list", NULL);
}

/* ---- the stream ---- */

typedef struct FromState
{
	Query	   *query;
	Index		source_rti[2];
	bool		nullable[2];
	int			nsources;
} FromState;

static void
add_relation(FromState *from, Index rti, bool nullable)
{
	RangeTblEntry *rte = rt_fetch(rti, from->query->rtable);
	Relation	rel;

	if (rte->rtekind != RTE_RELATION || !is_stream(rte->relid))
		return;
	if (from->nsources == 2)
		refuse("more than two streams",
			   "Join two of them in one pipe, and its results with the third in another one.");
	from->nullable[from->nsources] = nullable;
	from->source_rti[from->nsources++] = rti;
	rel = table_open(rte->relid, NoLock);
	/* after a crash its offsets start at 0 again, below the job's position */
	if (!RelationIsPermanent(rel))
		refuse("an unlogged stream", "Create the stream without UNLOGGED.");
	table_close(rel, NoLock);
	if (rte->tablesample)
		refuse("TABLESAMPLE", NULL);
	if (rte->inh && has_subclass(rte->relid))
		refuse("a stream with child tables", "Write ONLY before its name.");
}

/* walk the FROM clause; nullable: the join may add rows of nulls here */
static void
walk_jointree(FromState *from, Node *node, bool nullable)
{
	check_stack_depth();
	if (IsA(node, FromExpr))
	{
		ListCell   *lc;

		foreach(lc, ((FromExpr *) node)->fromlist)
			walk_jointree(from, lfirst(lc), nullable);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		walk_jointree(from, join->larg, nullable || join->jointype == JOIN_RIGHT ||
					  join->jointype == JOIN_FULL);
		walk_jointree(from, join->rarg, nullable || join->jointype == JOIN_LEFT ||
					  join->jointype == JOIN_FULL);
	}
	else
		add_relation(from, castNode(RangeTblRef, node)->rtindex, nullable);
}

/* ---- streams in subqueries ---- */

static bool
refuse_streams_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_RELATION &&
			is_stream(rte->relid))
			refuse("a subquery that reads a stream",
				   "Put the stream into the FROM clause of the query itself.");
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, refuse_streams_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, refuse_streams_walker, context);
}

static void
refuse_streams_below(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY)
			(void) refuse_streams_walker((Node *) rte->subquery, NULL);
		(void) refuse_streams_walker((Node *) rte->functions, NULL);
		(void) refuse_streams_walker((Node *) rte->values_lists, NULL);
	}
	foreach(lc, query->cteList)
		(void) refuse_streams_walker(lfirst_node(CommonTableExpr, lc)->ctequery, NULL);
	(void) refuse_streams_walker((Node *) query->targetList, NULL);
	(void) refuse_streams_walker((Node *) query->jointree, NULL);
}

static void
check_columns(Query *query, Index source_rti)
{
	Bitmapset  *attrs = NULL;
	int			x = -1;

	pull_varattnos((Node *) query->targetList, source_rti, &attrs);
	pull_varattnos((Node *) query->jointree, source_rti, &attrs);
	while ((x = bms_next_member(attrs, x)) >= 0)
	{
		AttrNumber	attno = x + FirstLowInvalidHeapAttributeNumber;

		if (attno < 0 && attno != SelfItemPointerAttributeNumber &&
			attno != TableOidAttributeNumber)
			refuse("this system column", "Streams have \"ctid\" and \"tableoid\" only.");
	}
}

int
pipe_check_query(Query *query, Oid *streams)
{
	FromState	from = {.query = query};
	RangeTblEntry *rte;

	refuse_clauses(query);
	refuse_streams_below(query);
	walk_jointree(&from, (Node *) query->jointree, false);
	if (from.nsources == 0)
	{
		rte = query->rtable ? linitial_node(RangeTblEntry, query->rtable) : NULL;
		if (rte && rte->rtekind == RTE_RELATION && list_length(query->rtable) == 1)
		{
			Relation	rel = table_open(rte->relid, NoLock);

			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a stream", get_rel_name(rte->relid)),
					 errhint("%s", log_not_a_stream_hint(rel))));
		}
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("query of a pipe must read from a stream")));
	}
	if (from.nsources == 1 && from.nullable[0])
		refuse("an outer join that keeps rows of a table without a message",
			   "Put the stream on the left side of a LEFT JOIN.");
	for (int i = 0; i < from.nsources; i++)
	{
		check_columns(query, from.source_rti[i]);
		streams[i] = rt_fetch(from.source_rti[i], query->rtable)->relid;
	}
	return from.nsources;
}
