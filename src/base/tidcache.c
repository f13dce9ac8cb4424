/*
 * tidcache.c
 *	  Where the latest versions of rows are that this process changed last.
 *
 * Positions, counters and states of open windows change with every batch.
 * While somebody holds a snapshot open, their old versions cannot be pruned,
 * and an index scan would walk over all of them.  A worker that remembers
 * where it put the latest version does not care.
 *
 * An entry is only a guess: the row may have been written by a transaction
 * that was rolled back, moved by VACUUM FULL, or changed by another process.
 * So a row counts only if the snapshot sees it, and callers check that it is
 * the row they want.  At most one version of a row is visible, so a visible one is
 * the latest.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "common/hashfn.h"
#include "storage/bufmgr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/tidcache.h"

/* beyond this the cache begins anew */
#define MAX_ENTRIES		16384

typedef struct TidKey
{
	Oid			relid;
	uint32		unused;			/* no padding: the key is compared as bytes */
	uint64		key;
} TidKey;

typedef struct TidEntry
{
	TidKey		key;
	ItemPointerData tid;
} TidEntry;

static HTAB *cache = NULL;

/* a copy of the row remembered under the key, NULL if unknown or not visible */
HeapTuple
base_tidcache_fetch(Relation rel, uint64 key, Snapshot snapshot)
{
	TidKey		k = {RelationGetRelid(rel), 0, key};
	TidEntry   *entry;
	HeapTupleData tuple;
	HeapTuple	copy;
	Buffer		buffer;

	if (cache == NULL)
		return NULL;
	entry = hash_search(cache, &k, HASH_FIND, NULL);
	if (entry == NULL ||
		ItemPointerGetBlockNumber(&entry->tid) >= RelationGetNumberOfBlocks(rel))
		return NULL;

	/*
	 * As an index scan does, but heap_fetch does not: make room for the next
	 * version, which is written soon.
	 */
	buffer = ReadBuffer(rel, ItemPointerGetBlockNumber(&entry->tid));
	heap_page_prune_opt(rel, buffer);
	ReleaseBuffer(buffer);

	tuple.t_self = entry->tid;
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
