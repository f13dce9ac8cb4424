/*
 * ack.c
 *	  Acknowledging, giving back, and holding on to messages.
 *
 * An acknowledgement looks at the group's state only, never at the log: the
 * state knows which offsets below its high-water mark are unacknowledged
 * messages.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/memory.h"
#include "group/store.h"
#include "log/log.h"

/*
 * Lock and read the state of a partition.  False if the stream has no such
 * partition, so nothing of it can have been delivered.
 */
static bool
begin_partition(Relation rel, const ConsumerGroup *group, int64 partition,
				PartitionState *state)
{
	if (partition >= log_partition_count(rel))
		return false;
	group_lock_state(group->group_id, (int) partition, true);
	group_read_state(rel, group->group_id, (int) partition, state);
	return true;
}

/* write it back after messages were acknowledged or given back */
static void
end_partition(Relation rel, const ConsumerGroup *group, int partition,
			  PartitionState *state)
{
	bool		released = group_state_release_if_idle(state);

	group_write_state(rel, group->group_id, partition, state);
	group_memory_forget(group->group_id, partition, state->position);

	/* what comes next here, or in a partition that waits for this one */
	if ((released || !state->leased) &&
		(state->cursor < log_next_offset(rel, partition) ||
		 log_partition_count(rel) > 1))
		group_ring_at_end(RelationGetRelid(rel), true);
}

/*
 * Acknowledge what is outstanding in [from, to) and was not given to somebody
 * else meanwhile.
 */
static int64
ack_range(const ConsumerGroup *group, int partition, PartitionState *state,
		  int64 from, int64 to)
{
	StateRange	run;
	int64		count = 0;

	while (group_state_next_undone(state, from, to, &run))
	{
		int64		off = run.from;

		while (off < run.to)
		{
			const StateDelivery *delivery = group_state_find_delivery(state, off);
			int64		until = Min(run.to, delivery->to);

			if (group_memory_allows(group->group_id, partition, off,
									delivery->token, &until))
				count += group_state_mark_done(state, off, until);
			off = until;
		}
		from = run.to;
	}
	state->acked_count += count;
	return count;
}

PG_FUNCTION_INFO_V1(streamq_ack);
Datum
streamq_ack(PG_FUNCTION_ARGS)
{
	char	   *name;
	ConsumerGroup group;
	Relation	rel;
	int64		msg_id;
	int			partition;
	PartitionState state;
	bool		acked = false;

	group_begin_change("streamq.ack()");
	group_require_arg(fcinfo, 2, "msg_id");
	msg_id = group_check_msg_id(PG_GETARG_INT64(2));
	partition = LOG_MSG_PARTITION(msg_id);
	rel = group_open(fcinfo, &name, &group);

	if (begin_partition(rel, &group, partition, &state))
	{
		int64		off = LOG_MSG_OFFSET(msg_id);

		acked = ack_range(&group, partition, &state, off, off + 1) > 0;
		if (acked)
			end_partition(rel, &group, partition, &state);
	}
	table_close(rel, NoLock);
	PG_RETURN_BOOL(acked);
}

PG_FUNCTION_INFO_V1(streamq_ack_through);
Datum
streamq_ack_through(PG_FUNCTION_ARGS)
{
	char	   *name;
	ConsumerGroup group;
	Relation	rel;
	int64		msg_id;
	int			partition;
	PartitionState state;
	int64		count = 0;

	group_begin_change("streamq.ack_through()");
	group_require_arg(fcinfo, 2, "msg_id");
	msg_id = group_check_msg_id(PG_GETARG_INT64(2));
	partition = LOG_MSG_PARTITION(msg_id);
	rel = group_open(fcinfo, &name, &group);

	/*
	 * A message that was never delivered is no place to acknowledge up to: it
	 * may be one from before a seek.
	 */
	if (begin_partition(rel, &group, partition, &state) &&
		LOG_MSG_OFFSET(msg_id) < state.delivered)
	{
		count = ack_range(&group, partition, &state, state.position,
						  LOG_MSG_OFFSET(msg_id) + 1);
		if (count > 0)
			end_partition(rel, &group, partition, &state);
	}
	table_close(rel, NoLock);
	PG_RETURN_INT64(count);
}

/*
 * Call `change` for the ids of each partition: locked in order of partitions, so
 * that two batches do not wait for each other.  Returns the sum of its results.
 */
static int64
change_batch(FunctionCallInfo fcinfo,
			 int64 (*change) (Relation rel, const ConsumerGroup *group, int partition,
							  PartitionState *state, const int64 *ids, int n,
							  TimestampTz until),
			 TimestampTz until)
{
	char	   *name;
	ConsumerGroup group;
	Relation	rel;
	int64	   *ids;
	int			n;
	int64		count = 0;

	ids = group_get_msg_ids_arg(fcinfo, 2, &n);
	rel = group_open(fcinfo, &name, &group);
	for (int i = 0, next; i < n; i = next)
	{
		int			partition = LOG_MSG_PARTITION(ids[i]);
		PartitionState state;

		for (next = i; next < n; next++)
			if (LOG_MSG_PARTITION(ids[next]) != partition)
				break;
		if (begin_partition(rel, &group, partition, &state))
			count += change(rel, &group, partition, &state,
							ids + i, next - i, until);
	}
	table_close(rel, NoLock);
	return count;
}

static int64
ack_ids(Relation rel, const ConsumerGroup *group, int partition, PartitionState *state,
		const int64 *ids, int n, TimestampTz until)
{
	int64		count = 0;

	for (int i = 0, next; i < n; i = next)
	{
		int64		off = LOG_MSG_OFFSET(ids[i]);

		for (next = i + 1; next < n; next++)
			if (ids[next] != ids[i] + (next - i))
				break;
		count += ack_range(group, partition, state, off, off + (next - i));
	}
	if (count > 0)
		end_partition(rel, group, partition, state);
	return count;
}

PG_FUNCTION_INFO_V1(streamq_ack_batch);
Datum
streamq_ack_batch(PG_FUNCTION_ARGS)
{
	group_begin_change("streamq.ack_batch()");
	PG_RETURN_INT64(change_batch(fcinfo, ack_ids, 0));
}

/* is the message held under the partition's lease, and not by somebody else? */
static bool
is_held(const ConsumerGroup *group, int partition, const PartitionState *state, int64 off)
{
	int64		until = off + 1;

	return state->leased && off < state->cursor &&
		group_state_is_undone(state, off) &&
		group_memory_allows(group->group_id, partition, off,
							group_state_find_delivery(state, off)->token, &until);
}

static int64
extend_ids(Relation rel, const ConsumerGroup *group, int partition, PartitionState *state,
		   const int64 *ids, int n, TimestampTz until)
{
	int64		count = 0;

	for (int i = 0; i < n; i++)
		if (is_held(group, partition, state, LOG_MSG_OFFSET(ids[i])))
			count++;
	if (count > 0 && until > state->deadline)
	{
		state->deadline = until;
		group_write_state(rel, group->group_id, partition, state);
	}
	return count;
}

PG_FUNCTION_INFO_V1(streamq_extend_lease);
Datum
streamq_extend_lease(PG_FUNCTION_ARGS)
{
	TimestampTz until;

	group_begin_change("streamq.extend_lease()");
	group_require_arg(fcinfo, 3, "lease");
	until = group_add_interval(GetCurrentTimestamp(), PG_GETARG_INTERVAL_P(3),
							   "lease", false);
	PG_RETURN_INT64(change_batch(fcinfo, extend_ids, until));
}

PG_FUNCTION_INFO_V1(streamq_nack);
Datum
streamq_nack(PG_FUNCTION_ARGS)
{
	char	   *name;
	ConsumerGroup group;
	Relation	rel;
	int64		msg_id;
	int			partition;
	PartitionState state;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz retry_at;
	bool		given_back = false;

	group_begin_change("streamq.nack()");
	group_require_arg(fcinfo, 2, "msg_id");
	group_require_arg(fcinfo, 3, "retry_after");
	msg_id = group_check_msg_id(PG_GETARG_INT64(2));
	partition = LOG_MSG_PARTITION(msg_id);
	retry_at = group_add_interval(now, PG_GETARG_INTERVAL_P(3),
								  "retry_after", true);
	rel = group_open(fcinfo, &name, &group);

	if (begin_partition(rel, &group, partition, &state))
	{
		given_back = is_held(&group, partition, &state, LOG_MSG_OFFSET(msg_id));
		if (given_back)
		{
			group_state_give_back(&state, LOG_MSG_OFFSET(msg_id),
								  retry_at > now ? retry_at : 0);
			end_partition(rel, &group, partition, &state);
		}
	}
	table_close(rel, NoLock);
	PG_RETURN_BOOL(given_back);
}
