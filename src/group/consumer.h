/*
 * consumer.h
 *	  A call of consume(), and what becomes of the messages that it finds.
 */
#ifndef STREAMQ_GROUP_CONSUMER_H
#define STREAMQ_GROUP_CONSUMER_H

#include "postgres.h"

#include "access/attnum.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "group/group_catalog.h"
#include "group/messages.h"

#define GROUP_CONSUMER_MAX	63	/* bytes of a consumer's name */

/* a message that leaves the group for its dead letter */
typedef struct GroupBurial
{
	int64		off;
	int32		deliveries;
} GroupBurial;

/* what nack() asked for */
typedef struct GroupRetry
{
	bool		given;			/* retry_after was given; otherwise the
								 * group's retry_backoff counts */
	TimestampTz at;				/* if given: not before this time; 0: at once */
} GroupRetry;

/*
 * A message was delivered so often, and came back at `from`.  Returns the time
 * from which it may be handed out again, which is `from` if the group has no
 * retry_backoff.
 */
extern TimestampTz group_retry_time(const ConsumerGroup *group, int32 deliveries,
									TimestampTz from);

/* what judge.c keeps during one call of consume() */
typedef struct GroupJudge GroupJudge;

/* one call of consume(), in all partitions */
typedef struct GroupConsumer
{
	Relation	rel;
	const ConsumerGroup *group;
	const char *name;			/* consumer that will hold the leases */
	uint32		number;			/* of the consumer, see registry.h */
	const Interval *lease;
	bool		auto_ack;		/* messages are acknowledged as they are taken */
	uint64		token;			/* of the leases; 0: the session's */
	AttrNumber	due_column;		/* a timestamptz column of the stream: new
								 * messages are not handed out before that
								 * time; 0: none.  For the shared mode. */
	int			max_messages;
	const bool *partitions;		/* take only from these; NULL: from all */
	GroupMessages *messages;	/* taken so far from all partitions */
	TupleTableSlot *slot;		/* for reading the log */
	GroupJudge *judge;			/* for group_judge() */
} GroupConsumer;

static inline bool
group_wants_more(const GroupConsumer *consumer)
{
	return group_messages_count(consumer->messages) < consumer->max_messages;
}

/*
 * What becomes of a message that a mode wants to hand out.  consumer->slot has
 * its row, and row->note is the number of its deliveries with this one.
 *
 * This may run user code, and write the dead letter.  So no lock may be held,
 * except the heavyweight locks of groups.
 */
typedef enum GroupVerdict
{
	GROUP_DELIVER,
	GROUP_PASS,					/* the filter does not match: done, as a fact
								 * that needs no xid */
	GROUP_EXPIRE,				/* older than message_ttl: done and counted as
								 * expired, also a fact */
	GROUP_BURY,					/* its dead letter has been written in this
								 * transaction: done and counted as
								 * dead-lettered, with the xid */
	GROUP_STOP					/* cannot be returned (group_messages_try):
								 * leave it and what follows */
} GroupVerdict;

extern GroupVerdict group_judge(const GroupConsumer *consumer, const LogKeptRow *row,
								int32 excused);

#endif
