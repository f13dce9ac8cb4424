/*
 * flow.c
 *	  Flow control of streams: the rate at which producers append, and what
 *	  producers and consumers tell each other about a full stream.
 *
 * Marks and numbers of waiting producers are in fixed arrays in shared memory,
 * found by hashing, like doorbells.  Two streams that share a place cost a
 * needless count or a needless wake-up.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "log/admission.h"
#include "signal/doorbell.h"
#include "signal/news.h"
#include "signal/xact_note.h"
#include "stream/flow.h"

#define PLACES	1024

typedef struct FlowPlace
{
	pg_atomic_uint64 mark;
	pg_atomic_uint32 blocked;	/* producers that wait */
} FlowPlace;

typedef struct FlowShared
{
	pg_atomic_uint64 mark_all;	/* added to every mark */
	FlowPlace	places[PLACES];
} FlowShared;

static FlowShared *flow = NULL;

/* streams that get a new mark when this transaction commits */
#define CHANGES_MAX		16

static Oid	changes[CHANGES_MAX];
static int	nchanges = 0;
static bool change_all = false;
static bool committed = false;

/* the stream for which this process waits */
static Oid	blocked_on = InvalidOid;

void
stream_shmem_request(void)
{
	RequestAddinShmemSpace(sizeof(FlowShared));
}

void
stream_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	flow = ShmemInitStruct("streamq flow control", sizeof(FlowShared), &found);
	if (!found)
	{
		pg_atomic_init_u64(&flow->mark_all, 0);
		for (int i = 0; i < PLACES; i++)
		{
			pg_atomic_init_u64(&flow->places[i].mark, 0);
			pg_atomic_init_u32(&flow->places[i].blocked, 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

static FlowPlace *
find_place(Oid relid)
{
	uint32		hash = hash_combine(murmurhash32(MyDatabaseId), murmurhash32(relid));

	return &flow->places[hash % PLACES];
}

/* ---- marks ---- */

uint64
stream_flow_mark(Oid relid)
{
	return pg_atomic_read_u64(&find_place(relid)->mark) +
		pg_atomic_read_u64(&flow->mark_all);
}

void
stream_flow_change_mark(Oid relid)
{
	for (int i = 0; i < nchanges; i++)
		if (changes[i] == relid)
			return;
	if (nchanges < CHANGES_MAX)
		changes[nchanges++] = relid;
	else
		change_all = true;
}

void
stream_flow_commit_prepared(void)
{
	if (signal_was_prepared())
		pg_atomic_fetch_add_u64(&flow->mark_all, 1);
}

static void
change_marks(void)
{
	for (int i = 0; i < nchanges; i++)
		pg_atomic_fetch_add_u64(&find_place(changes[i])->mark, 1);
	if (change_all)
		pg_atomic_fetch_add_u64(&flow->mark_all, 1);
}

/* ---- producers that wait ---- */

void
stream_flow_block(Oid relid)
{
	Assert(!OidIsValid(blocked_on));
	pg_atomic_fetch_add_u32(&find_place(relid)->blocked, 1);
	blocked_on = relid;
}

bool
stream_flow_is_blocking(void)
{
	return OidIsValid(blocked_on);
}

void
stream_flow_unblock(void)
{
	if (!OidIsValid(blocked_on))
		return;
	pg_atomic_fetch_sub_u32(&find_place(blocked_on)->blocked, 1);
	blocked_on = InvalidOid;
}

bool
stream_flow_is_blocked(Oid relid)
{
	return pg_atomic_read_u32(&find_place(relid)->blocked) > 0;
}

/* ---- ends of transactions ---- */

/*
 * The marks change when the xid has left the proc array.  So a producer that
 * counts with the new mark sees the effects of this transaction.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			change_marks();
			committed = nchanges > 0 || change_all;
			break;
		case XACT_EVENT_PREPARE:
			if (nchanges > 0)
				signal_note_prepared();
			nchanges = 0;
			change_all = false;
			break;
		case XACT_EVENT_ABORT:
			stream_flow_unblock();
			nchanges = 0;
			change_all = false;
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		stream_flow_unblock();
}

/* producers need the locks of the transaction, so wake them afterwards */
static void
release_callback(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	if (!committed || !isTopLevel || phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	for (int i = 0; i < nchanges; i++)
		if (stream_flow_is_blocked(changes[i]))
			signal_ring(changes[i]);
	if (change_all)
		signal_ring_all();
	nchanges = 0;
	change_all = committed = false;
}

void
stream_flow_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
}

/* ---- rate ---- */

/*
 * The bucket holds the messages of one second, and at least one.
 */
#define BUCKET_TIME(rate)	(Max(1.0, 1.0 / (rate)) * USECS_PER_SEC)

/* longest sleep at a time, in ms */
#define RATE_NAP	10000

static bool never_sleep = false;

void
stream_rate_never_sleep(void)
{
	never_sleep = true;
}

/* is the time in shared memory one of another rate? */
static bool
is_other_rate(LogFlow *shared, double max_rate)
{
	uint64		rate;

	memcpy(&rate, &max_rate, sizeof(rate));
	return pg_atomic_read_u64(&shared->rate) != rate;
}

TimestampTz
stream_rate_ready_at(Relation rel, double max_rate)
{
	LogFlow    *shared = log_flow(rel);

	if (is_other_rate(shared, max_rate))
		return DT_NOBEGIN;
	return (TimestampTz) ((double) pg_atomic_read_u64(&shared->due) - BUCKET_TIME(max_rate));
}

/*
 * The token bucket is kept as the time at which it will be full.  A producer
 * takes its tokens at once, which may leave less than nothing in the bucket,
 * and sleeps until the tokens that were missing before it came have been
 * added.  So producers get their turns in the order of their arrival, and a
 * batch may be larger than the bucket.
 *
 * If a producer is cancelled while it sleeps, its tokens are lost.
 */
void
stream_rate_wait(Relation rel, double max_rate, int64 nmessages)
{
	LogFlow    *shared = log_flow(rel);
	uint64		rate;
	double		bucket = BUCKET_TIME(max_rate);
	double		cost = nmessages / max_rate * USECS_PER_SEC;
	uint64		due = pg_atomic_read_u64(&shared->due);
	uint64		full;
	TimestampTz now;
	double		ready;

	/* with a new rate, the bucket begins full */
	memcpy(&rate, &max_rate, sizeof(rate));
	if (is_other_rate(shared, max_rate))
	{
		pg_atomic_write_u64(&shared->due, 0);
		pg_atomic_write_u64(&shared->rate, rate);
		due = 0;
	}
	do
	{
		now = GetCurrentTimestamp();
		ready = Max((double) now, (double) due);
		full = (uint64) Min(ready + cost, (double) PG_INT64_MAX / 2);
	} while (!pg_atomic_compare_exchange_u64(&shared->due, &due, full));

	if (never_sleep)
		return;

	/* how far the bucket was below zero before this producer came */
	ready -= bucket;
	for (;;)
	{
		double		left;

		CHECK_FOR_INTERRUPTS();
		left = (ready - (double) GetCurrentTimestamp()) / 1000;
		if (left <= 0 || is_other_rate(shared, max_rate))
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 (long) Min(left + 1, RATE_NAP), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
