/*
 * judge.c
 *	  What becomes of a message that a mode wants to hand out, and when a
 *	  message that came back may be handed out again.
 */
#include "postgres.h"

#include <math.h>

#include "group/mode.h"

TimestampTz
group_retry_time(const ConsumerGroup *group, int32 deliveries, TimestampTz from)
{
	double		backoff;

	if (group->retry_backoff == 0)
		return from;
	backoff = ldexp((double) group->retry_backoff, Max(deliveries, 1) - 1);
	if (group->retry_backoff_max > 0)
		backoff = Min(backoff, (double) group->retry_backoff_max);

	/* not so late that the time is out of range */
	backoff = Min(backoff, (double) GROUP_MAX_BACKOFF);
	return from + (int64) backoff;
}

GroupVerdict
group_judge(const GroupConsumer *consumer, const LogKeptRow *row)
{
	if (!group_messages_try(consumer->messages, consumer->rel, consumer->slot, row))
		return GROUP_STOP;
	return GROUP_DELIVER;
}
