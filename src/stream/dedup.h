/*
 * dedup.h
 *	  Recognizing messages that were produced before, by their dedup_id.
 *
 * A producer calls stream_dedup_begin(), writes the messages whose ids are
 * new, and calls stream_dedup_end().  In between, nobody else can produce
 * messages with these ids to the stream.  The messages and their ids belong to
 * the same transaction, so ids of a transaction that rolls back are unknown.
 */
#ifndef STREAMQ_STREAM_DEDUP_H
#define STREAMQ_STREAM_DEDUP_H

#include "postgres.h"

#include "utils/rel.h"

typedef struct StreamDedup StreamDedup;

/* as a message id: the message waits for its deliver_at */
#define STREAM_WAITING		INT64CONST(-2)

/*
 * Look up the ids of n messages; null: the message has none.  Waits for
 * transactions in progress that have produced one of them, and if the new ones
 * will be appended at once, for room in the stream.  The caller has the stream
 * open with RowExclusiveLock, and calls stream_dedup_end() in the same
 * subtransaction.
 *
 * Fails with 40001 in a SERIALIZABLE transaction if its snapshot does not see
 * an id that was found.
 */
extern StreamDedup *stream_dedup_begin(Relation rel, const Datum *ids,
									   const bool *nulls, int n, bool append);

/* is message i to be written? */
extern bool stream_dedup_is_new(const StreamDedup *dedup, int i);

/* how many messages are to be written */
extern int	stream_dedup_count_new(const StreamDedup *dedup);

/*
 * msg_ids has an element for each message.  Remember the elements of new
 * messages, and fill in the elements of duplicates.  If a message was not
 * written (STREAM_NOT_WRITTEN), its id is not remembered.
 */
extern void stream_dedup_end(StreamDedup *dedup, int64 *msg_ids);

/*
 * A message that waited was written, or does not wait any more
 * (STREAM_NOT_WRITTEN): then its id is forgotten.
 */
extern void stream_dedup_settle(Relation rel, Datum id, int64 msg_id);

/* do the tables have ids? */
extern bool stream_dedup_is_used(void);

/*
 * Forget what is older than the streams' dedup_window, and make another table
 * current if it is time.  Called now and then by a background process, with an
 * active snapshot.
 */
extern void stream_dedup_maintain(void);

#endif
