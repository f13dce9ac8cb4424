/*
 * space.h
 *	  The space of a stream: its limits, and dropping the oldest messages.
 */
#ifndef STREAMQ_LOG_SPACE_H
#define STREAMQ_LOG_SPACE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

/*
 * Drop the messages below `upto`, as far as they fill whole extents and are
 * not in flight.  Their blocks are used again.  Returns how many offsets went.
 * With `quick` no page of the extents is read: nothing goes where the rows that
 * were rolled back have to be counted.
 */
extern int64 log_expire(Relation rel, int partition, int64 upto, bool quick);

/* streamq.extend_size: most blocks that a partition's file space is extended by in advance */
extern PGDLLIMPORT int log_extend_size;

/*
 * Called before so many bytes are reserved in a stream that has a limit and
 * would be above it; set by the part above, which drops what may go.
 */
extern PGDLLIMPORT void (*log_space_hook) (Relation rel, int64 bytes);

/*
 * Make the list of free blocks anew from what is in use, if it had no room for all
 * of them.  Only if it has become half empty since, unless `always`.
 */
extern void log_restore_free_list(Relation rel, bool always);

/*
 * Who stands below the first offset has lost messages up to this one: from there
 * to the first offset there were only rolled-back ones.
 */
extern int64 log_lost_offset(Relation rel, int partition);

/*
 * Offsets in [from, to) that VACUUM found to be rolled back.  Reads the pages, if
 * there are any in the partition.
 */
extern int64 log_known_dead(Relation rel, int partition, int64 from, int64 to);

/* the same of the whole partition, without reading it */
extern int64 log_all_known_dead(Relation rel, int partition);

/* where the partition began, or began anew with TRUNCATE */
extern int64 log_origin_offset(Relation rel, int partition);

typedef struct LogHeadExtent
{
	int64		end;			/* exclusive */
	int64		bytes;			/* of what can be freed with it */
	TimestampTz last_time;		/* append time of its last message, or at most
								 * of the one after that */
} LogHeadExtent;

/* the extent with the message at `from`; false if it is the last one in use */
extern bool log_get_head_extent(Relation rel, int partition, int64 from,
								LogHeadExtent *extent);

#endif
