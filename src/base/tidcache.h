/*
 * tidcache.h
 *	  Where the latest version of a row is that changes all the time.
 */
#ifndef STREAMQ_BASE_TIDCACHE_H
#define STREAMQ_BASE_TIDCACHE_H

#include "postgres.h"

#include "access/htup.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/*
 * The row that base_tidcache_store() remembered under the key, if its version
 * at that place is still the one the snapshot sees; NULL otherwise, then the
 * caller looks it up by its index.
 */
extern HeapTuple base_tidcache_fetch(Relation rel, uint64 key, Snapshot snapshot);
extern void base_tidcache_store(Relation rel, uint64 key, ItemPointer tid);

#endif
