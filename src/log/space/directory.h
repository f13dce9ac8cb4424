/*
 * directory.h
 *	  Looking up extents, and finding the tail.
 */
#ifndef STREAMQ_LOG_SPACE_DIRECTORY_H
#define STREAMQ_LOG_SPACE_DIRECTORY_H

#include "postgres.h"

#include "log/page/structure.h"
#include "log/space/shared.h"

/* read the tail from the file; its append lock is held or we are on a standby */
extern void log_tail_load(Relation rel, int partition, LogTail *tail);

/* extents in log order */
extern bool log_extent_find(Relation rel, int partition, int64 off, LogExtent *extent);
extern bool log_extent_find_time(Relation rel, int partition, TimestampTz t, LogExtent *extent);

/* the one after current, or current itself if it has become longer */
extern bool log_extent_next(Relation rel, int partition, const LogExtent *current, LogExtent *extent);
extern bool log_extent_prev(Relation rel, int partition, const LogExtent *current, LogExtent *extent);
extern bool log_extent_last(Relation rel, int partition, LogExtent *extent);

/* all extents in use, in log order */
extern LogExtent *log_extents_used(Relation rel, int partition, int *n);
extern void log_extent_count(Relation rel, int partition, int *live, int *spare, int64 *blocks);

#endif
