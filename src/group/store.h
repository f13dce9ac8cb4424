/*
 * store.h
 *	  A group's states: locks, and reading and writing the group pages.
 *
 * Whoever changes the state of (group, partition) holds its heavyweight lock to
 * the end of the transaction.  Reading needs no lock and sees what is committed,
 * and what the current transaction did.
 */
#ifndef STREAMQ_GROUP_STORE_H
#define STREAMQ_GROUP_STORE_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/ordered.h"

typedef enum StoreLock
{
	STORE_LOCK_BUSY,			/* somebody else's, and not waited for */
	STORE_LOCK_TAKEN,
	STORE_LOCK_HELD				/* this transaction has had it before */
} StoreLock;

/* to the end of the transaction */
extern StoreLock group_lock_state(int32 group_id, int partition, bool wait);

/* early, by whoever got STORE_LOCK_TAKEN and has written nothing but settled states */
extern void group_unlock_state(int32 group_id, int partition);

/*
 * A name among the groups of a stream: held to the end of the transaction by
 * whoever creates, drops or changes the group.  False if it is somebody else's and
 * not to be waited for.
 */
extern bool group_lock_name(Oid relid, const char *name, bool wait);

/*
 * For a moment, by who has a name: the set of groups of a stream while nobody else
 * has any.  False if somebody has.
 */
extern bool group_lock_set(Oid relid);
extern void group_unlock_set(Oid relid);

/*
 * In a SERIALIZABLE transaction: 40001 if the state was changed by somebody the
 * transaction's snapshot does not see.  To be called before a state is read
 * that decides what to do.
 */
extern void group_check_serializable(Relation rel, int32 group_id, int partition);

/*
 * The state as the current transaction sees it, in the current memory context.
 * A partition without one is to be delivered from its first message on.
 */
extern void group_read_state(Relation rel, int32 group_id, int partition,
							 PartitionState *state);

/* write the state with the current transaction; the lock is held */
extern void group_write_state(Relation rel, int32 group_id, int partition,
							  const PartitionState *state);

/*
 * Write a state that differs from what was read only in facts that hold if
 * this transaction aborts, too: offsets that are no messages any more.
 */
extern void group_write_settled(Relation rel, int32 group_id, int partition,
								const PartitionState *state);

/*
 * Others may find something to consume when this transaction has aborted, or
 * with on_commit when it has ended either way, and its locks are gone: ring the
 * stream's doorbell then.
 */
extern void group_ring_at_end(Oid relid, bool on_commit);

extern void group_store_init(void);

#endif
