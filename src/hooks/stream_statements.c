/*
 * stream_statements.c
 *	  Statements that streams refuse.
 *
 * Statements that streams cannot execute are refused when they begin, so that
 * the result does not depend on whether a row matches.  The access method
 * refuses them, too, for callers other than the executor.  ON CONFLICT is
 * refused before it is planned, because the planner would look for an index.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "hooks/hooks_internal.h"
#include "log/log.h"

/* the statement holds a lock on the relation */
static void
refuse_if_stream(Oid relid, LogRefusal what)
{
	Relation	rel = relation_open(relid, NoLock);

	if (log_is_stream(rel))
		log_refuse(RelationGetRelationName(rel), what);
	relation_close(rel, NoLock);
}

static void
refuse_result_relations(PlannedStmt *plan, List *relations, LogRefusal what)
{
	ListCell   *lc;

	foreach(lc, relations)
		refuse_if_stream(rt_fetch(lfirst_int(lc), plan->rtable)->relid, what);
}

static void
refuse_on_conflict(Query *query)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	ListCell   *lc;

	if (rte->relkind == RELKIND_RELATION)
		refuse_if_stream(rte->relid, LOG_REFUSE_ON_CONFLICT);
	/* a partitioned table whose partitions are streams has no unique index */
	else if (rte->relkind == RELKIND_PARTITIONED_TABLE &&
			 query->onConflict->arbiterElems == NIL &&
			 !OidIsValid(query->onConflict->constraint))
		foreach(lc, find_all_inheritors(rte->relid, AccessShareLock, NULL))
			refuse_if_stream(lfirst_oid(lc), LOG_REFUSE_ON_CONFLICT);
}

void
hooks_check_query(Query *query)
{
	ListCell   *lc;

	if (query->commandType == CMD_INSERT && query->onConflict != NULL)
		refuse_on_conflict(query);
	if (query->hasModifyingCTE)
	{
		foreach(lc, query->cteList)
		{
			Query	   *part = castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery);

			if (part->commandType == CMD_INSERT && part->onConflict != NULL)
				refuse_on_conflict(part);
		}
	}
}

static void
check_modify_table(PlannedStmt *plan, ModifyTable *modify)
{
	switch (modify->operation)
	{
		case CMD_UPDATE:
			refuse_result_relations(plan, modify->resultRelations, LOG_REFUSE_UPDATE);
			break;
		case CMD_DELETE:
			refuse_result_relations(plan, modify->resultRelations, LOG_REFUSE_DELETE);
			break;
		case CMD_MERGE:
			refuse_result_relations(plan, modify->resultRelations, LOG_REFUSE_MERGE);
			break;
		default:
			break;
	}
}

/*
 * When a referenced row is deleted, the trigger of a foreign key locks the
 * stream's rows FOR KEY SHARE.  Rows of streams never change, so such a lock is
 * not needed.
 */
static bool
is_harmless_lock(RowMarkType mark)
{
	return mark == ROW_MARK_KEYSHARE &&
		DatumGetInt32(OidFunctionCall0(F_PG_TRIGGER_DEPTH)) > 0;
}

void
hooks_check_plan(PlannedStmt *plan)
{
	ListCell   *lc;

	if (plan->resultRelations != NIL)
	{
		if (IsA(plan->planTree, ModifyTable))
			check_modify_table(plan, (ModifyTable *) plan->planTree);
		if (plan->hasModifyingCTE)
		{
			foreach(lc, plan->subplans)
			{
				Plan	   *subplan = lfirst(lc);

				if (subplan != NULL && IsA(subplan, ModifyTable))
					check_modify_table(plan, (ModifyTable *) subplan);
			}
		}
	}

	foreach(lc, plan->rowMarks)
	{
		PlanRowMark *mark = lfirst_node(PlanRowMark, lc);
		RangeTblEntry *rte;

		if (mark->isParent || !RowMarkRequiresRowShareLock(mark->markType))
			continue;
		rte = rt_fetch(mark->rti, plan->rtable);
		if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_RELATION &&
			!is_harmless_lock(mark->markType))
			refuse_if_stream(rte->relid, LOG_REFUSE_LOCK);
	}
}
