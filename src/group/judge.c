/*
 * judge.c
 *	  What becomes of a message that a mode wants to hand out, and when a
 *	  message that came back may be handed out again.
 */
#include "postgres.h"

#include <math.h>

#include "group/dead_letter.h"
#include "group/filter.h"
#include "group/floor.h"
#include "group/judge.h"
#include "group/mode.h"
#include "log/options.h"

struct GroupJudge
{
	TimestampTz horizon;		/* older messages have expired */
	bool		horizon_changed;	/* by this transaction */
	GroupFilter *filter;		/* NULL: none */
};

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

GroupJudge *
group_judge_begin(Relation rel, const ConsumerGroup *group)
{
	GroupJudge *judge = palloc0(sizeof(GroupJudge));

	judge->horizon = log_options_horizon(rel, &judge->horizon_changed);
	if (group->filter != NULL)
	{
		/*
		 * What does not match is settled at once, but a rollback would bring
		 * back the filter that was there before.
		 */
		if (group->is_changed)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot consume in the transaction that changed consumer group \"%s\" of stream \"%s\"",
							group->name, RelationGetRelationName(rel)),
					 errdetail("The group has a filter.")));
		judge->filter = group_filter_begin(rel, group);
	}
	return judge;
}

void
group_judge_end(GroupJudge *judge)
{
	if (judge->filter != NULL)
		group_filter_end(judge->filter);
}

/* write the letter of a message that is not handed out */
static bool
bury(const GroupConsumer *consumer, const LogKeptRow *row, const char *reason)
{
	return group_write_letter(consumer->rel, consumer->group, consumer->slot, row,
							  row->note - 1, reason);
}

/*
 * The filter failed for a message.  Without a dead letter the message is
 * delivered, because the consumer is best able to deal with it.  A call may
 * bury any number of messages, so they leave nothing in memory.
 */
static GroupVerdict
judge_error(const GroupConsumer *consumer, const LogKeptRow *row, ErrorData *error)
{
	if (consumer->group->has_dead_letter)
	{
		char	   *reason = psprintf("filter: %s", error->message);
		bool		buried = bury(consumer, row, reason);

		pfree(reason);
		if (buried)
		{
			FreeErrorData(error);
			return GROUP_BURY;
		}
	}
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("the filter of consumer group \"%s\" failed for message %lld of stream \"%s\"",
					consumer->group->name, (long long) row->msg_id,
					RelationGetRelationName(consumer->rel)),
			 errdetail("%s", error->message),
			 errhint("The message is delivered.")));
	return GROUP_DELIVER;
}

GroupVerdict
group_judge(const GroupConsumer *consumer, const LogKeptRow *row, int32 excused)
{
	const ConsumerGroup *group = consumer->group;
	GroupFilter *filter = consumer->judge->filter;

	if (row->produced_at < consumer->judge->horizon)
	{
		/* as with a filter */
		if (consumer->judge->horizon_changed)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot consume in the transaction that changed stream \"%s\"",
							RelationGetRelationName(consumer->rel)),
					 errdetail("Messages are older than the stream's message_ttl.")));
		return GROUP_EXPIRE;
	}
	if (group_is_evicted(consumer->rel, group, row->msg_id))
		return GROUP_EXPIRE;
	if (filter != NULL)
	{
		ErrorData  *error;
		bool		matches = group_filter_matches(filter, consumer->slot, &error);

		if (error != NULL)
		{
			if (judge_error(consumer, row, error) == GROUP_BURY)
				return GROUP_BURY;
		}
		else if (!matches)
			return GROUP_PASS;
	}
	if (group->max_deliveries > 0 && row->note - excused > group->max_deliveries &&
		bury(consumer, row, NULL))
		return GROUP_BURY;
	if (!group_messages_try(consumer->messages, consumer->rel, consumer->slot, row))
		return GROUP_STOP;
	return GROUP_DELIVER;
}

bool
group_judge_may_deliver(const GroupConsumer *consumer, int64 msg_id, TimestampTz produced_at)
{
	GroupFilter *filter = consumer->judge->filter;
	ErrorData  *error;
	bool		matches;

	if (produced_at < consumer->judge->horizon ||
		group_is_evicted(consumer->rel, consumer->group, msg_id))
		return false;
	if (filter == NULL)
		return true;
	matches = group_filter_matches(filter, consumer->slot, &error);
	if (error == NULL)
		return matches;
	FreeErrorData(error);
	return true;
}
