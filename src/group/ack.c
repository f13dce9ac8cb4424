/*
 * ack.c
 *	  SQL functions of consumers that process messages: ack, ack_through,
 *	  ack_batch and extend_lease.
 *
 * They check arguments and privileges, and sort the messages by partition.
 * The group's mode does the rest.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/timestamp.h"

#include "group/ack.h"
#include "group/args.h"
#include "group/group_catalog.h"
#include "group/group_ring.h"
#include "group/mode.h"
#include "log/log.h"

static int64
acknowledge(Relation rel, const ConsumerGroup *group, int partition,
			const int64 *offsets, int n, void *arg)
{
	return group->mode->acknowledge(rel, group, partition, offsets, n);
}

static int64
acknowledge_through(Relation rel, const ConsumerGroup *group, int partition,
					const int64 *offsets, int n, void *arg)
{
	Assert(n == 1);
	return group->mode->acknowledge_through(rel, group, partition, offsets[0]);
}

static int64
extend(Relation rel, const ConsumerGroup *group, int partition,
	   const int64 *offsets, int n, void *until)
{
	return group->mode->extend(rel, group, partition, offsets, n, *(TimestampTz *) until);
}

int64
group_change_each(Relation rel, const ConsumerGroup *group, int64 *ids, int n,
				  GroupChange change, void *arg)
{
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
		count += change(rel, group, partition, ids + i, next - i, arg);
	}
	if (count > 0)
		group_ring_note_change(RelationGetRelid(rel), true);
	return count;
}

static int64
change_messages(FunctionCallInfo fcinfo, GroupChange change, void *arg, int64 *ids, int n)
{
	ConsumerGroup group;
	Relation	rel = group_open(fcinfo, &group);
	int64		count = group_change_each(rel, &group, ids, n, change, arg);

	table_close(rel, NoLock);
	return count;
}

int64
group_change_message(FunctionCallInfo fcinfo, GroupChange change, void *arg)
{
	int64		id;

	group_require_arg(fcinfo, 2, "msg_id");
	id = group_check_msg_id(PG_GETARG_INT64(2));
	return change_messages(fcinfo, change, arg, &id, 1);
}

int64
group_change_batch(FunctionCallInfo fcinfo, GroupChange change, void *arg)
{
	int			n;
	int64	   *ids = group_get_msg_ids_arg(fcinfo, 2, &n);

	return change_messages(fcinfo, change, arg, ids, n);
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
	PG_RETURN_BOOL(group_change_message(fcinfo, acknowledge, NULL) > 0);
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
	PG_RETURN_INT64(group_change_message(fcinfo, acknowledge_through, NULL));
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
	PG_RETURN_INT64(group_change_batch(fcinfo, acknowledge, NULL));
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
	PG_RETURN_INT64(group_change_batch(fcinfo, extend, &until));
}
