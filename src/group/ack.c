/*
 * ack.c
 *	  SQL functions that say what became of messages: ack, ack_through,
 *	  ack_batch, nack and extend_lease.
 *
 * They check arguments and privileges, and sort the messages by partition.
 * The group's mode does the rest.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/group_catalog.h"
#include "group/group_ring.h"
#include "group/mode.h"
#include "log/log.h"

/* a function of a mode; time is its last argument, if it has one */
typedef int64 (*ChangeMessages) (Relation rel, const ConsumerGroup *group, int partition,
								 const int64 *offsets, int n, TimestampTz time);

static int64
acknowledge(Relation rel, const ConsumerGroup *group, int partition,
			const int64 *offsets, int n, TimestampTz time)
{
	return group->mode->acknowledge(rel, group, partition, offsets, n);
}

static int64
acknowledge_through(Relation rel, const ConsumerGroup *group, int partition,
					const int64 *offsets, int n, TimestampTz time)
{
	Assert(n == 1);
	return group->mode->acknowledge_through(rel, group, partition, offsets[0]);
}

static int64
give_back(Relation rel, const ConsumerGroup *group, int partition,
		  const int64 *offsets, int n, TimestampTz time)
{
	GroupRetry	retry = {true, time};

	return group->mode->give_back(rel, group, partition, offsets, n, &retry, NULL, NULL);
}

static int64
extend(Relation rel, const ConsumerGroup *group, int partition,
	   const int64 *offsets, int n, TimestampTz time)
{
	return group->mode->extend(rel, group, partition, offsets, n, time);
}

/*
 * Call a function for the messages of each partition, and return the sum of
 * the results.  Partitions are always changed in ascending order, so that two
 * batches cannot deadlock.
 */
static int64
change_messages(FunctionCallInfo fcinfo, ChangeMessages change, TimestampTz time,
				int64 *ids, int n)
{
	ConsumerGroup group;
	Relation	rel = group_open(fcinfo, &group);
	int			npartitions = log_partition_count(rel);
	int64		count = 0;

	for (int i = 0, next; i < n; i = next)
	{
		int			partition = LOG_MSG_PARTITION(ids[i]);

		/*
		 * a message of a partition that does not exist cannot have been
		 * delivered
		 */
		if (partition >= npartitions)
			break;
		for (next = i; next < n && LOG_MSG_PARTITION(ids[next]) == partition; next++)
			ids[next] = LOG_MSG_OFFSET(ids[next]);
		count += change(rel, &group, partition, ids + i, next - i, time);
	}
	if (count > 0)
		group_ring_note_change(RelationGetRelid(rel), true);
	table_close(rel, NoLock);
	return count;
}

static int64
change_message(FunctionCallInfo fcinfo, ChangeMessages change, TimestampTz time)
{
	int64		id;

	group_require_arg(fcinfo, 2, "msg_id");
	id = group_check_msg_id(PG_GETARG_INT64(2));
	return change_messages(fcinfo, change, time, &id, 1);
}

static int64
change_batch(FunctionCallInfo fcinfo, ChangeMessages change, TimestampTz time)
{
	int			n;
	int64	   *ids = group_get_msg_ids_arg(fcinfo, 2, &n);

	return change_messages(fcinfo, change, time, ids, n);
}

/*
 * ack(stream regclass, group_name text, msg_id int8) returns bool
 *
 * Acknowledges a message; false if there was nothing to acknowledge.  As for
 * all functions here, 42704 is the error if there is no such group, and 42501
 * if the caller may not use it.
 */
PG_FUNCTION_INFO_V1(streamq_ack);
Datum
streamq_ack(PG_FUNCTION_ARGS)
{
	group_begin_change("ack()");
	PG_RETURN_BOOL(change_message(fcinfo, acknowledge, 0) > 0);
}

/*
 * ack_through(stream regclass, group_name text, msg_id int8) returns int8
 *
 * Acknowledges a message and all that were delivered before it in its
 * partition.
 */
PG_FUNCTION_INFO_V1(streamq_ack_through);
Datum
streamq_ack_through(PG_FUNCTION_ARGS)
{
	group_begin_change("ack_through()");
	PG_RETURN_INT64(change_message(fcinfo, acknowledge_through, 0));
}

/*
 * ack_batch(stream regclass, group_name text, msg_ids int8[]) returns int8
 *
 * Returns the number of messages that were acknowledged.
 */
PG_FUNCTION_INFO_V1(streamq_ack_batch);
Datum
streamq_ack_batch(PG_FUNCTION_ARGS)
{
	group_begin_change("ack_batch()");
	PG_RETURN_INT64(change_batch(fcinfo, acknowledge, 0));
}

/*
 * extend_lease(stream regclass, group_name text, msg_ids int8[],
 *			 lease interval) returns int8
 *
 * Returns the number of messages that are still held.  22023 if lease is not
 * positive.
 */
PG_FUNCTION_INFO_V1(streamq_extend_lease);
Datum
streamq_extend_lease(PG_FUNCTION_ARGS)
{
	TimestampTz until;

	group_begin_change("extend_lease()");
	group_require_arg(fcinfo, 3, "lease");
	until = group_add_interval(GetCurrentTimestamp(), PG_GETARG_INTERVAL_P(3),
							   "lease", false);
	PG_RETURN_INT64(change_batch(fcinfo, extend, until));
}

/*
 * nack(stream regclass, group_name text, msg_id int8,
 *	 retry_after interval) returns bool
 *
 * Gives back a message and those delivered after it in its partition.  22023
 * if retry_after is negative.
 */
PG_FUNCTION_INFO_V1(streamq_nack);
Datum
streamq_nack(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz retry_at;

	group_begin_change("nack()");
	group_require_arg(fcinfo, 2, "msg_id");
	group_require_arg(fcinfo, 3, "retry_after");
	(void) group_check_msg_id(PG_GETARG_INT64(2));
	retry_at = group_add_interval(now, PG_GETARG_INTERVAL_P(3), "retry_after", true);
	PG_RETURN_BOOL(change_message(fcinfo, give_back, retry_at > now ? retry_at : 0) > 0);
}
