/*
 * runner.c
 *	  Running a batch of a job of any kind.
 *
 * Lock order: the source, then the job's other relations in the order given by
 * its kind, then the job's own lock.  DROP locks the relations in the same
 * order, and the job last.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "job/job.h"
#include "job/input.h"
#include "job/job_catalog.h"
#include "job/job_kind.h"
#include "job/round.h"
#include "job/watermark.h"
#include "log/log.h"

/*
 * The jobs that this session is running.  The lock of a job belongs to the
 * session, so it does not block a function in the job's own query that runs
 * the job or drops its target.
 */
typedef struct RunningJob
{
	int32		job_id;
	struct RunningJob *outer;	/* the job whose query runs this one */
} RunningJob;

static RunningJob *running = NULL;

bool
job_is_running_here(int32 job_id)
{
	for (RunningJob *job = running; job; job = job->outer)
	{
		if (job->job_id == job_id)
			return true;
	}
	return false;
}

bool
job_any_running_here(void)
{
	return running != NULL;
}

static bool
lock_relation(Oid relid, LOCKMODE mode, bool wait)
{
	if (!wait)
		return ConditionalLockRelationOid(relid, mode);
	LockRelationOid(relid, mode);
	return true;
}

/* lock the relations of the job, and the job; false if a lock is not free */
static bool
lock_all(const JobKind *kind, const JobRow *job, bool wait)
{
	JobRelation relations[JOB_MAX_RELATIONS];
	int			n = kind->describe(job, relations);

	Assert(n <= JOB_MAX_RELATIONS);
	for (int i = 0; i < n; i++)
	{
		if (!lock_relation(relations[i].relid, relations[i].lockmode, wait))
			return false;
	}
	return job_lock(job->job_id, wait);
}

Oid
job_relation_owner(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tup))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tup))->relowner;
	ReleaseSysCache(tup);
	return owner;
}

/* ---- the rights and settings of the job ---- */

typedef struct JobIdentity
{
	Oid			save_user;
	int			save_context;
	int			nestlevel;
} JobIdentity;

/* after an error, the end of the (sub)transaction restores the identity */
static void
become_owner(JobBatch *batch, JobIdentity *identity)
{
	GetUserIdAndSecContext(&identity->save_user, &identity->save_context);
	SetUserIdAndSecContext(batch->owner,
						   identity->save_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	identity->nestlevel = NewGUCNestLevel();
	job_apply_settings(batch->job.settings);
}

static void
become_caller(const JobIdentity *identity)
{
	AtEOXact_GUC(false, identity->nestlevel);
	SetUserIdAndSecContext(identity->save_user, identity->save_context);
}

/* ---- a batch ---- */

/* rebuild a job that was restored or was created by another server version */
static bool
rebuild(JobBatch *batch, ItemPointer stats_tid)
{
	JobIdentity identity;
	bool		complete;

	become_owner(batch, &identity);
	PushActiveSnapshot(GetTransactionSnapshot());
	complete = batch->kind->rebuild(&batch->job, batch->owner);
	PopActiveSnapshot();
	become_caller(&identity);
	return complete && job_read(batch->job.job_id, &batch->job) &&
		job_read_stats(batch->job.job_id, &batch->stats, stats_tid);
}

/* is there anything after the positions? */
static bool
has_input(JobBatch *batch)
{
	for (int i = 0; i < batch->ninputs; i++)
	{
		int			partition;
		Relation	source = job_input_source(batch, i, &partition);

		if (log_next_offset(source, partition) > batch->progress[i].next_offset)
			return true;
	}
	return false;
}

/* may there be something to do that needs no input? */
static bool
has_clock(const JobBatch *batch)
{
	const JobEventTime *event_time = &batch->job.event_time;

	return event_time->idle_timeout != JOB_NO_LIMIT || event_time->retention != JOB_NO_LIMIT;
}

/* the end of a batch, after its rounds; true if there is more to do */
static bool
finish(JobBatch *batch, bool more)
{
	bool		all_read = !more;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (all_read)
		job_advance_idle(batch);
	if (batch->kind->finish)
		more |= batch->kind->finish(batch);
	PopActiveSnapshot();
	CommandCounterIncrement();
	if (all_read)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		batch->due = job_next_due(batch);
		PopActiveSnapshot();
		if (batch->retry_at != 0 && (batch->due == 0 || batch->due > batch->retry_at))
			batch->due = batch->retry_at;
	}
	return more;
}

/*
 * Check deferrable constraints after each statement until the end of the
 * transaction.  PostgreSQL does not allow deferred triggers in a
 * security-restricted operation, and at the end of the transaction it would be
 * too late to find the row that violates them.
 */
static void
check_constraints_at_once(void)
{
	ConstraintsSetStmt *stmt = makeNode(ConstraintsSetStmt);

	AfterTriggerSetState(stmt);
}

/* process the rows that are there now; true if there are more */
static bool
process_input(JobBatch *batch, int64 max_rows, bool timed, int64 *rows)
{
	JobIdentity identity;
	bool		more;

	check_constraints_at_once();
	become_owner(batch, &identity);
	PushActiveSnapshot(GetTransactionSnapshot());
	batch->loaded = batch->kind->load(batch);
	PopActiveSnapshot();

	batch->snapshot = RegisterSnapshot(GetTransactionSnapshot());
	if (timed)
		batch->deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), JOB_BATCH_TIME);
	more = job_run_rounds(batch, max_rows, rows);
	UnregisterSnapshot(batch->snapshot);
	more = finish(batch, more);
	become_caller(&identity);
	return more;
}

/* write positions and counters of a successful batch */
static void
write_batch(JobBatch *batch, ItemPointer stats_tid)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	if (batch->kind->end_batch)
		batch->kind->end_batch(batch);
	job_write_progress(batch->job.job_id, batch->progress, batch->ninputs);
	if (batch->pause)
	{
		batch->stats.last_error =
			psprintf("paused after %lld failing messages, the last one with: %s",
					 (long long) (batch->stats.errors - batch->stats.errors_before),
					 batch->stats.last_error);
		job_set_enabled(batch->job.job_id, false);
		job_note_changed();
	}
	job_write_stats(batch->job.job_id, &batch->stats, stats_tid);
	PopActiveSnapshot();
	CommandCounterIncrement();
}

/* run a batch; the job and its relations are locked */
static JobBatchResult
run_locked(JobBatch *batch, int64 max_rows, bool timed, int64 *rows)
{
	ItemPointerData stats_tid;
	bool		more = false;

	if (!job_read_stats(batch->job.job_id, &batch->stats, &stats_tid))
		return JOB_GONE;
	if (!batch->kind->is_current(&batch->job) && !rebuild(batch, &stats_tid))
		return JOB_CAUGHT_UP;

	batch->source = log_open_stream(batch->job.source, NoLock);
	batch->npartitions = log_partition_count(batch->source);
	batch->ninputs = batch->npartitions;
	if (OidIsValid(batch->job.other_source))
	{
		batch->other_source = log_open_stream(batch->job.other_source, NoLock);
		batch->ninputs += log_partition_count(batch->other_source);
	}
	batch->progress = job_read_progress(batch->job.job_id, batch->npartitions,
										batch->ninputs - batch->npartitions);

	if (has_input(batch) || batch->stats.failing || has_clock(batch))
	{
		batch->changed = batch->stats.failing;
		more = process_input(batch, max_rows, timed, rows);
		batch->stats.failing = false;
		for (int i = 0; i < batch->ninputs; i++)
			batch->changed |= batch->progress[i].changed;
		if (batch->changed)
			write_batch(batch, &stats_tid);
		if (batch->kind->close)
			batch->kind->close(batch);
	}

	if (batch->other_source)
		table_close(batch->other_source, NoLock);
	table_close(batch->source, NoLock);
	return more ? JOB_MORE : JOB_CAUGHT_UP;
}

static JobBatchResult
run_batch(const JobRow *job, int64 max_rows, bool wait, int64 *rows, TimestampTz *due)
{
	JobBatch   *batch = palloc0(sizeof(JobBatch));
	JobBatchResult result;

	batch->kind = job_find_kind(job->kind);
	if (!lock_all(batch->kind, job, wait))
		return JOB_BUSY;
	if (!job_read(job->job_id, &batch->job) || (!batch->job.enabled && !wait))
		return JOB_GONE;
	batch->owner = job_relation_owner(batch->job.target);
	if (!OidIsValid(batch->owner))
	{
		/* the target was dropped while the library was not loaded */
		job_delete(job->job_id);
		job_note_changed();
		return JOB_GONE;
	}
	result = run_locked(batch, max_rows, !wait, rows);
	*due = batch->due;
	return result;
}

JobBatchResult
job_run(int32 job_id, int64 max_rows, bool wait, int64 *rows, TimestampTz *due)
{
	RunningJob	self = {job_id, running};
	JobRow		job;
	JobBatchResult result;

	*rows = 0;
	*due = 0;
	if (!job_read(job_id, &job))
		return JOB_GONE;
	if (job_is_running_here(job_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot run job \"%s\" from within its own batch",
						job_name(&job)),
				 errdetail("The query of the job calls a function that runs the job.")));
	running = &self;
	PG_TRY();
	{
		result = run_batch(&job, max_rows, wait, rows, due);
	}
	PG_FINALLY();
	{
		running = self.outer;
	}
	PG_END_TRY();
	return result;
}

JobBatchResult
job_run_batch(int32 job_id, TimestampTz *due)
{
	int64		rows;

	return job_run(job_id, JOB_BATCH_ROWS, false, &rows, due);
}
