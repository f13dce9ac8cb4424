/*
 * view_objects.c
 *	  Events on the objects of a continuous view: commands that would change
 *	  its definition or state are refused, and the job is dropped with the
 *	  view.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "compat.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "view/state_table.h"
#include "view/view_guard.h"

PG_FUNCTION_INFO_V1(streamq_refuse_state_change);

/* statement trigger of all state tables, for changes of a view or its state */
Datum
streamq_refuse_state_change(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	JobRow		job;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"refuse_state_change")));
	if (!job_find_by_state(RelationGetRelid(data->tg_relation), &job))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" belongs to no continuous view",
						RelationGetRelationName(data->tg_relation))));
	view_guard_refuse_change(job.target);
}

/* owner of a relation as changed by this command, not yet visible to others */
static Oid
new_owner(Oid relid)
{
	HeapTuple	tup = base_row_by_oid(RelationRelationId, ClassOidIndexId,
									  Anum_pg_class_oid, relid);

	return HeapTupleIsValid(tup) ? ((Form_pg_class) GETSTRUCT(tup))->relowner : InvalidOid;
}

/* relation of a rule created by this command */
static Oid
rule_relation(Oid rule)
{
	HeapTuple	tup = base_row_by_oid(RewriteRelationId, RewriteOidIndexId,
									  Anum_pg_rewrite_oid, rule);

	return HeapTupleIsValid(tup) ? ((Form_pg_rewrite) GETSTRUCT(tup))->ev_class : InvalidOid;
}

/*
 * Refuse CREATE OR REPLACE VIEW, which would disconnect the view from its
 * state.  A restore needs it: pg_dump may create an empty view first, and
 * replace it later.  view_rebuild() waits for that.
 */
static void
refuse_rule(Oid rule)
{
	Oid			view = rule_relation(rule);
	JobRow		job;

	if (OidIsValid(view) && job_may_have_target(view) &&
		job_find_by_target(view, &job) &&
		job.format != JOB_FORMAT_RESTORED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change the definition of %s \"%s\"", job.kind, job_name(&job)),
				 errhint("Drop the %s and create it again.", job.kind)));
}

void
view_object(ObjectAccessType access, Oid classId, Oid objectId, int subId)
{
	JobRow		job;

	/* pg_upgrade creates our own tables one by one */
	if (!IsNormalProcessingMode() || IsBinaryUpgrade)
		return;
	if (access == OAT_POST_CREATE && classId == RewriteRelationId)
	{
		refuse_rule(objectId);
		return;
	}
	if (classId == RelationRelationId && access == OAT_DROP)
	{
		if (subId > 0)
			view_guard_drop_attribute(objectId, subId);
		else if (job_any_running_here())
			view_guard_drop_while_running(objectId);
	}
	if (classId != RelationRelationId || subId != 0 ||
		(access != OAT_DROP && access != OAT_POST_ALTER))
		return;
	if (get_rel_relkind(objectId) != RELKIND_VIEW ||
		!job_may_have_target(objectId) ||
		!job_find_by_target(objectId, &job))
		return;

	if (access == OAT_DROP)
	{
		/* no other batch runs now, because it would have locked the view */
		job_lock_out(job.job_id);
		job_delete(job.job_id);
		job_note_changed();
	}
	else
	{
		Oid			before = job_relation_owner(objectId);
		Oid			after = new_owner(objectId);

		view_guard_view_options(&job);

		/* the owner of a view must be able to read the state table */
		if (OidIsValid(job.state) && OidIsValid(after) && before != after)
		{
			view_state_grant(job.state, before, false);
			view_state_grant(job.state, after, true);
		}
	}
}
