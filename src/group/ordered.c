/*
 * ordered.c
 *	  Ordered mode: the table of its functions, and those functions that
 *	  neither take nor acknowledge messages.
 */
#include "postgres.h"

#include "group/floor.h"
#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/mode.h"
#include "group/ordered.h"
#include "group/ordered_state.h"
#include "group/ordered_store.h"
#include "group/ordered_version.h"
#include "group/seek.h"
#include "log/log.h"
#include "log/space.h"

/* ---- the life of a group ---- */

/* the group is new, so a rollback needs no older state */
static void
ordered_start(Relation rel, const ConsumerGroup *group, int partition,
			  const GroupProgress *progress)
{
	OrderedState state;

	group_ordered_init_progress(&state, progress);
	group_ordered_write_settled(rel, group, partition, &state);
}

static void
ordered_move(Relation rel, const ConsumerGroup *group, int partition, const GroupPlace *place)
{
	OrderedState state;
	int64		off;

	(void) group_ordered_lock(rel, group, partition);
	group_check_current(rel, group);
	off = group_find_place(rel, partition, place);
	group_ordered_check_serializable(rel, group, partition);
	group_ordered_read(rel, group, partition, &state);
	group_ordered_move(&state, off);
	group_ordered_write(rel, group, partition, &state);
}

static void
ordered_close(Relation rel, const ConsumerGroup *group)
{
	int			npartitions = log_partition_count(rel);

	for (int p = 0; p < npartitions; p++)
		(void) group_lock_partition(group->group_id, p, GROUP_LOCK_EXCLUSIVE, true);
}

static bool
ordered_is_idle(Relation rel, const ConsumerGroup *group, int partition)
{
	OrderedState state;

	group_ordered_check_serializable(rel, group, partition);
	group_ordered_read(rel, group, partition, &state);
	return state.position == state.delivered && state.nagain == 0;
}

/* ---- looking ---- */

static int64
ordered_needed_offset(Relation rel, const ConsumerGroup *group, int partition)
{
	OrderedState state;

	group_ordered_read(rel, group, partition, &state);
	if (state.done != NULL)
		pfree(state.done);
	if (state.again != NULL)
		pfree(state.again);
	return group_ordered_needed(&state);
}

/* expired messages include those that the next consume() will count */
static void
ordered_figures(Relation rel, const ConsumerGroup *group, int partition,
				TimestampTz now, GroupFigures *figures)
{
	OrderedState state;
	int64		first = group_first_offset(rel, group, partition);
	bool		leased;
	GroupRange	run;

	group_ordered_read(rel, group, partition, &state);
	leased = group_ordered_is_leased(&state, now);
	if (group_ordered_needed(&state) < first)
	{
		int64		lost = group_expired_offset(rel, group, partition);

		if (leased)
			group_ordered_lose(&state, state.cursor, lost);
		else
			group_ordered_expire(&state, first, lost);
	}

	figures->position = state.position;
	figures->fresh = state.delivered;
	figures->undone = group_ordered_count_undone(&state, state.delivered) -
		group_ordered_count_undone(&state, first) + group_ordered_count_again(&state, first);
	figures->oldest = -1;
	if (group_ordered_next_undone(&state, first, state.delivered, &run))
		figures->oldest = run.from;
	if (state.nagain > 0 && state.again[state.nagain - 1].to > first &&
		(figures->oldest < 0 || state.again[0].from < figures->oldest))
		figures->oldest = Max(state.again[0].from, first);
	figures->in_flight = leased ? group_ordered_in_flight(&state) : 0;
	figures->redelivered = state.redelivered_count;
	figures->dead_lettered = state.dead_lettered_count;
	figures->expired = state.expired_count;
	figures->last_consumed_at = state.last_consumed_at;
}

/* one entry for each delivery count of messages under the lease */
static void
ordered_leases(Relation rel, const ConsumerGroup *group, int partition,
			   TimestampTz now, GroupLeaseCallback add, void *arg)
{
	OrderedState state;
	int64		from;

	group_ordered_read(rel, group, partition, &state);
	if (!group_ordered_is_leased(&state, now))
		return;
	from = state.position;
	for (int i = 0; i < state.ndeliveries && from < state.cursor; i++)
	{
		int64		to = Min(state.deliveries[i].to, state.cursor);
		GroupRange	run;
		GroupLease	lease;

		if (!group_ordered_next_undone(&state, from, to, &run))
		{
			from = to;
			continue;
		}
		lease.first = run.from;
		lease.count = 0;
		do
		{
			lease.last = run.to - 1;
			lease.count += run.to - run.from;
		} while (group_ordered_next_undone(&state, run.to, to, &run));
		from = to;

		lease.consumer = state.consumer;
		lease.expires_at = state.deadline;
		lease.deliveries = state.deliveries[i].deliveries;
		add(&lease, arg);
	}
}

static void
ordered_progress(Relation rel, const ConsumerGroup *group, int partition,
				 Snapshot snapshot, GroupProgress *progress)
{
	OrderedState state;

	group_ordered_read_seen(rel, group, partition, snapshot, &state);
	state.leased = false;
	group_ordered_requeue_again(&state);
	progress->position = state.position;
	progress->ndone = state.ndone;
	progress->done = state.done;
}

const GroupMode group_ordered_mode = {
	.name = "ordered",
	.max_in_flight = ORDERED_MAX_IN_FLIGHT,
	.page_kind = GROUP_ORDERED_PAGE_KIND,
	.pages = &group_ordered_pages,
	.start = ordered_start,
	.move = ordered_move,
	.close = ordered_close,
	.look = group_ordered_look,
	.take = group_ordered_take,
	.acknowledge = group_ordered_acknowledge,
	.acknowledge_through = group_ordered_acknowledge_through,
	.give_back = group_ordered_nack,
	.bury = group_ordered_bury,
	.redeliver = group_ordered_redeliver,
	.extend = group_ordered_extend,
	.is_idle = ordered_is_idle,
	.needed_offset = ordered_needed_offset,
	.figures = ordered_figures,
	.leases = ordered_leases,
	.progress = ordered_progress
};
