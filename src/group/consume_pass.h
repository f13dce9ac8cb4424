/*
 * consume_pass.h
 *	  One pass over all partitions of a stream to find messages for a
 *	  consumer.
 */
#ifndef STREAMQ_GROUP_CONSUME_PASS_H
#define STREAMQ_GROUP_CONSUME_PASS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "group/mode.h"

/*
 * Take messages from the partitions, until the consumer has enough or no
 * partition has more.  Acknowledging messages on the way (auto_ack) may free
 * messages of another partition that had to wait for them; then the pass is
 * repeated.
 *
 * *busy is set if another transaction has locked a partition.  *wake_at is
 * lowered to the time at which a partition may change without a ring of the
 * doorbell, such as the end of a lease.
 */
extern void group_consume_partitions(const GroupConsumer *consumer, bool *busy,
									 TimestampTz *wake_at);

/* offsets of a partition in which the consumer's group will find no message */
typedef struct GroupPassed
{
	int64		from;
	int64		to;
} GroupPassed;

/*
 * Is there a message in [from, limit) of a partition?  What a mode promises may
 * have rolled back, or may not be committed yet.  Messages for which the judge
 * of the consumer, if it has one, has no use do not count.
 *
 * *passed may say what an earlier call has looked at, and is extended; NULL if
 * the caller looks only once.
 */
extern bool group_has_message(const GroupConsumer *consumer, int partition, int64 from,
							  int64 limit, GroupPassed *passed);

/*
 * Look, without taking anything, if a pass would find a message for the
 * consumer.  passed has an element for each of LOG_MAX_PARTITIONS partitions.
 */
extern bool group_look_partitions(const GroupConsumer *consumer, GroupPassed *passed,
								  TimestampTz *wake_at);

#endif
