/*
 * scheduler.c
 *	  One process for each database with the extension: keeps its notifier,
 *	  its maintenance process and its job workers running.
 *
 * Every enabled job has a worker to itself as long as streamq.max_workers
 * allows.  With more jobs than workers, those without one are watched from
 * here (their source's doorbell tells without a transaction whether there is
 * something to do), and a worker that has caught up, or has had its turn,
 * is told to change over.
 */
#include "streamq.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/group.h"
#include "log/options.h"
#include "query/job.h"
#include "worker/doorbell.h"
#include "worker/notify_queue.h"
#include "worker/worker_shared.h"

#define LOOK_NAPTIMES	10		/* between two looks at the jobs, unasked */
#define LOOK_MIN		1000	/* ms */
#define RETRY_MIN		1000	/* ms after a failed look */
#define RETRY_MAX		(60 * 1000)
#define RESTART_DELAY	1000	/* ms between two starts of the same process */
#define TURN			1000	/* ms a busy job may keep its worker while
								 * others wait */

typedef struct SchedulerJob
{
	int32		job_id;			/* hash key */
	Oid			source;
	bool		enabled;
	bool		listed;
	bool		assigned;		/* a worker has it, or is about to */
	TimestampTz last_start;
	TimestampTz last_run;		/* when a worker gave it up */
	uint64		seen;			/* doorbell count it had caught up with then */
	bool		caught_up;
	TimestampTz not_before;
} SchedulerJob;

static HTAB *jobs = NULL;
static bool extension_found;
static bool limits_found;		/* a stream has a limit on what it keeps */
static bool roles_recorded = false; /* of all consumer groups */

static void
look_at_jobs(void *arg)
{
	HASH_SEQ_STATUS status;
	SchedulerJob *job;
	ListCell   *lc;

	extension_found = OidIsValid(get_extension_oid("streamq", true));
	if (!extension_found)
		return;

	hash_seq_init(&status, jobs);
	while ((job = hash_seq_search(&status)) != NULL)
		job->listed = false;

	PushActiveSnapshot(GetTransactionSnapshot());
	foreach(lc, job_list())
	{
		JobInfo    *info = lfirst(lc);
		bool		found;

		job = hash_search(jobs, &info->job_id, HASH_ENTER, &found);
		if (!found)
		{
			memset(job, 0, sizeof(*job));
			job->job_id = info->job_id;
		}
		job->source = info->source;
		job->enabled = info->enabled;
		job->listed = true;
	}
	PopActiveSnapshot();
	limits_found = options_list_limited() != NIL;

	/* once is enough: while a server runs nobody comes from pg_upgrade */
	if (!roles_recorded)
		group_record_roles();
	roles_recorded = true;

	hash_seq_init(&status, jobs);
	while ((job = hash_seq_search(&status)) != NULL)
	{
		if (!job->listed)
			hash_search(jobs, &job->job_id, HASH_REMOVE, NULL);
	}
}

/*
 * The jobs could not be listed: say so once, not at each attempt.  NULL: they could,
 * so the next error is news.
 */
static void
report_failure(ErrorData *error)
{
	static char *reported = NULL;

	if (error != NULL)
	{
		if (reported != NULL && strcmp(reported, error->message) == 0)
			return;
		worker_log_error(error);
	}
	if (reported != NULL)
		pfree(reported);
	reported = error ? MemoryContextStrdup(TopMemoryContext, error->message) : NULL;
}

static bool
not_this_database(Oid dboid, void *arg)
{
	return dboid != MyDatabaseId;
}

/* the extension is not there (any more): end, with all that belongs to us */
static void
leave_database(void)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (worker_slot->relook)
	{
		/* it may have been created while we looked */
		LWLockRelease(worker_shared->lock);
		return;
	}
	worker_slot->found = false;
	worker_slot->quit = true;
	LWLockRelease(worker_shared->lock);

	worker_quit_all(MyDatabaseId);
	notify_purge(not_this_database, NULL);

	/* what the launcher finds when we are gone */
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	worker_slot->state = SLOT_DONE;
	LWLockRelease(worker_shared->lock);
	worker_leave();
}

/* is there reason to believe that a job without a worker has something to do? */
static bool
job_wants_worker(const SchedulerJob *job, TimestampTz now)
{
	if (job->not_before > now)
		return false;
	return !job->caught_up || doorbell_count(job->source) != job->seen ||
		TimestampDifferenceExceeds(job->last_run, now, streamq_naptime * LOOK_NAPTIMES);
}

/* the job that has waited longest for a worker, NULL if none is in need of one */
static SchedulerJob *
next_job(TimestampTz now)
{
	HASH_SEQ_STATUS status;
	SchedulerJob *job;
	SchedulerJob *best = NULL;

	hash_seq_init(&status, jobs);
	while ((job = hash_seq_search(&status)) != NULL)
	{
		if (!job->enabled || job->assigned || !job_wants_worker(job, now))
			continue;
		if (best == NULL || job->last_run < best->last_run)
			best = job;
	}
	return best;
}

static void
wake_worker(WorkerSlot *slot)
{
	if (slot->proc != NULL)
		SetLatch(&slot->proc->procLatch);
}

/*
 * Look at the workers that run: which jobs have one.  Workers on jobs that
 * are gone or paused, and those above the limit, are told to stop.  Returns
 * the number that go on.
 */
static int
look_at_workers(bool *has_notifier, bool *has_maintenance)
{
	HASH_SEQ_STATUS status;
	SchedulerJob *job;
	int			nworkers = 0;

	*has_notifier = *has_maintenance = false;
	hash_seq_init(&status, jobs);
	while ((job = hash_seq_search(&status)) != NULL)
		job->assigned = false;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];
		int32		job_id = slot->next_job != 0 ? slot->next_job : slot->job_id;

		if ((slot->state != SLOT_STARTING && slot->state != SLOT_RUNNING) ||
			slot->dboid != MyDatabaseId)
			continue;
		if (slot->kind == WORKER_NOTIFIER)
			*has_notifier = true;
		if (slot->kind == WORKER_MAINTENANCE)
			*has_maintenance = true;
		if (slot->kind != WORKER_JOB)
			continue;

		job = hash_search(jobs, &job_id, HASH_FIND, NULL);
		if (slot->quit || job == NULL || !job->enabled || nworkers >= streamq_max_workers)
		{
			/* until it is gone nobody else may run the job */
			if (job != NULL)
				job->assigned = true;
			slot->quit = true;
			wake_worker(slot);
			continue;
		}
		job->assigned = true;
		nworkers++;
	}
	LWLockRelease(worker_shared->lock);
	return nworkers;
}

/*
 * Give the job to a worker that has caught up, or to one that has had its
 * turn.  False if there is none.
 */
static bool
change_over(SchedulerJob *job, TimestampTz now)
{
	WorkerSlot *victim = NULL;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (slot->state != SLOT_RUNNING || slot->kind != WORKER_JOB ||
			slot->dboid != MyDatabaseId || slot->quit || slot->next_job != 0)
			continue;
		if (!slot->idle && !TimestampDifferenceExceeds(slot->since, now, TURN))
			continue;
		if (victim == NULL || (slot->idle && !victim->idle) ||
			(slot->idle == victim->idle && slot->since < victim->since))
			victim = slot;
	}
	if (victim != NULL)
	{
		SchedulerJob *left = hash_search(jobs, &victim->job_id, HASH_FIND, NULL);

		if (left != NULL)
		{
			left->last_run = now;
			left->caught_up = victim->idle && victim->not_before == 0;
			left->seen = victim->seen;
			left->not_before = victim->not_before;
		}
		victim->next_job = job->job_id;
		victim->next_source = job->source;
		wake_worker(victim);
	}
	LWLockRelease(worker_shared->lock);

	if (victim == NULL)
		return false;
	job->assigned = true;
	return true;
}

/* start and move workers; returns the time until the next look, in ms */
static long
assign_jobs(TimestampTz now)
{
	static TimestampTz notifier_started = 0;
	static TimestampTz maintenance_started = 0;
	static TimestampTz full_until = 0;
	static bool complained = false;
	bool		has_notifier;
	bool		has_maintenance;
	int			nworkers = look_at_workers(&has_notifier, &has_maintenance);
	HASH_SEQ_STATUS status;
	SchedulerJob *job;
	long		timeout = -1;
	bool		full = now < full_until;
	bool		waiting = false;

	if (!has_notifier && !full &&
		TimestampDifferenceExceeds(notifier_started, now, RESTART_DELAY))
	{
		full = worker_launch(WORKER_NOTIFIER, MyDatabaseId, 0, InvalidOid) == LAUNCH_FULL;
		notifier_started = now;
	}
	if (limits_found && !has_maintenance && !full &&
		TimestampDifferenceExceeds(maintenance_started, now, RESTART_DELAY))
	{
		full = worker_launch(WORKER_MAINTENANCE, MyDatabaseId, 0, InvalidOid) == LAUNCH_FULL;
		maintenance_started = now;
	}
	if (!has_notifier || (limits_found && !has_maintenance))
		timeout = RESTART_DELAY;

	/* free places go to any job that has none, whether it has work or not */
	hash_seq_init(&status, jobs);
	while ((job = hash_seq_search(&status)) != NULL)
	{
		if (!job->enabled || job->assigned || full || nworkers >= streamq_max_workers)
			continue;
		if (!TimestampDifferenceExceeds(job->last_start, now, RESTART_DELAY))
		{
			timeout = RESTART_DELAY;
			continue;
		}
		switch (worker_launch(WORKER_JOB, MyDatabaseId, job->job_id, job->source))
		{
			case LAUNCH_DONE:
				job->last_start = now;
				nworkers++;
				complained = false;
				/* fall through */
			case LAUNCH_EXISTS:
				job->assigned = true;
				break;
			case LAUNCH_HELD:
				break;
			case LAUNCH_FULL:
				full = true;
				break;
		}
	}
	if (full && now >= full_until)
	{
		full_until = TimestampTzPlusMilliseconds(now, WORKER_FULL_RETRY);
		if (!complained)
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no background worker is free for streamq in database %u",
							MyDatabaseId),
					 errhint("You might need to increase \"max_worker_processes\".")));
		complained = true;
	}
	if (full)
		timeout = WORKER_FULL_RETRY;

	/* the others share what there is */
	if (nworkers > 0)
	{
		while ((job = next_job(now)) != NULL && change_over(job, now))
			;
	}
	hash_seq_init(&status, jobs);
	while ((job = hash_seq_search(&status)) != NULL)
	{
		if (job->enabled && !job->assigned && nworkers > 0)
		{
			timeout = timeout < 0 ? streamq_naptime : Min(timeout, streamq_naptime);
			waiting |= job_wants_worker(job, now);
		}
	}

	/* then a worker that has caught up tells us at once */
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	worker_slot->waiting = waiting;
	LWLockRelease(worker_shared->lock);
	return timeout;
}

void
streamq_scheduler_main(Datum arg)
{
	HASHCTL		ctl = {.keysize = sizeof(int32),.entrysize = sizeof(SchedulerJob)};
	MemoryContext loop_context;
	TimestampTz next_look = 0;
	int			retry_delay = RETRY_MIN;

	worker_start("streamq scheduler");

	jobs = hash_create("streamq jobs", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	loop_context = AllocSetContextCreate(TopMemoryContext, "streamq scheduler",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		relook;
		long		timeout;

		MemoryContextReset(loop_context);
		LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
		relook = worker_slot->relook;
		worker_slot->relook = false;
		LWLockRelease(worker_shared->lock);

		if (relook || now >= next_look)
		{
			int64		delay = Max((int64) streamq_naptime * LOOK_NAPTIMES, LOOK_MIN);
			ErrorData  *error;

			if (worker_run(look_at_jobs, NULL, "listing jobs", &error))
			{
				report_failure(NULL);
				retry_delay = RETRY_MIN;
				if (!extension_found)
				{
					leave_database();
					continue;
				}
			}
			else
			{
				report_failure(error);
				delay = retry_delay;
				retry_delay = Min(retry_delay * 2, RETRY_MAX);
			}

			if (!worker_slot->found && extension_found)
			{
				LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
				worker_slot->found = true;
				if (worker_shared->launcher != NULL)
					SetLatch(&worker_shared->launcher->procLatch);
				LWLockRelease(worker_shared->lock);
			}
			now = GetCurrentTimestamp();
			next_look = TimestampTzPlusMilliseconds(now, delay);
		}

		timeout = TimestampDifferenceMilliseconds(now, next_look);
		if (extension_found)
		{
			long		t = assign_jobs(now);

			if (t >= 0)
				timeout = Min(timeout, t);
		}
		worker_sleep(Max(timeout, 1));
	}
}
