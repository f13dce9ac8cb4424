/*
 * scheduler.c
 *	  One process for each database with the extension: keeps its other
 *	  processes running.
 *
 * What processes there are, and how many of each are wanted, is in the table
 * of their kinds (worker_kinds.c).  Job workers find out themselves which of
 * them works on which job (pool.c); the scheduler tells them what jobs there
 * are, and wakes them for those whose time has come.
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
#include "signal/news.h"
#include "worker/pool.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define LOOK_NAPTIMES	10		/* between two looks at the jobs, unasked */
#define LOOK_MIN		1000	/* ms */
#define RETRY_MIN		1000	/* ms after a failed look */
#define RETRY_MAX		(60 * 1000)

/* processes of one kind in this database */
typedef struct KindState
{
	int			running;
	int			expected;		/* that ran when we last looked */
	TimestampTz not_before;		/* start no other until then */
} KindState;

static bool extension_found;
static bool roles_recorded = false; /* of all consumer groups */
static KindState kinds[WORKER_NKINDS];

static void
look(void *arg)
{
	extension_found = OidIsValid(get_extension_oid("streamq", true));
	if (!extension_found)
		return;

	PushActiveSnapshot(GetTransactionSnapshot());
	for (int i = 0; i < WORKER_NKINDS; i++)
	{
		if (worker_kinds[i].look)
			worker_kinds[i].look();
	}
	PopActiveSnapshot();

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

/* count what runs */
static void
count_processes(void)
{
	for (int i = 0; i < WORKER_NKINDS; i++)
		kinds[i].running = 0;
	LWLockAcquire(worker_shared->lock, LW_SHARED);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		/* of the only one of its kind there is no other until it is gone */
		if (worker_slot_is_live(slot) && slot->dboid == MyDatabaseId &&
			(!slot->quit || !worker_kinds[slot->kind].many))
			kinds[slot->kind].running++;
	}
	LWLockRelease(worker_shared->lock);
}

/* tell processes to stop until there are as many as wanted, sleepers first */
static void
stop_surplus(WorkerKind kind, int wanted)
{
	int		   *running = &kinds[kind].running;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int busy = 0; busy <= 1 && *running > wanted; busy++)
	{
		for (int i = 0; i < worker_shared->nslots && *running > wanted; i++)
		{
			WorkerSlot *slot = &worker_shared->slots[i];

			if (!worker_slot_is_live(slot) || slot->dboid != MyDatabaseId ||
				slot->kind != kind || slot->quit || (!busy && !slot->idle))
				continue;
			slot->quit = true;
			wake_worker(slot);
			(*running)--;
		}
	}
	LWLockRelease(worker_shared->lock);
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
 * Keep the right number of processes of a kind running.  *full: no background
 * worker is to be had.  Returns the time until the next look, in ms, -1 if
 * there need be none.
 */
static long
keep_kind(WorkerKind kind, TimestampTz now, bool *full)
{
	const WorkerKindInfo *info = &worker_kinds[kind];
	KindState  *state = &kinds[kind];
	int			wanted = info->wanted();
	bool		launched = true;

	if (info->many && state->running > wanted)
		stop_surplus(kind, wanted);

	/* one that ended unasked may do so again */
	if (state->running < Min(state->expected, wanted))
		state->not_before = TimestampTzPlusMilliseconds(now, info->restart_delay);
	while (state->running < wanted && state->not_before <= now && launched && !*full)
	{
		*full = !launch(kind, now, &launched);
		if (launched)
			state->running++;
	}
	state->expected = state->running;
	if (state->running >= wanted)
		return -1;
	return state->not_before > now ?
		TimestampDifferenceMilliseconds(now, state->not_before) : info->restart_delay;
}

/* all kinds; returns the time as keep_kind does */
static long
keep_processes(TimestampTz now)
{
	bool		full = false;
	long		timeout = -1;

	count_processes();
	for (int i = 0; i < WORKER_NKINDS; i++)
	{
		long		next = worker_kinds[i].wanted ? keep_kind(i, now, &full) : -1;

		if (next >= 0)
			timeout = timeout < 0 ? next : Min(timeout, next);
	}
	return full ? WORKER_FULL_RETRY : timeout;
}

void
streamq_scheduler_main(Datum arg)
{
	MemoryContext loop_context;
	TimestampTz next_look = 0;
	int			retry_delay = RETRY_MIN;

	worker_start();
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

			if (worker_run(look, NULL, "listing jobs", &error))
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
