/*
 * hooks.c
 *	  What streams refuse, and what goes when one is dropped.
 *
 * Commands that streams cannot do are refused when they begin, so that the
 * answer does not depend on whether a row matches.  The access method refuses
 * them too, for those that do not come through the executor.  ON CONFLICT is
 * refused before it is planned: the planner would look for an index.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "api/api.h"
#include "compat.h"
#include "group/group.h"
#include "log/log.h"
#include "log/options.h"
#include "streamq.h"

static planner_hook_type prev_planner = NULL;
static ExecutorStart_hook_type prev_executor_start = NULL;
static object_access_hook_type prev_object_access = NULL;

/* ---- statements ---- */

/* the relation is locked by the statement that is about to begin */
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
	/* a partitioned table with streams below it has no index to look in */
	else if (rte->relkind == RELKIND_PARTITIONED_TABLE &&
			 query->onConflict->arbiterElems == NIL &&
			 !OidIsValid(query->onConflict->constraint))
		foreach(lc, find_all_inheritors(rte->relid, AccessShareLock, NULL))
			refuse_if_stream(lfirst_oid(lc), LOG_REFUSE_ON_CONFLICT);
}

static PlannedStmt *
api_planner(Query *parse, const char *query_string, int cursor_options,
			ParamListInfo params)
{
	ListCell   *lc;

	if (parse->commandType == CMD_INSERT && parse->onConflict != NULL)
		refuse_on_conflict(parse);
	if (parse->hasModifyingCTE)
	{
		foreach(lc, parse->cteList)
		{
			Query	   *query = castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery);

			if (query->commandType == CMD_INSERT && query->onConflict != NULL)
				refuse_on_conflict(query);
		}
	}

	if (prev_planner)
		return prev_planner(parse, query_string, cursor_options, params);
	return standard_planner(parse, query_string, cursor_options, params);
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
 * Foreign keys of a stream lock its rows FOR KEY SHARE when a referenced row
 * goes.  Rows of streams never change, so these locks have nothing to do.
 */
static bool
is_harmless_lock(RowMarkType mark)
{
	return mark == ROW_MARK_KEYSHARE &&
		DatumGetInt32(OidFunctionCall0(F_PG_TRIGGER_DEPTH)) > 0;
}

static void
check_plan(PlannedStmt *plan)
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

static void
api_executor_start(QueryDesc *queryDesc, int eflags)
{
	PlannedStmt *plan = queryDesc->plannedstmt;

	/* a parallel worker runs part of a plan that was looked at */
	if ((plan->resultRelations != NIL || plan->rowMarks != NIL) &&
		!IsParallelWorker())
		check_plan(plan);

	if (prev_executor_start)
		prev_executor_start(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

/* ---- objects ---- */

/*
 * A relation was made.  If it is an index (also that of a constraint), its row in
 * pg_index is there but not visible to ordinary lookups yet.
 */
static void
refuse_index_on_stream(Oid indexid)
{
	HeapTuple	tuple = base_row_by_oid(IndexRelationId, IndexRelidIndexId,
										Anum_pg_index_indexrelid, indexid);

	if (HeapTupleIsValid(tuple))
	{
		Relation	rel = relation_open(((Form_pg_index) GETSTRUCT(tuple))->indrelid, NoLock);

		if (log_is_stream(rel))
			log_refuse(RelationGetRelationName(rel), LOG_REFUSE_INDEX);
		relation_close(rel, NoLock);
		heap_freetuple(tuple);
	}
}

/*
 * streamq's own tables are changed behind the executor's back, so that a trigger or a
 * foreign key to them would miss it; a tool that follows a table by a trigger
 * while it copies it would put old rows back.
 */
static void
refuse_trigger_on_catalog(Oid triggerid)
{
	HeapTuple	tuple;
	Oid			relid;
	Oid			extension;

	if (creating_extension || IsBinaryUpgrade)
		return;
	tuple = base_row_by_oid(TriggerRelationId, TriggerOidIndexId,
							Anum_pg_trigger_oid, triggerid);
	if (!HeapTupleIsValid(tuple))
		return;
	relid = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
	heap_freetuple(tuple);
	if (get_rel_namespace(relid) != get_namespace_oid(STREAMQ_SCHEMA, true))
		return;
	extension = getExtensionOfObject(RelationRelationId, relid);
	if (OidIsValid(extension) && extension == get_extension_oid("streamq", true))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create a trigger on table \"%s\" of extension \"%s\"",
						get_rel_name(relid), "streamq"),
				 errdetail("The extension changes its tables without firing triggers."),
				 errhint("Leave the tables of the extension out; pg_repack does with --exclude-extension=streamq.")));
}

/*
 * A foreign key of a stream must not change its rows, whether it is made with the
 * table, added later or comes with a partition.
 */
static void
refuse_foreign_key_on_stream(Oid constraintid)
{
	HeapTuple	tuple = base_row_by_oid(ConstraintRelationId, ConstraintOidIndexId,
										Anum_pg_constraint_oid, constraintid);
	Form_pg_constraint key;

	if (!HeapTupleIsValid(tuple))
		return;
	key = (Form_pg_constraint) GETSTRUCT(tuple);
	if (key->contype == CONSTRAINT_FOREIGN && OidIsValid(key->conrelid))
	{
		Relation	rel = relation_open(key->conrelid, NoLock);

		if (log_is_stream(rel))
			log_check_foreign_key(key, false);
		relation_close(rel, NoLock);
	}
	heap_freetuple(tuple);
}

/*
 * A table became a child of another.  As a partition it would be published with
 * it, unlike a child by inheritance.
 */
static void
refuse_published_partition(Oid relid, Oid parent)
{
	ListCell   *lc;

	if (get_rel_relkind(parent) != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		Relation	rel = relation_open(lfirst_oid(lc), NoLock);

		if (log_is_stream(rel))
			log_check_partition(rel, parent);
		relation_close(rel, NoLock);
	}
}

/* does the relation have an access method that could be ours? */
static bool
may_be_stream(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_class) GETSTRUCT(tuple))->relkind == RELKIND_RELATION &&
		((Form_pg_class) GETSTRUCT(tuple))->relam != HEAP_TABLE_AM_OID;
	ReleaseSysCache(tuple);
	return result;
}

/* a column is added, changed or about to be dropped; the command holds the lock */
static void
column_changed(Oid relid, AttrNumber attnum, bool dropped)
{
	Relation	rel = relation_open(relid, NoLock);

	if (log_is_stream(rel))
		options_column_changed(rel, attnum, dropped);
	relation_close(rel, NoLock);
}

/* a relation is about to be dropped; the command holds its lock */
static void
relation_dropped(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);

	if (log_is_stream(rel))
	{
		log_note_dropped(rel);
		group_stream_dropped(relid);
		options_delete(relid);
		log_plan_forget(relid);
	}
	relation_close(rel, NoLock);
}

/*
 * ALTER TABLE rewrites a table by exchanging its contents, and its access
 * method, with those of a transient one, which has this name.
 */
static bool
is_transient(Relation rel)
{
	unsigned int oid;
	char		end;

	return sscanf(RelationGetRelationName(rel), "pg_temp_%u%c", &oid, &end) == 1;
}

/*
 * A relation's row in pg_class was changed by the running command, which the
 * relation cache does not show yet.
 */
static void
refuse_other_access_method(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);

	if (log_is_stream(rel) && !is_transient(rel))
	{
		HeapTuple	tuple = base_row_by_oid(RelationRelationId, ClassOidIndexId,
											Anum_pg_class_oid, relid);

		if (HeapTupleIsValid(tuple) &&
			((Form_pg_class) GETSTRUCT(tuple))->relam != rel->rd_rel->relam)
			log_refuse(RelationGetRelationName(rel), LOG_REFUSE_ACCESS_METHOD);
	}
	relation_close(rel, NoLock);
}

static void
api_object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);

	if (classId == TriggerRelationId && access == OAT_POST_CREATE)
		refuse_trigger_on_catalog(objectId);
	if (classId == ExtensionRelationId && access == OAT_POST_CREATE && !IsBinaryUpgrade)
		api_check_extension_schema(objectId);
	if (classId == ConstraintRelationId && access == OAT_POST_CREATE)
		refuse_foreign_key_on_stream(objectId);
	if (classId == InheritsRelationId && access == OAT_POST_ALTER)
		refuse_published_partition(objectId, ((ObjectAccessPostAlter *) arg)->auxiliary_id);
	if (classId != RelationRelationId)
		return;
	switch (access)
	{
		case OAT_POST_CREATE:
			if (subId == 0)
				refuse_index_on_stream(objectId);
			else if (may_be_stream(objectId))
				column_changed(objectId, subId, false);
			break;
		case OAT_DROP:
			if (!may_be_stream(objectId))
				break;
			if (subId == 0)
				relation_dropped(objectId);
			else
				column_changed(objectId, subId, true);
			break;
		case OAT_POST_ALTER:
			if (!may_be_stream(objectId))
				break;
			if (subId == 0)
				refuse_other_access_method(objectId);
			else
				column_changed(objectId, subId, false);
			break;
		default:
			break;
	}
}

void
api_init(void)
{
	prev_planner = planner_hook;
	planner_hook = api_planner;
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = api_executor_start;
	prev_object_access = object_access_hook;
	object_access_hook = api_object_access;
	api_vacuum_init();
	api_utility_init();
}
