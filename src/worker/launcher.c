/*
 * launcher.c
 *	  One process for the server: sees to it that every database with the
 *	  extension has a scheduler.
 *
 * Only a process connected to a database can tell whether the extension is
 * there, so the launcher starts a scheduler in each database once and lets it
 * look.  One that finds nothing exits and says so in its slot; that
 * database is then left alone until CREATE EXTENSION or a command on the
 * database itself asks for another look (guard.c), or a long time has passed.
 * Template databases have no scheduler: one would be in the way of CREATE DATABASE.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "signal/news.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define LIST_NAPTIMES		60	/* between two looks at pg_database */
#define LIST_MIN			10000	/* ms */
#define LOOKERS				2	/* schedulers that have not found out yet */
#define LOOK_AGAIN_MIN		(60 * 1000) /* ms until a database is looked at
										 * again unasked */
#define LOOK_AGAIN_MAX		(60 * 60 * 1000)
#define RETRY_MIN			1000	/* ms until a scheduler that died is
									 * replaced */
#define RETRY_MAX			(60 * 1000)

typedef struct DatabaseEntry
{
	Oid			dboid;			/* hash key */
	bool		listed;			/* in pg_database, with connections allowed */
	bool		want;			/* start a scheduler */
	bool		running;		/* one was started and has not been missed yet */
	TimestampTz next_try;		/* want: not before */
	TimestampTz started;
	int			retry_delay;
	TimestampTz look_again;		/* neither: when to want it again */
	int			look_delay;
} DatabaseEntry;

static HTAB *databases = NULL;

static DatabaseEntry *
get_entry(Oid dboid)
{
	bool		found;
	DatabaseEntry *entry = hash_search(databases, &dboid, HASH_ENTER, &found);

	if (!found)
	{
		memset(entry, 0, sizeof(*entry));
		entry->dboid = dboid;
		entry->want = true;
		entry->retry_delay = RETRY_MIN;
		entry->look_delay = LOOK_AGAIN_MIN;
	}
	return entry;
}

static void
list_databases(void *arg)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	HASH_SEQ_STATUS status;
	DatabaseEntry *entry;

	hash_seq_init(&status, databases);
	while ((entry = hash_seq_search(&status)) != NULL)
		entry->listed = false;

	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (form->datallowconn && !form->datistemplate &&
			!database_is_invalid_form(form))
			get_entry(form->oid)->listed = true;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
}

static bool
is_listed(Oid dboid, void *arg)
{
	DatabaseEntry *entry = hash_search(databases, &dboid, HASH_FIND, NULL);

	return entry != NULL && entry->listed;
}

/* forget databases that are gone, stop schedulers where there must be none */
static void
drop_unlisted(void)
{
	HASH_SEQ_STATUS status;
	DatabaseEntry *entry;

	hash_seq_init(&status, databases);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->listed)
			continue;
		if (entry->running)
			worker_quit_all(entry->dboid);
		hash_search(databases, &entry->dboid, HASH_REMOVE, NULL);
	}
	signal_purge(is_listed, NULL);
}

/* take over what other processes ask for; true if pg_database is to be read */
static bool
take_requests(void)
{
	Oid			requests[WORKER_REQUESTS];
	int			nrequests;
	bool		all;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	nrequests = worker_shared->nrequests;
	memcpy(requests, worker_shared->requests, sizeof(Oid) * nrequests);
	all = worker_shared->request_all;
	worker_shared->nrequests = 0;
	worker_shared->request_all = false;
	LWLockRelease(worker_shared->lock);

	for (int i = 0; i < nrequests; i++)
	{
		DatabaseEntry *entry = get_entry(requests[i]);

		entry->want = true;
		entry->next_try = 0;
		entry->retry_delay = RETRY_MIN;
		entry->look_delay = LOOK_AGAIN_MIN;
	}
	if (all)
	{
		HASH_SEQ_STATUS status;
		DatabaseEntry *entry;

		hash_seq_init(&status, databases);
		while ((entry = hash_seq_search(&status)) != NULL)
		{
			entry->want = true;
			entry->next_try = 0;
		}
	}
	return all || nrequests > 0;
}

/*
 * Compare what runs with what we know.  Returns the number of schedulers that do not
 * know yet whether there is an extension.
 */
static int
look_at_slots(TimestampTz now)
{
	HASH_SEQ_STATUS status;
	DatabaseEntry *entry;
	int			lookers = 0;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	hash_seq_init(&status, databases);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		WorkerSlot *slot = NULL;

		for (int i = 0; i < worker_shared->nslots; i++)
		{
			WorkerSlot *s = &worker_shared->slots[i];

			if (s->state != SLOT_FREE && s->kind == WORKER_SCHEDULER &&
				s->dboid == entry->dboid)
				slot = s;
		}

		if (slot != NULL && slot->state == SLOT_DONE)
		{
			slot->state = SLOT_FREE;
			slot = NULL;
			entry->running = false;
			entry->look_again = TimestampTzPlusMilliseconds(now, entry->look_delay);
			entry->look_delay = Min(entry->look_delay * 2, LOOK_AGAIN_MAX);
		}

		if (slot != NULL)
		{
			/* maybe a launcher before us started it */
			entry->running = true;
			if (slot->found)
				entry->want = false;
			else
				lookers++;
		}
		else if (entry->running)
		{
			/*
			 * it died or was sent away: there was an extension, as far as we
			 * know
			 */
			entry->running = false;
			entry->want = true;
			if (TimestampDifferenceExceeds(entry->started, now, RETRY_MAX))
				entry->retry_delay = RETRY_MIN;
			entry->next_try = TimestampTzPlusMilliseconds(now, entry->retry_delay);
			entry->retry_delay = Min(entry->retry_delay * 2, RETRY_MAX);
		}
		else if (!entry->want && entry->look_again <= now)
		{
			entry->want = true;
			entry->next_try = 0;
		}
	}

	/* databases we no longer know */
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (slot->state == SLOT_DONE &&
			hash_search(databases, &slot->dboid, HASH_FIND, NULL) == NULL)
			slot->state = SLOT_FREE;
	}
	LWLockRelease(worker_shared->lock);
	return lookers;
}

/* start what is wanted; returns the time until there is something to do again */
static long
start_schedulers(TimestampTz now, int lookers)
{
	static bool complained = false;
	HASH_SEQ_STATUS status;
	DatabaseEntry *entry;
	TimestampTz next = TimestampTzPlusMilliseconds(now, LOOK_AGAIN_MAX);
	bool		full = false;

	hash_seq_init(&status, databases);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->running || !entry->listed)
			continue;
		if (!entry->want)
		{
			next = Min(next, entry->look_again);
			continue;
		}
		if (entry->next_try > now)
		{
			next = Min(next, entry->next_try);
			continue;
		}
		/* the next one when one of these reports */
		if (lookers >= LOOKERS || full)
			continue;

		switch (worker_launch(WORKER_SCHEDULER, entry->dboid))
		{
			case LAUNCH_DONE:
			case LAUNCH_EXISTS:
				entry->want = false;
				entry->running = true;
				entry->started = now;
				lookers++;
				complained = false;
				break;
			case LAUNCH_HELD:
				/* we are told when it ends */
				break;
			case LAUNCH_FULL:
				full = true;
				if (!complained)
					ereport(LOG,
							(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
							 errmsg("no background worker is free to run the streamq scheduler of database %u",
									entry->dboid),
							 errhint("You might need to increase \"max_worker_processes\".")));
				complained = true;
				break;
		}
	}

	if (full)
		next = Min(next, TimestampTzPlusMilliseconds(now, WORKER_FULL_RETRY));
	/* a process that could not be made does not tell */
	if (lookers > 0)
		next = Min(next, TimestampTzPlusMilliseconds(now, LIST_MIN));
	return TimestampDifferenceMilliseconds(now, next);
}

void
streamq_launcher_main(Datum arg)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(DatabaseEntry)};
	MemoryContext loop_context;
	TimestampTz next_list = 0;

	worker_start_launcher();

	databases = hash_create("streamq databases", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	loop_context = AllocSetContextCreate(TopMemoryContext, "streamq launcher",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		long		timeout;

		MemoryContextReset(loop_context);
		if (take_requests() || now >= next_list)
		{
			/* without the list we keep to what we know, and try again later */
			if (worker_run(list_databases, NULL, "listing databases", NULL))
				drop_unlisted();
			next_list = TimestampTzPlusMilliseconds(now,
													Max((int64) worker_naptime * LIST_NAPTIMES,
														LIST_MIN));
		}

		timeout = start_schedulers(now, look_at_slots(now));
		timeout = Min(timeout, TimestampDifferenceMilliseconds(now, next_list));
		worker_sleep(Max(timeout, 10));
	}
}
