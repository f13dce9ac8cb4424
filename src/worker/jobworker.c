/*
 * jobworker.c
 *	  A process that runs one continuous job, batch by batch.
 *
 * Caught up, it sleeps on the doorbell of the job's source; naptime is the
 * slow poll behind it.  An error ends the batch, is recorded with the job and
 * makes the worker wait, longer each time, before it tries again.
 */
#include "streamq.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "api/api.h"
#include "query/job.h"
#include "worker/doorbell.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define RETRY_MIN	1000		/* ms after an error */
#define RETRY_MAX	(60 * 1000)

typedef struct Batch
{
	int32		job_id;
	JobBatchResult result;
	ErrorData  *error;
} Batch;

static void
batch_error_context(void *arg)
{
	errcontext("streamq job %d", *(int32 *) arg);
}

static void
run_batch(void *arg)
{
	Batch	   *batch = arg;

	/* the extension may have been dropped since the scheduler looked */
	if (OidIsValid(base_catalog_oid("job", true)))
		batch->result = job_run_batch(batch->job_id);
	else
		batch->result = JOB_GONE;
}

/*
 * Record the error.  A job that was dropped while its batch ran may stumble over what
 * is missing: then there is nothing to record, and nothing wrong.
 */
static void
note_error(void *arg)
{
	Batch	   *batch = arg;
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

/* the job to run now: the scheduler may have given us another */
static int32
current_job(Oid *source, bool *changed)
{
	int32		job_id;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	*changed = worker_slot->next_job != 0;
	if (*changed)
	{
		worker_slot->job_id = worker_slot->next_job;
		worker_slot->source = worker_slot->next_source;
		worker_slot->next_job = 0;
		worker_slot->idle = false;
		worker_slot->not_before = 0;
		worker_slot->since = GetCurrentTimestamp();
	}
	worker_slot->relook = false;
	job_id = worker_slot->job_id;
	*source = worker_slot->source;
	LWLockRelease(worker_shared->lock);
	return job_id;
}

/* for the scheduler: this worker could do something else */
static void
set_idle(bool idle, uint64 seen, TimestampTz not_before)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (worker_slot->idle != idle)
	{
		worker_slot->since = GetCurrentTimestamp();
		if (idle)
			worker_wake_scheduler(MyDatabaseId, true);
	}
	worker_slot->idle = idle;
	worker_slot->seen = seen;
	worker_slot->not_before = not_before;
	LWLockRelease(worker_shared->lock);
}

/* has something changed for which not to go on sleeping? */
static bool
is_wanted(void)
{
	bool		wanted;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	wanted = worker_slot->next_job != 0 || worker_slot->relook;
	LWLockRelease(worker_shared->lock);
	return wanted;
}

void
streamq_job_main(Datum arg)
{
	MemoryContext loop_context;
	ErrorContextCallback callback;
	int			retry_delay = RETRY_MIN;
	bool		idle = false;
	Batch		batch;

	worker_start("streamq worker");

	loop_context = AllocSetContextCreate(TopMemoryContext, "streamq worker",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);

	callback.callback = batch_error_context;
	callback.arg = &batch.job_id;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	for (;;)
	{
		Oid			source;
		bool		changed;
		bool		ok;
		uint64		seen;

		MemoryContextReset(loop_context);
		batch.job_id = current_job(&source, &changed);
		if (changed)
		{
			retry_delay = RETRY_MIN;
			idle = false;
		}

		/* before the batch takes its snapshot, so that no ring is missed */
		seen = doorbell_count(source);
		ok = worker_run(run_batch, &batch, "running a batch of a continuous job",
						&batch.error);

		if (!ok)
		{
			TimestampTz until;
			ErrorData  *another;

			if (worker_run(note_error, &batch, "recording an error", &another))
			{
				if (batch.result == JOB_GONE)
					worker_leave();
			}
			/* mostly for the same reason */
			else if (strcmp(another->message, batch.error->message) != 0)
				worker_log_error(another);
			worker_log_error(batch.error);
			worker_signal_progress(batch.job_id);
			pgstat_report_stat(true);

			until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), retry_delay);
			retry_delay = Min(retry_delay * 2, RETRY_MAX);
			idle = true;
			set_idle(true, seen, until);
			for (;;)
			{
				long		wait = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

				if (wait <= 0 || is_wanted())
					break;
				worker_sleep(wait);
			}
			continue;
		}

		retry_delay = RETRY_MIN;
		worker_signal_progress(batch.job_id);

		switch (batch.result)
		{
			case JOB_GONE:
				worker_leave();
				break;
			case JOB_MORE:
				if (idle)
					set_idle(false, seen, 0);
				idle = false;
				worker_check();
				break;
			case JOB_CAUGHT_UP:
				if (!idle)
				{
					/*
					 * counters that were held back are shown before a long
					 * sleep
					 */
					pgstat_report_stat(true);
				}
				idle = true;
				set_idle(true, seen, 0);
				if (!is_wanted())
					worker_sleep_on(source, seen, streamq_naptime);
				else
					worker_check();
				break;
		}
	}
}
