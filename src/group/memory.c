/*
 * memory.c
 *	  What this session was given, to recognize acknowledgements that come
 *	  too late.
 *
 * Ranges of committed transactions are kept by group and partition, sorted and
 * disjoint: what was given last replaces what was given before.  Ranges of the
 * current transaction replace nothing yet, because it may roll back.  They are
 * a stack: a subtransaction that ends has the newest of them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "group/memory.h"

/* limit for one partition; then the range of the lowest offsets is forgotten */
#define MEMORY_MAX_RANGES	10000

/* from so many ranges on, forgetting some is worth its cost */
#define MEMORY_CROWDED		64

/* limit for one transaction; then the older half is forgotten */
#define MEMORY_MAX_PENDING	100000

typedef struct MemoryKey
{
	int32		group_id;
	int32		partition;
} MemoryKey;

typedef struct MemoryRange
{
	int64		from;
	int64		to;
	uint64		token;
} MemoryRange;

typedef struct MemoryEntry
{
	MemoryKey	key;
	int			nranges;
	int			maxranges;
	int			crowded;		/* so many ranges are worth a look at the
								 * position */
	MemoryRange *ranges;
} MemoryEntry;

/* a range that was given in the current transaction */
typedef struct MemoryPending
{
	MemoryKey	key;
	MemoryRange range;
	SubTransactionId subid;
} MemoryPending;

static HTAB *memory = NULL;
static MemoryPending *pending = NULL;
static int	npending = 0;
static int	maxpending = 0;

/*
 * The first of the pending ranges are committed.  They are moved to the table
 * later, because nothing may fail at the end of a transaction.
 */
static int	ncommitted = 0;

static bool
same_key(const MemoryKey *a, const MemoryKey *b)
{
	return a->group_id == b->group_id && a->partition == b->partition;
}

uint64
group_memory_make_token(void)
{
	uint64		token;

	do
		token = pg_prng_uint64(&pg_global_prng_state);
	while (token == 0);
	return token;
}

uint64
group_memory_session_token(void)
{
	static uint64 token = 0;

	if (token == 0)
		token = group_memory_make_token();
	return token;
}

/* ---- ranges of committed transactions ---- */

static MemoryEntry *
enter_entry(const MemoryKey *key)
{
	MemoryEntry *entry;
	bool		found;

	if (memory == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(MemoryKey);
		ctl.entrysize = sizeof(MemoryEntry);
		ctl.hcxt = TopMemoryContext;
		memory = hash_create("streamq messages given to this session", 64,
							 &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(memory, key, HASH_ENTER, &found);
	if (!found)
	{
		entry->nranges = entry->maxranges = 0;
		entry->crowded = MEMORY_CROWDED;
		entry->ranges = NULL;
	}
	return entry;
}

/* index of the first range that ends after off */
static int
find_range(const MemoryEntry *entry, int64 off)
{
	int			low = 0;
	int			high = entry->nranges;

	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (entry->ranges[mid].to <= off)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* replace the ranges [low, high) by n others */
static void
replace_ranges(MemoryEntry *entry, int low, int high, const MemoryRange *with, int n)
{
	int			nranges = entry->nranges - (high - low) + n;

	if (nranges > entry->maxranges)
	{
		int			max = Max(16, entry->maxranges * 2);

		if (entry->ranges == NULL)
			entry->ranges = MemoryContextAlloc(TopMemoryContext, max * sizeof(MemoryRange));
		else
			entry->ranges = repalloc(entry->ranges, max * sizeof(MemoryRange));
		entry->maxranges = max;
	}
	if (high < entry->nranges)
		memmove(&entry->ranges[low + n], &entry->ranges[high],
				(entry->nranges - high) * sizeof(MemoryRange));
	if (n > 0)
		memcpy(&entry->ranges[low], with, n * sizeof(MemoryRange));
	entry->nranges = nranges;
}

/* add a range to the table; it replaces what it overlaps */
static void
remember_range(MemoryEntry *entry, MemoryRange range)
{
	int			low = find_range(entry, range.from);
	int			high = low;
	MemoryRange parts[3];
	int			n = 0;

	while (high < entry->nranges && entry->ranges[high].from < range.to)
		high++;

	/* neighbours of the same token become one range */
	if (low > 0 && entry->ranges[low - 1].to == range.from)
		low--;
	if (high < entry->nranges && entry->ranges[high].from == range.to)
		high++;
	if (low < high && entry->ranges[low].from < range.from)
	{
		if (entry->ranges[low].token == range.token)
			range.from = entry->ranges[low].from;
		else
		{
			parts[n] = entry->ranges[low];
			parts[n].to = Min(parts[n].to, range.from);
			n++;
		}
	}
	parts[n++] = range;
	if (low < high && entry->ranges[high - 1].to > range.to)
	{
		if (entry->ranges[high - 1].token == range.token)
			parts[n - 1].to = entry->ranges[high - 1].to;
		else
		{
			parts[n] = entry->ranges[high - 1];
			parts[n].from = Max(parts[n].from, range.to);
			n++;
		}
	}
	replace_ranges(entry, low, high, parts, n);
	if (entry->nranges > MEMORY_MAX_RANGES)
		replace_ranges(entry, 0, 1, NULL, 0);
}

/* move the committed ones of the pending ranges to the table */
static void
remember_committed(void)
{
	if (ncommitted == 0)
		return;
	for (int i = 0; i < ncommitted; i++)
		remember_range(enter_entry(&pending[i].key), pending[i].range);
	npending -= ncommitted;
	memmove(pending, pending + ncommitted, npending * sizeof(MemoryPending));
	ncommitted = 0;
}

/* ---- ranges of the current transaction ---- */

/* append to the stack, or extend the newest range */
static void
push_pending(const MemoryPending *new)
{
	if (npending > ncommitted)
	{
		MemoryPending *last = &pending[npending - 1];

		if (last->subid == new->subid && last->range.token == new->range.token &&
			last->range.to == new->range.from && same_key(&last->key, &new->key))
		{
			last->range.to = new->range.to;
			return;
		}
	}
	pending[npending++] = *new;
}

void
group_memory_note(int32 group_id, int partition, int64 from, int64 to, uint64 token)
{
	MemoryPending new = {
		.key = {group_id, partition},
		.range = {from, to, token},
		.subid = GetCurrentSubTransactionId()
	};

	remember_committed();
	if (npending == MEMORY_MAX_PENDING)
	{
		npending /= 2;
		memmove(pending, pending + MEMORY_MAX_PENDING - npending,
				npending * sizeof(MemoryPending));
	}
	if (npending == maxpending)
	{
		int			max = Max(64, maxpending * 2);

		if (pending == NULL)
			pending = MemoryContextAlloc(TopMemoryContext, max * sizeof(MemoryPending));
		else
			pending = repalloc(pending, max * sizeof(MemoryPending));
		maxpending = max;
	}
	push_pending(&new);
}

bool
group_memory_allows(int32 group_id, int partition, int64 off, uint64 token,
					int64 *until)
{
	MemoryKey	key = {group_id, partition};
	MemoryEntry *entry;
	int64		end = *until;
	bool		remembered = false;

	remember_committed();

	/* the newest first: it is the most likely one */
	for (int i = npending - 1; i >= 0; i--)
	{
		MemoryRange *range = &pending[i].range;

		if (range->to <= off || !same_key(&pending[i].key, &key))
			continue;
		if (range->from > off)
		{
			end = Min(end, range->from);
			continue;
		}
		if (range->token == token)
		{
			*until = Min(*until, range->to);
			return true;
		}
		end = Min(end, range->to);
		remembered = true;
	}

	entry = memory == NULL ? NULL : hash_search(memory, &key, HASH_FIND, NULL);
	if (entry != NULL)
	{
		int			i = find_range(entry, off);

		if (i < entry->nranges)
		{
			MemoryRange *range = &entry->ranges[i];

			if (range->from > off)
				end = Min(end, range->from);
			else if (range->token == token)
			{
				*until = Min(*until, range->to);
				return true;
			}
			else
			{
				end = Min(end, range->to);
				remembered = true;
			}
		}
	}
	*until = end;
	return !remembered;
}

static MemoryEntry *
find_entry(int32 group_id, int partition)
{
	MemoryKey	key = {group_id, partition};

	remember_committed();
	return memory == NULL ? NULL : hash_search(memory, &key, HASH_FIND, NULL);
}

bool
group_memory_is_crowded(int32 group_id, int partition)
{
	MemoryEntry *entry = find_entry(group_id, partition);

	return entry != NULL && entry->nranges >= entry->crowded;
}

void
group_memory_forget(int32 group_id, int partition, int64 position)
{
	MemoryEntry *entry = find_entry(group_id, partition);

	if (entry == NULL)
		return;
	replace_ranges(entry, 0, find_range(entry, position), NULL, 0);
	entry->crowded = Max(MEMORY_CROWDED, 2 * entry->nranges);
	if (entry->nranges == 0)
	{
		if (entry->ranges != NULL)
			pfree(entry->ranges);
		hash_search(memory, &entry->key, HASH_REMOVE, NULL);
	}
}

static void
memory_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		ncommitted = npending;
	else if (event == XACT_EVENT_ABORT)
		npending = ncommitted;
}

/* ranges of a committed subtransaction become those of its parent */
static void
memory_subxact_callback(SubXactEvent event, SubTransactionId subid,
						SubTransactionId parent, void *arg)
{
	int			first = npending;
	int			end = npending;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (first > ncommitted && pending[first - 1].subid == subid)
		first--;
	npending = first;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		return;
	for (int i = first; i < end; i++)
	{
		MemoryPending moved = pending[i];

		moved.subid = parent;
		push_pending(&moved);
	}
}

void
group_memory_init(void)
{
	RegisterXactCallback(memory_xact_callback, NULL);
	RegisterSubXactCallback(memory_subxact_callback, NULL);
}
