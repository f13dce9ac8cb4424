/*
 * retry.c
 *	  SQL functions of consumers that could not process messages: nack,
 *	  nack_batch, reject and reject_batch.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "group/ack.h"
#include "group/args.h"
#include "group/dead_letter.h"
#include "group/group_catalog.h"
#include "group/mode.h"

/* arguments of the SQL functions after the messages */
typedef struct Retry
{
	GroupRetry	retry;
	const char *reason;			/* NULL: none */
} Retry;

/*
 * Give messages back.  Those that were delivered max_deliveries times are
 * buried.  If that is impossible, they are given back, too.
 */
static int64
give_back(Relation rel, const ConsumerGroup *group, int partition,
		  const int64 *offsets, int n, void *arg)
{
	const Retry *retry = arg;
	GroupBurial *exhausted = palloc(sizeof(GroupBurial) * Max(n, 1));
	int64	   *exhausted_offsets;
	int64	   *failed;
	int			nexhausted;
	int			nfailed;
	int64		count;

	count = group->mode->give_back(rel, group, partition, offsets, n, &retry->retry,
								   exhausted, &nexhausted);
	if (nexhausted == 0)
		return count;

	exhausted_offsets = palloc(sizeof(int64) * nexhausted);
	failed = palloc(sizeof(int64) * nexhausted);
	for (int i = 0; i < nexhausted; i++)
		exhausted_offsets[i] = exhausted[i].off;
	count += group_bury(rel, group, partition, exhausted_offsets, nexhausted, retry->reason,
						failed, &nfailed);
	if (nfailed > 0)
		(void) group->mode->give_back(rel, group, partition, failed, nfailed, &retry->retry,
									  NULL, NULL);

	/*
	 * In ordered mode, messages may have been given back with an earlier one
	 * before.  They count, too.
	 */
	return count + nfailed;
}

static void
get_retry(FunctionCallInfo fcinfo, Retry *retry)
{
	TimestampTz now = GetCurrentTimestamp();

	memset(retry, 0, sizeof(Retry));
	if (!PG_ARGISNULL(3))
	{
		TimestampTz at = group_add_interval(now, PG_GETARG_INTERVAL_P(3), "retry_after", true);

		retry->retry.given = true;
		retry->retry.at = at > now ? at : 0;
	}
	if (!PG_ARGISNULL(4))
		retry->reason = text_to_cstring(PG_GETARG_TEXT_PP(4));
}

/*
 * nack(stream regclass, group_name text, msg_id int8, retry_after interval,
 *	 reason text) returns bool
 *
 * Gives back a message; in ordered mode, also those delivered after it in its
 * partition.  22023 if retry_after is negative.
 */
PG_FUNCTION_INFO_V1(streamq_nack);
Datum
streamq_nack(PG_FUNCTION_ARGS)
{
	Retry		retry;

	group_begin_change("nack()");
	get_retry(fcinfo, &retry);
	PG_RETURN_BOOL(group_change_message(fcinfo, give_back, &retry) > 0);
}

/*
 * nack_batch(stream regclass, group_name text, msg_ids int8[],
 *		 retry_after interval, reason text) returns int8
 */
PG_FUNCTION_INFO_V1(streamq_nack_batch);
Datum
streamq_nack_batch(PG_FUNCTION_ARGS)
{
	Retry		retry;

	group_begin_change("nack_batch()");
	get_retry(fcinfo, &retry);
	PG_RETURN_INT64(group_change_batch(fcinfo, give_back, &retry));
}

/*
 * A message whose letter cannot be written stays with the consumer.  Its lease
 * paces the attempts: given back, it would be rejected again at once.
 */
static int64
reject(Relation rel, const ConsumerGroup *group, int partition,
	   const int64 *offsets, int n, void *reason)
{
	int64	   *failed = palloc(sizeof(int64) * Max(n, 1));
	int			nfailed;

	return group_bury(rel, group, partition, offsets, n, reason, failed, &nfailed);
}

static char *
get_reason(FunctionCallInfo fcinfo)
{
	return PG_ARGISNULL(3) ? pstrdup("rejected") : text_to_cstring(PG_GETARG_TEXT_PP(3));
}

/*
 * reject(stream regclass, group_name text, msg_id int8, reason text)
 *	returns bool
 *
 * Sends a message to the group's dead letter; false if the caller may not
 * acknowledge it, or if the letter cannot be written.
 */
PG_FUNCTION_INFO_V1(streamq_reject);
Datum
streamq_reject(PG_FUNCTION_ARGS)
{
	group_begin_change("reject()");
	PG_RETURN_BOOL(group_change_message(fcinfo, reject, get_reason(fcinfo)) > 0);
}

/*
 * reject_batch(stream regclass, group_name text, msg_ids int8[],
 *		   reason text) returns int8
 */
PG_FUNCTION_INFO_V1(streamq_reject_batch);
Datum
streamq_reject_batch(PG_FUNCTION_ARGS)
{
	group_begin_change("reject_batch()");
	PG_RETURN_INT64(group_change_batch(fcinfo, reject, get_reason(fcinfo)));
}
