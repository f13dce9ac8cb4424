/*
 * row.c
 *	  Planner support of msg_id() and produced_at(): is it a row of the query they
 *	  are asked about?
 *
 * Called as streamq.produced_at(tableoid, ctid) they tell about a row which the query has
 * read, so whoever may run the query may know: of a view, with the rights of the view's
 * owner, and only of rows that row-level security lets pass.  With any other arguments they
 * would tell about every row there is.  Only the planner can see the difference; it marks
 * the first kind by an input collation, which a call of these functions never has otherwise.
 * Calls without the mark are for the caller to have the privilege (api/identity.c).
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "parser/parsetree.h"

#include "compat.h"
#include "stream/privilege.h"

static Var *
as_var(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node != NULL && IsA(node, Var) ? (Var *) node : NULL;
}

/* a column of the query's result, if the result's rows are rows of its FROM */
static Var *
output_var(Query *query, AttrNumber attno)
{
	TargetEntry *tle = query->setOperations == NULL ?
		get_tle_by_resno(query->targetList, attno) : NULL;

	return tle != NULL && !tle->resjunk ? as_var((Node *) tle->expr) : NULL;
}

static Query *
find_cte(Query *query, RangeTblEntry *rte)
{
	ListCell   *lc;

	if (rte->ctelevelsup > 0 || rte->self_reference)
		return NULL;
	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return cte->cterecursive || !IsA(cte->ctequery, Query) ?
				NULL : (Query *) cte->ctequery;
	}
	return NULL;
}

/*
 * Are these tableoid and ctid of one row of a table?  Both are followed together through
 * subqueries, so that at each step they belong to one row of the same range table entry.
 */
static bool
is_row(PlannerInfo *root, Node *tableoid, Node *ctid)
{
	Query	   *query = root->parse;
	Var		   *a = as_var(tableoid);
	Var		   *b = as_var(ctid);

	for (;;)
	{
		RangeTblEntry *rte;
		Query	   *sub;

		if (a == NULL || b == NULL || a->varno != b->varno || a->varlevelsup != b->varlevelsup)
			return false;
		for (Index level = a->varlevelsup; level > 0; level--)
		{
			/*
			 * a subquery that is not planned yet does not say what is around
			 * it
			 */
			if (query != root->parse || root->parent_root == NULL)
				return false;
			root = root->parent_root;
			query = root->parse;
		}
		if (a->varno < 1 || a->varno > list_length(query->rtable))
			return false;
		rte = rt_fetch(a->varno, query->rtable);

		if (rte->rtekind == RTE_RELATION)
			return (rte->relkind == RELKIND_RELATION || rte->relkind == RELKIND_PARTITIONED_TABLE) &&
				a->varattno == TableOidAttributeNumber &&
				b->varattno == SelfItemPointerAttributeNumber;
		if (COMPAT_RTE_IS_GROUP(rte))
		{
			a = as_var(COMPAT_GROUP_EXPR(rte, a->varattno));
			b = as_var(COMPAT_GROUP_EXPR(rte, b->varattno));
			continue;
		}
		sub = rte->rtekind == RTE_SUBQUERY ? rte->subquery :
			rte->rtekind == RTE_CTE ? find_cte(query, rte) : NULL;
		if (sub == NULL)
			return false;
		a = output_var(sub, a->varattno);
		b = output_var(sub, b->varattno);
		/* of a query around it: rare, and not followed */
		if (a == NULL || a->varlevelsup > 0)
			return false;
		query = sub;
	}
}

PG_FUNCTION_INFO_V1(streamq_row_identity_support);
Datum
streamq_row_identity_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request = (SupportRequestSimplify *) PG_GETARG_POINTER(0);
	FuncExpr   *call;

	if (!IsA(request, SupportRequestSimplify) || request->root == NULL)
		PG_RETURN_POINTER(NULL);
	call = request->fcall;
	if (list_length(call->args) != 2 || call->inputcollid == STREAM_OWN_ROW ||
		!is_row(request->root, linitial(call->args), lsecond(call->args)))
		PG_RETURN_POINTER(NULL);

	call = copyObject(call);
	call->inputcollid = STREAM_OWN_ROW;
	PG_RETURN_POINTER(call);
}
