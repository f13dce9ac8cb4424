/*
 * key_order.c
 *	  Order per key in key_shared mode: blocked messages, and what the tree
 *	  says about a key.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"
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
	const InflightEntry *entry = group_inflight_next_of_key(tree, hash);

	while (entry != NULL)
	{
		InflightEntry changed = *entry;

		if (group_key_clear_blocked(&changed))
			group_inflight_replace(tree, &changed, 1);
		if (group_inflight_top(&changed)->kind != INFLIGHT_DONE)
			return group_inflight_top(&changed)->kind == INFLIGHT_AVAILABLE;
		entry = group_inflight_next_of_key(tree, hash);
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
	const InflightEntry *entry = group_inflight_seek_key(take->tree, hash, 0);

	order->found = entry != NULL;
	order->taken = order->may_block = false;
	order->outstanding = 0;
	for (; entry != NULL; entry = group_inflight_next_of_key(take->tree, hash))
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

/*
 * The hashes of the keys of messages that this session was given last.  An
 * acknowledgement need not read these messages again.  If the routing columns
 * have changed since, it finds no entry with the hash, and searches.
 */
typedef struct GivenKey
{
	int32		group_id;		/* 0: not in use */
	int32		partition;
	int64		off;
	uint32		hash;
} GivenKey;

#define GIVEN_KEYS		4096	/* power of 2 */

static GivenKey *given_keys = NULL;

void
group_key_remember(int32 group_id, int partition, int64 off, uint32 hash)
{
	if (given_keys == NULL)
		given_keys = MemoryContextAllocZero(TopMemoryContext, GIVEN_KEYS * sizeof(GivenKey));
	given_keys[off & (GIVEN_KEYS - 1)] = (GivenKey)
	{
		group_id, partition, off, hash
	};
}

static bool
recall_key(int32 group_id, int partition, int64 off, uint32 *hash)
{
	const GivenKey *given = &given_keys[off & (GIVEN_KEYS - 1)];

	if (given_keys == NULL || given->group_id != group_id ||
		given->partition != partition || given->off != off)
		return false;
	*hash = given->hash;
	return true;
}

uint32
group_key_hash(const LogKeyHash *key, TupleTableSlot *slot, int64 off)
{
	uint64		hash;

	if (!log_key_hash(key, slot, &hash))
		hash = hash_combine64(murmurhash32((uint32) off), (uint64) off >> 32);
	return (uint32) (hash ^ (hash >> 32));
}

static inline int
compare_rows(const KeyRow *left, const KeyRow *right)
{
	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	return left->off < right->off ? -1 : left->off > right->off;
}

#define ST_SORT sort_rows
#define ST_ELEMENT_TYPE KeyRow
#define ST_COMPARE(a, b) compare_rows(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* with fewer rows, buckets are not worth it */
#define MIN_BUCKETED	64

/* with more rows in a bucket, inserting them one by one would take long */
#define MAX_BUCKET		32

/*
 * Hashes are spread evenly, so put the rows into as many buckets as there are
 * rows, by the high bits of their hashes.  Then few rows are out of order.
 */
void
group_key_sort(KeyRow *rows, int n)
{
	int			bits = Min(pg_ceil_log2_32(Max(n, 2)), 16);
	int			shift = 32 - bits;
	int			nbuckets = 1 << bits;
	int		   *starts;
	KeyRow	   *sorted;
	int			most = 0;

	if (n < MIN_BUCKETED)
	{
		sort_rows(rows, n);
		return;
	}
	starts = palloc0((nbuckets + 1) * sizeof(int));
	for (int i = 0; i < n; i++)
		starts[(rows[i].hash >> shift) + 1]++;
	for (int i = 1; i <= nbuckets; i++)
	{
		most = Max(most, starts[i]);
		starts[i] += starts[i - 1];
	}
	if (most > MAX_BUCKET)
		sort_rows(rows, n);
	else
	{
		sorted = palloc(n * sizeof(KeyRow));
		for (int i = 0; i < n; i++)
			sorted[starts[rows[i].hash >> shift]++] = rows[i];
		for (int i = 0; i < n; i++)
		{
			KeyRow		row = sorted[i];
			int			to = i;

			for (; to > 0 && compare_rows(&rows[to - 1], &row) > 0; to--)
				rows[to] = rows[to - 1];
			rows[to] = row;
		}
		pfree(sorted);
	}
	pfree(starts);
}

static void
add_row(KeyRow *rows, int *nrows, uint32 hash, int64 off)
{
	rows[(*nrows)++] = (KeyRow)
	{
		hash, off
	};
}

typedef struct FindEntries
{
	const int64 *offsets;		/* sorted */
	int			n;
	int			nrows;
	KeyRow	   *rows;
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
		add_row(find->rows, &find->nrows, entry->hash, entry->from);
}

/*
 * Read the keys of messages.  Returns the number of those that retention has
 * dropped, which replace the offsets.
 */
static int
read_keys(Relation rel, int partition, int64 *offsets, int n, KeyRow *rows, int *nrows)
{
	LogKeyHash *key = log_key_hash_create(rel);
	TupleTableSlot *slot = log_slot_create(rel);
	Snapshot	snapshot = group_message_snapshot();
	LogReader  *reader = NULL;
	int64		first = log_first_offset(rel, partition);
	int64		read = -1;		/* offset of the message in the slot */
	int			nmissing = 0;

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
			add_row(rows, nrows, group_key_hash(key, slot, read), read);
		else if (offsets[i] < first)
			offsets[nmissing++] = offsets[i];
	}
	if (reader != NULL)
		log_reader_end(reader);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	return nmissing;
}

/* the spots of rows, which are freed */
static SharedSpot *
make_spots(KeyRow *rows, int n, int *nspots)
{
	SharedSpot *spots = palloc(n * sizeof(SharedSpot));

	group_key_sort(rows, n);
	for (int i = 0; i < n; i++)
		spots[i] = (SharedSpot)
	{
		rows[i].hash, rows[i].off, rows[i].off + 1
	};
	pfree(rows);
	*nspots = n;
	return spots;
}

/*
 * The key is in the message.  Messages that retention has dropped, which may
 * still be leased, are looked for in the whole tree.
 */
SharedSpot *
group_key_find(Relation rel, const ConsumerGroup *group, int partition,
			   const int64 *offsets, int n, bool recall, int *nspots)
{
	KeyRow	   *rows = palloc(n * sizeof(KeyRow));
	int64	   *others = palloc(n * sizeof(int64));
	int			nrows = 0;
	int			nothers = 0;

	for (int i = 0; i < n; i++)
	{
		uint32		hash;

		if (recall && recall_key(group->group_id, partition, offsets[i], &hash))
			add_row(rows, &nrows, hash, offsets[i]);
		else
			others[nothers++] = offsets[i];
	}
	if (nothers > 0)
		nothers = read_keys(rel, partition, others, nothers, rows, &nrows);
	if (nothers > 0)
	{
		FindEntries find = {others, nothers, nrows, rows};

		(void) group_inflight_each(rel, group, partition, group_shared_rules(group),
								   NULL, find_entry, &find);
		nrows = find.nrows;
	}
	pfree(others);
	return make_spots(rows, nrows, nspots);
}

SharedSpot *
group_key_search(Relation rel, const ConsumerGroup *group, int partition,
				 const int64 *offsets, int n, int *nspots)
{
	FindEntries find = {offsets, n, 0, palloc(n * sizeof(KeyRow))};

	(void) group_inflight_each(rel, group, partition, group_shared_rules(group),
							   NULL, find_entry, &find);
	return make_spots(find.rows, find.nrows, nspots);
}
