/*
 * ordered_store.h
 *	  Locking, reading and writing the state of a partition in ordered mode.
 *
 * A transaction that changes the state of (group, partition) holds its
 * heavyweight lock until the end.  Reading needs no lock.  A reader sees
 * committed changes and those of its own transaction.
 */
#ifndef STREAMQ_GROUP_ORDERED_STORE_H
#define STREAMQ_GROUP_ORDERED_STORE_H

#include "postgres.h"

#include "utils/rel.h"
#include "utils/snapshot.h"

#include "group/group_lock.h"
#include "group/ordered_state.h"

/*
 * Lock a partition, waiting if another transaction has it.  Fails with 42704
 * if that transaction dropped the group.
 */
extern GroupLock group_ordered_lock(Relation rel, const ConsumerGroup *group, int partition);

/*
 * In a SERIALIZABLE transaction, fail with 40001 if the state was changed by a
 * transaction that the current snapshot does not see.  Must be called before
 * reading a state on which a decision is based.
 */
extern void group_ordered_check_serializable(Relation rel, const ConsumerGroup *group,
											 int partition);

/*
 * The state as the current transaction sees it, in the current memory context.
 * If the partition has no state, delivery begins at its first message, or at
 * the position given by a restored dump.  If the session of a lease has ended,
 * the lease has ended, too.
 */
extern void group_ordered_read(Relation rel, const ConsumerGroup *group, int partition,
							   OrderedState *state);

/* the state as seen by an older snapshot */
extern void group_ordered_read_seen(Relation rel, const ConsumerGroup *group, int partition,
									Snapshot snapshot, OrderedState *state);

/* write the state in the current transaction; the partition is locked */
extern void group_ordered_write(Relation rel, const ConsumerGroup *group, int partition,
								const OrderedState *state);

/*
 * Write a state that stays if this transaction aborts.  It may differ from the
 * state that was read only in facts that are true either way: offsets that are
 * no messages any more.
 */
extern void group_ordered_write_settled(Relation rel, const ConsumerGroup *group, int partition,
										const OrderedState *state);

#endif
