/*
 * floor.h
 *	  The first messages that groups may still get.
 *
 * With the backlog policy "evict", a group loses its oldest messages when it
 * is too far behind.  The messages stay in the stream for other groups.  This
 * group has a floor in each partition, and treats messages below the floor
 * like messages that retention has dropped.
 */
#ifndef STREAMQ_GROUP_FLOOR_H
#define STREAMQ_GROUP_FLOOR_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/group_catalog.h"
#include "log/state_page.h"

/* as log_first_offset() and log_expired_offset(), but for one group */
extern int64 group_first_offset(Relation rel, const ConsumerGroup *group, int partition);
extern int64 group_expired_offset(Relation rel, const ConsumerGroup *group, int partition);

/* was the message evicted from the group? */
extern bool group_is_evicted(Relation rel, const ConsumerGroup *group, int64 msg_id);

/*
 * Raise the floor.  An abort of the transaction does not undo this.  The
 * caller holds a lock so that nobody else raises floors of the stream's
 * groups.
 */
extern void group_raise_floor(Relation rel, const ConsumerGroup *group, int partition,
							  int64 floor);

/* callbacks of the log for the pages of floors */
#define GROUP_FLOOR_PAGE_KIND	5
extern const LogStateKind group_floor_pages;

#endif
