/*
 * ordered.h
 *	  Ordered mode: each partition is leased to one consumer at a time,
 *	  which gets the messages in order.
 *
 * The state of a partition is one struct (ordered_state.h), written as a
 * whole. A transaction that changes it locks (group, partition) until its end.
 * consume() skips a partition that another transaction has locked; all other
 * functions wait for the lock.
 */
#ifndef STREAMQ_GROUP_ORDERED_H
#define STREAMQ_GROUP_ORDERED_H

#include "postgres.h"

#include "group/mode.h"

extern const GroupMode group_ordered_mode;

/* ordered_take.c */
extern void group_ordered_look(const GroupConsumer *consumer, int partition, TimestampTz now,
							   GroupOutlook *outlook);
extern void group_ordered_take(const GroupConsumer *consumer, int partition, int64 limit,
							   GroupTaken *taken);

/* ordered_ack.c */
extern int64 group_ordered_acknowledge(Relation rel, const ConsumerGroup *group, int partition,
									   const int64 *offsets, int n);
extern int64 group_ordered_acknowledge_through(Relation rel, const ConsumerGroup *group,
											   int partition, int64 off);
extern int64 group_ordered_nack(Relation rel, const ConsumerGroup *group, int partition,
								const int64 *offsets, int n, const GroupRetry *retry,
								GroupBurial *exhausted, int *nexhausted);
extern int64 group_ordered_bury(Relation rel, const ConsumerGroup *group, int partition,
								const int64 *offsets, int n, GroupBurial *buried);
extern int	group_ordered_redeliver(Relation rel, const ConsumerGroup *group, int partition,
									const int64 *offsets, int n);
extern int64 group_ordered_extend(Relation rel, const ConsumerGroup *group, int partition,
								  const int64 *offsets, int n, TimestampTz until);

#endif
