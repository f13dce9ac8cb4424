/*
 * state.h
 *	  What a consumer group knows about one partition, and the rules of
 *	  ordered mode.
 *
 * Pure functions on a struct: no locks, no pages, no transactions.  version.c puts
 * encoded states into the bytes of a group page, store.c reads and writes them.
 *
 * The offsets of the partition as the group sees them:
 *
 *	   done     | handed out under the lease | handed out before | never
 *	 ...........position ................ cursor .......... delivered ......
 *
 * Between position and delivered some offsets are done already: acknowledged
 * out of order, or never a message (rolled back).  Those are the done ranges;
 * all other offsets there are messages that were handed out and wait for their
 * acknowledgement.  So counting offsets outside the done ranges counts messages.
 */
#ifndef STREAMQ_GROUP_STATE_H
#define STREAMQ_GROUP_STATE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * The longest encoded state.  A group page has room for three: the committed
 * one, one of the transaction and one of a savepoint in it, whatever they hold.
 */
#define STATE_BLOB_MAX		2640

/* as many unacknowledged messages fit into STATE_BLOB_MAX, however they are acknowledged */
#define STATE_MAX_IN_FLIGHT 10000

#define STATE_MAX_DELIVERIES 32 /* ranges with a delivery count of their own */
#define STATE_CONSUMER_MAX	63	/* bytes of a consumer's name */

typedef struct StateRange
{
	int64		from;
	int64		to;				/* exclusive */
} StateRange;

/* to whom and how often the messages from the previous entry's end on were given */
typedef struct StateDelivery
{
	int64		to;				/* exclusive */
	uint64		token;			/* of the lease they were last given under */
	int32		deliveries;
} StateDelivery;

typedef struct PartitionState
{
	int64		position;
	int64		cursor;
	int64		delivered;

	/* the lease on [position, cursor), if leased */
	bool		leased;
	uint64		token;
	TimestampTz deadline;
	char		consumer[STATE_CONSUMER_MAX + 1];

	/* given back: nothing from retry_offset on before retry_at (0: no limit) */
	TimestampTz retry_at;
	int64		retry_offset;

	/* counters, for the views */
	int64		delivered_count;
	int64		acked_count;
	int64		redelivered_count;
	int64		dead_lettered_count;
	int64		expired_count;
	TimestampTz last_consumed_at;	/* 0: never */

	/* cover [position, delivered) */
	int			ndeliveries;
	StateDelivery deliveries[STATE_MAX_DELIVERIES + 2];

	/* sorted, apart from each other, within (position, delivered) */
	int			ndone;
	int			maxdone;
	StateRange *done;			/* palloc'd, NULL if there was never one */
} PartitionState;

/* a new group's state: everything from position on is to be delivered */
extern void group_state_init(PartitionState *state, int64 position);

/* returns the number of bytes, at most STATE_BLOB_MAX (54000 beyond that) */
extern int	group_state_encode(const PartitionState *state, char *blob);

/* done ranges in the current memory context; XX001 if the bytes make no sense */
extern void group_state_decode(PartitionState *state, const char *blob, int len);

/* append a done range behind the others, joining it with one it touches */
extern void group_state_append_done(PartitionState *state, int64 from, int64 to);

/* messages handed out and not done in [position, off) */
extern int64 group_state_count_undone(const PartitionState *state, int64 off);
#define group_state_in_flight(state) group_state_count_undone(state, (state)->cursor)
/* was the message at off handed out, and is not yet done? */
extern bool group_state_is_undone(const PartitionState *state, int64 off);

/* the first undone range at or after off, below limit; false if none */
extern bool group_state_next_undone(const PartitionState *state, int64 off, int64 limit,
									StateRange *range);

/* the entry for off, which is in [position, delivered) */
extern const StateDelivery *group_state_find_delivery(const PartitionState *state,
													  int64 off);

/* is the partition leased to anybody at this time? */
extern bool group_state_is_leased(const PartitionState *state, TimestampTz now);

/* ---- changes ---- */

/*
 * Offsets below first are gone: what was not done there is lost.  From `lost`
 * on there were no messages.
 */
extern void group_state_expire(PartitionState *state, int64 first, int64 lost);

/* new messages in [from, to) expired while the log was read */
extern void group_state_lose(PartitionState *state, int64 from, int64 to);

/*
 * The lease is over: what it held is handed out again, from position on.
 */
extern void group_state_end_lease(PartitionState *state);

/*
 * The message at off (>= cursor) is given out under the token; offsets between
 * the cursor and it are no messages.  Returns how often it has been given out
 * now.
 */
extern int	group_state_deliver(PartitionState *state, int64 off, uint64 token);

/* the offsets from the cursor up to off are no messages, or gone */
extern void group_state_skip(PartitionState *state, int64 off);

/*
 * Done are the messages in [from, to), a part of [position, delivered).  Returns how
 * many of them were not done before.
 */
extern int64 group_state_mark_done(PartitionState *state, int64 from, int64 to);

/* the lease ends when it holds nothing; returns true if it ended now */
extern bool group_state_release_if_idle(PartitionState *state);

/*
 * Given back: what was handed out from off on (an undone message below the
 * cursor) is handed out again, not before retry_at (0: at once).
 */
extern void group_state_give_back(PartitionState *state, int64 off, TimestampTz retry_at);

/* start anew at off: nothing outstanding, counters kept */
extern void group_state_move(PartitionState *state, int64 off);

/*
 * How much more may be handed out so that the encoded state stays below
 * STATE_BLOB_MAX in whatever order it is acknowledged.
 */
typedef struct StateRoom
{
	int64		dense;			/* offsets outside long done ranges */
	int64		nlong;			/* long done ranges */
} StateRoom;

extern void group_state_room_init(StateRoom *room, const PartitionState *state);

/* room for one more message that follows a gap of so many offsets? takes it */
extern bool group_state_room_take(StateRoom *room, int64 gap);

#endif
