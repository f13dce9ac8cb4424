/*
 * run.c
 *	  Planning and running queries over the rows of a round.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/planner.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "query/query.h"
#include "query/query_internal.h"

PlannedStmt *
query_plan(Query *query, const char *text, double nrows)
{
	PlannedStmt *plan = NULL;

	query_set_planned_rows(Max(nrows, 1));
	PG_TRY();
	{
		/* the rows are in this process, so no parallel plan */
		plan = pg_plan_query(query, text, 0, NULL);
	}
	PG_FINALLY();
	{
		query_set_planned_rows(0);
	}
	PG_END_TRY();
	return plan;
}

void
query_check_relations(PlannedStmt *plan)
{
	ListCell   *lc;

	(void) COMPAT_CHECK_PERMISSIONS(plan);
	foreach(lc, plan->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		Relation	rel;
		bool		populated;

		if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_MATVIEW)
			continue;
		rel = table_open(rte->relid, NoLock);
		populated = RelationIsPopulated(rel);
		table_close(rel, NoLock);
		if (!populated)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("materialized view \"%s\" has not been populated",
							get_rel_name(rte->relid)),
					 errhint("Use the REFRESH MATERIALIZED VIEW command.")));
	}
}

uint64
query_run(PlannedStmt *plan, const char *text, QueryRows *rows, DestReceiver *dest)
{
	QueryDesc  *desc;
	uint64		processed;

	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	desc = CreateQueryDesc(plan, text, GetActiveSnapshot(), InvalidSnapshot, dest, NULL, NULL, 0);
	query_set_starting_rows(rows);
	PG_TRY();
	{
		ExecutorStart(desc, 0);
	}
	PG_FINALLY();
	{
		query_set_starting_rows(NULL);
	}
	PG_END_TRY();
	COMPAT_EXECUTOR_RUN(desc);
	processed = desc->estate->es_processed;
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	CommandCounterIncrement();
	return processed;
}

void
query_check_row_security(Oid stream, Oid role, const char *kind)
{
	int			result = check_enable_rls(stream, role, true);

	if (result != RLS_NONE && result != RLS_NONE_ENV)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot read stream \"%s\" under row-level security", kind,
						get_rel_name(stream))));
}
