/*
 * news.h
 *	  What committed transactions have for the notifier: a table in shared
 *	  memory with one entry for each stream or view that has news.
 */
#ifndef STREAMQ_SIGNAL_NEWS_H
#define STREAMQ_SIGNAL_NEWS_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct SignalNews
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
} SignalNews;

/*
 * Leave news, from this database, at the end of a transaction; cannot fail
 * and waits for nobody.  Call signal_wake_notifier after the last one.
 */
extern void signal_post_stream(Oid relid, int64 msg_id);
extern void signal_post_view(Oid relid, TimestampTz watermark, int64 closed);
extern void signal_post(const SignalNews *entry);
extern void signal_wake_notifier(void);

/*
 * Something was not kept: the notifier of that database has to send a
 * notification without details to everybody who listens.
 */
extern void signal_lost(Oid dboid);
extern uint32 signal_lost_count(Oid dboid);

/* add newer news to older news about the same relation */
extern void signal_merge(SignalNews *into, const SignalNews *news);

/* take all news of this database */
extern void signal_take(void (*take) (const SignalNews *entry, void *arg), void *arg);

/* throw away the news of databases that have no notifier */
extern void signal_purge(bool (*keep) (Oid dboid, void *arg), void *arg);

/* has any transaction been prepared that had notes, since the server started? */
extern bool signal_was_prepared(void);

extern void signal_news_shmem_request(void);
extern void signal_news_shmem_startup(void);

#endif
