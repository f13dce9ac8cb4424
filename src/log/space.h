/*
 * space.h
 *	  The space of a stream: its limits, and expiry of the oldest messages.
 */
#ifndef STREAMQ_LOG_SPACE_H
#define STREAMQ_LOG_SPACE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

/*
 * Expire messages below `upto`, as far as they fill whole extents and are not
 * in flight.  The freed blocks are reused.  Returns the number of offsets
 * expired.  With `quick`, no page of an extent is read; an extent whose
 * rolled-back rows would have to be counted is kept.
 */
extern int64 log_expire(Relation rel, int partition, int64 upto, bool quick);

/*
 * streamq.extend_size: the largest step, in blocks, in which a partition grows
 */
extern PGDLLIMPORT int log_extend_size;

/*
 * Called before a stream reserves bytes that would bring it over its limit.
 * The retention code, which is in a higher layer, sets the hook to expire
 * messages.
 */
extern PGDLLIMPORT void (*log_space_hook) (Relation rel, int64 bytes);

/*
 * Rebuild the list of free blocks from what is in use, if some free blocks did
 * not fit into it.  Unless `always`, this happens only when the list is less
 * than half full by now.
 */
extern void log_restore_free_list(Relation rel, bool always);

/*
 * A reader below the first offset has lost the messages below this offset.
 * Between it and the first offset there were only rolled-back ones.
 */
extern int64 log_expired_offset(Relation rel, int partition);

/*
 * Number of offsets in [from, to) that VACUUM found rolled back.  Reads the
 * pages if the partition has any such offset.
 */
extern int64 log_known_dead(Relation rel, int partition, int64 from, int64 to);

/* The same number for the whole partition, without reading it. */
extern int64 log_all_known_dead(Relation rel, int partition);

/*
 * Offset at which the partition began; TRUNCATE makes it begin at the next
 * offset.
 */
extern int64 log_origin_offset(Relation rel, int partition);

typedef struct LogHeadExtent
{
	int64		end;			/* exclusive */
	int64		bytes;			/* freed with it */
	TimestampTz last_time;		/* not less than the append time of its last
								 * message, and not greater than that of the
								 * message after it */
} LogHeadExtent;

/*
 * The extent that holds the message at `from`; false if it is the last one in
 * use.
 */
extern bool log_get_head_extent(Relation rel, int partition, int64 from,
								LogHeadExtent *extent);

#endif
