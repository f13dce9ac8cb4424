/*
 * watch.c
 *	  Batches that take long, and how they are canceled.
 *
 * A batch is one transaction, so canceling it loses only its own work.  It is
 * canceled by SIGINT, as pg_cancel_backend does with a query.  The worker's slot
 * says why.  The reason is written under the lock, and only while the slot says
 * that a batch is in progress, so it never concerns another job's batch.  The
 * worker ignores a signal that arrives when the batch has just ended.
 *
 * A worker in a long batch wakes the scheduler several times a second.  The
 * scheduler cancels the batch if a session waits for a lock on one of its
 * relations (DROP, ALTER, TRUNCATE) or for the lock of the job (pause).  Such
 * sessions go first, as they do with autovacuum.  The scheduler also repeats a
 * signal that had no effect, because the query has caught the error.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/loaded.h"
#include "worker/pool.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define TICK	200				/* ms between looks at a long batch, and the
								 * time after which it counts as long */

/* ---- in the worker ---- */

static TimeoutId tick_timeout = MAX_TIMEOUTS;
static Latch *volatile scheduler_latch = NULL;
static volatile TimestampTz deadline = 0;	/* of the batch, 0 if none */
static volatile sig_atomic_t timed_out = false;

/* in a signal handler */
static void
batch_tick(void)
{
	if (deadline != 0 && GetCurrentTimestamp() >= deadline)
	{
		timed_out = true;
		InterruptPending = true;
		QueryCancelPending = true;
		SetLatch(MyLatch);
	}
	if (scheduler_latch != NULL)
		SetLatch(scheduler_latch);
}

void
worker_watch_begin(int timeout_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	WorkerSlot *scheduler;
	int			tick = timeout_ms > 0 ? Min(timeout_ms, TICK) : TICK;

	if (tick_timeout == MAX_TIMEOUTS)
		tick_timeout = RegisterTimeout(USER_TIMEOUT, batch_tick);

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	worker_slot->batch_at = now;
	worker_slot->cancel = CANCEL_NONE;
	/* a later scheduler looks at all batches when it starts */
	scheduler = worker_find_scheduler(MyDatabaseId);
	scheduler_latch = scheduler ? &scheduler->proc->procLatch : NULL;
	LWLockRelease(worker_shared->lock);

	timed_out = false;
	deadline = timeout_ms > 0 ? TimestampTzPlusMilliseconds(now, timeout_ms) : 0;
	enable_timeout_every(tick_timeout, TimestampTzPlusMilliseconds(now, tick), tick);
}

WorkerCancel
worker_watch_end(bool *was_timed_out)
{
	WorkerCancel cancel;

	disable_timeout(tick_timeout, false);
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	worker_slot->batch_at = 0;
	cancel = worker_slot->cancel;
	LWLockRelease(worker_shared->lock);

	/* a signal that has not been served was meant for this batch */
	QueryCancelPending = false;
	*was_timed_out = timed_out;
	return cancel;
}

/* ---- in other processes ---- */

/* the caller holds the lock exclusively, and the slot has a batch in progress */
static void
cancel_batch(WorkerSlot *slot, WorkerCancel why)
{
	slot->cancel = why;
	(void) kill(slot->pid, SIGINT);
}

bool
worker_cancel_job(int32 job_id)
{
	bool		found = false;

	base_require_loaded();
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (slot->state == SLOT_RUNNING && slot->kind == WORKER_JOB &&
			slot->dboid == MyDatabaseId && slot->job_id == job_id && slot->batch_at != 0)
		{
			cancel_batch(slot, CANCEL_ASKED);
			found = true;
		}
	}
	LWLockRelease(worker_shared->lock);
	return found;
}

/*
 * Does the process wait for a lock for which a batch has to end?  This reads
 * the process array without the lock manager's locks, since it only decides
 * whether to ask pg_blocking_pids().
 */
static bool
may_wait_for_batch(PGPROC *proc)
{
	LOCK	   *lock = proc->waitLock;
	LOCKTAG		tag;

	if (proc->pid == 0 || lock == NULL || proc->databaseId != MyDatabaseId ||
		proc->waitStatus != PROC_WAIT_STATUS_WAITING)
		return false;
	tag = lock->tag;
	if (tag.locktag_field1 != MyDatabaseId)
		return false;

	/*
	 * The lock of a job is taken in AccessExclusiveLock mode to pause or drop
	 * the job.  Sessions that want to run it take a weaker mode, and wait.
	 */
	return tag.locktag_type == LOCKTAG_RELATION ||
		(tag.locktag_type == LOCKTAG_OBJECT && proc->waitLockMode == AccessExclusiveLock);
}

/* set blocking[i] if somebody waits for pids[i]; pids that are 0 are ignored */
static void
find_blocking(const int *pids, bool *blocking, int n)
{
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];
		int			pid = proc->pid;
		ArrayType  *array;
		int		   *blockers;
		int			nblockers;

		if (pid == MyProcPid || !may_wait_for_batch(proc))
			continue;
		array = DatumGetArrayTypeP(OidFunctionCall1(F_PG_BLOCKING_PIDS, Int32GetDatum(pid)));
		blockers = (int *) ARR_DATA_PTR(array);
		nblockers = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		for (int b = 0; b < nblockers; b++)
		{
			for (int k = 0; k < n; k++)
				blocking[k] |= pids[k] != 0 && pids[k] == blockers[b];
		}
	}
}

long
worker_watch_batches(TimestampTz now)
{
	int			n = worker_shared->nslots;
	int		   *pids = palloc0(sizeof(int) * n);
	TimestampTz *begun = palloc0(sizeof(TimestampTz) * n);
	bool	   *blocking = palloc0(sizeof(bool) * n);
	bool		any = false;
	bool		look = false;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (slot->state != SLOT_RUNNING || slot->kind != WORKER_JOB ||
			slot->dboid != MyDatabaseId || slot->batch_at == 0 ||
			!TimestampDifferenceExceeds(slot->batch_at, now, TICK))
			continue;
		any = true;
		if (slot->cancel != CANCEL_NONE)
			cancel_batch(slot, slot->cancel);
		else
		{
			pids[i] = slot->pid;
			begun[i] = slot->batch_at;
			look = true;
		}
	}
	LWLockRelease(worker_shared->lock);
	if (!look)
		return any ? TICK : -1;

	find_blocking(pids, blocking, n);
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		/* still the same batch? */
		if (blocking[i] && slot->state == SLOT_RUNNING && slot->pid == pids[i] &&
			slot->batch_at == begun[i])
			cancel_batch(slot, CANCEL_BLOCKING);
	}
	LWLockRelease(worker_shared->lock);
	return TICK;
}
