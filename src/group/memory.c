/*
 * memory.c
 *	  What this session was given, to recognize acknowledgements that come
 *	  too late.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "lib/ilist.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "group/memory.h"

/* limit for one partition; then the oldest range is forgotten */
#define MEMORY_MAX_RANGES	64

typedef struct MemoryKey
{
	int32		group_id;
	int32		partition;
} MemoryKey;

typedef struct MemoryRange
{
	dlist_node	node;
	int64		from;
	int64		to;
	uint64		token;
	SubTransactionId subid;		/* given in this subtransaction; Invalid if
								 * committed */
} MemoryRange;

typedef struct MemoryEntry
{
	MemoryKey	key;
	dlist_head	ranges;			/* newest first */
	int			nranges;
} MemoryEntry;

static HTAB *memory = NULL;
static int	nuncommitted = 0;	/* ranges with a subid */

static MemoryEntry *
find_entry(int32 group_id, int partition)
{
	MemoryKey	key = {group_id, partition};

	if (memory == NULL)
		return NULL;
	return hash_search(memory, &key, HASH_FIND, NULL);
}

static void
forget_range(MemoryEntry *entry, MemoryRange *range)
{
	if (range->subid != InvalidSubTransactionId)
		nuncommitted--;
	dlist_delete(&range->node);
	entry->nranges--;
	pfree(range);
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

void
group_memory_note(int32 group_id, int partition, int64 from, int64 to, uint64 token)
{
	MemoryKey	key = {group_id, partition};
	MemoryEntry *entry;
	MemoryRange *range;
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

	range = MemoryContextAlloc(TopMemoryContext, sizeof(MemoryRange));
	entry = hash_search(memory, &key, HASH_ENTER, &found);
	if (!found)
	{
		dlist_init(&entry->ranges);
		entry->nranges = 0;
	}
	else if (entry->nranges >= MEMORY_MAX_RANGES)
		forget_range(entry, dlist_tail_element(MemoryRange, node,
											   &entry->ranges));
	range->from = from;
	range->to = to;
	range->token = token;
	range->subid = GetCurrentSubTransactionId();
	dlist_push_head(&entry->ranges, &range->node);
	entry->nranges++;
	nuncommitted++;
}

bool
group_memory_allows(int32 group_id, int partition, int64 off, uint64 token,
					int64 *until)
{
	MemoryEntry *entry = find_entry(group_id, partition);
	bool		remembered = false;
	bool		matches = false;
	dlist_iter	iter;

	if (entry == NULL)
		return true;
	dlist_foreach(iter, &entry->ranges)
	{
		MemoryRange *range = dlist_container(MemoryRange, node, iter.cur);

		if (range->from > off)
			*until = Min(*until, range->from);
		else if (range->to > off)
		{
			*until = Min(*until, range->to);
			remembered = true;
			if (range->token == token)
				matches = true;
		}
	}
	return matches || !remembered;
}

void
group_memory_forget(int32 group_id, int partition, int64 position)
{
	MemoryEntry *entry = find_entry(group_id, partition);
	dlist_mutable_iter iter;

	if (entry == NULL)
		return;
	dlist_foreach_modify(iter, &entry->ranges)
	{
		MemoryRange *range = dlist_container(MemoryRange, node, iter.cur);

		/* uncommitted ranges are left to the end of their transaction */
		if (range->to <= position && range->subid == InvalidSubTransactionId)
			forget_range(entry, range);
	}
	if (entry->nranges == 0)
		hash_search(memory, &entry->key, HASH_REMOVE, NULL);
}

/*
 * At the end of a subtransaction, move its ranges to `parent` (Invalid: they
 * are committed), or forget them if keep is false.  subid Invalid means all
 * ranges of the transaction.
 */
static void
end_subtransaction(SubTransactionId subid, bool keep, SubTransactionId parent)
{
	HASH_SEQ_STATUS status;
	MemoryEntry *entry;

	if (nuncommitted == 0)
		return;
	hash_seq_init(&status, memory);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		dlist_mutable_iter iter;

		dlist_foreach_modify(iter, &entry->ranges)
		{
			MemoryRange *range = dlist_container(MemoryRange, node, iter.cur);

			if (range->subid == InvalidSubTransactionId ||
				(subid != InvalidSubTransactionId && range->subid != subid))
				continue;
			if (!keep)
				forget_range(entry, range);
			else
			{
				range->subid = parent;
				if (parent == InvalidSubTransactionId)
					nuncommitted--;
			}
		}
		if (entry->nranges == 0)
			hash_search(memory, &entry->key, HASH_REMOVE, NULL);
	}
}

static void
memory_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			end_subtransaction(InvalidSubTransactionId, true,
							   InvalidSubTransactionId);
			break;
		case XACT_EVENT_ABORT:
			end_subtransaction(InvalidSubTransactionId, false,
							   InvalidSubTransactionId);
			break;
		default:
			break;
	}
}

static void
memory_subxact_callback(SubXactEvent event, SubTransactionId subid,
						SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		end_subtransaction(subid, true, parent);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		end_subtransaction(subid, false, parent);
}

void
group_memory_init(void)
{
	RegisterXactCallback(memory_xact_callback, NULL);
	RegisterSubXactCallback(memory_subxact_callback, NULL);
}
