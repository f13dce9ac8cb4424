/*
 * delivery_worker.c
 *	  The process that appends messages that waited for their deliver_at.  A
 *	  database has one while messages wait in it.
 *
 * The process sleeps until the next message is due.  Its slot says until when
 * (next_due).  A transaction that adds an earlier message leaves its time in
 * the slot (new_due), and wakes the process.  While the process looks for the
 * next message, next_due is infinite, so every transaction leaves its time.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "stream/delay.h"
#include "stream/delivery.h"
#include "worker/delivery_worker.h"
#include "worker/worker_shared.h"

#define RETRY_MIN		1000	/* ms after a failure */
#define RETRY_MAX		(60 * 1000)
#define PAUSE			5		/* ms after a transaction, so that it appends
								 * more than one message if there are many */
#define MAX_SLEEP		1000	/* ms; the clock may jump while the process
								 * sleeps */
#define IDLE_TIME		(60 * 1000) /* ms without messages until the process
									 * ends */

/* ---- in the scheduler ---- */

static bool messages_found = false; /* messages wait */

void
worker_delivery_look(void)
{
	messages_found = stream_delay_is_used();
}

int
worker_delivery_wanted(void)
{
	return messages_found ? 1 : 0;
}

/* ---- in other processes ---- */

static WorkerSlot *
find_process(void)
{
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (slot->state == SLOT_RUNNING && slot->kind == WORKER_DELIVERY &&
			slot->dboid == MyDatabaseId && !slot->quit)
			return slot;
	}
	return NULL;
}

void
worker_delivery_wake(TimestampTz due)
{
	WorkerSlot *slot;
	bool		wanted;

	/* usually the process sleeps for less long than the message waits */
	LWLockAcquire(worker_shared->lock, LW_SHARED);
	slot = find_process();
	wanted = slot == NULL || due < slot->next_due;
	LWLockRelease(worker_shared->lock);
	if (!wanted)
		return;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot = find_process();
	if (slot != NULL)
	{
		slot->new_due = Min(slot->new_due, due);
		if (slot != worker_slot)
			SetLatch(&slot->proc->procLatch);
	}
	else
	{
		/* the scheduler finds the message, and starts a process */
		WorkerSlot *scheduler = worker_find_scheduler(MyDatabaseId);

		if (scheduler != NULL)
		{
			scheduler->relook = true;
			SetLatch(&scheduler->proc->procLatch);
		}
	}
	LWLockRelease(worker_shared->lock);
}

void
worker_delivery_look_again(void)
{
	bool		running;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	running = find_process() != NULL;
	LWLockRelease(worker_shared->lock);
	if (running)
		worker_delivery_wake(DT_NOBEGIN);
}

/* ---- in the process ---- */

/* take the time that others have left; from now on they leave every time */
static TimestampTz
take_new_due(void)
{
	TimestampTz due;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	due = worker_slot->new_due;
	worker_slot->new_due = DT_NOEND;
	worker_slot->next_due = DT_NOEND;
	LWLockRelease(worker_shared->lock);
	return due;
}

/* say until when the process sleeps; false if an earlier message was added */
static bool
publish_next_due(TimestampTz next)
{
	bool		ok;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	ok = worker_slot->new_due >= next;
	worker_slot->next_due = next;
	LWLockRelease(worker_shared->lock);
	return ok;
}

static bool
has_new_due(void)
{
	bool		result;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	result = worker_slot->new_due != DT_NOEND;
	LWLockRelease(worker_shared->lock);
	return result;
}

/* end the process, unless somebody has left a time */
static void
leave_if_unused(void)
{
	bool		leave;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	leave = worker_slot->new_due == DT_NOEND;
	/* from now on others turn to the scheduler */
	if (leave)
		worker_slot->quit = true;
	LWLockRelease(worker_shared->lock);
	if (leave)
		worker_leave();
}

typedef struct DeliveryRound
{
	StreamDelivery delivery;
	bool		used;
} DeliveryRound;

static void
deliver(void *arg)
{
	DeliveryRound *round = arg;

	stream_delivery_run(&round->delivery);
	round->used = stream_delay_is_used();
}

/* sleep until the next message is due, or an earlier one is added */
static void
sleep_until(TimestampTz next)
{
	while (!has_new_due())
	{
		TimestampTz now = GetCurrentTimestamp();

		if (next <= now)
			break;
		worker_sleep(Max(Min(TimestampDifferenceMilliseconds(now, next), MAX_SLEEP), 1));
	}
}

void
streamq_delivery_main(Datum arg)
{
	DeliveryRound round = {.delivery = {.from = DT_NOBEGIN}};
	MemoryContext loop_context;
	int			retry_delay = RETRY_MIN;
	TimestampTz idle_since = 0;

	worker_start();

	/* the index gives messages in the order of their time */
	SetConfigOption("enable_seqscan", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("enable_bitmapscan", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("enable_sort", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_OVERRIDE);

	loop_context = AllocSetContextCreate(TopMemoryContext, "streamq delivery",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);
	for (;;)
	{
		TimestampTz from = take_new_due();

		MemoryContextReset(loop_context);
		from = Min(from, round.delivery.from);
		round.delivery.from = from;
		if (!worker_run(deliver, &round, "appending delayed messages", NULL))
		{
			round.delivery.from = from;
			worker_sleep(retry_delay);
			retry_delay = Min(retry_delay * 2, RETRY_MAX);
			continue;
		}
		retry_delay = RETRY_MIN;
		worker_check();
		if (round.delivery.more)
			continue;

		if (round.used || round.delivery.next != DT_NOEND)
			idle_since = 0;
		else if (idle_since == 0)
			idle_since = GetCurrentTimestamp();
		else if (TimestampDifferenceExceeds(idle_since, GetCurrentTimestamp(), IDLE_TIME))
			leave_if_unused();

		worker_sleep(PAUSE);
		if (publish_next_due(round.delivery.next))
			sleep_until(idle_since == 0 ? round.delivery.next :
						TimestampTzPlusMilliseconds(idle_since, IDLE_TIME + 1));
	}
}
