/*
 * group_restored.h
 *	  How far groups of a logical dump were.
 */
#ifndef STREAMQ_GROUP_RESTORED_H
#define STREAMQ_GROUP_RESTORED_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/mode.h"

/*
 * The progress of a group in a partition for which it has no state yet: that of the
 * dump it comes from, otherwise none.  done is in the current memory context.
 */
extern void group_restored_progress(Relation rel, const ConsumerGroup *group, int partition,
									GroupProgress *progress);

/* the group is being dropped in this transaction */
extern void group_forget_restored(int32 group_id);

#endif
