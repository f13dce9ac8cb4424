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

/* where rows go, besides the number of partitions: see write/route.c */
typedef struct LogRoute
{
	int			nkeys;
	AttrNumber	keys[LOG_OPTIONS_MAX_KEYS];
	Oid			collations[LOG_OPTIONS_MAX_KEYS];
	TypeCacheEntry *types[LOG_OPTIONS_MAX_KEYS];
	uint8		slots[LOG_ROUTE_SLOTS];
} LogRoute;

/* kept in rd_amcache: one chunk, gone with any invalidation of the relation */
typedef struct LogRelCache
{
	StreamOptions options;
	bool		routed;			/* route is filled in */
	LogRoute	route;
	uint32		room_blocks;	/* no room was made when so many were in use:
								 * not before there are more again */
	/* the last messages that a scan came to: [from, to) were appended at time */
	int			scanned_partition;
	int64		scanned_from;
	int64		scanned_to;
	TimestampTz scanned_time;
	LogShared  *shared[LOG_MAX_PARTITIONS];
} LogRelCache;

extern LogRelCache *log_relcache(Relation rel);

/*
 * With a page locked: what is at hand, or NULL, then the file must tell.  That is so on a
 * standby, and if it was one a moment ago, before the page was locked.
 */
static inline LogShared *
log_shared_at_hand(Relation rel, int partition)
{
	LogRelCache *cache = (LogRelCache *) rel->rd_amcache;

	return cache != NULL && !RecoveryInProgress() ? cache->shared[partition] : NULL;
}

#endif
