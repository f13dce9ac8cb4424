/*
 * queue.h
 *	  Consuming for the functions of queue.c.
 */
#ifndef STREAMQ_GROUP_QUEUE_H
#define STREAMQ_GROUP_QUEUE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "group/group.h"

/* how a queue uses its group */
typedef struct GroupQueue
{
	const char *consumer;		/* has all leases */
	const char *due_column;		/* see GroupConsumer */
	uint64		token;			/* of the leases of this call */
} GroupQueue;

/* consume messages, whose leases this session does not remember */
extern GroupMessages *group_consume_queue(Oid relid, const char *group_name, int max_messages,
										  const Interval *wait, const Interval *lease,
										  bool auto_ack, const GroupQueue *queue);

#endif
