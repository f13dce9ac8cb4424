/*
 * redrive.h
 *	  The messages that groups have dead-lettered, in the table
 *	  streamq.dead_lettered.
 *
 * Consuming only adds rows.  A row is removed when the message is redriven,
 * when retention has dropped the message, or with the group.
 */
#ifndef STREAMQ_GROUP_REDRIVE_H
#define STREAMQ_GROUP_REDRIVE_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/group_catalog.h"

/* remember a message that the group has dead-lettered in this transaction */
extern void group_remember_buried(const ConsumerGroup *group, int64 msg_id,
								  int32 deliveries, const char *reason);

/* remove the rows of a group that is dropped */
extern void group_forget_buried(int32 group_id);

/* remove the rows of messages that are not in the stream any more */
extern void group_forget_expired(Relation rel);

#endif
