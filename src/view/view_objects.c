/*
 * view_objects.c
 *	  What happens to the objects of a continuous view: commands that would
 *	  change its definition or state are refused, and the job goes with the view.
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

/* statement trigger of every state table; the view passes changes on to it */
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

/* owner of a relation as this command has left it, not yet visible to others */
static Oid
new_owner(Oid relid)
{
	HeapTuple	tup = base_row_by_oid(RelationRelationId, ClassOidIndexId,
									  Anum_pg_class_oid, relid);

	return HeapTupleIsValid(tup) ? ((Form_pg_class) GETSTRUCT(tup))->relowner : InvalidOid;
}

/* relation of a rule that this command has just made */
static Oid
rule_relation(Oid rule)
{
	HeapTuple	tup = base_row_by_oid(RewriteRelationId, RewriteOidIndexId,
									  Anum_pg_rewrite_oid, rule);

	return HeapTupleIsValid(tup) ? ((Form_pg_rewrite) GETSTRUCT(tup))->ev_class : InvalidOid;
}

/*
 * CREATE OR REPLACE VIEW would cut the view off from its state.  A restored view gets
 * its definition that way (view_rebuild waits for it), as pg_dump makes an empty one first.
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
				 errmsg("cannot change the definition of continuous view \"%s\"",
						get_rel_name(view)),
				 errhint("Drop the continuous view and create it again.")));
}

void
view_object(ObjectAccessType access, Oid classId, Oid objectId, int subId)
{
	JobRow		job;

	/* pg_upgrade makes our own tables one by one */
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
		/*
		 * no batch runs now, as it would have locked the view, but run_job
		 * may
		 */
		job_lock_out(job.job_id);
		job_delete(job.job_id);
		job_note_changed();
	}
	else
	{
		Oid			before = job_relation_owner(objectId);
		Oid			after = new_owner(objectId);

		view_guard_view_options(objectId);

		/* the owner of a view reads what is below it */
		if (OidIsValid(after) && before != after)
		{
			view_state_grant(job.state, before, false);
			view_state_grant(job.state, after, true);
		}
	}
}
