/*
 * rebuild.c
 *	  Continuous views that come from a logical dump or from another version or
 *	  cluster of the server: their state is computed anew from the stream.
 *
 * A dump holds the view, its state table and, through streamq.job_dump, what its job is.  That
 * table is always empty: what pg_dump reads there is computed at that moment, and
 * rows that a restore writes there become jobs of format 0, which nothing can work with.
 * The first batch of a job whose format is not the server's, or that was made under
 * another system identifier, as before pg_upgrade, analyzes the query anew, empties the
 * state and begins with the first message that is there.  The state stays if the query is
 * the same to the last OID and the format is the server's: a standby that became a server
 * of its own has a system identifier of its own too, but all of its objects.  A restored job
 * waits until the view reads its state table and that has its trigger, which a dump
 * makes last: the rows of the state table are before it.
 */
#include "query/query.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_rewrite.h"
#include "miscadmin.h"
#include "rewrite/rewriteSupport.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/dump.h"
#include "query/job.h"
#include "streamq.h"
#include "worker/worker.h"

/* would the state table be made like this today? */
static bool
fits(ViewQuery *vq, Relation state)
{
	TupleDesc	desc = RelationGetDescr(state);
	ListCell   *lc;

	if (desc->natts != state_agg_attno(vq, list_length(vq->aggs)))
		return false;
	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);

		if (TupleDescAttr(desc, state_key_attno(vq, foreach_current_index(lc)) - 1)->atttypid != key->type)
			return false;
	}
	foreach(lc, vq->aggs)
	{
		ViewAgg    *agg = lfirst(lc);

		if (TupleDescAttr(desc, state_agg_attno(vq, foreach_current_index(lc)) - 1)->atttypid != agg->storedtype)
			return false;
	}
	return true;
}

/* is all of the view there? */
static bool
is_complete(Oid view, Relation state)
{
	Oid			rule = get_rewrite_oid(view, ViewSelectRuleName, true);
	Relation	depend;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	if (!state->rd_rel->relhastriggers || !OidIsValid(rule))
		return false;
	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RewriteRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(rule));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2, keys);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		found = form->refclassid == RelationRelationId &&
			form->refobjid == RelationGetRelid(state);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}

static void
empty_table(Relation rel)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, GetActiveSnapshot(), 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		simple_heap_delete(rel, &tuple->t_self);
	}
	systable_endscan(scan);
	CommandCounterIncrement();
}

bool
job_rebuild(JobRow *job, Relation state, Oid owner)
{
	Oid			save_user;
	int			save_context;
	int			nestlevel;
	Query	   *query;
	ViewQuery  *vq;
	char	   *tree;
	bool		same;

	if (!is_complete(job->target, state))
		return false;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(owner, save_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	job_apply_settings(job->settings);
	PushActiveSnapshot(GetTransactionSnapshot());

	query = view_parse_query(job->query);
	vq = view_analyze(query);
	view_check_access(vq, owner);
	if (vq->source != job->source || !fits(vq, state))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" was made by another version of the server or of streamq",
						get_rel_name(job->target)),
				 errhint("Drop and create the continuous view again.")));

	tree = nodeToString(query);
	same = job->format == job_format() && strcmp(tree, job->query_tree) == 0;
	job->query_tree = tree;
	job_update_tree(job);
	view_record_dependencies(job->target, job->state, query);
	if (!same)
	{
		empty_table(state);
		job_reset(job);
		if (vq->single_group)
			view_store_single_group(vq, job->state);
	}

	PopActiveSnapshot();
	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(save_user, save_context);
	return true;
}

/*
 * What job_rebuild will say better, which a paused job does not come to: the stream stays
 * as long as the view, and the state goes with it.
 */
static void
tie_restored(int32 job_id)
{
	JobRow		job;
	ObjectAddress view;
	ObjectAddress source;
	ObjectAddress state;

	if (!job_read(job_id, &job))
		return;
	ObjectAddressSet(view, RelationRelationId, job.target);
	ObjectAddressSet(source, RelationRelationId, job.source);
	ObjectAddressSet(state, RelationRelationId, job.state);
	recordDependencyOn(&view, &source, DEPENDENCY_NORMAL);
	recordDependencyOn(&state, &view, DEPENDENCY_INTERNAL);
}

/*
 * BEFORE INSERT on streamq.job_dump: makes the job, and keeps the row out of
 * the table.
 */
PG_FUNCTION_INFO_V1(streamq_job_dump_restored);
Datum
streamq_job_dump_restored(PG_FUNCTION_ARGS)
{
	bool		isnull;
	Datum		job_id = base_restore_row(fcinfo, "job_dump_restored",
										  "SELECT streamq.restore_job($1)", &isnull);

	if (!isnull)
	{
		job_insert_stats(DatumGetInt32(job_id));
		tie_restored(DatumGetInt32(job_id));
	}
	worker_note_jobs_changed();
	PG_RETURN_POINTER(NULL);
}
