/*
 * job_worker.c
 *	  A process that runs continuous jobs, a batch at a time, whichever has
 *	  waited longest (pool.c).
 *
 * With nothing to do, it sleeps on the doorbell of the source of the job that it
 * ran last, and looks unasked every streamq.naptime.  An error ends the batch
 * and is recorded with the job; the job is tried again after a delay that
 * grows.  So is a job whose batch was canceled, which is no error.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "job/job.h"
#include "signal/doorbell.h"
#include "worker/pool.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

typedef struct WorkerBatch
{
	int32		job_id;
	JobBatchResult result;
	TimestampTz due;			/* see worker_pool_next */
	ErrorData  *error;
} WorkerBatch;

static void
batch_error_context(void *arg)
{
	errcontext("streamq job %d", *(int32 *) arg);
}

static void
run_batch(void *arg)
{
	WorkerBatch *batch = arg;

	/* the extension may have been dropped since the scheduler looked */
	if (OidIsValid(base_catalog_oid("job", true)))
		batch->result = job_run_batch(batch->job_id, &batch->due);
	else
		batch->result = JOB_GONE;
}

/*
 * Record the error.  If the job was dropped or paused while its batch ran, the
 * error is not reported: it may be about what is missing now.
 */
static void
note_error(void *arg)
{
	WorkerBatch *batch = arg;
	ListCell   *lc;

	batch->result = JOB_GONE;
	if (!OidIsValid(base_catalog_oid("job", true)))
		return;

	PushActiveSnapshot(GetTransactionSnapshot());
	foreach(lc, job_list())
	{
		JobInfo    *info = lfirst(lc);

		if (info->job_id == batch->job_id && info->enabled)
			batch->result = JOB_MORE;
	}
	PopActiveSnapshot();
	if (batch->result != JOB_GONE)
		job_note_error(batch->job_id, batch->error->sqlerrcode, batch->error->message);
}

/* record the error that ended the batch; the outcome for the job */
static WorkerOutcome
end_failed(WorkerBatch *batch)
{
	ErrorData  *another;

	if (worker_run(note_error, batch, "recording an error", &another))
	{
		if (batch->result == JOB_GONE)
			return TURN_GONE;
	}
	/* usually it failed for the same reason */
	else if (strcmp(another->message, batch->error->message) != 0)
		worker_log_error(another);
	worker_log_error(batch->error);
	return TURN_FAILED;
}

/*
 * The batch ended by "query canceled".  Nobody asked for it through us: the query
 * itself raised it, or a superuser used pg_cancel_backend, which is shown as any error.
 */
static WorkerOutcome
end_canceled(WorkerBatch *batch, WorkerCancel why, bool timed_out, int timeout)
{
	if (why == CANCEL_NONE)
	{
		if (timed_out)
			batch->error->message = psprintf("canceling batch that took longer than the job's timeout of %d ms",
											 timeout);
		return end_failed(batch);
	}
	ereport(LOG,
			(errmsg("canceled a batch of streamq job %d", batch->job_id),
			 why == CANCEL_ASKED ?
			 errdetail("The owner of the job has stopped it.") :
			 errdetail("Another session was waiting for a lock that the batch held.")));
	return TURN_CANCELED;
}

/* this batch may end the process, as those before: tell the job's owner now */
static void
note_deaths(void *arg)
{
	WorkerBatch *batch = arg;

	if (!OidIsValid(base_catalog_oid("job", true)))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	job_note_error(batch->job_id, ERRCODE_ADMIN_SHUTDOWN,
				   "background worker ended in the middle of a batch");
	PopActiveSnapshot();
}

/* one batch of the job this worker has */
static WorkerOutcome
run_turn(WorkerBatch *batch)
{
	int			timeout = worker_pool_timeout();
	WorkerCancel why;
	bool		timed_out;
	bool		ok;

	batch->job_id = worker_slot->job_id;
	batch->due = 0;
	if (worker_pool_job_kills())
		(void) worker_run(note_deaths, batch, "recording an error", NULL);
	worker_watch_begin(timeout);
	ok = worker_run(run_batch, batch, "running a batch of a continuous job",
					&batch->error);
	why = worker_watch_end(&timed_out);

	if (!ok)
		return batch->error->sqlerrcode == ERRCODE_QUERY_CANCELED ?
			end_canceled(batch, why, timed_out, timeout) : end_failed(batch);
	switch (batch->result)
	{
		case JOB_GONE:
			return TURN_GONE;
		case JOB_BUSY:
			return TURN_BUSY;
		case JOB_MORE:
			return TURN_MORE;
		case JOB_CAUGHT_UP:
			return TURN_CAUGHT_UP;
	}
	return TURN_GONE;
}

void
streamq_job_main(Datum arg)
{
	MemoryContext loop_context;
	ErrorContextCallback callback;
	WorkerOutcome outcome = TURN_NONE;
	WorkerSeen	seen = {0};
	WorkerBatch batch = {0};

	worker_start();
	worker_pool_attach();

	loop_context = AllocSetContextCreate(TopMemoryContext, "streamq worker",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);

	callback.callback = batch_error_context;
	callback.arg = &batch.job_id;
	callback.previous = error_context_stack;

	for (;;)
	{
		long		timeout;

		worker_check();
		MemoryContextReset(loop_context);
		if (worker_pool_next(outcome, seen, batch.due, &timeout))
		{
			/* before the batch takes its snapshot, so that no ring is missed */
			seen.source = signal_count(worker_slot->source);
			if (OidIsValid(worker_slot->other_source))
				seen.other_source = signal_count(worker_slot->other_source);
			error_context_stack = &callback;
			outcome = run_turn(&batch);
			error_context_stack = callback.previous;
			worker_signal_progress(batch.job_id);
			continue;
		}

		/* counters that were held back are shown before a long sleep */
		if (outcome != TURN_NONE)
			pgstat_report_stat(true);
		outcome = TURN_NONE;
		if (worker_slot->job_id != 0)
			worker_sleep_on(worker_slot->source, seen.source, timeout);
		else
			worker_sleep(timeout);
	}
}
