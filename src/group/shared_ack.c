/*
 * shared_ack.c
 *	  What consumers say about single messages in the shared modes.
 *
 * Each function finds the entries of the messages, and puts a level on those
 * that the caller holds.  Nobody waits: an entry that another transaction is
 * changing is not the caller's any more.
 */
#include "postgres.h"

#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/floor.h"
#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/group_ring.h"
#include "group/inflight.h"
#include "group/key_shared.h"
#include "group/memory.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/shared_mode.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/space.h"
#include "signal/doorbell.h"

/* a change adds up to two entries by cutting, and pushes a level */
#define CHANGE_ROOM		4

typedef struct SharedChange SharedChange;

/*
 * Decide about offsets [from, *until) of an entry.  If they are to be changed,
 * set the new level and return true.  *until may be lowered, to decide about
 * the rest separately.
 */
typedef bool (*SharedDecide) (SharedChange *change, const InflightEntry *entry,
							  int64 from, int64 *until, InflightLevel *level);

struct SharedChange
{
	Relation	rel;
	const ConsumerGroup *group;
	int			partition;
	GroupLock	lock;
	InflightTree *tree;
	SharedDecide decide;
	TimestampTz now;
	bool		changed;
	int64	   *found;			/* in key_shared mode: offsets with entries */
	int			nfound;
	bool		unblocked;		/* other messages of a key may be handed out
								 * after the commit */

	/* for the functions that decide */
	const GroupRetry *retry;
	TimestampTz until;
	uint32		consumer;
	GroupBurial *burials;		/* NULL: not wanted */
	int			nburials;
	const GroupPick *pick;
	GroupPicked *picked;
	int			npicked;
};

static void
init_change(SharedChange *change, Relation rel, const ConsumerGroup *group, int partition,
			SharedDecide decide)
{
	memset(change, 0, sizeof(SharedChange));
	change->rel = rel;
	change->group = group;
	change->partition = partition;
	change->decide = decide;
	change->now = GetCurrentTimestamp();
}

/* lock and open the state; nothing that reads the log may follow */
static void
begin_change(SharedChange *change)
{
	change->lock = group_shared_lock(change->rel, change->group, change->partition);
	change->tree = group_shared_open(change->rel, change->group, change->partition);
}

/*
 * Close the state.  With `frees`, the change may let other consumers go on: it
 * gives back a message, or makes a place.
 */
static void
end_change(SharedChange *change, bool frees)
{
	InflightHead *head = group_inflight_head(change->tree);
	bool		ring = false;
	int64		position = 0;

	if (!change->changed)
	{
		group_inflight_close(change->tree);
		if (change->lock == GROUP_LOCK_TAKEN)
			group_unlock_partition(change->group->group_id, change->partition, GROUP_LOCK_SHARE);
		return;
	}

	if (group_memory_is_crowded(change->group->group_id, change->partition))
		position = group_inflight_position(change->tree);
	if (frees && head->limited)
	{
		/* a place is free as soon as the message is not leased any more */
		head->limited = false;
		group_inflight_head_changed(change->tree);
		ring = true;
	}
	group_inflight_close(change->tree);
	if (position > 0)
		group_memory_forget(change->group->group_id, change->partition, position);
	if (ring)
		signal_ring(RelationGetRelid(change->rel));
}

/* let the change decide about the part of an entry from `from` on */
static int64
change_entry(SharedChange *change, const InflightEntry *entry, int64 from, int64 *until)
{
	InflightLevel level = {0};
	InflightEntry parts[3];
	int			n;
	int			middle;

	if (group_inflight_is_foreign(entry) ||
		!change->decide(change, entry, from, until, &level))
		return 0;
	n = group_inflight_cut(entry, from, *until, parts, &middle);
	group_inflight_push(&parts[middle], &level);
	group_inflight_replace(change->tree, parts, n);
	change->changed = true;
	if (level.kind == INFLIGHT_DONE && group_shared_has_keys(change->group))
		change->unblocked |= group_key_unblock(change->tree, parts[middle].hash);
	return *until - from;
}

/* change what lies in the spots; returns the number of messages changed */
static int64
change_spots(SharedChange *change, const SharedSpot *spots, int n)
{
	int64		count = 0;

	for (int i = 0; i < n; i++)
	{
		int64		off = spots[i].from;

		while (off < spots[i].to)
		{
			const InflightEntry *entry;
			int64		until;

			(void) group_shared_make_room(&change->tree, change->rel, change->group,
										  change->partition, CHANGE_ROOM);
			entry = group_inflight_seek_key(change->tree, spots[i].hash, off);
			if (entry == NULL || entry->from >= spots[i].to)
				break;
			off = Max(off, entry->from);
			if (change->found != NULL)
				change->found[change->nfound++] = off;
			until = Min(spots[i].to, entry->from + entry->count);
			count += change_entry(change, entry, off, &until);
			off = until;
		}
	}
	return count;
}

static int
compare_offsets(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return left < right ? -1 : left > right;
}

/*
 * Keys are hashed by the present routing columns.  If the routing columns have
 * changed, the entries of old messages are elsewhere in the tree.  Nothing
 * tells whether they have changed.  So if a message has no entry where it
 * should be, and is not certainly done, look for it in the whole tree.
 */
static int64
change_moved(SharedChange *change, const int64 *offsets, int n)
{
	int64		position = group_inflight_position(change->tree);
	int64		frontier = group_inflight_head(change->tree)->frontier;
	int64	   *missing = palloc(n * sizeof(int64));
	int			nmissing = 0;
	SharedSpot *spots;
	int			nspots;
	int64		count;

	qsort(change->found, change->nfound, sizeof(int64), compare_offsets);
	for (int i = 0; i < n; i++)
		if (offsets[i] >= position && offsets[i] < frontier &&
			bsearch(&offsets[i], change->found, change->nfound, sizeof(int64),
					compare_offsets) == NULL)
			missing[nmissing++] = offsets[i];
	if (nmissing == 0)
	{
		pfree(missing);
		return 0;
	}
	group_inflight_close(change->tree);
	spots = group_key_search(change->rel, change->group, change->partition,
							 missing, nmissing, &nspots);
	pfree(missing);
	change->tree = group_shared_open(change->rel, change->group, change->partition);
	change->found = NULL;
	count = change_spots(change, spots, nspots);
	pfree(spots);
	return count;
}

static int64
change_offsets(SharedChange *change, const int64 *offsets, int n)
{
	int			nspots;
	SharedSpot *spots = group_shared_find(change->rel, change->group, change->partition,
										  offsets, n, true, &nspots);
	int64		count;

	if (group_shared_has_keys(change->group))
		change->found = palloc(n * sizeof(int64));
	begin_change(change);
	count = change_spots(change, spots, nspots);
	pfree(spots);
	if (count < n && group_shared_has_keys(change->group))
		count += change_moved(change, offsets, n);
	return count;
}

/* was the message given to this session, or to one that it does not know? */
static bool
is_mine(SharedChange *change, const InflightEntry *entry, int64 from, int64 *until)
{
	return group_memory_allows(change->group->group_id, change->partition, from,
							   group_inflight_top(entry)->token, until);
}

static void
note_burials(SharedChange *change, const InflightEntry *entry, int64 from, int64 until)
{
	if (change->burials == NULL)
		return;
	for (int64 off = from; off < until; off++)
	{
		change->burials[change->nburials].off = off;
		change->burials[change->nburials++].deliveries = group_inflight_top(entry)->deliveries;
	}
}

/* ---- acknowledging ---- */

/*
 * An acknowledgement counts until the message has been given to another
 * consumer, even if it was given back or its lease has ended.
 */
static bool
decide_done(SharedChange *change, const InflightEntry *entry, int64 from, int64 *until,
			InflightLevel *level)
{
	const InflightLevel *top = group_inflight_top(entry);

	if (top->kind == INFLIGHT_DONE || top->deliveries == 0 ||
		!is_mine(change, entry, from, until))
		return false;
	*level = *top;
	level->kind = INFLIGHT_DONE;
	level->time = 0;
	level->consumer = 0;
	return true;
}

/*
 * After acknowledgements, a key or a partition that waits for this one may go
 * on when the transaction has committed.
 */
static int64
end_done(SharedChange *change, int64 count)
{
	end_change(change, true);
	if (change->unblocked || (change->changed && log_partitions_depend(change->rel)))
		group_ring_at_end(RelationGetRelid(change->rel), true);
	return count;
}

int64
group_shared_acknowledge(Relation rel, const ConsumerGroup *group, int partition,
						 const int64 *offsets, int n)
{
	SharedChange change;
	int64		count;

	init_change(&change, rel, group, partition, decide_done);
	count = change_offsets(&change, offsets, n);
	return end_done(&change, count);
}

/* messages of the consumer that has the last one, or of this session */
static bool
decide_through(SharedChange *change, const InflightEntry *entry, int64 from, int64 *until,
			   InflightLevel *level)
{
	const InflightLevel *top = group_inflight_top(entry);

	if ((top->consumer == 0 || top->consumer != change->consumer) &&
		top->token != group_memory_session_token())
		return false;
	return decide_done(change, entry, from, until, level);
}

/*
 * "Everything delivered before it" is what the same consumer was given: other
 * consumers work on messages in between.
 */
int64
group_shared_acknowledge_through(Relation rel, const ConsumerGroup *group,
								 int partition, int64 off)
{
	SharedChange change;
	int			nspots;
	SharedSpot *spot = group_shared_find(rel, group, partition, &off, 1, true, &nspots);
	const InflightEntry *entry = NULL;
	uint32		hash = 0;
	int64		from = 0;
	int64		end;
	int64		count = 0;

	init_change(&change, rel, group, partition, decide_through);
	begin_change(&change);
	if (nspots > 0)
		entry = group_inflight_seek_key(change.tree, spot->hash, off);
	if (entry != NULL && entry->from <= off &&
		!group_inflight_is_foreign(entry))
		change.consumer = group_inflight_top(entry)->consumer;

	for (;;)
	{
		int64		until;

		(void) group_shared_make_room(&change.tree, rel, group, partition, CHANGE_ROOM);
		entry = group_inflight_seek(change.tree, hash, from);
		if (entry == NULL)
			break;
		if (entry->hash != hash || entry->from > from)
			from = entry->from;
		hash = entry->hash;
		end = entry->from + entry->count;
		until = Min(end, off + 1);
		if (from < until)
		{
			count += change_entry(&change, entry, from, &until);
			from = until;
		}
		else
			from = end;
	}
	pfree(spot);
	return end_done(&change, count);
}

static bool
decide_buried(SharedChange *change, const InflightEntry *entry, int64 from, int64 *until,
			  InflightLevel *level)
{
	if (!decide_done(change, entry, from, until, level))
		return false;
	level->buried = true;
	note_burials(change, entry, from, *until);
	return true;
}

int64
group_shared_bury(Relation rel, const ConsumerGroup *group, int partition,
				  const int64 *offsets, int n, GroupBurial *buried)
{
	SharedChange change;
	int64		count;

	init_change(&change, rel, group, partition, decide_buried);
	change.burials = buried;
	count = change_offsets(&change, offsets, n);
	return end_done(&change, count);
}

/* ---- giving back, extending ---- */

static bool
is_held(SharedChange *change, const InflightEntry *entry, int64 from, int64 *until)
{
	return group_inflight_top(entry)->kind == INFLIGHT_LEASED &&
		is_mine(change, entry, from, until);
}

static bool
decide_give_back(SharedChange *change, const InflightEntry *entry, int64 from, int64 *until,
				 InflightLevel *level)
{
	const InflightLevel *top = group_inflight_top(entry);

	if (!is_held(change, entry, from, until))
		return false;
	if (change->burials != NULL && change->group->max_deliveries > 0 &&
		top->deliveries >= change->group->max_deliveries)
	{
		note_burials(change, entry, from, *until);
		return false;
	}
	*level = *top;
	level->kind = INFLIGHT_AVAILABLE;
	level->consumer = 0;
	level->time = change->retry->given ? change->retry->at :
		group_retry_time(change->group, top->deliveries, change->now);
	return true;
}

int64
group_shared_give_back(Relation rel, const ConsumerGroup *group, int partition,
					   const int64 *offsets, int n, const GroupRetry *retry,
					   GroupBurial *exhausted, int *nexhausted)
{
	SharedChange change;
	int64		count;

	init_change(&change, rel, group, partition, decide_give_back);
	change.retry = retry;
	change.burials = exhausted;
	count = change_offsets(&change, offsets, n);
	end_change(&change, false);
	if (exhausted != NULL)
		*nexhausted = change.nburials;

	/* sleeping consumers have to know the time of the retry, too */
	if (count > 0)
		group_ring_at_end(RelationGetRelid(rel), true);
	return count;
}

static bool
decide_extend(SharedChange *change, const InflightEntry *entry, int64 from, int64 *until,
			  InflightLevel *level)
{
	if (!is_held(change, entry, from, until))
		return false;
	*level = *group_inflight_top(entry);
	level->time = Max(level->time, change->until);
	return true;
}

int64
group_shared_extend(Relation rel, const ConsumerGroup *group, int partition,
					const int64 *offsets, int n, TimestampTz until)
{
	SharedChange change;
	int64		count;

	init_change(&change, rel, group, partition, decide_extend);
	change.until = until;
	count = change_offsets(&change, offsets, n);
	end_change(&change, false);
	return count;
}

/* ---- chosen messages ---- */

/* Every message that is not done may be picked, and taken if it is free. */
static bool
decide_pick(SharedChange *change, const InflightEntry *entry, int64 from, int64 *until,
			InflightLevel *level)
{
	const GroupPick *pick = change->pick;
	const InflightLevel *top = group_inflight_top(entry);
	TimestampTz at = DT_NOEND;

	if (top->kind == INFLIGHT_DONE)
		return false;
	if (pick->kind == GROUP_PICK_TAKE && !group_shared_is_free(change->group, entry, change->now, &at))
		return false;
	*level = *top;
	switch (pick->kind)
	{
		case GROUP_PICK_TAKE:
			level->kind = INFLIGHT_LEASED;
			level->time = pick->time;
			level->deliveries++;
			level->token = pick->token;
			level->consumer = pick->consumer;
			break;
		case GROUP_PICK_POSTPONE:
			level->kind = INFLIGHT_AVAILABLE;
			level->time = pick->time;
			level->consumer = 0;
			break;
		case GROUP_PICK_FINISH:
			level->kind = INFLIGHT_DONE;
			level->time = 0;
			level->consumer = 0;
			break;
	}
	for (int64 off = from; off < *until; off++)
		change->picked[change->npicked++] = (GroupPicked)
	{
		off, level->deliveries, top->time, level->token
	};
	return true;
}

/*
 * Make entries of the messages below `to` that nobody has looked at, as far as
 * no transaction in progress has written before them.  They are available, as
 * they were without entries.
 */
static void
enter_fresh(Relation rel, const ConsumerGroup *group, int partition, int64 to)
{
	for (;;)
	{
		InflightTree *tree = group_shared_open(rel, group, partition);
		InflightHead *head = group_inflight_head(tree);
		int64		frontier = head->frontier;
		Snapshot	snapshot;
		LogPeek		peek;

		group_inflight_close(tree);
		if (frontier >= to)
			return;
		snapshot = group_message_snapshot();
		log_peek(rel, partition, frontier, to, to - frontier, snapshot, &peek);
		UnregisterSnapshot(snapshot);
		if (peek.end <= frontier)
			return;

		tree = group_shared_open(rel, group, partition);
		head = group_inflight_head(tree);
		if (head->frontier < peek.expired_to)
			head->expired += peek.expired_to - Max(head->frontier, peek.expired_from);
		for (int i = 0; i < peek.nranges;)
		{
			int64		from = Max(peek.ranges[i].from, head->frontier);
			int64		until = peek.ranges[i].to;
			const InflightEntry *found;
			InflightEntry entry;

			if (from >= until)
			{
				i++;
				continue;
			}
			if (!group_shared_make_room(&tree, rel, group, partition, CHANGE_ROOM))
			{
				head = group_inflight_head(tree);
				continue;
			}
			found = group_inflight_seek(tree, 0, from);
			if (found != NULL && found->from <= from)
				head->frontier = found->from + found->count;
			else
			{
				if (found != NULL)
					until = Min(until, found->from);
				until = Min(until, from + PG_INT16_MAX);
				group_inflight_init(&entry, 0, from, (int32) (until - from));
				group_inflight_insert(tree, &entry);
				head->frontier = until;
			}
			group_inflight_head_changed(tree);
		}
		head->frontier = Max(head->frontier, peek.end);
		group_inflight_head_changed(tree);
		group_inflight_close(tree);
	}
}

int
group_shared_pick(Relation rel, const ConsumerGroup *group, int partition,
				  const int64 *offsets, int n, const GroupPick *pick, GroupPicked *picked)
{
	SharedChange change;
	SharedSpot *spots;
	int			nspots;

	Assert(!group_shared_has_keys(group));
	if (n == 0)
		return 0;
	init_change(&change, rel, group, partition, decide_pick);
	change.pick = pick;
	change.picked = picked;
	spots = group_shared_find(rel, group, partition, offsets, n, false, &nspots);
	change.lock = group_shared_lock(rel, group, partition);
	group_check_current(rel, group);
	enter_fresh(rel, group, partition,
				Min(offsets[n - 1] + 1, log_next_offset(rel, partition)));
	change.tree = group_shared_open(rel, group, partition);
	(void) change_spots(&change, spots, nspots);
	pfree(spots);
	(void) end_done(&change, 0);
	if (change.changed && pick->kind == GROUP_PICK_POSTPONE)
		group_ring_at_end(RelationGetRelid(rel), true);
	return change.npicked;
}

/* ---- once more ---- */

/*
 * Make a message available that is done.  Returns false if there is no room.
 * One that is not done is available or leased already.
 */
static bool
redeliver(SharedChange *change, uint32 hash, int64 off)
{
	static const InflightLevel done = {.kind = INFLIGHT_DONE};
	static const InflightLevel available = {.kind = INFLIGHT_AVAILABLE};
	InflightHead *head;
	const InflightEntry *entry;
	InflightEntry parts[3];
	int			n;
	int			middle;

	(void) group_shared_make_room(&change->tree, change->rel, change->group,
								  change->partition, CHANGE_ROOM);
	head = group_inflight_counted_head(change->tree);
	if (off >= head->frontier)
		return true;
	if (head->waiting + head->available + head->leased >= SHARED_MAX_IN_FLIGHT)
		return false;
	entry = group_inflight_seek_key(change->tree, hash, off);
	if (entry == NULL || entry->from > off)
	{
		group_inflight_init(&parts[0], hash, off, 1);
		group_inflight_settle_to(&parts[0], &done);
		group_inflight_push(&parts[0], &available);
		group_inflight_insert(change->tree, &parts[0]);
		change->changed = true;
	}
	else if (group_inflight_top(entry)->kind == INFLIGHT_DONE &&
			 !group_inflight_is_foreign(entry))
	{
		n = group_inflight_cut(entry, off, off + 1, parts, &middle);
		group_inflight_push(&parts[middle], &available);
		group_inflight_replace(change->tree, parts, n);
		change->changed = true;
	}
	return true;
}

int
group_shared_redeliver(Relation rel, const ConsumerGroup *group, int partition,
					   const int64 *offsets, int n)
{
	SharedChange change;
	int			nspots;
	SharedSpot *spots = group_shared_find(rel, group, partition, offsets, n, false, &nspots);
	int64		first = group_first_offset(rel, group, partition);
	int64		last = n > 0 ? offsets[n - 1] : -1;
	int			accepted = 0;

	(void) group_shared_lock(rel, group, partition);
	group_check_current(rel, group);
	init_change(&change, rel, group, partition, NULL);
	begin_change(&change);
	for (int i = 0; i < nspots; i++)
	{
		int64		off;

		for (off = Max(first, spots[i].from); off < spots[i].to; off++)
			if (!redeliver(&change, spots[i].hash, off))
				break;
		if (off < spots[i].to)
		{
			/* spots may be in the order of keys */
			last = Min(last, off - 1);
			while (++i < nspots)
				last = Min(last, spots[i].from - 1);
		}
	}
	end_change(&change, false);
	while (accepted < n && offsets[accepted] <= last)
		accepted++;
	if (change.changed)
		group_ring_at_end(RelationGetRelid(rel), true);
	return accepted;
}
