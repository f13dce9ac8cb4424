/*
 * row.c
 *	  Planner support function of msg_id() and produced_at().
 *
 * A call such as streamq.produced_at(tableoid, ctid) asks about a row that the
 * query has read.  Nobody learns anything by it: the executor has checked the
 * privileges of the user, or of the view's owner, and row-level security has
 * been applied.  With any other arguments the functions could be asked about
 * any row, so the caller needs the privilege to read all rows of the stream.
 *
 * Only the planner can tell the two apart.  This support function marks calls of
 * the first kind with an input collation (STREAM_OWN_ROW), which a call of
 * these functions cannot have otherwise.  Calls without the mark check
 * privileges (sql/identity.c).
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

/* the Var behind an output column of a query, NULL if it is not a plain column */
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
 * Are these tableoid and ctid of one row of a table?  Both are followed
 * through subqueries together: at each step they must be columns of the same
 * range table entry, and so of the same row.
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
			 * A subquery that has not been planned yet has no link to its
			 * outer query.
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
		/* a column of an outer query: rare, so it is not followed */
		if (a == NULL || a->varlevelsup > 0)
			return false;
		query = sub;
	}
}

/*
 * row_identity_support(internal) internal
 *
 * Support function of msg_id(tableoid, ctid) and produced_at(tableoid, ctid).
 */
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
