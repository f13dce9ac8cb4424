/*
 * scheduler.c
 *	  One process for each database with the extension: keeps its notifier,
 *	  its maintenance process and its job workers running.
 *
 * There are as many workers as enabled jobs, up to streamq.max_workers_per_database.  Which
 * of them works on which job is theirs to find out (jobs.c); the scheduler tells
 * them what jobs there are, and wakes them for those whose time has come.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/group.h"
#include "job/job.h"
#include "log/options.h"
#include "signal/news.h"
#include "worker/pool.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define LOOK_NAPTIMES	10		/* between two looks at the jobs, unasked */
#define LOOK_MIN		1000	/* ms */
#define RETRY_MIN		1000	/* ms after a failed look */
#define RETRY_MAX		(60 * 1000)
#define RESTART_DELAY	1000	/* ms between two starts of the same process */

static bool extension_found;
static bool limits_found;		/* a stream has a limit on what it keeps */
static bool roles_recorded = false; /* of all consumer groups */

static void
look_at_jobs(void *arg)
{
	extension_found = OidIsValid(get_extension_oid("streamq", true));
	if (!extension_found)
		return;

	PushActiveSnapshot(GetTransactionSnapshot());
	worker_pool_set_list(job_list());
	PopActiveSnapshot();
	limits_found = log_options_list_limited() != NIL;

	/* once is enough: while a server runs nobody comes from pg_upgrade */
	if (!roles_recorded)
		group_record_roles();
	roles_recorded = true;
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

	worker_pool_set_list(NIL);
	worker_quit_all(MyDatabaseId);
	signal_purge(not_this_database, NULL);

	/* what the launcher finds when we are gone */
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	worker_slot->state = SLOT_DONE;
	LWLockRelease(worker_shared->lock);
	worker_leave();
}

static void
wake_worker(WorkerSlot *slot)
{
	if (slot->proc != NULL)
		SetLatch(&slot->proc->procLatch);
}

/*
 * Look at what runs.  Workers above the number wanted are told to stop, those
 * that are asleep first.  Returns the number that go on.
 */
static int
look_at_workers(int wanted, bool *has_notifier, bool *has_maintenance)
{
	int			nworkers = 0;

	*has_notifier = *has_maintenance = false;
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (!worker_slot_is_live(slot) || slot->dboid != MyDatabaseId)
			continue;
		if (slot->kind == WORKER_NOTIFIER)
			*has_notifier = true;
		if (slot->kind == WORKER_MAINTENANCE)
			*has_maintenance = true;
		if (slot->kind == WORKER_JOB && !slot->quit)
			nworkers++;
	}
	for (int busy = 0; busy <= 1 && nworkers > wanted; busy++)
	{
		for (int i = 0; i < worker_shared->nslots && nworkers > wanted; i++)
		{
			WorkerSlot *slot = &worker_shared->slots[i];

			if (!worker_slot_is_live(slot) || slot->dboid != MyDatabaseId ||
				slot->kind != WORKER_JOB || slot->quit || (!busy && !slot->idle))
				continue;
			slot->quit = true;
			wake_worker(slot);
			nworkers--;
		}
	}
	LWLockRelease(worker_shared->lock);
	return nworkers;
}

/* start one more, if it can be had; false: there is none to be had now */
static bool
launch(WorkerKind kind, TimestampTz now, bool *launched)
{
	static TimestampTz full_until = 0;
	static bool complained = false;

	*launched = false;
	if (now < full_until)
		return false;
	switch (worker_launch(kind, MyDatabaseId))
	{
		case LAUNCH_DONE:
			*launched = true;
			complained = false;
			return true;
		case LAUNCH_EXISTS:
		case LAUNCH_HELD:
			return true;
		case LAUNCH_FULL:
			break;
	}
	full_until = TimestampTzPlusMilliseconds(now, WORKER_FULL_RETRY);
	if (!complained)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker is free to run a streamq job worker of database %u",
						MyDatabaseId),
				 errhint("You might need to increase \"max_worker_processes\".")));
	complained = true;
	return false;
}

/*
 * Keep the right number of processes running; returns the time until the next
 * look, in ms, -1 if there need be none.
 */
static long
keep_processes(TimestampTz now)
{
	static TimestampTz notifier_started = 0;
	static TimestampTz maintenance_started = 0;
	static TimestampTz workers_after = 0;
	static int	expected = 0;
	int			wanted = Min(worker_pool_count(), worker_max_per_database);
	bool		has_notifier;
	bool		has_maintenance;
	int			nworkers = look_at_workers(wanted, &has_notifier, &has_maintenance);
	bool		full = false;
	bool		launched = true;
	long		timeout = -1;

	if (!has_notifier &&
		TimestampDifferenceExceeds(notifier_started, now, RESTART_DELAY))
	{
		full |= !launch(WORKER_NOTIFIER, now, &launched);
		notifier_started = now;
	}
	if (limits_found && !has_maintenance &&
		TimestampDifferenceExceeds(maintenance_started, now, RESTART_DELAY))
	{
		full |= !launch(WORKER_MAINTENANCE, now, &launched);
		maintenance_started = now;
	}
	if (!has_notifier || (limits_found && !has_maintenance))
		timeout = RESTART_DELAY;

	/* one that ended unasked may do so again */
	if (nworkers < Min(expected, wanted))
		workers_after = TimestampTzPlusMilliseconds(now, RESTART_DELAY);
	if (nworkers < wanted && workers_after <= now)
	{
		for (launched = true; launched && !full && nworkers < wanted;)
		{
			full = !launch(WORKER_JOB, now, &launched);
			if (launched)
				nworkers++;
		}
	}
	expected = nworkers;
	if (nworkers < wanted)
		timeout = RESTART_DELAY;
	return full ? WORKER_FULL_RETRY : timeout;
}

void
streamq_scheduler_main(Datum arg)
{
	MemoryContext loop_context;
	TimestampTz next_look = 0;
	int			retry_delay = RETRY_MIN;

	worker_start("streamq scheduler");
	worker_pool_attach();
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
			int64		delay = Max((int64) worker_naptime * LOOK_NAPTIMES, LOOK_MIN);
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
			long		processes = keep_processes(now);
			long		tend = worker_pool_tend(now);
			long		watch = worker_watch_batches(now);

			if (processes >= 0)
				timeout = Min(timeout, processes);
			if (tend >= 0)
				timeout = Min(timeout, tend);
			if (watch >= 0)
				timeout = Min(timeout, watch);
		}
		worker_sleep(Max(timeout, 1));
	}
}
