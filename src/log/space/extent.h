/*
 * extent.h
 *	  Extents: reserved ahead of a tail, and entered by it.
 */
#ifndef STREAMQ_LOG_SPACE_EXTENT_H
#define STREAMQ_LOG_SPACE_EXTENT_H

#include "postgres.h"

#include "log/space/shared.h"

#define LOG_LIMIT_EXTENT	65536	/* blocks of the largest extent: 512 MB */

/*
 * Make sure npages more pages can be filled behind the tail.  No lock but the
 * relation's held.
 */
extern void log_reserve(Relation rel, int partition, LogShared *shared, uint32 npages);

/* move the tail into the next spare extent; append lock held */
extern void log_enter_extent(Relation rel, int partition, LogShared *shared, TimestampTz now);

#endif
