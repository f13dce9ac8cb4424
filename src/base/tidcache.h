/*
 * tidcache.h
 *	  A cache of TIDs, to find the latest version of rows that change often.
 */
#ifndef STREAMQ_BASE_TIDCACHE_H
#define STREAMQ_BASE_TIDCACHE_H

#include "postgres.h"

#include "access/htup.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/* The TID that was stored under the key, which is only a guess. */
extern bool base_tidcache_find(Relation rel, uint64 key, ItemPointer tid);

/*
 * Fetch the row of a heap table that was stored under the key, if the snapshot sees the
 * version at that TID.  Otherwise return NULL: the caller has to look up the
 * row by its index.
 */
extern HeapTuple base_tidcache_fetch(Relation rel, uint64 key, Snapshot snapshot);
extern void base_tidcache_store(Relation rel, uint64 key, ItemPointer tid);

#endif
