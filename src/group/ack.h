/*
 * ack.h
 *	  Calling a function for the messages of an SQL function, by partition.
 */
#ifndef STREAMQ_GROUP_ACK_H
#define STREAMQ_GROUP_ACK_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/rel.h"

#include "group/group_catalog.h"

/*
 * Change messages of one partition.  The offsets are sorted and have no
 * duplicates.  Returns how many messages were changed.
 */
typedef int64 (*GroupChange) (Relation rel, const ConsumerGroup *group, int partition,
							  const int64 *offsets, int n, void *arg);

/*
 * Call the function for the messages of each partition, and return the sum of
 * its results.  Partitions are always changed in ascending order, so that two
 * batches cannot deadlock.  ids are sorted; they are replaced by offsets.
 */
extern int64 group_change_each(Relation rel, const ConsumerGroup *group, int64 *ids, int n,
							   GroupChange change, void *arg);

/*
 * The same, for a function f(stream, group_name, msg_id, ...) or f(stream,
 * group_name, msg_ids, ...).
 */
extern int64 group_change_message(FunctionCallInfo fcinfo, GroupChange change, void *arg);
extern int64 group_change_batch(FunctionCallInfo fcinfo, GroupChange change, void *arg);

#endif
