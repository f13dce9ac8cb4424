/*
 * ordered_ack.c
 *	  Acknowledging, giving back and extending leases in ordered mode.
 *
 * These functions use the group's state only and never read the log: the state
 * knows which offsets below its high-water mark (delivered) are messages that
 * are not acknowledged yet.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/group_ring.h"
#include "group/memory.h"
#include "group/mode.h"
#include "group/ordered.h"
#include "group/ordered_state.h"
#include "group/ordered_store.h"
#include "log/log.h"

typedef struct OrderedChange
{
	Relation	rel;
	const ConsumerGroup *group;
	int			partition;
	GroupLock	lock;
	OrderedState state;
} OrderedChange;

/* lock and read the state of a partition */
static void
begin_change(OrderedChange *change, Relation rel, const ConsumerGroup *group, int partition)
{
	change->rel = rel;
	change->group = group;
	change->partition = partition;
	change->lock = group_ordered_lock(rel, group, partition);
	group_ordered_check_serializable(rel, group, partition);
	group_ordered_read(rel, group, partition, &change->state);
}

/* nothing was changed, so release the lock early */
static void
end_unchanged(OrderedChange *change)
{
	if (change->lock == GROUP_LOCK_TAKEN)
		group_unlock_partition(change->group->group_id, change->partition, GROUP_LOCK_EXCLUSIVE);
}

/*
 * write the changed state, and ring if other consumers may find messages now
 */
static void
end_changed(OrderedChange *change)
{
	OrderedState *state = &change->state;
	Relation	rel = change->rel;
	bool		released = group_ordered_release_if_idle(state);

	group_ordered_write(rel, change->group, change->partition, state);
	group_memory_forget(change->group->group_id, change->partition,
						state->position);

	/* there may be messages here, or in a partition that waits for this one */
	if ((released || !state->leased) &&
		(state->cursor < log_next_offset(rel, change->partition) ||
		 log_partitions_depend(rel)))
		group_ring_at_end(RelationGetRelid(rel), true);
}

static int64
end_change(OrderedChange *change, int64 count)
{
	if (count > 0)
		end_changed(change);
	else
		end_unchanged(change);
	return count;
}

/*
 * Acknowledge messages in [from, to) that are outstanding and were not given
 * to another consumer meanwhile.
 */
static int64
ack_range(OrderedChange *change, int64 from, int64 to)
{
	OrderedState *state = &change->state;
	GroupRange	run;
	int64		count = 0;

	while (group_ordered_next_undone(state, from, to, &run))
	{
		int64		off = run.from;

		while (off < run.to)
		{
			const OrderedDelivery *delivery = group_ordered_find_delivery(state, off);
			int64		until = Min(run.to, delivery->to);

			if (group_memory_allows(change->group->group_id, change->partition,
									off, delivery->token, &until))
				count += group_ordered_mark_done(state, off, until);
			off = until;
		}
		from = run.to;
	}
	state->acked_count += count;
	return count;
}

int64
group_ordered_acknowledge(Relation rel, const ConsumerGroup *group, int partition,
						  const int64 *offsets, int n)
{
	OrderedChange change;
	int64		count = 0;

	begin_change(&change, rel, group, partition);
	for (int i = 0, next; i < n; i = next)
	{
		for (next = i + 1; next < n; next++)
			if (offsets[next] != offsets[i] + (next - i))
				break;
		count += ack_range(&change, offsets[i], offsets[i] + (next - i));
	}
	return end_change(&change, count);
}

int64
group_ordered_acknowledge_through(Relation rel, const ConsumerGroup *group,
								  int partition, int64 off)
{
	OrderedChange change;
	int64		count = 0;

	begin_change(&change, rel, group, partition);

	/*
	 * ignore a message that was never delivered: it may be one from before a
	 * seek()
	 */
	if (off < change.state.delivered)
		count = ack_range(&change, change.state.position, off + 1);
	return end_change(&change, count);
}

/* is the message outstanding, and not given to another session since? */
static bool
may_acknowledge(const OrderedChange *change, int64 off)
{
	int64		until = off + 1;

	return group_ordered_is_undone(&change->state, off) &&
		group_memory_allows(change->group->group_id, change->partition, off,
							group_ordered_find_delivery(&change->state, off)->token,
							&until);
}

/* may the message be acknowledged, and is it held under the lease? */
static bool
is_held(const OrderedChange *change, int64 off)
{
	return change->state.leased && off < change->state.cursor && may_acknowledge(change, off);
}

static int32
get_deliveries(const OrderedChange *change, int64 off)
{
	return group_ordered_find_delivery(&change->state, off)->deliveries;
}

/* deliveries of the message for which it can be blamed */
static int32
get_failures(const OrderedChange *change, int64 off)
{
	return get_deliveries(change, off) - group_ordered_excused(&change->state, off);
}

/*
 * Messages are handed out in order, so the messages after the first one that
 * is given back are handed out again, too.
 */
int64
group_ordered_nack(Relation rel, const ConsumerGroup *group, int partition,
				   const int64 *offsets, int n, const GroupRetry *retry,
				   GroupBurial *exhausted, int *nexhausted)
{
	OrderedChange change;
	int64		first = -1;
	int64		count = 0;

	if (exhausted != NULL)
		*nexhausted = 0;
	begin_change(&change, rel, group, partition);
	for (int i = 0; i < n; i++)
	{
		if (!is_held(&change, offsets[i]))
			continue;
		if (exhausted != NULL && group->max_deliveries > 0 &&
			get_failures(&change, offsets[i]) >= group->max_deliveries)
		{
			exhausted[*nexhausted].off = offsets[i];
			exhausted[(*nexhausted)++].deliveries = get_deliveries(&change, offsets[i]);
			continue;
		}
		if (count++ == 0)
			first = offsets[i];
	}
	if (count > 0)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz at = retry->given ? retry->at :
			group_retry_time(group, get_failures(&change, first), now);

		group_ordered_give_back(&change.state, first, at > now ? at : 0);
	}
	return end_change(&change, count);
}

int64
group_ordered_bury(Relation rel, const ConsumerGroup *group, int partition,
				   const int64 *offsets, int n, GroupBurial *buried)
{
	OrderedChange change;
	int64		count = 0;

	begin_change(&change, rel, group, partition);
	for (int i = 0; i < n; i++)
	{
		if (!may_acknowledge(&change, offsets[i]))
			continue;
		buried[count].off = offsets[i];
		buried[count++].deliveries = get_deliveries(&change, offsets[i]);
	}
	for (int64 i = 0; i < count; i++)
		group_ordered_mark_done(&change.state, buried[i].off, buried[i].off + 1);
	change.state.dead_lettered_count += count;
	return end_change(&change, count);
}

int
group_ordered_redeliver(Relation rel, const ConsumerGroup *group, int partition,
						const int64 *offsets, int n)
{
	OrderedChange change;
	int			accepted = 0;

	begin_change(&change, rel, group, partition);
	group_check_current(rel, group);
	while (accepted < n && group_ordered_redrive(&change.state, offsets[accepted]))
		accepted++;
	if (accepted > 0)
		group_ordered_write(rel, group, partition, &change.state);
	else
		end_unchanged(&change);
	return accepted;
}

int64
group_ordered_extend(Relation rel, const ConsumerGroup *group, int partition,
					 const int64 *offsets, int n, TimestampTz until)
{
	OrderedChange change;
	int64		count = 0;

	begin_change(&change, rel, group, partition);
	for (int i = 0; i < n; i++)
		if (is_held(&change, offsets[i]))
			count++;
	if (count > 0 && until > change.state.deadline)
	{
		change.state.deadline = until;
		group_ordered_write(rel, group, partition, &change.state);
	}
	else
		end_unchanged(&change);
	return count;
}
