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
#include "group/group_catalog.h"
#include "group/memory.h"
#include "group/ordered.h"
#include "group/store.h"
#include "log/log.h"

typedef struct PartitionChange
{
	Relation	rel;
	const ConsumerGroup *group;
	int			partition;
	StoreLock	lock;
	PartitionState state;
} PartitionChange;

/*
 * Lock and read the state of a partition.  False if the stream has no such
 * partition, so nothing of it can have been delivered.
 */
static bool
begin_change(PartitionChange *change, Relation rel, const char *name,
			 const ConsumerGroup *group, int partition)
{
	if (partition >= log_partition_count(rel))
		return false;
	change->rel = rel;
	change->group = group;
	change->partition = partition;
	change->lock = group_lock_partition(rel, name, group, partition);
	group_check_serializable(rel, group->group_id, partition);
	group_read_state(rel, group->group_id, partition, &change->state);
	return true;
}

/* nothing was changed: nobody needs to wait for this transaction */
static void
end_unchanged(PartitionChange *change)
{
	if (change->lock == STORE_LOCK_TAKEN)
		group_unlock_state(change->group->group_id, change->partition);
}

/* messages were acknowledged or given back */
static void
end_changed(PartitionChange *change)
{
	PartitionState *state = &change->state;
	Relation	rel = change->rel;
	bool		released = group_state_release_if_idle(state);

	group_write_state(rel, change->group->group_id, change->partition, state);
	group_memory_forget(change->group->group_id, change->partition,
						state->position);

	/* what comes next here, or in a partition that waits for this one */
	if ((released || !state->leased) &&
		(state->cursor < log_next_offset(rel, change->partition) ||
		 log_partition_count(rel) > 1))
		group_ring_at_end(RelationGetRelid(rel), true);
}

/*
 * Acknowledge what is outstanding in [from, to) and was not given to somebody
 * else meanwhile.
 */
static int64
ack_range(PartitionChange *change, int64 from, int64 to)
{
	PartitionState *state = &change->state;
	StateRange	run;
	int64		count = 0;

	while (group_state_next_undone(state, from, to, &run))
	{
		int64		off = run.from;

		while (off < run.to)
		{
			const StateDelivery *delivery = group_state_find_delivery(state, off);
			int64		until = Min(run.to, delivery->to);

			if (group_memory_allows(change->group->group_id, change->partition,
									off, delivery->token, &until))
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
	PartitionChange change;
	bool		acked = false;

	group_begin_change("ack()");
	group_require_arg(fcinfo, 2, "msg_id");
	msg_id = group_check_msg_id(PG_GETARG_INT64(2));
	rel = group_open(fcinfo, &name, &group);

	if (begin_change(&change, rel, name, &group, LOG_MSG_PARTITION(msg_id)))
	{
		int64		off = LOG_MSG_OFFSET(msg_id);

		acked = ack_range(&change, off, off + 1) > 0;
		if (acked)
			end_changed(&change);
		else
			end_unchanged(&change);
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
	PartitionChange change;
	int64		count = 0;

	group_begin_change("ack_through()");
	group_require_arg(fcinfo, 2, "msg_id");
	msg_id = group_check_msg_id(PG_GETARG_INT64(2));
	rel = group_open(fcinfo, &name, &group);

	if (begin_change(&change, rel, name, &group, LOG_MSG_PARTITION(msg_id)))
	{
		int64		off = LOG_MSG_OFFSET(msg_id);

		/*
		 * A message that was never delivered is no place to acknowledge up
		 * to: it may be one from before a seek.
		 */
		if (off < change.state.delivered)
			count = ack_range(&change, change.state.position, off + 1);
		if (count > 0)
			end_changed(&change);
		else
			end_unchanged(&change);
	}
	table_close(rel, NoLock);
	PG_RETURN_INT64(count);
}

/*
 * Call `apply` for the ids of each partition: locked in order of partitions, so
 * that two batches do not wait for each other.  Returns the sum of its results.
 */
static int64
change_batch(FunctionCallInfo fcinfo,
			 int64 (*apply) (PartitionChange *change, const int64 *ids, int n,
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
		PartitionChange change;

		for (next = i; next < n; next++)
			if (LOG_MSG_PARTITION(ids[next]) != partition)
				break;
		if (begin_change(&change, rel, name, &group, partition))
			count += apply(&change, ids + i, next - i, until);
	}
	table_close(rel, NoLock);
	return count;
}

static int64
ack_ids(PartitionChange *change, const int64 *ids, int n, TimestampTz until)
{
	int64		count = 0;

	for (int i = 0, next; i < n; i = next)
	{
		int64		off = LOG_MSG_OFFSET(ids[i]);

		for (next = i + 1; next < n; next++)
			if (ids[next] != ids[i] + (next - i))
				break;
		count += ack_range(change, off, off + (next - i));
	}
	if (count > 0)
		end_changed(change);
	else
		end_unchanged(change);
	return count;
}

PG_FUNCTION_INFO_V1(streamq_ack_batch);
Datum
streamq_ack_batch(PG_FUNCTION_ARGS)
{
	group_begin_change("ack_batch()");
	PG_RETURN_INT64(change_batch(fcinfo, ack_ids, 0));
}

/* is the message held under the partition's lease, and not by somebody else? */
static bool
is_held(const PartitionChange *change, int64 off)
{
	const PartitionState *state = &change->state;
	int64		until = off + 1;

	return state->leased && off < state->cursor &&
		group_state_is_undone(state, off) &&
		group_memory_allows(change->group->group_id, change->partition, off,
							group_state_find_delivery(state, off)->token,
							&until);
}

static int64
extend_ids(PartitionChange *change, const int64 *ids, int n, TimestampTz until)
{
	int64		count = 0;

	for (int i = 0; i < n; i++)
		if (is_held(change, LOG_MSG_OFFSET(ids[i])))
			count++;
	if (count > 0 && until > change->state.deadline)
	{
		change->state.deadline = until;
		group_write_state(change->rel, change->group->group_id,
						  change->partition, &change->state);
	}
	else
		end_unchanged(change);
	return count;
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
	PartitionChange change;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz retry_at;
	bool		given_back = false;

	group_begin_change("nack()");
	group_require_arg(fcinfo, 2, "msg_id");
	group_require_arg(fcinfo, 3, "retry_after");
	msg_id = group_check_msg_id(PG_GETARG_INT64(2));
	retry_at = group_add_interval(now, PG_GETARG_INTERVAL_P(3),
								  "retry_after", true);
	rel = group_open(fcinfo, &name, &group);

	if (begin_change(&change, rel, name, &group, LOG_MSG_PARTITION(msg_id)))
	{
		int64		off = LOG_MSG_OFFSET(msg_id);

		given_back = is_held(&change, off);
		if (given_back)
		{
			group_state_give_back(&change.state, off,
								  retry_at > now ? retry_at : 0);
			end_changed(&change);
		}
		else
			end_unchanged(&change);
	}
	table_close(rel, NoLock);
	PG_RETURN_BOOL(given_back);
}
