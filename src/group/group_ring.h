/*
 * group_ring.h
 *	  Ringing doorbells of streams at the end of a transaction.
 */
#ifndef STREAMQ_GROUP_RING_H
#define STREAMQ_GROUP_RING_H

#include "postgres.h"

/*
 * Ring the stream's doorbell once this transaction has aborted and released
 * its locks, because other consumers may find messages then.  With on_commit,
 * also if it commits.
 */
extern void group_ring_at_end(Oid relid, bool on_commit);

extern void group_ring_init(void);	/* resource owner callback */

#endif
