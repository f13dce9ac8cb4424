/*
 * shared_mode.c
 *	  The shared modes: the table of their functions, and those functions
 *	  that neither take nor acknowledge messages.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "group/floor.h"
#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/group_restored.h"
#include "group/inflight.h"
#include "group/key_shared.h"
#include "group/mode.h"
#include "group/registry.h"
#include "group/seek.h"
#include "group/shared_mode.h"
#include "log/log.h"
#include "log/space.h"

/* ---- the life of a group ---- */

static void
shared_start(Relation rel, const ConsumerGroup *group, int partition,
			 const GroupProgress *progress)
{
	group_shared_create(rel, group, partition, progress, true);
}

static void
lock_all_out(Relation rel, const ConsumerGroup *group, int partition)
{
	(void) group_lock_partition(group->group_id, partition, GROUP_LOCK_EXCLUSIVE, true);
	group_check_current(rel, group);
}

static void
shared_move(Relation rel, const ConsumerGroup *group, int partition, const GroupPlace *place)
{
	InflightTree *tree;
	int64		off;

	lock_all_out(rel, group, partition);
	off = group_find_place(rel, partition, place);
	tree = group_shared_open(rel, group, partition);
	group_inflight_move(tree, off);
	group_inflight_close(tree);
}

static void
shared_close(Relation rel, const ConsumerGroup *group)
{
	int			npartitions = log_partition_count(rel);

	for (int p = 0; p < npartitions; p++)
		(void) group_lock_partition(group->group_id, p, GROUP_LOCK_EXCLUSIVE, true);
}

/* ---- looking ---- */

/* is the entry done as the current transaction sees it? */
static bool
is_done(const InflightEntry *entry)
{
	return group_inflight_top(entry)->kind == INFLIGHT_DONE &&
		!group_inflight_is_foreign(entry);
}

static void
find_undone(const InflightEntry *entry, void *arg)
{
	if (!is_done(entry))
		*(bool *) arg = true;
}

static bool
shared_is_idle(Relation rel, const ConsumerGroup *group, int partition)
{
	bool		found = false;

	(void) group_inflight_each(rel, group, partition, group_shared_rules(group),
							   NULL, find_undone, &found);
	return !found;
}

static int64
shared_needed_offset(Relation rel, const ConsumerGroup *group, int partition)
{
	InflightHead head;
	int64		position;
	TimestampTz due;

	if (!group_inflight_look(rel, group, partition, group_shared_rules(group),
							 &head, &position, &due))
	{
		GroupProgress progress;

		group_restored_progress(rel, group, partition, &progress);
		position = progress.position;
	}
	return position;
}

typedef struct Counting
{
	const ConsumerGroup *group;
	TimestampTz now;
	int64		first;
	int64		frontier;
	int64		buried;			/* by this transaction */
	int64		redelivered;	/* by this transaction */
	GroupFigures *figures;
} Counting;

/* add an entry to the figures */
static void
count_entry(const InflightEntry *entry, void *arg)
{
	Counting   *counting = arg;
	GroupFigures *figures = counting->figures;
	const InflightLevel *top = group_inflight_top(entry);
	TimestampTz at = DT_NOEND;
	int64		from = entry->from;
	int64		end = entry->from + entry->count;

	if (!group_inflight_is_foreign(entry))
		counting->redelivered += group_inflight_redelivered(entry);
	if (is_done(entry))
	{
		if (top->buried)
			counting->buried += entry->count;
		return;
	}
	if (from >= counting->frontier)
		return;

	/* what the next consume() will count as expired */
	if (from < counting->first &&
		(group_shared_is_free(counting->group, entry, counting->now, &at) ||
		 (top->kind == INFLIGHT_AVAILABLE && top->time == KEY_BLOCKED)))
	{
		figures->expired += Min(end, counting->first) - from;
		from = Min(end, counting->first);
		if (from == end)
			return;
	}
	figures->position = Min(figures->position, from);

	/* what another transaction has just done is held until it commits */
	if (top->kind == INFLIGHT_DONE || (top->kind == INFLIGHT_LEASED && top->time > counting->now))
		figures->in_flight += end - from;

	from = Max(from, counting->first);
	if (from < end)
	{
		figures->undone += end - from;
		if (figures->oldest < 0 || from < figures->oldest)
			figures->oldest = from;
	}
}

/*
 * The tree is read without a lock on all of it, so the figures are of slightly
 * different times.
 */
static void
shared_figures(Relation rel, const ConsumerGroup *group, int partition,
			   TimestampTz now, GroupFigures *figures)
{
	const InflightRules *rules = group_shared_rules(group);
	int64		first = group_first_offset(rel, group, partition);
	Counting	counting = {.group = group, .now = now, .first = first, .figures = figures};
	InflightHead head;
	InflightTotals totals;
	int64		position;
	TimestampTz due;

	memset(figures, 0, sizeof(GroupFigures));
	figures->oldest = -1;
	if (!group_inflight_look(rel, group, partition, rules, &head, &position, &due))
	{
		GroupProgress progress;

		group_restored_progress(rel, group, partition, &progress);
		figures->position = figures->fresh = progress.position;
		return;
	}
	counting.frontier = head.frontier;
	figures->fresh = Max(head.frontier, first);
	figures->position = figures->fresh;
	figures->expired = head.expired;
	figures->last_consumed_at = head.last_consumed_at;
	if (head.frontier < first)
		figures->expired += Max(0, Min(first, group_expired_offset(rel, group, partition)) - head.frontier);
	if (!group_inflight_each(rel, group, partition, rules, &totals, count_entry, &counting))
		return;
	figures->dead_lettered = totals.dead_lettered + counting.buried;
	figures->redelivered = totals.redelivered + counting.redelivered;
}

/* ---- leases ---- */

typedef struct Lease
{
	int64		from;
	int64		to;
	TimestampTz deadline;
	int32		deliveries;
	uint32		consumer;
	bool		apart;			/* other messages lie between this one and the
								 * one before */
} Lease;

typedef struct Leases
{
	TimestampTz now;
	bool		apart;			/* the last entry was not leased */
	int			n;
	int			max;
	Lease	   *leases;
} Leases;

static void
collect_lease(const InflightEntry *entry, void *arg)
{
	Leases	   *leases = arg;
	const InflightLevel *top = group_inflight_top(entry);

	if (is_done(entry))
		return;
	if (top->kind != INFLIGHT_LEASED || top->time <= leases->now)
	{
		leases->apart = true;
		return;
	}
	if (leases->n == leases->max)
	{
		leases->max = Max(64, leases->max * 2);
		leases->leases = leases->leases == NULL ? palloc(leases->max * sizeof(Lease)) :
			repalloc_huge(leases->leases, leases->max * sizeof(Lease));
	}
	leases->leases[leases->n++] = (Lease)
	{
		entry->from, entry->from + entry->count, top->time, top->deliveries, top->consumer,
			leases->apart
	};
	leases->apart = false;
}

static int
compare_leases(const void *a, const void *b)
{
	int64		left = ((const Lease *) a)->from;
	int64		right = ((const Lease *) b)->from;

	return left < right ? -1 : left > right;
}

/*
 * In the order of keys, messages between two others may be anywhere, so only
 * neighbours are shown together.
 */
static bool
same_lease(const Lease *a, const Lease *b, bool keys)
{
	return (keys ? a->to == b->from : !b->apart) && a->deadline == b->deadline && a->deliveries == b->deliveries &&
		a->consumer == b->consumer;
}

/* the name of a consumer, from the list of all; empty if it is not known */
static const char *
find_name(const GroupRegistered *consumers, int n, uint32 number)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (consumers[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && consumers[low].number == number ? consumers[low].name : "";
}

/*
 * A lease covers one message.  Messages are shown together if their leases are
 * alike, and there are only finished messages between them.
 */
static void
shared_leases(Relation rel, const ConsumerGroup *group, int partition,
			  TimestampTz now, GroupLeaseCallback add, void *arg)
{
	Leases		leases = {.now = now};
	bool		keys = group_shared_has_keys(group);
	GroupRegistered *consumers;
	int			nconsumers;

	(void) group_inflight_each(rel, group, partition, group_shared_rules(group),
							   NULL, collect_lease, &leases);
	if (leases.n == 0)
		return;
	if (keys)
		qsort(leases.leases, leases.n, sizeof(Lease), compare_leases);
	nconsumers = group_registry_list(rel, group, &consumers);
	for (int i = 0, next; i < leases.n; i = next)
	{
		GroupLease	lease;

		for (next = i + 1; next < leases.n; next++)
			if (!same_lease(&leases.leases[next - 1], &leases.leases[next], keys))
				break;
		lease.first = leases.leases[i].from;
		lease.last = leases.leases[next - 1].to - 1;
		lease.consumer = find_name(consumers, nconsumers, leases.leases[i].consumer);
		lease.expires_at = leases.leases[i].deadline;
		lease.deliveries = leases.leases[i].deliveries;
		lease.count = 0;
		for (int l = i; l < next; l++)
			lease.count += leases.leases[l].to - leases.leases[l].from;
		add(&lease, arg);
	}
	pfree(leases.leases);
}

static void
shared_progress(Relation rel, const ConsumerGroup *group, int partition,
				Snapshot snapshot, GroupProgress *progress)
{
	if (!group_inflight_progress(rel, group, partition, group_shared_rules(group),
								 snapshot, progress))
		group_restored_progress(rel, group, partition, progress);
}

/* group_shared_has_keys() tells the functions which mode it is */
#define SHARED_FUNCTIONS \
	.max_in_flight = SHARED_MAX_IN_FLIGHT, \
	.pages = &group_inflight_pages, \
	.start = shared_start, \
	.move = shared_move, \
	.close = shared_close, \
	.look = group_shared_look, \
	.take = group_shared_take, \
	.acknowledge = group_shared_acknowledge, \
	.acknowledge_through = group_shared_acknowledge_through, \
	.give_back = group_shared_give_back, \
	.bury = group_shared_bury, \
	.redeliver = group_shared_redeliver, \
	.extend = group_shared_extend, \
	.is_idle = shared_is_idle, \
	.needed_offset = shared_needed_offset, \
	.figures = shared_figures, \
	.leases = shared_leases, \
	.progress = shared_progress

const GroupMode group_shared_mode = {
	.name = "shared",
	.page_kind = GROUP_SHARED_PAGE_KIND,
	SHARED_FUNCTIONS
};

const GroupMode group_key_shared_mode = {
	.name = "key_shared",
	.page_kind = GROUP_KEY_SHARED_PAGE_KIND,
	SHARED_FUNCTIONS
};
