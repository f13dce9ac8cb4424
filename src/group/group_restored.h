/*
 * group_restored.h
 *	  Positions of groups that were restored from a logical dump.
 */
#ifndef STREAMQ_GROUP_RESTORED_H
#define STREAMQ_GROUP_RESTORED_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/mode.h"

/*
 * The progress of a group in a partition in which it has no state yet: as of
 * the dump, if the group was restored from one, and no progress otherwise.
 * progress->done is allocated in the current memory context.
 */
extern void group_restored_progress(Relation rel, const ConsumerGroup *group, int partition,
									GroupProgress *progress);

/*
 * Was the group restored from a dump, and has not consumed since?  Then its
 * messages may not all be restored yet.
 */
extern bool group_is_being_restored(Relation rel, const ConsumerGroup *group);

/* remove what the dump said about a group that is being dropped */
extern void group_forget_restored(int32 group_id);

#endif
