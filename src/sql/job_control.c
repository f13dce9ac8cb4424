/*
 * job_control.c
 *	  SQL functions for users of jobs: pause, resume, cancel, alter, wait,
 *	  run, look.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job.h"
#include "job/job_args.h"
#include "job/job_catalog.h"
#include "log/log.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(streamq_pause);
PG_FUNCTION_INFO_V1(streamq_resume);
PG_FUNCTION_INFO_V1(streamq_cancel_job);
PG_FUNCTION_INFO_V1(streamq_watermark);
PG_FUNCTION_INFO_V1(streamq_wait_until_caught_up);
PG_FUNCTION_INFO_V1(streamq_run_job);
PG_FUNCTION_INFO_V1(streamq_job_lag);
PG_FUNCTION_INFO_V1(streamq_job_worker_pid);
PG_FUNCTION_INFO_V1(streamq_job_waits_for);

/* longest sleep between two checks of the job's positions, ms */
#define WAIT_ROUND	200

static char *
name_arg(FunctionCallInfo fcinfo)
{
	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("job");
	return text_to_cstring(PG_GETARG_TEXT_PP(0));
}

static void
find_own_job(const char *name, JobRow *job)
{
	job_find_by_name(name, job);
	job_check_owner(job);
}

static void
check_select(JobRow *job)
{
	if (!object_ownercheck(RelationRelationId, job->target, GetUserId()) &&
		pg_class_aclcheck(job->target, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_VIEW, get_rel_name(job->target));
}

/*
 * Read a job; false if there is none, or if the current user may not see its
 * figures.  The condition must be that of the view streamq.jobs.
 */
static bool
read_visible_job(int32 job_id, JobRow *job)
{
	bool		gone = false;

	if (!job_read(job_id, job))
		return false;
	return object_ownercheck(RelationRelationId, job->target, GetUserId()) ||
		pg_class_aclcheck_ext(job->target, GetUserId(), ACL_SELECT, &gone) == ACLCHECK_OK;
}

static void
set_enabled(FunctionCallInfo fcinfo, bool enabled)
{
	char	   *name = name_arg(fcinfo);
	JobRow		job;

	PreventCommandIfReadOnly(enabled ? "resume()" : "pause()");
	find_own_job(name, &job);

	/* after this no batch can start */
	if (enabled)
		job_lock(job.job_id, true);
	else
		job_lock_out(job.job_id);
	if (!job_read(job.job_id, &job))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("job \"%s\" was dropped by another session", name)));
	if (job.enabled != enabled)
	{
		job_set_enabled(job.job_id, enabled);
		job_note_changed();
	}
}

/*
 * pause(job text): 42704 if there is no such job, 42501 unless the caller owns
 * it
 */
Datum
streamq_pause(PG_FUNCTION_ARGS)
{
	set_enabled(fcinfo, false);
	PG_RETURN_VOID();
}

/* resume(job text): errors as pause() */
Datum
streamq_resume(PG_FUNCTION_ARGS)
{
	set_enabled(fcinfo, true);
	PG_RETURN_VOID();
}

/* cancel_job(job text) returns bool: true if there was a batch to cancel */
Datum
streamq_cancel_job(PG_FUNCTION_ARGS)
{
	JobRow		job;

	find_own_job(name_arg(fcinfo), &job);
	PG_RETURN_BOOL(job_cancel_batch(job.job_id));
}

/*
 * watermark(view regclass) returns timestamptz
 *
 * NULL before the first row.  42809 if it is not a continuous view, 42501 if
 * the caller may not read it.
 */
Datum
streamq_watermark(PG_FUNCTION_ARGS)
{
	Oid			view;
	JobRow		job;
	JobStats	stats;
	ItemPointerData tid;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("view");
	view = PG_GETARG_OID(0);
	if (!job_find_by_target(view, &job))
	{
		char	   *name = get_rel_name(view);

		if (name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("relation with OID %u does not exist", view)));
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a continuous view", name),
				 errhint("The view streamq.jobs lists the continuous views of this database.")));
	}
	check_select(&job);
	if (!job_read_stats(job.job_id, &stats, &tid) || !stats.has_watermark)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(stats.watermark);
}

/* does the snapshot see a row of the partition at or after the position? */
static bool
has_row_from(Relation stream, int partition, int64 position, Snapshot snapshot)
{
	int64		next = log_next_offset(stream, partition);
	ItemPointerData mintid;
	ItemPointerData maxtid;
	TableScanDesc scan;
	TupleTableSlot *slot;
	bool		found;

	if (position >= next)
		return false;
	log_make_tid(partition, position, &mintid);
	log_make_tid(partition, next - 1, &maxtid);
	slot = table_slot_create(stream, NULL);
	scan = table_beginscan_tidrange(stream, snapshot, &mintid, &maxtid);
	found = table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/* has the job processed all rows of a source that the snapshot sees? */
static bool
source_is_done(JobRow *job, Oid source, bool other, Snapshot snapshot)
{
	Relation	stream = log_open_stream(source, AccessShareLock);
	int			npartitions = log_partition_count(stream);
	JobProgress *progress = job_read_progress(job->job_id, other ? 0 : npartitions,
											  other ? npartitions : 0);
	bool		result = true;

	for (int i = 0; result && i < npartitions; i++)
		result = !has_row_from(stream, i,
							   Max(progress[i].next_offset, log_first_offset(stream, i)),
							   snapshot);
	pfree(progress);

	/* do not block DROP while we sleep */
	table_close(stream, AccessShareLock);
	return result;
}

static bool
caught_up(JobRow *job, Snapshot snapshot)
{
	return source_is_done(job, job->source, false, snapshot) &&
		(!OidIsValid(job->other_source) ||
		 source_is_done(job, job->other_source, true, snapshot));
}

/*
 * wait_until_caught_up(job text, timeout interval) returns bool
 *
 * Waits until the job has processed everything that was committed before the
 * call; false if the time is over first.  A new snapshot tells what was
 * committed.  It must not see rows of this transaction, because no job sees
 * them before the commit.
 */
Datum
streamq_wait_until_caught_up(PG_FUNCTION_ARGS)
{
	char	   *name = name_arg(fcinfo);
	Interval   *timeout;
	JobRow		job;
	Snapshot	snapshot;
	TimestampTz deadline;
	bool		result;

	if (PG_ARGISNULL(1))
		base_null_argument("timeout");
	timeout = PG_GETARG_INTERVAL_P(1);
	deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													   TimestampTzGetDatum(GetCurrentTimestamp()),
													   IntervalPGetDatum(timeout)));
	job_find_by_name(name, &job);
	check_select(&job);

	PushCopiedSnapshot(GetLatestSnapshot());
	GetActiveSnapshot()->curcid = FirstCommandId;
	snapshot = RegisterSnapshot(GetActiveSnapshot());
	PopActiveSnapshot();

	while (!(result = caught_up(&job, snapshot)))
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left <= 0)
			break;
		worker_wait_progress(job.job_id, Min(left, WAIT_ROUND));
		CHECK_FOR_INTERRUPTS();
		AcceptInvalidationMessages();
		if (!job_read(job.job_id, &job))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("job \"%s\" was dropped by another session", name)));
	}
	UnregisterSnapshot(snapshot);
	PG_RETURN_BOOL(result);
}

/*
 * run_job(job text, batch_rows int4) returns int8
 *
 * Processes all rows that are there now, in this transaction, even if the job
 * is paused, and returns their number.  22023 unless batch_rows is positive,
 * 0A000 in isolation levels above READ COMMITTED.
 */
Datum
streamq_run_job(PG_FUNCTION_ARGS)
{
	JobRow		job;
	int64		batch_rows = JOB_BATCH_ROWS;
	int64		total = 0;
	int			result;
	char	   *name = name_arg(fcinfo);

	find_own_job(name, &job);
	if (!PG_ARGISNULL(1))
		batch_rows = PG_GETARG_INT32(1);
	if (batch_rows <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", "batch_rows")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run a job in isolation level %s",
						IsolationIsSerializable() ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errhint("Use READ COMMITTED.")));
	PreventCommandIfReadOnly("run_job()");
	PreventCommandIfParallelMode("run_job()");

	do
	{
		int64		rows;
		TimestampTz due;

		result = job_run(job.job_id, batch_rows, true, &rows, &due);
		total += rows;
		if (result == JOB_GONE)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("job \"%s\" was dropped by another session", name)));
		CHECK_FOR_INTERRUPTS();
	} while (result == JOB_MORE);
	PG_RETURN_INT64(total);
}

/* messages of a source that the job has not processed yet, including gaps */
static int64
source_lag(JobRow *job, Oid source, bool other)
{
	Relation	stream = try_relation_open(source, AccessShareLock);
	int			npartitions;
	JobProgress *progress;
	int64		lag = 0;

	if (stream == NULL)
		return 0;
	npartitions = log_partition_count(stream);
	progress = job_read_progress(job->job_id, other ? 0 : npartitions,
								 other ? npartitions : 0);
	for (int i = 0; i < npartitions; i++)
	{
		int64		from = Max(progress[i].next_offset, log_first_offset(stream, i));

		lag += Max(0, log_next_offset(stream, i) - from);
	}
	relation_close(stream, AccessShareLock);
	return lag;
}

/*
 * job_lag(job_id int4) returns int8: messages not processed yet, including
 * gaps
 */
Datum
streamq_job_lag(PG_FUNCTION_ARGS)
{
	JobRow		job;
	int64		lag;

	if (!read_visible_job(PG_GETARG_INT32(0), &job))
		PG_RETURN_NULL();
	lag = source_lag(&job, job.source, false);
	if (OidIsValid(job.other_source))
		lag += source_lag(&job, job.other_source, true);
	PG_RETURN_INT64(lag);
}

/*
 * job_waits_for(job_id int4) returns text: NULL if nothing prevents jobs from
 * running
 */
Datum
streamq_job_waits_for(PG_FUNCTION_ARGS)
{
	JobRow		job;
	char	   *reason;

	if (!read_visible_job(PG_GETARG_INT32(0), &job))
		PG_RETURN_NULL();
	reason = worker_job_waits_for();
	if (reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(reason));
}

/* job_worker_pid(job_id int4) returns int4: NULL if no worker runs the job */
Datum
streamq_job_worker_pid(PG_FUNCTION_ARGS)
{
	JobRow		job;
	int			pid;

	if (!read_visible_job(PG_GETARG_INT32(0), &job))
		PG_RETURN_NULL();
	pid = worker_job_pid(job.job_id);
	if (pid == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(pid);
}
