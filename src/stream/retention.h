/*
 * retention.h
 *	  Dropping messages by the limits of their stream.
 */
#ifndef STREAMQ_STREAM_RETENTION_H
#define STREAMQ_STREAM_RETENTION_H

#include "postgres.h"

#include "utils/rel.h"

/* how much was dropped */
typedef enum RetentionResult
{
	RETENTION_NONE,				/* nothing to drop, or the stream is locked or
								 * gone */
	RETENTION_SOME,
	RETENTION_MUCH				/* the stream grows fast: look again soon */
} RetentionResult;

/*
 * With keep_unacked, retention keeps messages that are still needed.  A holder
 * lowers each of npartitions offsets to the least offset that it needs.
 * Folders that keep positions in streams register a holder in _PG_init.
 *
 * When: holders are called only for streams with keep_unacked, and only if a
 * limit would drop something.  They run in the background process, never in an
 * appender, because acknowledgements of the appender's transaction may be
 * rolled back.
 *
 * How: in a transaction, with AccessShareLock on the stream.  There is no
 * active snapshot; a holder that needs one takes it.  A holder must not wait
 * for a lock that a session may keep for long, because DDL on the stream would
 * have to wait, too.  Other relations may be dropped meanwhile, so a holder
 * opens them with try_relation_open(); a relation that is gone needs no
 * messages.
 *
 * Errors: if a holder fails, the stream keeps its messages.  The background
 * process logs the error, continues with other streams, and tries this one
 * again later.
 *
 * Cost: each round that would drop something calls every holder.  So a holder
 * should read positions only, one for each consumer and partition, and no
 * messages.
 */
typedef void (*StreamRetentionHolder) (Relation rel, int npartitions, int64 *least);
extern void stream_register_retention_holder(StreamRetentionHolder holder);

/*
 * A keeper holds messages back whether or not the stream has keep_unacked.
 * `keeps` tells whether it does that for a stream.  `lower` is called only if
 * so; what is said about holders applies to it.
 *
 * An appender that needs room asks `keeps`, and leaves such a stream to the
 * background process, as it does with keep_unacked.
 */
typedef struct StreamRetentionKeeper
{
	bool		(*keeps) (Relation rel);
	StreamRetentionHolder lower;
} StreamRetentionKeeper;

extern void stream_register_retention_keeper(const StreamRetentionKeeper *keeper);

/*
 * Set a function to be called each time the background process has looked at
 * the limits of a stream, in the same transaction and with AccessShareLock on
 * the stream.  Messages may have been dropped since the last time, also by an
 * appender.
 */
extern void stream_register_retention_follower(void (*function) (Relation rel));

/*
 * Set the function that wakes the background process; called by _PG_init.  It
 * is called if a stream is above its limit and an appender could not make
 * room.
 */
extern void stream_register_retention_nudge(void (*function) (void));

/*
 * Drop messages of a stream by its limits.  Runs in a transaction, without a
 * snapshot.  Takes AccessShareLock if it is available at once, and releases
 * it.
 */
extern RetentionResult stream_retention_apply(Oid relid);

/*
 * Called by an appender: make room for so many bytes in the stream.  This
 * enforces the limit on bytes even if the background process is busy.
 */
extern void stream_retention_make_room(Relation rel, int64 bytes);

#endif
