/*
 * memory.h
 *	  What this session was given, to recognize acknowledgements that come
 *	  too late.
 *
 * If a lease runs out, its messages are given to another consumer.  An
 * acknowledgement by the first consumer must not count then.
 *
 * Each lease has a token.  The session remembers, for each range of messages
 * it was given, the token of the lease.  The group's state has the token under
 * which each message was given last.  If the session remembers a message with
 * another token, another consumer has the message now.
 *
 * If the session does not remember the message at all, it was given to another
 * session of the same application (pooled connections), and the
 * acknowledgement counts.
 */
#ifndef STREAMQ_GROUP_MEMORY_H
#define STREAMQ_GROUP_MEMORY_H

#include "postgres.h"

/* a token for a new lease; never 0 */
extern uint64 group_memory_make_token(void);

/*
 * The token of this session, for modes in which each message has its own
 * lease; never 0.  With one token, neighbouring ranges become one, and it does
 * not matter whether an acknowledgement means the first or the second delivery
 * to the same session.
 */
extern uint64 group_memory_session_token(void);

/* remember that this session was given [from, to); a rollback undoes this */
extern void group_memory_note(int32 group_id, int partition,
							  int64 from, int64 to, uint64 token);

/*
 * May this session acknowledge the message at off, which was given last under
 * the token?  The answer is the same for the offsets from off up to the end of
 * some range: *until is lowered to that end.
 */
extern bool group_memory_allows(int32 group_id, int partition, int64 off,
								uint64 token, int64 *until);

/* forget ranges below position, where everything is done */
extern void group_memory_forget(int32 group_id, int partition, int64 position);

/* are there so many ranges that it is worth to find the position for this? */
extern bool group_memory_is_crowded(int32 group_id, int partition);

extern void group_memory_init(void);	/* transaction callbacks */

#endif
