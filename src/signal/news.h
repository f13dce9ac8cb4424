/*
 * news.h
 *	  The table through which committed transactions tell the notifiers what
 *	  happened, with one entry for each stream or view.
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
	int64		msg_id;			/* stream: last message of the partition that
								 * was written last */
	TimestampTz watermark;		/* view */
	int64		closed;			/* view: windows closed since it was last
								 * taken */
} SignalNews;

/*
 * Enter news of this database at the end of a transaction.  Cannot fail, and
 * holds a spinlock at most.  Call signal_wake_notifier after the last one.
 */
extern void signal_post_stream(Oid relid, int64 msg_id);
extern void signal_post_view(Oid relid, TimestampTz watermark, int64 closed);
extern void signal_post(const SignalNews *entry);
extern void signal_wake_notifier(void);

/*
 * News of a database could not be entered: its notifier has to send a
 * notification without details on every channel with listeners.
 */
extern void signal_lost(Oid dboid);
extern uint32 signal_lost_count(Oid dboid);

/* combine newer news with older news about the same relation */
extern void signal_merge(SignalNews *into, const SignalNews *news);

/* take all news of this database */
extern void signal_take(void (*take) (const SignalNews *entry, void *arg), void *arg);

/* remove the news of databases for which keep() returns false */
extern void signal_purge(bool (*keep) (Oid dboid, void *arg), void *arg);

/* was a transaction with notes prepared, now or before the server started? */
extern bool signal_was_prepared(void);

extern void signal_news_shmem_request(void);
extern void signal_news_shmem_startup(void);

#endif
