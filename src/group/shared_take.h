/*
 * shared_take.h
 *	  Handing out messages in the shared modes: the parts of one take.
 *
 * Messages are claimed first, with the tree open, and read afterwards, without
 * any lock.  Then claims are corrected if the message is gone, does not match
 * the filter, or is not wanted any more.
 */
#ifndef STREAMQ_GROUP_SHARED_TAKE_H
#define STREAMQ_GROUP_SHARED_TAKE_H

#include "postgres.h"

#include "group/inflight.h"
#include "group/mode.h"
#include "group/shared_mode.h"

/* claims of one round; a claim is a range of messages */
#define SHARED_MAX_CLAIMS	1000

/* inserting or cutting an entry and pushing a level */
#define SHARED_CLAIM_ROOM	4

/* the messages as they were; there are many claims, so this is small */
typedef struct SharedClaim
{
	int64		from;
	int32		count;
	uint32		hash;
	int32		deliveries;
	int			nlevels;
	InflightLevel *levels;		/* NULL: those of a new entry */
} SharedClaim;

typedef struct SharedTake
{
	const GroupConsumer *consumer;
	Relation	rel;
	const ConsumerGroup *group;
	int			partition;
	int64		limit;			/* nothing from here on */
	bool		ordered;		/* the position matters to other partitions */
	TimestampTz now;
	TimestampTz deadline;
	uint64		token;

	InflightTree *tree;			/* NULL: not open */
	int64		places;			/* messages that may still be handed out for
								 * the first time */
	bool		refused;		/* for max_in_flight */

	/* this round */
	int64		leased;			/* messages that anybody has */
	int64		wanted;			/* messages to claim */
	int			slack;			/* messages to look for beyond those */
	bool		entered;		/* new messages became entries */
	int64		nclaimed;
	int			nclaims;
	int			maxclaims;
	SharedClaim *claims;

	/* results of all rounds */
	bool		claimed;		/* an xid was used */
	bool		unblocked;		/* other messages of a key may be handed out
								 * when this transaction has committed */
	bool		postponed;		/* messages were not due yet */
	bool		stopped;		/* nothing more can be had now */
	bool		limited;		/* the limit kept messages back */
	int64		position;
	TimestampTz wake_at;
} SharedTake;

/* open and close the tree */
extern void group_shared_take_open(SharedTake *take);
extern void group_shared_take_close(SharedTake *take);

static inline bool
group_shared_take_wants_more(const SharedTake *take)
{
	return take->nclaimed < take->wanted && take->nclaims < SHARED_MAX_CLAIMS;
}

/* a consumer was refused for max_in_flight: acknowledgements are to ring */
extern void group_shared_take_note_refused(SharedTake *take);

/*
 * Put a claim on an entry that was cut to the messages to be claimed, and
 * remember how it was.
 */
extern void group_shared_take_claim(SharedTake *take, InflightEntry *entry);

/*
 * shared_gone.c: end the leases of sessions that have ended.  The first one
 * tells whether there may be any.
 */
extern bool group_shared_has_gone(Relation rel, const ConsumerGroup *group, int partition);
extern bool group_shared_end_gone(SharedTake *take);

/* shared_read.c: read what was claimed, and correct the claims */
extern void group_shared_read_claims(SharedTake *take);

#endif
