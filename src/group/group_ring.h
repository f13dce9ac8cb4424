/*
 * group_ring.h
 *	  Doorbells of streams that are rung when a transaction has ended.
 */
#ifndef STREAMQ_GROUP_RING_H
#define STREAMQ_GROUP_RING_H

#include "postgres.h"

/*
 * Others may find something to consume once this transaction has aborted, or
 * with on_commit once it has ended either way, and its locks are gone: ring the
 * stream's doorbell then.
 */
extern void group_ring_at_end(Oid relid, bool on_commit);

extern void group_ring_init(void);	/* resource owner callback */

#endif
