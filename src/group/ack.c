/*
 * ack.c
 *	  The SQL functions that tell a group what became of its messages.
 *
 * They check arguments and privileges and sort messages by partition.  The
 * group's mode does the rest.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/group_catalog.h"
#include "group/mode.h"
#include "log/log.h"

/* a function of a mode, with its last argument, if it has one more */
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
	return group->mode->give_back(rel, group, partition, offsets, n, time);
}

static int64
extend(Relation rel, const ConsumerGroup *group, int partition,
	   const int64 *offsets, int n, TimestampTz time)
{
	return group->mode->extend(rel, group, partition, offsets, n, time);
}

/*
 * Call a function for the messages of each partition: in order of partitions, so
 * that two batches do not wait for each other.  Returns the sum of its results.
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

		/* nothing of a partition that does not exist can have been delivered */
		if (partition >= npartitions)
			break;
		for (next = i; next < n && LOG_MSG_PARTITION(ids[next]) == partition; next++)
			ids[next] = LOG_MSG_OFFSET(ids[next]);
		count += change(rel, &group, partition, ids + i, next - i, time);
	}
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

PG_FUNCTION_INFO_V1(streamq_ack);
Datum
streamq_ack(PG_FUNCTION_ARGS)
{
	group_begin_change("ack()");
	PG_RETURN_BOOL(change_message(fcinfo, acknowledge, 0) > 0);
}

PG_FUNCTION_INFO_V1(streamq_ack_through);
Datum
streamq_ack_through(PG_FUNCTION_ARGS)
{
	group_begin_change("ack_through()");
	PG_RETURN_INT64(change_message(fcinfo, acknowledge_through, 0));
}

PG_FUNCTION_INFO_V1(streamq_ack_batch);
Datum
streamq_ack_batch(PG_FUNCTION_ARGS)
{
	group_begin_change("ack_batch()");
	PG_RETURN_INT64(change_batch(fcinfo, acknowledge, 0));
}

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
