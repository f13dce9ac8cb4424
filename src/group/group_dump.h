/*
 * restore.h
 *	  Consumer groups in a logical dump.
 */
#ifndef STREAMQ_GROUP_RESTORE_H
#define STREAMQ_GROUP_RESTORE_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/ordered.h"

/*
 * Where a group begins in a partition that it has no state for yet: where it stood
 * in the dump it comes from, otherwise at the first message.
 */
extern void group_restored_state(Relation rel, int32 group_id, int partition,
								 PartitionState *state);

/* the group is being dropped in this transaction */
extern void group_forget_restored(int32 group_id);

#endif
