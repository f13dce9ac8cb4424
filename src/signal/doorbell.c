/*
 * doorbell.c
 *	  Doorbells: counters with sleepers, in a fixed array in shared memory.
 *
 * A stream's doorbell is found by hashing (database, stream).  Two streams may
 * share one: that costs a spurious wake-up and nothing else, and in exchange
 * the array never runs full, needs no lock, and has nothing to clean up when a
 * stream or database is dropped.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proclist.h"
#include "storage/shmem.h"

#include "signal/doorbell.h"
#include "signal/news.h"
#include "signal/xact_note.h"

#define DOORBELLS	1024

typedef struct Doorbell
{
	pg_atomic_uint64 count;
	pg_atomic_uint32 listeners;
	pg_atomic_uint32 jobs;		/* that wait for input, with no worker asleep
								 * here for them */
	ConditionVariable sleepers;
} Doorbell;

/* one cache line each, so that busy streams do not slow each other down */
typedef union PaddedDoorbell
{
	Doorbell	bell;
	char		pad[PG_CACHE_LINE_SIZE];
} PaddedDoorbell;

static PaddedDoorbell *doorbells = NULL;
static void (*job_waker) (void) = NULL;

void
signal_shmem_request(void)
{
	RequestAddinShmemSpace(sizeof(PaddedDoorbell) * DOORBELLS + PG_CACHE_LINE_SIZE);
	signal_news_shmem_request();
}

void
signal_shmem_startup(void)
{
	bool		found;
	char	   *start;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	start = ShmemInitStruct("streamq doorbells",
							sizeof(PaddedDoorbell) * DOORBELLS + PG_CACHE_LINE_SIZE,
							&found);
	doorbells = (PaddedDoorbell *) CACHELINEALIGN(start);
	if (!found)
	{
		for (int i = 0; i < DOORBELLS; i++)
		{
			Doorbell   *bell = &doorbells[i].bell;

			pg_atomic_init_u64(&bell->count, 0);
			pg_atomic_init_u32(&bell->listeners, 0);
			pg_atomic_init_u32(&bell->jobs, 0);
			ConditionVariableInit(&bell->sleepers);
		}
	}
	LWLockRelease(AddinShmemInitLock);
	signal_news_shmem_startup();
}

void
signal_init(void)
{
	signal_note_init();
}

void
signal_register_job_waker(void (*waker) (void))
{
	job_waker = waker;
}

static inline Doorbell *
find_bell_in(Oid dboid, Oid relid)
{
	uint32		hash = hash_combine(murmurhash32(dboid), murmurhash32(relid));

	return &doorbells[hash % DOORBELLS].bell;
}

static inline Doorbell *
find_bell(Oid relid)
{
	return find_bell_in(MyDatabaseId, relid);
}

uint64
signal_count(Oid relid)
{
	uint64		count = pg_atomic_read_u64(&find_bell(relid)->count);

	/* what the caller reads next must not be older than the count */
	pg_memory_barrier();
	return count;
}

static void
ring(Doorbell *bell)
{
	/*
	 * The addition is a full barrier, and sleepers have one between joining
	 * the list and reading the count.  So either we see the sleeper here, or
	 * it sees the new count, and with no sleeper the spinlock can be left
	 * alone.
	 */
	pg_atomic_fetch_add_u64(&bell->count, 1);
	if (!proclist_is_empty(&bell->sleepers.wakeup))
		ConditionVariableBroadcast(&bell->sleepers);
	/* likewise: a worker adds its job here before it looks at the count */
	if (pg_atomic_read_u32(&bell->jobs) > 0 && job_waker != NULL)
		job_waker();
}

void
signal_ring(Oid relid)
{
	ring(find_bell(relid));
}

void
signal_ring_all(void)
{
	for (int i = 0; i < DOORBELLS; i++)
		ring(&doorbells[i].bell);
}

void
signal_wait(Oid relid, uint64 seen, long timeout_ms)
{
	Doorbell   *bell = find_bell(relid);

	if (timeout_ms <= 0)
		return;

	ConditionVariablePrepareToSleep(&bell->sleepers);
	pg_memory_barrier();
	if (pg_atomic_read_u64(&bell->count) == seen)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 timeout_ms, PG_WAIT_EXTENSION);

		/*
		 * A ring has taken us out of the list.  ConditionVariableCancelSleep
		 * would take that for an unused wake-up and hand it on to another
		 * sleeper, which would do the same.  This call does not sleep: it
		 * resets the latch and puts us back into the list.
		 */
		(void) ConditionVariableTimedSleep(&bell->sleepers, 0, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	CHECK_FOR_INTERRUPTS();
}

uint32
signal_listeners(Oid relid)
{
	return pg_atomic_read_u32(&find_bell(relid)->listeners);
}

void
signal_add_listener(Oid relid, int n)
{
	pg_atomic_fetch_add_u32(&find_bell(relid)->listeners, n);
}

void
signal_add_job(Oid dboid, Oid relid, int n)
{
	pg_atomic_fetch_add_u32(&find_bell_in(dboid, relid)->jobs, n);
}
