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

typedef struct GroupState
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
	int64		lost_count;
	TimestampTz last_consumed_at;	/* 0: never */

	/* cover [position, delivered) */
	int			ndeliveries;
	StateDelivery deliveries[STATE_MAX_DELIVERIES + 2];

	/* sorted, apart from each other, within (position, delivered) */
	int			ndone;
	int			maxdone;
	StateRange *done;			/* palloc'd, NULL if there was never one */
} GroupState;

/* a new group's state: everything from position on is to be delivered */
extern void state_init(GroupState *state, int64 position);

/* returns the number of bytes, at most STATE_BLOB_MAX (54000 beyond that) */
extern int	state_encode(const GroupState *state, char *blob);
/* done ranges in the current memory context; XX001 if the bytes make no sense */
extern void state_decode(GroupState *state, const char *blob, int len);

/* append a done range behind the others, joining it with one it touches */
extern void state_append_done(GroupState *state, int64 from, int64 to);

/* messages handed out and not done in [position, off) */
extern int64 state_count_undone(const GroupState *state, int64 off);
#define state_in_flight(state) state_count_undone(state, (state)->cursor)
/* was the message at off handed out, and is not yet done? */
extern bool state_is_undone(const GroupState *state, int64 off);
/* the first undone range at or after off, below limit; false if none */
extern bool state_next_undone(const GroupState *state, int64 off, int64 limit,
							  StateRange *range);
/* the entry for off, which is in [position, delivered) */
extern const StateDelivery *state_find_delivery(const GroupState *state,
												int64 off);

/* is the partition leased to anybody at this time? */
extern bool state_is_leased(const GroupState *state, TimestampTz now);

/* ---- changes ---- */

/* offsets below first are gone: what was not done there is lost */
extern void state_expire(GroupState *state, int64 first);

/*
 * The lease is over: what it held is handed out again, from position on.
 */
extern void state_end_lease(GroupState *state);

/*
 * The message at off (>= cursor) is given out under the token; offsets between
 * the cursor and it are no messages.  Returns how often it has been given out
 * now.
 */
extern int	state_deliver(GroupState *state, int64 off, uint64 token);

/* the offsets from the cursor up to off are no messages, or gone */
extern void state_skip(GroupState *state, int64 off);

/*
 * Done are the messages in [from, to), a part of [position, delivered).  Returns how
 * many of them were not done before.
 */
extern int64 state_mark_done(GroupState *state, int64 from, int64 to);

/* the lease ends when it holds nothing; returns true if it ended now */
extern bool state_release_if_idle(GroupState *state);

/*
 * Given back: what was handed out from off on (an undone message below the
 * cursor) is handed out again, not before retry_at (0: at once).
 */
extern void state_give_back(GroupState *state, int64 off, TimestampTz retry_at);

/* start anew at off: nothing outstanding, counters kept */
extern void state_move(GroupState *state, int64 off);

/*
 * How much more may be handed out so that the encoded state stays below
 * STATE_BLOB_MAX in whatever order it is acknowledged.
 */
typedef struct StateRoom
{
	int64		dense;			/* offsets outside long done ranges */
	int64		nlong;			/* long done ranges */
} StateRoom;

extern void state_room_init(StateRoom *room, const GroupState *state);
/* room for one more message that follows a gap of so many offsets? takes it */
extern bool state_room_take(StateRoom *room, int64 gap);

#endif
