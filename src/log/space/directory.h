/*
 * directory.h
 *	  Lookup of extents, and finding the tail.
 */
#ifndef STREAMQ_LOG_SPACE_DIRECTORY_H
#define STREAMQ_LOG_SPACE_DIRECTORY_H

#include "postgres.h"

#include "log/page/structure.h"
#include "log/space/shared.h"

/*
 * Read the tail from the file.  The caller holds the append lock or runs on a
 * standby.
 */
extern void log_tail_load(Relation rel, int partition, LogTail *tail);

/* Lookup of extents in log order. */
extern bool log_extent_find(Relation rel, int partition, int64 off, LogExtent *extent);
extern bool log_extent_find_time(Relation rel, int partition, TimestampTz t, LogExtent *extent);

/* The extent after current, or current itself if it has grown since. */
extern bool log_extent_next(Relation rel, int partition, const LogExtent *current, LogExtent *extent);
extern bool log_extent_prev(Relation rel, int partition, const LogExtent *current, LogExtent *extent);
extern bool log_extent_last(Relation rel, int partition, LogExtent *extent);

/* All extents in use, in log order. */
extern LogExtent *log_extents_used(Relation rel, int partition, int *n);
extern void log_extent_count(Relation rel, int partition, int *live, int *spare, int64 *blocks);

#endif
