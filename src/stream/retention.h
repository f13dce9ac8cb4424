/*
 * retention.h
 *	  The limits of streams put into effect.
 */
#ifndef STREAMQ_STREAM_RETENTION_H
#define STREAMQ_STREAM_RETENTION_H

#include "postgres.h"

#include "utils/rel.h"

typedef enum RetentionResult
{
	RETENTION_NONE,				/* nothing to drop, or the stream is locked or
								 * gone */
	RETENTION_SOME,
	RETENTION_MUCH				/* it grows fast: look again soon */
} RetentionResult;

/*
 * With keep_unacked, messages stay that somebody still needs.  A holder lowers
 * each of npartitions offsets to the least offset that it needs of the stream.
 * Parts that keep positions in streams register one from _PG_init.
 */
typedef void (*StreamRetentionHolder) (Relation rel, int npartitions, int64 *least);
extern void stream_register_retention_holder(StreamRetentionHolder holder);

/*
 * From _PG_init: called when a stream is above its limit and an appender could
 * not make room, so that the background process looks at once.
 */
extern void stream_register_retention_nudge(void (*function) (void));

/*
 * Drop from a stream what its limits say.  In a transaction, without a snapshot;
 * takes AccessShareLock if it is to be had at once, and gives it back.
 */
extern RetentionResult stream_retention_apply(Oid relid);

/*
 * Make room in a stream for so many bytes to come, for who is about to append to
 * it: its limit on bytes holds whatever the background process is at.
 */
extern void stream_retention_make_room(Relation rel, int64 bytes);

#endif
