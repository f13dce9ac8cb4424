/*
 * shared_state.c
 *	  The trees of the shared modes: opening them, and when a message may be
 *	  handed out.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/group_restored.h"
#include "group/inflight.h"
#include "group/key_shared.h"
#include "group/mode.h"
#include "group/shared_mode.h"

/*
 * The transaction of a level above 0 may end at any time, so an entry with
 * such a level is always looked at.
 */
static TimestampTz
entries_due(const ConsumerGroup *group, const InflightEntry *entries, int n)
{
	TimestampTz due = DT_NOEND;

	for (int i = 0; i < n; i++)
	{
		const InflightLevel *level = &entries[i].levels[0];

		if (entries[i].nlevels > 1)
			return DT_NOBEGIN;
		if (level->kind == INFLIGHT_AVAILABLE)
			due = Min(due, level->time);
		else if (level->kind == INFLIGHT_LEASED)
			due = Min(due, group_retry_time(group, level->deliveries, level->time));
	}
	return due;
}

static const InflightRules shared_rules = {
	.page_kind = GROUP_SHARED_PAGE_KIND,
	.due = entries_due
};

static const InflightRules key_shared_rules = {
	.page_kind = GROUP_KEY_SHARED_PAGE_KIND,
	.due = entries_due
};

const InflightRules *
group_shared_rules(const ConsumerGroup *group)
{
	return group_shared_has_keys(group) ? &key_shared_rules : &shared_rules;
}

/*
 * In key_shared mode an entry needs the key of its message.  The progress has
 * none, so what is done out of order is delivered again.
 */
void
group_shared_create(Relation rel, const ConsumerGroup *group, int partition,
					const GroupProgress *progress, bool replace)
{
	GroupProgress start = *progress;

	if (group_shared_has_keys(group))
		start.ndone = 0;
	(void) group_inflight_create(rel, group, partition, group_shared_rules(group), &start,
								 replace);
}

GroupLock
group_shared_lock(Relation rel, const ConsumerGroup *group, int partition)
{
	GroupLock	lock = group_lock_partition(group->group_id, partition, GROUP_LOCK_SHARE, false);

	if (lock != GROUP_LOCK_BUSY)
		return lock;
	lock = group_lock_partition(group->group_id, partition, GROUP_LOCK_SHARE, true);
	group_check_exists(rel, group);
	return lock;
}

InflightTree *
group_shared_open(Relation rel, const ConsumerGroup *group, int partition)
{
	const InflightRules *rules = group_shared_rules(group);
	InflightTree *tree;

	while ((tree = group_inflight_open(rel, group, partition, rules, LW_EXCLUSIVE)) == NULL)
	{
		GroupProgress progress;

		group_restored_progress(rel, group, partition, &progress);
		group_shared_create(rel, group, partition, &progress, false);
	}
	return tree;
}

bool
group_shared_make_room(InflightTree **tree, Relation rel, const ConsumerGroup *group,
					   int partition, int n)
{
	bool		had_room = true;

	while (!group_inflight_has_room(*tree, n))
	{
		group_inflight_close(*tree);
		group_inflight_reserve(rel, group, partition, group_shared_rules(group), n);
		*tree = group_shared_open(rel, group, partition);
		had_room = false;
	}
	return had_room;
}

bool
group_shared_is_free(const ConsumerGroup *group, const InflightEntry *entry,
					 TimestampTz now, TimestampTz *at)
{
	const InflightLevel *top = group_inflight_top(entry);
	TimestampTz time;

	if (top->kind == INFLIGHT_DONE || group_inflight_is_foreign(entry))
		return false;
	time = top->kind == INFLIGHT_AVAILABLE ? top->time :
		group_retry_time(group, top->deliveries, top->time);
	if (time <= now)
		return true;
	*at = Min(*at, time);
	return false;
}

SharedSpot *
group_shared_find(Relation rel, const ConsumerGroup *group, int partition,
				  const int64 *offsets, int n, bool recall, int *nspots)
{
	SharedSpot *spots;

	if (group_shared_has_keys(group))
		return group_key_find(rel, group, partition, offsets, n, recall, nspots);
	spots = palloc(n * sizeof(SharedSpot));
	*nspots = 0;
	for (int i = 0; i < n; i++)
	{
		if (*nspots > 0 && spots[*nspots - 1].to == offsets[i])
			spots[*nspots - 1].to++;
		else
			spots[(*nspots)++] = (SharedSpot)
		{
			0, offsets[i], offsets[i] + 1
		};
	}
	return spots;
}
