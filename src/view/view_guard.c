/*
 * view_guard.c
 *	  Refusing changes of continuous views by users.
 *
 * A statement that changes the view is refused after parsing.  The rewriter
 * would turn it into a statement on the state table, and the error would name
 * that table.
 *
 * A rule, or a row lock in a subquery, is refused when the plan starts, before
 * the executor checks privileges on the state table.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "base/loaded.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "view/keyhash.h"
#include "view/state_table.h"
#include "view/view_guard.h"

/* ---- statements ---- */

static bool
is_continuous_view(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_VIEW && job_may_have_target(relid) &&
		job_is_view(relid);
}

void
view_guard_refuse_change(Oid view)
{
	JobRow		job;

	if (job_find_by_target(view, &job) && job.name)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change rows of %s \"%s\"", job.kind, job.name)));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot change continuous view \"%s\"", get_rel_name(view)),
			 errdetail("Its rows are computed from its stream.")));
}

static void
refuse_lock(Oid view)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot lock rows in continuous view \"%s\"", get_rel_name(view)),
			 errdetail("Its rows are computed from its stream."),
			 errhint("Leave the locking clause out.")));
}

/* did a user create an INSTEAD OF trigger for the command? */
static bool
has_instead_trigger(Oid view, CmdType command)
{
	Relation	rel = table_open(view, NoLock);
	TriggerDesc *triggers = rel->trigdesc;
	bool		result = false;

	if (triggers != NULL)
		result = (command == CMD_INSERT && triggers->trig_insert_instead_row) ||
			(command == CMD_UPDATE && triggers->trig_update_instead_row) ||
			(command == CMD_DELETE && triggers->trig_delete_instead_row) ||
			(command == CMD_MERGE && (triggers->trig_insert_instead_row ||
									  triggers->trig_update_instead_row ||
									  triggers->trig_delete_instead_row));
	table_close(rel, NoLock);
	return result;
}

static void
check_target(Query *query)
{
	RangeTblEntry *rte;

	if (query->commandType == CMD_SELECT || query->commandType == CMD_UTILITY ||
		query->resultRelation == 0)
		return;
	rte = rt_fetch(query->resultRelation, query->rtable);
	if (rte->relkind == RELKIND_VIEW && is_continuous_view(rte->relid) &&
		!has_instead_trigger(rte->relid, query->commandType))
		view_guard_refuse_change(rte->relid);
}

void
view_guard_query(Query *query)
{
	ListCell   *lc;

	check_target(query);
	if (query->hasModifyingCTE)
	{
		foreach(lc, query->cteList)
			check_target(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery));
	}
}

/* find the continuous view of a state table; InvalidOid if it is none */
static Oid
view_of_state(Oid relid)
{
	char	   *name;
	JobRow		job;
	int			number;

	/* usually the relation is in another schema */
	if (get_rel_namespace(relid) != get_namespace_oid(STREAMQ_SCHEMA, true))
		return InvalidOid;
	name = get_rel_name(relid);
	if (name == NULL || sscanf(name, VIEW_STATE_TABLE_NAME, &number) != 1 ||
		!job_find_by_state(relid, &job))
		return InvalidOid;
	return job.target;
}

void
view_guard_plan(PlannedStmt *plan)
{
	ListCell   *lc;

	foreach(lc, plan->resultRelations)
	{
		Oid			view = view_of_state(rt_fetch(lfirst_int(lc), plan->rtable)->relid);

		if (OidIsValid(view))
			view_guard_refuse_change(view);
	}
	foreach(lc, plan->rowMarks)
	{
		PlanRowMark *mark = lfirst_node(PlanRowMark, lc);
		RangeTblEntry *rte = rt_fetch(mark->rti, plan->rtable);
		Oid			view;

		if (!RowMarkRequiresRowShareLock(mark->markType) || rte->rtekind != RTE_RELATION)
			continue;
		view = view_of_state(rte->relid);
		if (OidIsValid(view))
			refuse_lock(view);
	}
}

/*
 * LOCK TABLE on the view locks the state table, too, as the view's owner, who
 * may only read it
 */
static void
check_lock(LockStmt *stmt)
{
	ListCell   *lc;

	if (stmt->mode <= AccessShareLock)
		return;
	foreach(lc, stmt->relations)
	{
		Oid			relid = RangeVarGetRelid(lfirst_node(RangeVar, lc), NoLock, true);

		if (OidIsValid(relid) && is_continuous_view(relid))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot lock continuous view \"%s\" in a mode other than ACCESS SHARE",
							get_rel_name(relid)),
					 errhint("Use streamq.pause() to stop its changes.")));
	}
}

static void
check_copy(CopyStmt *stmt)
{
	Oid			relid;

	if (!stmt->is_from || stmt->relation == NULL)
		return;
	relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	if (OidIsValid(relid) && is_continuous_view(relid) &&
		!has_instead_trigger(relid, CMD_INSERT))
		view_guard_refuse_change(relid);
}

void
view_guard_command(Node *stmt)
{
	if (IsA(stmt, LockStmt))
		check_lock((LockStmt *) stmt);
	else if (IsA(stmt, CopyStmt))
		check_copy((CopyStmt *) stmt);
}

/* ---- objects ---- */

/*
 * Groups whose keys differ only in the attribute would have to be merged,
 * which not every aggregate allows.
 */
void
view_guard_drop_attribute(Oid relid, AttrNumber attno)
{
	Oid			rowtype = get_rel_type_id(relid);
	ListCell   *lc;

	if (!OidIsValid(rowtype) || !OidIsValid(base_catalog_oid("job", true)))
		return;
	foreach(lc, job_list())
	{
		JobInfo    *info = lfirst(lc);
		JobRow		job;
		Relation	state;
		TupleDesc	desc;

		if (!job_read(info->job_id, &job) || !OidIsValid(job.state))
			continue;
		state = try_table_open(job.state, AccessShareLock);
		if (state == NULL)
			continue;
		desc = RelationGetDescr(state);
		for (int i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i);

			if (strncmp(NameStr(att->attname), "key_", 4) == 0 &&
				view_key_type_contains(att->atttypid, rowtype))
				ereport(ERROR,
						(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						 errmsg("cannot drop attribute \"%s\" of type %s because continuous view \"%s\" groups by it",
								get_attname(relid, attno, false), format_type_be(rowtype),
								get_rel_name(job.target)),
						 errhint("Drop the continuous view first.")));
		}
		table_close(state, AccessShareLock);
	}
}

void
view_guard_drop_while_running(Oid relid)
{
	Oid			view = is_continuous_view(relid) ? relid : view_of_state(relid);
	JobRow		job;

	if (OidIsValid(view) && job_find_by_target(view, &job) && job_is_running_here(job.job_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop %s \"%s\" from within its own batch", job.kind,
						job_name(&job))));
}

/*
 * only the owner of the view can read the state table, not roles with SELECT
 * on the view, so refuse security_invoker
 */
void
view_guard_view_options(const JobRow *job)
{
	HeapTuple	tup = base_row_by_oid(RelationRelationId, ClassOidIndexId,
									  Anum_pg_class_oid, job->target);
	Relation	rel;
	bytea	   *options;

	if (!HeapTupleIsValid(tup))
		return;
	rel = table_open(RelationRelationId, AccessShareLock);
	options = extractRelOptions(tup, RelationGetDescr(rel), NULL);
	table_close(rel, AccessShareLock);
	if (options != NULL && ((ViewOptions *) options)->security_invoker)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot set security_invoker of %s \"%s\"", job->kind, job_name(job)),
				 errdetail("It works with the privileges of its owner.")));
}
