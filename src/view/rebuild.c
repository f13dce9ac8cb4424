/*
 * rebuild.c
 *	  Rebuilding continuous views that come from a dump, or from another
 *	  version or cluster of the server: the state is computed from the
 *	  stream again.
 *
 * A dump contains the view, its state table and, through streamq.job_dump, the
 * job.  The table job_dump is always empty: pg_dump reads computed rows from
 * it, and a restore that inserts rows creates jobs of format 0, which cannot
 * run as they are.
 *
 * The first batch of a job with another format than the server's, or of one
 * that went through pg_upgrade, analyzes the query again, empties the state,
 * and starts at the first message of the stream.  A restored job waits until
 * the view reads its state table and the state table has its trigger: a
 * restore creates the trigger last, after the rows of all tables that the view
 * reads (restore_order.c).  Then it waits for materialized views.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "miscadmin.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/dependency.h"
#include "base/try.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "job/replay.h"
#include "state/state.h"
#include "view/analyze.h"
#include "view/restore_order.h"
#include "view/state_table.h"
#include "view/view_define.h"
#include "view/view_job.h"

/* are the view and its state table restored completely? */
static bool
is_complete(Oid view, Relation state)
{
	Oid			rule = get_rewrite_oid(view, ViewSelectRuleName, true);

	return state->rd_rel->relhastriggers && OidIsValid(rule) &&
		base_depends_on(RewriteRelationId, rule, RelationRelationId, RelationGetRelid(state),
						DEPENDENCY_NORMAL);
}

bool
view_is_current(const JobRow *job)
{
	/*
	 * After pg_upgrade, OIDs of functions, operators and other objects differ
	 * from those in the query tree, even within one major version. pg_upgrade
	 * restores dependencies that follow from definitions.  This dependency
	 * does not, so it is missing then.
	 */
	return job->format == job_format() &&
		base_depends_on(RelationRelationId, job->state, RelationRelationId, job->target,
						DEPENDENCY_INTERNAL);
}

static void
empty_table(void *arg)
{
	Relation	rel = arg;
	StateWriter *writer = state_begin_write(rel);
	SysScanDesc scan;
	HeapTuple	tuple;

	PushActiveSnapshot(GetTransactionSnapshot());
	scan = systable_beginscan(rel, InvalidOid, false, GetActiveSnapshot(), 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		state_delete(writer, &tuple->t_self);
	}
	systable_endscan(scan);
	state_end_write(writer);
	PopActiveSnapshot();
	CommandCounterIncrement();
}

static bool
accept_no_error(const ErrorData *error)
{
	return false;
}

/* analyze the query again, empty the state, and start at the first message */
bool
view_rebuild(JobRow *job, Oid owner)
{
	Relation	state = table_open(job->state, NoLock);
	Query	   *query;
	ViewQuery  *vq;
	JobDone		done;

	if (!is_complete(job->target, state))
	{
		table_close(state, NoLock);
		return false;
	}
	query = view_parse_query(job->definition ? job->definition : job->query);
	if (!view_is_readable(query))
	{
		table_close(state, NoLock);
		return false;
	}
	vq = view_analyze(query);
	view_check_access(vq, owner);
	if (vq->source != job->source || !view_state_fits(vq, state))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" was created by another version of the server or of streamq",
						get_rel_name(job->target)),
				 errhint("Drop the continuous view and create it again.")));

	(void) job_find_done(job, &done);

	/* the subtransaction begins after the job was locked, as writers must */
	(void) base_try(empty_table, state, BASE_TRY_KEEP, accept_no_error);
	job->query_tree = nodeToString(query);
	job_reset(job);
	job_replay_done(job, &done);
	view_record_dependencies(job, query);
	if (vq->single_group)
		view_store_single_group(vq, job->state);
	table_close(state, NoLock);
	return true;
}
