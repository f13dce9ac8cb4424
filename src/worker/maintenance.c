/*
 * maintenance.c
 *	  The process that applies the limits of streams, and forgets the ids of
 *	  messages.  A database has one while a stream in it has a limit, or there
 *	  are ids.
 *
 * Each stream is processed in a transaction of its own, so that a damaged one
 * does not stop the others.  A stream that failed is left alone for a while.
 */
#include "postgres.h"

#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "log/options.h"
#include "stream/dedup.h"
#include "stream/retention.h"
#include "worker/maintenance.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define FAILED_RETRY	(60 * 1000) /* ms before a stream that failed is
									 * looked at again */
#define RETRY_DELAY		(10 * 1000) /* ms after the list could not be read */
#define SOON			8		/* a fast-growing stream is looked at again
								 * after this part of a naptime */
#define DEDUP_NAPTIMES	4		/* between two looks at the ids */
#define LAST_LOOKS		15		/* looks without a stream to care for, after
								 * which the process ends */

typedef struct FailedStream
{
	Oid			relid;
	TimestampTz until;
} FailedStream;

typedef struct MaintenanceRound
{
	MemoryContext mcxt;			/* of the list */
	List	   *streams;
	bool		has_ids;		/* there are ids of messages */
	Oid			relid;
	RetentionResult result;
} MaintenanceRound;

static List *failed = NIL;

/* ---- in the scheduler ---- */

static bool work_found = false; /* a stream has a limit, or there are ids */

void
worker_maintenance_look(void)
{
	work_found = log_options_list_limited() != NIL || stream_dedup_is_used();
}

int
worker_maintenance_wanted(void)
{
	return work_found ? 1 : 0;
}

/* ---- in the process ---- */

static void
list_streams(void *arg)
{
	MaintenanceRound *round = arg;
	MemoryContext old;
	List	   *streams = NIL;

	round->has_ids = false;
	if (OidIsValid(get_extension_oid("streamq", true)))
	{
		streams = log_options_list_limited();
		round->has_ids = stream_dedup_is_used();
	}
	old = MemoryContextSwitchTo(round->mcxt);
	round->streams = list_copy(streams);
	MemoryContextSwitchTo(old);
}

static void
apply(void *arg)
{
	MaintenanceRound *round = arg;

	round->result = stream_retention_apply(round->relid);
}

static void
forget_ids(void *arg)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	stream_dedup_maintain();
	PopActiveSnapshot();
}

/* did the stream fail not long ago? */
static bool
is_failed(Oid relid)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;
	bool		found = false;

	foreach(lc, failed)
	{
		FailedStream *entry = lfirst(lc);

		if (entry->until <= now)
		{
			pfree(entry);
			failed = foreach_delete_current(failed, lc);
		}
		else
			found |= entry->relid == relid;
	}
	return found;
}

static void
note_failed(Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	FailedStream *entry = palloc(sizeof(FailedStream));

	entry->relid = relid;
	entry->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FAILED_RETRY);
	failed = lappend(failed, entry);
	MemoryContextSwitchTo(old);
}

void
streamq_maintenance_main(Datum arg)
{
	MaintenanceRound round;
	int			idle = 0;
	int			dedup_wait = 0; /* naptimes until the next look at the ids */

	worker_start();

	memset(&round, 0, sizeof(round));
	round.mcxt = AllocSetContextCreate(TopMemoryContext, "streamq maintenance",
									   ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		long		delay = worker_naptime;
		ListCell   *lc;

		MemoryContextReset(round.mcxt);
		MemoryContextSwitchTo(round.mcxt);
		round.streams = NIL;
		if (!worker_run(list_streams, &round, "listing streams with limits", NULL))
		{
			worker_sleep(RETRY_DELAY);
			continue;
		}
		/* the scheduler starts the process again when there is work */
		if (round.streams != NIL || round.has_ids)
			idle = 0;
		else if (++idle >= LAST_LOOKS)
			worker_leave();

		foreach(lc, round.streams)
		{
			round.relid = lfirst_oid(lc);
			if (is_failed(round.relid))
				continue;
			if (!worker_run(apply, &round, "dropping expired messages", NULL))
				note_failed(round.relid);
			else if (round.result == RETENTION_MUCH)
				delay = Max(worker_naptime / SOON, 1);
			worker_check();
		}
		if (round.has_ids && dedup_wait-- <= 0)
		{
			dedup_wait = DEDUP_NAPTIMES;
			(void) worker_run(forget_ids, NULL, "forgetting ids of messages", NULL);
			worker_check();
		}
		worker_sleep(delay);
	}
}
