/*
 * tidcache.c
 *	  A cache of TIDs, to find the latest version of rows that change often.
 *
 * Positions, counters and states of open windows change with every batch.
 * While an old snapshot exists, their old versions cannot be pruned, and an
 * index scan has to visit all of them.  A worker avoids that by remembering
 * the TID of the latest version that it wrote.
 *
 * An entry is only a guess: the transaction that wrote the row may have been
 * rolled back, VACUUM FULL may have moved it, or another process may have
 * changed it.  Therefore a version is used only if the snapshot sees it, and
 * the caller must check that it is the right row.  A snapshot sees at most one
 * version of a row, so a visible version is the latest.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "common/hashfn.h"
#include "storage/bufmgr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/tidcache.h"

/* with more entries than this, the cache is emptied */
#define MAX_ENTRIES		16384

typedef struct TidKey
{
	Oid			relid;
	uint32		unused;			/* avoids padding: the key is compared as
								 * bytes */
	uint64		key;
} TidKey;

typedef struct TidEntry
{
	TidKey		key;
	ItemPointerData tid;
} TidEntry;

static HTAB *cache = NULL;

bool
base_tidcache_find(Relation rel, uint64 key, ItemPointer tid)
{
	TidKey		k = {RelationGetRelid(rel), 0, key};
	TidEntry   *entry = cache ? hash_search(cache, &k, HASH_FIND, NULL) : NULL;

	if (entry == NULL)
		return false;
	*tid = entry->tid;
	return true;
}

HeapTuple
base_tidcache_fetch(Relation rel, uint64 key, Snapshot snapshot)
{
	HeapTupleData tuple;
	HeapTuple	copy;
	Buffer		buffer;

	if (!base_tidcache_find(rel, key, &tuple.t_self) ||
		ItemPointerGetBlockNumber(&tuple.t_self) >= RelationGetNumberOfBlocks(rel))
		return NULL;

	/*
	 * Prune the page, as an index scan does and heap_fetch does not: the next
	 * version of the row, written soon, needs the space.
	 */
	buffer = ReadBuffer(rel, ItemPointerGetBlockNumber(&tuple.t_self));
	heap_page_prune_opt(rel, buffer);
	ReleaseBuffer(buffer);

	if (!heap_fetch(rel, snapshot, &tuple, &buffer, false))
		return NULL;
	copy = heap_copytuple(&tuple);
	ReleaseBuffer(buffer);
	return copy;
}

void
base_tidcache_store(Relation rel, uint64 key, ItemPointer tid)
{
	TidKey		k = {RelationGetRelid(rel), 0, key};
	TidEntry   *entry;
	bool		found;

	if (cache && hash_get_num_entries(cache) >= MAX_ENTRIES)
	{
		hash_destroy(cache);
		cache = NULL;
	}
	if (cache == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(TidKey);
		ctl.entrysize = sizeof(TidEntry);
		ctl.hcxt = TopMemoryContext;
		cache = hash_create("streamq rows of jobs", 256, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(cache, &k, HASH_ENTER, &found);
	entry->tid = *tid;
}
