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
 *
 * When: holders are called only for streams with keep_unacked, and only if a limit
 * would drop something.  They run in the background process, never for an
 * appender, because what its transaction has acknowledged may be rolled back.
 *
 * How: in a transaction, with AccessShareLock on the stream.  There is no active
 * snapshot; a holder that needs one takes it.  It waits for no lock that a
 * session may keep for long, since DDL on the stream would wait for it.  Other
 * relations may be dropped meanwhile: a holder opens them with
 * try_relation_open(), and what is gone needs nothing.
 *
 * Errors: a holder that fails keeps the stream's messages.  The background process
 * logs the error, goes on with other streams, and comes back to this one later.
 *
 * Cost: each round that would drop something asks every holder, so a holder reads
 * positions, one for each consumer and partition, and no messages.
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
