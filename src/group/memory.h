/*
 * memory.h
 *	  What this session was given: how a late acknowledgement is told from one
 *	  that counts.
 *
 * A lease has a token.  The session remembers, for each range of messages it was
 * given, the token of the lease it was given under; the group's state knows the token
 * each message was last given under.  If the session remembers a message under
 * other tokens only, somebody else has it by now.  A message the session does
 * not remember at all was given to another session of the same application
 * (pooled connections), and its acknowledgement counts.
 */
#ifndef STREAMQ_GROUP_MEMORY_H
#define STREAMQ_GROUP_MEMORY_H

#include "postgres.h"

/* a token for a new lease; never 0 */
extern uint64 group_memory_make_token(void);

/* this session was given [from, to) under the token; undone by rollback */
extern void group_memory_note(int32 group_id, int partition,
							  int64 from, int64 to, uint64 token);

/*
 * May this session acknowledge the message at off, last given out under the
 * token?  *until is put to the end of the range from off on with the same
 * answer (unless that is further than *until already says).
 */
extern bool group_memory_allows(int32 group_id, int partition, int64 off,
								uint64 token, int64 *until);

/* everything below position is done: it need not be remembered */
extern void group_memory_forget(int32 group_id, int partition, int64 position);

extern void group_memory_init(void);	/* transaction callbacks */

#endif
