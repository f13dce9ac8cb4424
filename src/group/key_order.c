/*
 * key_order.c
 *	  Order per key in key_shared mode: blocked messages, and what the tree
 *	  says about a key.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/snapmgr.h"

#include "group/inflight.h"
#include "group/key_order.h"
#include "group/key_shared.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/shared_mode.h"
#include "log/log.h"
#include "log/reader.h"

/* ---- blocked messages ---- */

bool
group_key_clear_blocked(InflightEntry *entry)
{
	bool		changed = false;

	for (int i = 0; i < entry->nlevels; i++)
	{
		InflightLevel *level = &entry->levels[i];

		if (level->kind == INFLIGHT_AVAILABLE && level->time == KEY_BLOCKED)
		{
			level->time = 0;
			changed = true;
		}
	}
	return changed;
}

/*
 * The transactions of messages that are being made done may commit first.  So
 * such messages are skipped, and the next message after them is unblocked.  A
 * level below the newest one is looked at, too, because a rollback may bring
 * it back.
 */
bool
group_key_unblock(InflightTree *tree, uint32 hash)
{
	const InflightEntry *entry = group_inflight_next(tree);

	while (entry != NULL && entry->hash == hash)
	{
		InflightEntry changed = *entry;

		if (group_key_clear_blocked(&changed))
			group_inflight_replace(tree, &changed, 1);
		if (group_inflight_top(&changed)->kind != INFLIGHT_DONE)
			return group_inflight_top(&changed)->kind == INFLIGHT_AVAILABLE;
		entry = group_inflight_next(tree);
	}
	return false;
}

/* ---- the messages of a key ---- */

/* will somebody make this message done, and so unblock the next one? */
static bool
will_unblock(const InflightEntry *entry)
{
	for (int i = 0; i < entry->nlevels; i++)
		if (entry->levels[i].kind == INFLIGHT_DONE)
			return false;
	return true;
}

/* does a running lease, or another transaction, hold the message? */
static bool
is_held(const SharedTake *take, const InflightEntry *entry)
{
	return group_inflight_is_foreign(entry) ||
		(group_inflight_top(entry)->kind == INFLIGHT_LEASED &&
		 group_inflight_top(entry)->time > take->now);
}

void
group_key_look(SharedTake *take, uint32 hash, int64 off, KeyOrder *order)
{
	const InflightEntry *entry = group_inflight_seek(take->tree, hash, 0);

	order->taken = order->may_block = false;
	order->outstanding = 0;
	for (; entry != NULL && entry->hash == hash; entry = group_inflight_next(take->tree))
	{
		const InflightLevel *top = group_inflight_top(entry);

		if (entry->from == off)
			continue;
		if (is_held(take, entry))
		{
			if (top->kind == INFLIGHT_LEASED && top->consumer == take->consumer->number)
				order->outstanding++;
			else
				order->taken = true;
		}
		else if (top->kind == INFLIGHT_DONE)
			continue;			/* by this transaction */
		else if (entry->from < off)
			order->taken = true;
		else if (top->deliveries == 0)
			break;				/* nobody has a later one */
		if (entry->from < off && will_unblock(entry))
			order->may_block = true;
		if (order->taken && (order->may_block || entry->from > off))
			break;
	}
}

int64
group_key_places(const SharedTake *take, const KeyOrder *order)
{
	if (order->taken)
		return 0;
	if (take->group->max_per_key == 0)
		return PG_INT64_MAX;
	return Max(0, take->group->max_per_key - order->outstanding);
}

/* ---- keys of messages ---- */

uint32
group_key_hash(const LogKeyHash *key, TupleTableSlot *slot, int64 off)
{
	uint64		hash;

	if (!log_key_hash(key, slot, &hash))
		hash = hash_combine64(murmurhash32((uint32) off), (uint64) off >> 32);
	return (uint32) (hash ^ (hash >> 32));
}

typedef struct FindEntries
{
	const int64 *offsets;		/* sorted */
	int			n;
	int			nspots;
	SharedSpot *spots;
} FindEntries;

static void
find_entry(const InflightEntry *entry, void *arg)
{
	FindEntries *find = arg;
	int			low = 0;
	int			high = find->n;

	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (find->offsets[mid] < entry->from)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < find->n && find->offsets[low] == entry->from)
		find->spots[find->nspots++] = (SharedSpot)
	{
		entry->hash, entry->from, entry->from + 1
	};
}

static inline int
compare_spots(const SharedSpot *left, const SharedSpot *right)
{
	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	return left->from < right->from ? -1 : left->from > right->from;
}

#define ST_SORT sort_spots
#define ST_ELEMENT_TYPE SharedSpot
#define ST_COMPARE(a, b) compare_spots(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * The key is in the message.  Messages that retention has dropped, which may
 * still be leased, are looked for in the whole tree.
 */
SharedSpot *
group_key_find(Relation rel, const ConsumerGroup *group, int partition,
			   const int64 *offsets, int n, int *nspots)
{
	SharedSpot *spots = palloc(n * sizeof(SharedSpot));
	int64	   *missing = palloc(n * sizeof(int64));
	int			nmissing = 0;
	LogKeyHash *key = log_key_hash_create(rel);
	TupleTableSlot *slot = log_slot_create(rel);
	Snapshot	snapshot = group_message_snapshot();
	LogReader  *reader = NULL;
	int64		first = log_first_offset(rel, partition);
	int64		read = -1;		/* offset of the message in the slot */

	*nspots = 0;
	for (int i = 0; i < n; i++)
	{
		/* a scan over a few other messages is cheaper than a new one */
		if (reader != NULL && offsets[i] - read > 64)
		{
			log_reader_end(reader);
			reader = NULL;
			read = -1;
		}
		if (reader == NULL)
			reader = log_reader_begin(rel, partition, offsets[i], offsets[n - 1] + 1,
									  snapshot, false);
		while (read < offsets[i] && log_reader_next(reader, slot))
			read = log_reader_offset(reader);
		if (read == offsets[i])
		{
			SharedSpot *spot = &spots[(*nspots)++];

			spot->hash = group_key_hash(key, slot, read);
			spot->from = read;
			spot->to = read + 1;
		}
		else if (offsets[i] < first)
			missing[nmissing++] = offsets[i];
	}
	if (reader != NULL)
		log_reader_end(reader);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);

	if (nmissing > 0)
	{
		FindEntries find = {missing, nmissing, *nspots, spots};

		(void) group_inflight_each(rel, group, partition, group_shared_rules(group),
								   NULL, find_entry, &find);
		*nspots = find.nspots;
	}
	sort_spots(spots, *nspots);
	pfree(missing);
	return spots;
}

SharedSpot *
group_key_search(Relation rel, const ConsumerGroup *group, int partition,
				 const int64 *offsets, int n, int *nspots)
{
	FindEntries find = {offsets, n, 0, palloc(n * sizeof(SharedSpot))};

	(void) group_inflight_each(rel, group, partition, group_shared_rules(group),
							   NULL, find_entry, &find);
	*nspots = find.nspots;
	return find.spots;
}
