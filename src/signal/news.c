/*
 * news.c
 *	  The table between committed transactions and the notifiers.
 *
 * Producers must never wait for a notifier.  So the table has a fixed size, and
 * a stream has one entry however often it is written to.
 *
 * An entry is found by hashing.  It may be in its own bucket or in one of the
 * next few.  A relation may even have two entries: the notifier merges what it
 * takes.  Entries that the notifier has taken stay where they are until another
 * relation needs the room, so the next commit finds them quickly.
 *
 * An entry finds no room only if thousands of streams with listeners have news
 * at one time, for example because no notifier runs.  Then a counter tells the
 * notifier of that database that news was lost.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "log/log.h"
#include "signal/doorbell.h"
#include "signal/news.h"
#include "signal/xact_note.h"

#define BUCKETS			256
#define BUCKET_ENTRIES	16
#define PROBES			16		/* buckets an entry may be in */
#define LOST_COUNTERS	64

typedef struct Bucket
{
	slock_t		mutex;
	volatile int npending;
	SignalNews	entries[BUCKET_ENTRIES];
} Bucket;

typedef struct NewsQueue
{
	/*
	 * By a hash of the database.  Databases that share a counter get needless
	 * notifications.
	 */
	pg_atomic_uint32 lost[LOST_COUNTERS];
	pg_atomic_uint32 prepared;	/* a transaction with notes was prepared */
	Bucket		buckets[BUCKETS];
} NewsQueue;

static NewsQueue *queue = NULL;

void
signal_news_shmem_request(void)
{
	RequestAddinShmemSpace(sizeof(NewsQueue));
}

void
signal_news_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	queue = ShmemInitStruct("streamq notifications", sizeof(NewsQueue), &found);
	if (!found)
	{
		memset(queue, 0, sizeof(NewsQueue));
		pg_atomic_init_u32(&queue->prepared, 0);
		for (int i = 0; i < LOST_COUNTERS; i++)
			pg_atomic_init_u32(&queue->lost[i], 0);
		for (int i = 0; i < BUCKETS; i++)
			SpinLockInit(&queue->buckets[i].mutex);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
signal_lost(Oid dboid)
{
	pg_atomic_fetch_add_u32(&queue->lost[murmurhash32(dboid) % LOST_COUNTERS], 1);
}

uint32
signal_lost_count(Oid dboid)
{
	return pg_atomic_read_u32(&queue->lost[murmurhash32(dboid) % LOST_COUNTERS]);
}

void
signal_note_prepared(void)
{
	pg_atomic_write_u32(&queue->prepared, 1);
}

bool
signal_was_prepared(void)
{
	return pg_atomic_read_u32(&queue->prepared) != 0;
}

void
signal_wake_notifier(void)
{
	/* InvalidOid stands for the notifier itself */
	signal_ring(InvalidOid);
}

void
signal_merge(SignalNews *into, const SignalNews *news)
{
	if (news->is_view)
	{
		into->closed += news->closed;
		into->watermark = Max(into->watermark, news->watermark);
	}
	else if (LOG_MSG_PARTITION(into->msg_id) == LOG_MSG_PARTITION(news->msg_id))
		into->msg_id = Max(into->msg_id, news->msg_id);
	else
		into->msg_id = news->msg_id;
}

void
signal_post(const SignalNews *entry)
{
	uint32		hash = hash_combine(murmurhash32(entry->dboid),
									murmurhash32(entry->relid));

	for (int probe = 0; probe < PROBES; probe++)
	{
		Bucket	   *bucket = &queue->buckets[(hash + probe) % BUCKETS];
		SignalNews *place = NULL;

		SpinLockAcquire(&bucket->mutex);
		for (int i = 0; i < BUCKET_ENTRIES; i++)
		{
			SignalNews *e = &bucket->entries[i];

			if (e->relid == entry->relid && e->dboid == entry->dboid)
			{
				place = e;
				break;
			}
			if (!e->pending && (place == NULL || !OidIsValid(e->relid)))
				place = e;
		}
		if (place != NULL)
		{
			if (place->pending)
				signal_merge(place, entry);
			else
			{
				*place = *entry;
				place->pending = true;
				bucket->npending++;
			}
			SpinLockRelease(&bucket->mutex);
			return;
		}
		SpinLockRelease(&bucket->mutex);
	}

	signal_lost(entry->dboid);
}

void
signal_post_stream(Oid relid, int64 msg_id)
{
	SignalNews	entry = {.dboid = MyDatabaseId, .relid = relid, .msg_id = msg_id};

	signal_post(&entry);
}

void
signal_post_view(Oid relid, TimestampTz watermark, int64 closed)
{
	SignalNews	entry = {.dboid = MyDatabaseId, .relid = relid, .is_view = true,
	.watermark = watermark, .closed = closed};

	signal_post(&entry);
}

void
signal_take(void (*take) (const SignalNews *entry, void *arg), void *arg)
{
	for (int i = 0; i < BUCKETS; i++)
	{
		Bucket	   *bucket = &queue->buckets[i];
		SignalNews	taken[BUCKET_ENTRIES];
		int			ntaken = 0;

		/*
		 * no lock is needed: a new entry is followed by a ring of the
		 * doorbell
		 */
		if (bucket->npending == 0)
			continue;

		SpinLockAcquire(&bucket->mutex);
		for (int j = 0; j < BUCKET_ENTRIES; j++)
		{
			SignalNews *e = &bucket->entries[j];

			if (e->pending && e->dboid == MyDatabaseId)
			{
				taken[ntaken++] = *e;
				e->pending = false;
				bucket->npending--;
			}
		}
		SpinLockRelease(&bucket->mutex);

		for (int j = 0; j < ntaken; j++)
			take(&taken[j], arg);
	}
}

void
signal_purge(bool (*keep) (Oid dboid, void *arg), void *arg)
{
	for (int i = 0; i < BUCKETS; i++)
	{
		Bucket	   *bucket = &queue->buckets[i];

		for (int j = 0; j < BUCKET_ENTRIES && bucket->npending > 0; j++)
		{
			SignalNews *e = &bucket->entries[j];
			Oid			dboid = e->dboid;

			/* keep() must not be called under a spinlock */
			if (!e->pending || keep(dboid, arg))
				continue;
			SpinLockAcquire(&bucket->mutex);
			if (e->pending && e->dboid == dboid)
			{
				e->pending = false;
				bucket->npending--;
			}
			SpinLockRelease(&bucket->mutex);
		}
	}
}
