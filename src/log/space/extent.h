/*
 * extent.h
 *	  Extents: reserved ahead of the tail, and entered by it.
 */
#ifndef STREAMQ_LOG_SPACE_EXTENT_H
#define STREAMQ_LOG_SPACE_EXTENT_H

#include "postgres.h"

#include "log/space/shared.h"

#define LOG_LIMIT_EXTENT	65536	/* blocks of the largest extent: 512 MB */

/*
 * Make sure that npages more pages can be filled after the tail.  The caller
 * holds no lock except the relation's.
 */
extern void log_reserve(Relation rel, int partition, LogShared *shared, uint32 npages);

/*
 * Move the tail into the next spare extent.  The caller holds the append lock.
 */
extern void log_enter_extent(Relation rel, int partition, LogShared *shared, TimestampTz now);

#endif
