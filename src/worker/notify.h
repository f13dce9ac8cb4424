/*
 * notify.h
 *	  Notifications for LISTENers: issued by the notifier worker only, never
 *	  in a producer's transaction.
 */
#ifndef STREAMQ_NOTIFY_H
#define STREAMQ_NOTIFY_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * This transaction closed windows of a continuous view: after its commit the
 * notifier sends {"view": ..., "watermark": ..., "closed": n} on the view's
 * channel, coalesced (n adds up, the latest watermark wins).
 */
extern void notify_note_closed(Oid view, TimestampTz watermark, int64 closed);

/*
 * Name of the channel of a stream or continuous view: a valid identifier under
 * 64 bytes, the same for the life of the relation.  Result is palloc'd.
 */
extern char *notify_channel(Oid relid);

/* the relation whose channel this is, InvalidOid if it is none of ours */
extern Oid	notify_channel_relation(const char *channel);

#endif
