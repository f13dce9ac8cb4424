/*
 * ordered_store.h
 *	  Locking, reading and writing the state of a partition in ordered mode.
 *
 * A transaction that changes the state of (group, partition) holds its
 * heavyweight lock to its end.  Reading needs no lock, and sees what is committed
 * and what the current transaction did.
 */
#ifndef STREAMQ_GROUP_ORDERED_STORE_H
#define STREAMQ_GROUP_ORDERED_STORE_H

#include "postgres.h"

#include "utils/rel.h"
#include "utils/snapshot.h"

#include "group/group_lock.h"
#include "group/ordered_state.h"

/*
 * Lock a partition, waiting if another transaction has it.  That transaction may
 * drop the group: 42704 then.
 */
extern GroupLock group_ordered_lock(Relation rel, const ConsumerGroup *group, int partition);

/*
 * In a SERIALIZABLE transaction: 40001 if a transaction changed the state that the
 * caller's snapshot does not see.  To be called before a state is read that
 * decides what to do.
 */
extern void group_ordered_check_serializable(Relation rel, const ConsumerGroup *group,
											 int partition);

/*
 * The state as the current transaction sees it, in the current memory context.
 * A partition without one is to be delivered from its first message on, or from
 * where a dump says.
 */
extern void group_ordered_read(Relation rel, const ConsumerGroup *group, int partition,
							   OrderedState *state);

/* the state as an older snapshot sees it */
extern void group_ordered_read_seen(Relation rel, const ConsumerGroup *group, int partition,
									Snapshot snapshot, OrderedState *state);

/* write the state with the current transaction; the partition is locked */
extern void group_ordered_write(Relation rel, const ConsumerGroup *group, int partition,
								const OrderedState *state);

/*
 * Write a state that differs from what was read only in facts that hold if
 * this transaction aborts, too: offsets that are no messages any more.
 */
extern void group_ordered_write_settled(Relation rel, const ConsumerGroup *group, int partition,
										const OrderedState *state);

#endif
