/*
 * notify_queue.h
 *	  What committed transactions have for the notifier: a table in shared
 *	  memory with one entry for each stream or view that has news.
 */
#ifndef STREAMQ_NOTIFY_QUEUE_H
#define STREAMQ_NOTIFY_QUEUE_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct NotifyEntry
{
	Oid			dboid;
	Oid			relid;
	bool		pending;		/* not yet taken by the notifier */
	bool		is_view;
	int64		msg_id;			/* stream: last message, of the partition
								 * written last */
	TimestampTz watermark;		/* view */
	int64		closed;			/* view: windows closed since it was last
								 * taken */
} NotifyEntry;

/*
 * Leave news, from this database, at the end of a transaction; cannot fail
 * and waits for nobody.  Call notify_wake after the last one.
 */
extern void notify_post_stream(Oid relid, int64 msg_id);
extern void notify_post_view(Oid relid, TimestampTz watermark, int64 closed);
extern void notify_post(const NotifyEntry *entry);
extern void notify_wake(void);

/*
 * Something was not kept: the notifier of that database has to send a
 * notification without details to everybody who listens.
 */
extern void notify_lost(Oid dboid);
extern uint32 notify_lost_count(Oid dboid);

/* add newer news to older news about the same relation */
extern void notify_merge(NotifyEntry *into, const NotifyEntry *news);

/* take all news of this database */
extern void notify_take(void (*take) (const NotifyEntry *entry, void *arg), void *arg);

/* throw away the news of databases that have no notifier */
extern void notify_purge(bool (*keep) (Oid dboid, void *arg), void *arg);

extern void notify_shmem_request(void);
extern void notify_shmem_startup(void);

#endif
