/*
 * relcache.h
 *	  What a relcache entry remembers about its stream.
 */
#ifndef STREAMQ_LOG_SPACE_RELCACHE_H
#define STREAMQ_LOG_SPACE_RELCACHE_H

#include "postgres.h"

#include "utils/typcache.h"

#include "log/options.h"
#include "log/space/shared.h"

#define LOG_ROUTE_SLOTS		1024

/* How rows are routed; see write/route.c. */
typedef struct LogRoute
{
	int			nkeys;
	AttrNumber	keys[LOG_OPTIONS_MAX_KEYS];
	Oid			collations[LOG_OPTIONS_MAX_KEYS];
	TypeCacheEntry *types[LOG_OPTIONS_MAX_KEYS];
	uint8		slots[LOG_ROUTE_SLOTS];
} LogRoute;

/*
 * Kept in rd_amcache as one chunk; any invalidation of the relation drops it.
 */
typedef struct LogRelCache
{
	StreamOptions options;
	bool		routed;			/* route is valid */
	LogRoute	route;
	uint32		room_blocks;	/* expiry made no room while this many blocks
								 * were in use; it is not tried again before
								 * more are */

	/*
	 * last run that a scan entered: [scanned_from, scanned_to) were appended
	 * at scanned_time
	 */
	int			scanned_partition;
	int64		scanned_from;
	int64		scanned_to;
	TimestampTz scanned_time;
	LogShared  *shared[LOG_MAX_PARTITIONS];
} LogRelCache;

extern LogRelCache *log_relcache(Relation rel);

/*
 * The shared entry of a partition if it is cached, else NULL, for callers that
 * have a page locked.  NULL means that the caller must read the file: that is
 * the case on a standby, and on a server that was a standby until the page was
 * locked.
 */
static inline LogShared *
log_shared_at_hand(Relation rel, int partition)
{
	LogRelCache *cache = (LogRelCache *) rel->rd_amcache;

	return cache != NULL && !RecoveryInProgress() ? cache->shared[partition] : NULL;
}

#endif
