/*
 * pool.c
 *	  The jobs of a database in shared memory, and which worker has which.
 *
 * There may be more jobs than workers.  A worker keeps the job it ran last, and
 * sleeps on the doorbell of the job's source when there is nothing to do.  After
 * each turn, and when it wakes up, it takes the job that has waited longest,
 * which may be another one.  Jobs without a worker are counted in their
 * doorbell, so that a ring wakes a worker that sleeps elsewhere.
 *
 * The scheduler keeps the list of jobs up to date.  It also wakes workers for
 * jobs that become due without a ring: those that are retried after an error,
 * and all jobs from time to time in case a ring was lost.
 *
 * When a worker ends, nothing has to be undone.  A job counts as held only if
 * the slot of its holder agrees.  If a worker ended in the middle of a batch,
 * the batch may be the cause, and may end the next worker, too.  So the job is
 * put off as after an error.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "job/job.h"
#include "signal/doorbell.h"
#include "worker/pool.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define RETRY_MIN		1000	/* ms after an error */
#define RETRY_MAX		(60 * 1000)
#define BUSY_MIN		50		/* ms after a lock was not available */
#define BUSY_MAX		1000

/*
 * A job that has no worker gets a turn after LOOK_NAPTIMES naptimes even if no
 * doorbell rang.  A worker that is awake takes it after LOOK_EARLY, so that
 * such turns fall together.
 */
#define LOOK_NAPTIMES	10
#define LOOK_EARLY		9

#define DSA_SIZE		(64 * 1024) /* initial; more is taken from DSM */
#define JOBS_MIN		32

typedef struct WorkerJob
{
	int32		job_id;
	Oid			source;
	Oid			other_source;	/* InvalidOid: none */
	int			timeout;		/* ms; -1: streamq.job_timeout */
	bool		gone;			/* dropped or paused: will be removed */
	bool		counted;		/* in its doorbell, see signal_add_job */
	bool		caught_up;
	WorkerSeen	seen;			/* the doorbells' counts when it caught up */
	TimestampTz last_turn;		/* when it ended */
	TimestampTz due;			/* when it wants a turn without a ring; 0:
								 * never */
	TimestampTz not_before;		/* when it may be tried again, 0: at once */
	int			delay;			/* ms until then, doubled each time */
	int			holder;			/* number of the holder's slot, -1: none */
	uint32		holder_generation;	/* of that slot */
	bool		in_turn;		/* the holder runs a batch */
	int			deaths;			/* batches in a row whose worker ended */
} WorkerJob;

static dsa_area *area = NULL;
static WorkerPool *pool = NULL;

/* ---- shared memory ---- */

static Size
dsa_size(void)
{
	return Max(MAXALIGN(dsa_minimum_size()), DSA_SIZE);
}

Size
worker_pool_shared_size(int nslots)
{
	return add_size(add_size(MAXALIGN(mul_size(sizeof(WorkerPool), nslots)),
							 dsa_size()), MAXIMUM_ALIGNOF);
}

/* the caller holds AddinShmemInitLock, and the slots are initialized */
void
worker_pool_init_shared(void)
{
	Size		pools_size = MAXALIGN(sizeof(WorkerPool) * worker_shared->nslots);
	dsa_area   *new_area;
	bool		found;

	worker_shared->pools = ShmemInitStruct("streamq jobs",
										   worker_pool_shared_size(worker_shared->nslots), &found);
	memset(worker_shared->pools, 0, pools_size);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		pg_atomic_init_u32(&worker_shared->pools[i].dboid, InvalidOid);
		pg_atomic_init_u32(&worker_shared->pools[i].nidle, 0);
	}

	/* the postmaster must not stay attached */
	worker_shared->dsa = (char *) worker_shared->pools + pools_size;
	new_area = dsa_create_in_place(worker_shared->dsa, dsa_size(),
								   worker_shared->lock->tranche, NULL);
	dsa_pin(new_area);
	dsa_detach(new_area);
}

static WorkerJob *
pool_jobs(WorkerPool *p)
{
	return DsaPointerIsValid(p->jobs) ? dsa_get_address(area, p->jobs) : NULL;
}

/* does a process of the database run or start?  The caller holds the lock */
static bool
database_is_in_use(Oid dboid)
{
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (worker_slot_is_live(slot) && slot->dboid == dboid)
			return true;
	}
	return false;
}

static void
set_counted(Oid dboid, WorkerJob *job, bool counted)
{
	if (job->counted != counted)
	{
		signal_add_job(dboid, job->source, counted ? 1 : -1);
		if (OidIsValid(job->other_source))
			signal_add_job(dboid, job->other_source, counted ? 1 : -1);
	}
	job->counted = counted;
}

static void
empty_pool(WorkerPool *p)
{
	Oid			dboid = pg_atomic_read_u32(&p->dboid);
	WorkerJob  *jobs = pool_jobs(p);

	for (int i = 0; i < p->njobs; i++)
		set_counted(dboid, &jobs[i], false);
	p->njobs = 0;
}

void
worker_pool_attach(void)
{
	WorkerPool *unused = NULL;

	area = dsa_attach_in_place(worker_shared->dsa, NULL);
	dsa_pin_mapping(area);
	on_shmem_exit(dsa_on_shmem_exit_release_in_place, PointerGetDatum(worker_shared->dsa));

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < worker_shared->nslots && pool == NULL; i++)
	{
		WorkerPool *p = &worker_shared->pools[i];
		Oid			dboid = pg_atomic_read_u32(&p->dboid);

		if (dboid == MyDatabaseId)
			pool = p;
		else if (unused == NULL &&
				 (!OidIsValid(dboid) || !database_is_in_use(dboid)))
			unused = p;
	}
	if (pool == NULL)
	{
		/* there are as many pools as slots, so one is unused */
		pool = unused;
		empty_pool(pool);
		pg_atomic_write_u32(&pool->nidle, 0);
		pg_atomic_write_u32(&pool->dboid, MyDatabaseId);
	}
	LWLockRelease(worker_shared->lock);
}

/* ---- one job; the caller holds the lock exclusively ---- */

static WorkerJob *
find_job(int32 job_id)
{
	WorkerJob  *jobs = pool_jobs(pool);

	for (int i = 0; i < pool->njobs; i++)
	{
		if (jobs[i].job_id == job_id)
			return &jobs[i];
	}
	return NULL;
}

static WorkerSlot *
holder(WorkerJob *job)
{
	WorkerSlot *slot;

	if (job->holder < 0)
		return NULL;
	slot = &worker_shared->slots[job->holder];
	return slot->generation == job->holder_generation && slot->state == SLOT_RUNNING &&
		slot->job_id == job->job_id ? slot : NULL;
}

static void
remove_job(WorkerJob *job)
{
	WorkerJob  *jobs = pool_jobs(pool);

	set_counted(MyDatabaseId, job, false);
	pool->njobs--;
	*job = jobs[pool->njobs];
}

/*
 * The job has no worker any more.  If there is nothing to do, the next ring of
 * its doorbell has to wake one.
 */
static void
set_free(WorkerJob *job)
{
	job->holder = -1;
	set_counted(MyDatabaseId, job, job->caught_up && !job->gone);
}

static void
hold_job(WorkerJob *job)
{
	set_counted(MyDatabaseId, job, false);
	job->holder = worker_slot - worker_shared->slots;
	job->holder_generation = worker_slot->generation;
	worker_slot->job_id = job->job_id;
	worker_slot->source = job->source;
	worker_slot->other_source = job->other_source;
}

/* the worker gives up its job */
static void
release_job(WorkerJob *job)
{
	worker_slot->job_id = 0;
	worker_slot->source = InvalidOid;
	worker_slot->other_source = InvalidOid;
	if (job == NULL)
		return;
	if (job->gone)
		remove_job(job);
	else
		set_free(job);
}

/* did the holder end in the middle of a batch?  The scheduler puts the job off */
static bool
lost_worker(WorkerJob *job)
{
	return job->in_turn && holder(job) == NULL;
}

/* may there be something to do, or was the last turn so many naptimes ago? */
static bool
wants_turn(const WorkerJob *job, TimestampTz now, int naptimes)
{
	if (job->gone || job->not_before > now)
		return false;
	return !job->caught_up || signal_count(job->source) != job->seen.source ||
		(OidIsValid(job->other_source) &&
		 signal_count(job->other_source) != job->seen.other_source) ||
		(job->due != 0 && job->due <= now) ||
		TimestampDifferenceExceeds(job->last_turn, now,
								   (int) Min((int64) worker_naptime * naptimes, INT_MAX));
}

static void
put_off(WorkerJob *job, TimestampTz now, int least, int most)
{
	/* a shorter delay was for another reason: start with the least one */
	job->delay = job->delay < least ? least : Min(job->delay * 2, most);
	job->not_before = TimestampTzPlusMilliseconds(now, job->delay);
	job->caught_up = false;
}

/* the turn with the job has ended: decide when it gets the next one */
static void
note_outcome(WorkerJob *job, WorkerOutcome outcome, WorkerSeen seen, TimestampTz due,
			 TimestampTz now)
{
	if (outcome == TURN_NONE)
		return;
	job->in_turn = false;
	job->deaths = 0;
	job->last_turn = now;
	switch (outcome)
	{
		case TURN_FAILED:
		case TURN_CANCELED:
			put_off(job, now, RETRY_MIN, RETRY_MAX);
			break;
		case TURN_BUSY:
			if (job->delay > BUSY_MAX / 2)
				job->delay = BUSY_MAX / 2;
			put_off(job, now, BUSY_MIN, BUSY_MAX);
			break;
		case TURN_GONE:
			job->gone = true;
			break;
		default:
			job->delay = 0;
			job->not_before = 0;
			job->caught_up = outcome == TURN_CAUGHT_UP;
			job->seen = seen;
			job->due = due;
			break;
	}
}

/* ---- idle workers ---- */

static void
set_idle(WorkerPool *p, WorkerSlot *slot, bool idle, TimestampTz now)
{
	/*
	 * the atomic operation is a full barrier, which worker_pool_rung relies
	 * on
	 */
	if (idle && !slot->idle)
	{
		pg_atomic_fetch_add_u32(&p->nidle, 1);
		slot->idle_since = now;
	}
	else if (!idle && slot->idle && !slot->poked)
		pg_atomic_fetch_sub_u32(&p->nidle, 1);
	slot->idle = idle;
	slot->poked = false;
}

/* wake an idle worker, preferably one without a job, that is idle longest */
static bool
poke_worker(WorkerPool *p)
{
	Oid			dboid = pg_atomic_read_u32(&p->dboid);
	WorkerSlot *best = NULL;

	if (pg_atomic_read_u32(&p->nidle) == 0)
		return false;
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (slot->state != SLOT_RUNNING || slot->kind != WORKER_JOB || slot->dboid != dboid ||
			!slot->idle || slot->poked || slot->quit)
			continue;
		if (best == NULL || (slot->job_id == 0 && best->job_id != 0) ||
			((slot->job_id == 0) == (best->job_id == 0) && slot->idle_since < best->idle_since))
			best = slot;
	}
	if (best == NULL)
		return false;
	best->poked = true;
	pg_atomic_fetch_sub_u32(&p->nidle, 1);
	SetLatch(&best->proc->procLatch);
	return true;
}

/* the pool of a database; NULL if no scheduler or worker ever ran there */
static WorkerPool *
find_pool(Oid dboid)
{
	static int	last = 0;

	if (pg_atomic_read_u32(&worker_shared->pools[last].dboid) == dboid)
		return &worker_shared->pools[last];
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		if (pg_atomic_read_u32(&worker_shared->pools[i].dboid) == dboid)
		{
			last = i;
			return &worker_shared->pools[i];
		}
	}
	return NULL;
}

void
worker_pool_rung(void)
{
	WorkerPool *p = find_pool(MyDatabaseId);

	/* no wake-up is lost: a worker looks at all jobs after it counts as idle */
	if (p == NULL || pg_atomic_read_u32(&p->nidle) == 0)
		return;
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	(void) poke_worker(p);
	LWLockRelease(worker_shared->lock);
}

void
worker_pool_leave(WorkerSlot *slot)
{
	WorkerPool *p = slot->idle ? find_pool(slot->dboid) : NULL;

	if (p != NULL)
		set_idle(p, slot, false, 0);
}

/* ---- scheduler ---- */

static void
make_room(int njobs)
{
	int			nalloc = Max(pool->nalloc, JOBS_MIN);
	dsa_pointer jobs;
	dsa_pointer old;

	/* only the scheduler adds jobs, so the lock is not needed yet */
	while (nalloc < njobs)
		nalloc *= 2;
	if (nalloc == pool->nalloc)
		return;
	jobs = dsa_allocate0(area, sizeof(WorkerJob) * nalloc);

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (pool->njobs > 0)
		memcpy(dsa_get_address(area, jobs), pool_jobs(pool), sizeof(WorkerJob) * pool->njobs);
	old = pool->jobs;
	pool->jobs = jobs;
	pool->nalloc = nalloc;
	LWLockRelease(worker_shared->lock);
	if (DsaPointerIsValid(old))
		dsa_free(area, old);
}

void
worker_pool_set_list(List *list)
{
	WorkerJob  *jobs;
	ListCell   *lc;

	make_room(pool->njobs + list_length(list));

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	jobs = pool_jobs(pool);
	for (int i = 0; i < pool->njobs; i++)
		jobs[i].gone = true;
	foreach(lc, list)
	{
		JobInfo    *info = lfirst(lc);
		WorkerJob  *job;

		if (!info->enabled)
			continue;
		job = find_job(info->job_id);
		if (job == NULL)
		{
			job = &jobs[pool->njobs++];
			memset(job, 0, sizeof(*job));
			job->job_id = info->job_id;
			job->source = info->source;
			job->other_source = info->other_source;
			job->holder = -1;
		}
		job->gone = false;
		job->timeout = info->timeout;
	}
	for (int i = pool->njobs - 1; i >= 0; i--)
	{
		WorkerSlot *slot = holder(&jobs[i]);

		if (!jobs[i].gone)
			continue;
		if (slot == NULL)
			remove_job(&jobs[i]);
		else if (slot->idle)
			/* it will give up the job */
			SetLatch(&slot->proc->procLatch);
	}
	LWLockRelease(worker_shared->lock);
}

void
worker_pool_look(void)
{
	worker_pool_set_list(job_list());
}

/* as many workers as jobs, up to the limit */
int
worker_pool_wanted(void)
{
	WorkerJob  *jobs;
	int			n = 0;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	jobs = pool_jobs(pool);
	for (int i = 0; i < pool->njobs; i++)
		n += jobs[i].gone ? 0 : 1;
	LWLockRelease(worker_shared->lock);
	return Min(n, worker_max_per_database);
}

long
worker_pool_tend(TimestampTz now)
{
	WorkerJob  *jobs;
	TimestampTz next = DT_NOEND;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	jobs = pool_jobs(pool);
	for (int i = pool->njobs - 1; i >= 0; i--)
	{
		WorkerJob  *job = &jobs[i];

		if (holder(job) != NULL)
			continue;
		if (job->gone)
		{
			remove_job(job);
			continue;
		}
		/* its worker ended, and nobody listened to its doorbell since */
		if (job->holder >= 0)
		{
			job->caught_up = false;
			set_free(job);
		}
		if (job->in_turn)
		{
			job->in_turn = false;
			job->deaths++;
			job->last_turn = now;
			put_off(job, now, RETRY_MIN, RETRY_MAX);
		}
		if (job->not_before > now)
			next = Min(next, job->not_before);
		else if (!wants_turn(job, now, LOOK_NAPTIMES))
		{
			next = Min(next, TimestampTzPlusMilliseconds(job->last_turn,
														 (int64) worker_naptime * LOOK_NAPTIMES));
			if (job->due != 0)
				next = Min(next, job->due);
		}
		else
			/* if no worker is idle, the next one that is takes the job */
			(void) poke_worker(pool);
	}
	LWLockRelease(worker_shared->lock);
	return next == DT_NOEND ? -1 : Max(TimestampDifferenceMilliseconds(now, next), 1);
}

/* ---- job worker ---- */

/*
 * The job that has waited longest, NULL if there is nothing to do.  *others is
 * set if there are more.  look: own gets a turn even if there is no ring.
 */
static WorkerJob *
choose_job(WorkerJob *own, bool look, TimestampTz now, bool *others)
{
	WorkerJob  *jobs = pool_jobs(pool);
	WorkerJob  *best = NULL;

	*others = false;
	for (int i = 0; i < pool->njobs; i++)
	{
		WorkerJob  *job = &jobs[i];

		if (job == own)
		{
			if (!wants_turn(job, now, 1) &&
				!(look && !job->gone && job->not_before <= now))
				continue;
		}
		else if (!wants_turn(job, now, LOOK_EARLY) || holder(job) != NULL || lost_worker(job))
			continue;
		if (best != NULL)
			*others = true;
		if (best == NULL || job->last_turn < best->last_turn)
			best = job;
	}
	return best;
}

bool
worker_pool_next(WorkerOutcome outcome, WorkerSeen seen, TimestampTz due, long *timeout)
{
	TimestampTz now = GetCurrentTimestamp();
	WorkerJob  *own;
	WorkerJob  *next;
	bool		look;
	bool		others;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	set_idle(pool, worker_slot, false, now);
	worker_slot->helpers = 0;
	look = worker_slot->relook;
	worker_slot->relook = false;

	own = worker_slot->job_id != 0 ? find_job(worker_slot->job_id) : NULL;
	if (own != NULL)
		note_outcome(own, outcome, seen, due, now);
	if (outcome == TURN_GONE)
	{
		/* the scheduler lists the job again if it has been resumed meanwhile */
		WorkerSlot *scheduler = worker_find_scheduler(MyDatabaseId);

		if (scheduler != NULL)
		{
			scheduler->relook = true;
			SetLatch(&scheduler->proc->procLatch);
		}
	}
	if (own == NULL || own->gone || own->not_before > now)
	{
		/* a job that has to wait needs no worker: the scheduler wakes one */
		if (own != NULL && !own->gone)
			worker_wake_scheduler(MyDatabaseId);
		release_job(own);
		own = NULL;
	}
	else if (own->caught_up && OidIsValid(own->other_source))
	{
		/* a worker can sleep on one doorbell only */
		release_job(own);
		own = NULL;
	}

	/*
	 * become idle before looking at the doorbells, so that later rings wake
	 * us
	 */
	set_idle(pool, worker_slot, true, now);
	next = choose_job(own, look, now, &others);
	if (next != NULL)
	{
		set_idle(pool, worker_slot, false, now);
		if (next != own)
		{
			/*
			 * The job must be counted in its doorbell before the doorbell is
			 * looked at: then a later ring wakes a worker, and an earlier one
			 * is seen here.
			 */
			if (own != NULL)
			{
				set_free(own);
				/* the scheduler wakes a worker when it is due */
				if (own->due != 0)
					worker_wake_scheduler(MyDatabaseId);
				others |= wants_turn(own, now, LOOK_EARLY);
			}
			hold_job(next);
		}
		next->in_turn = true;
		/* a ring wakes only one worker, which wakes the next one */
		if (others)
			(void) poke_worker(pool);
	}
	*timeout = -1;
	if (own != NULL)
	{
		*timeout = worker_naptime - TimestampDifferenceMilliseconds(own->last_turn, now);
		if (own->due != 0)
			*timeout = Min(*timeout, TimestampDifferenceMilliseconds(now, own->due));
		*timeout = Max(*timeout, 1);
	}
	LWLockRelease(worker_shared->lock);
	return next != NULL;
}

int
worker_pool_take_helpers(int most)
{
	TimestampTz now = GetCurrentTimestamp();
	int			nfree = worker_max_per_database;
	WorkerJob  *jobs;

	/* a session that runs a job has no slot */
	if (worker_slot == NULL || worker_slot->kind != WORKER_JOB)
		return 0;
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (worker_slot_is_live(slot) && slot->kind == WORKER_JOB &&
			slot->dboid == MyDatabaseId && !slot->idle)
			nfree -= 1 + slot->helpers;
	}
	jobs = pool_jobs(pool);
	for (int i = 0; i < pool->njobs; i++)
	{
		if (wants_turn(&jobs[i], now, LOOK_NAPTIMES) && holder(&jobs[i]) == NULL)
			nfree--;
	}
	worker_slot->helpers = Max(Min(nfree, most), 0);
	LWLockRelease(worker_shared->lock);
	return worker_slot->helpers;
}

int
worker_pool_timeout(void)
{
	WorkerJob  *job;
	int			timeout = -1;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	job = find_job(worker_slot->job_id);
	if (job != NULL)
		timeout = job->timeout;
	LWLockRelease(worker_shared->lock);
	return timeout >= 0 ? timeout : worker_job_timeout;
}

bool
worker_pool_job_kills(void)
{
	WorkerJob  *job;
	bool		result;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	job = find_job(worker_slot->job_id);
	result = job != NULL && job->deaths > 1;
	LWLockRelease(worker_shared->lock);
	return result;
}
