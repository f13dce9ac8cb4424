/*
 * ordered_state.h
 *	  What a consumer group in ordered mode knows about one partition, and the
 *	  rules of the mode.
 *
 * Pure functions on a struct: no locks, no pages, no transactions.
 * ordered_version.c puts encoded states into the bytes of a group page,
 * ordered_store.c reads and writes them.
 *
 * The offsets of the partition as the group sees them:
 *
 *	   done     | handed out under the lease | handed out before | never
 *	 ...........position ................ cursor .......... delivered ......
 *
 * Between position and delivered some offsets are done already: acknowledged
 * out of order, or never a message (rolled back).  Those are the done ranges.
 * All other offsets there are messages that were handed out and wait for their
 * acknowledgement, so counting offsets outside the done ranges counts messages.
 */
#ifndef STREAMQ_GROUP_ORDERED_STATE_H
#define STREAMQ_GROUP_ORDERED_STATE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "group/mode.h"

/*
 * The longest encoded state.  A group page has room for three: the committed
 * one, one of the transaction and one of a savepoint in it, whatever they hold.
 */
#define ORDERED_BLOB_MAX		2640

/* as many unacknowledged messages fit into ORDERED_BLOB_MAX, however they are acknowledged */
#define ORDERED_MAX_IN_FLIGHT 10000

#define ORDERED_MAX_DELIVERIES 32	/* ranges with a delivery count of their
									 * own */

/* to whom and how often the messages from the previous entry's end on were given */
typedef struct OrderedDelivery
{
	int64		to;				/* exclusive */
	uint64		token;			/* of the lease they were last given under */
	int32		deliveries;
} OrderedDelivery;

typedef struct OrderedState
{
	int64		position;
	int64		cursor;
	int64		delivered;

	/* the lease on [position, cursor), if leased */
	bool		leased;
	uint64		token;
	TimestampTz deadline;
	char		consumer[GROUP_CONSUMER_MAX + 1];

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
	OrderedDelivery deliveries[ORDERED_MAX_DELIVERIES + 2];

	/* sorted, apart from each other, within (position, delivered) */
	int			ndone;
	int			maxdone;
	GroupRange *done;			/* palloc'd, NULL if there was never one */
} OrderedState;

/* a new group's state: everything from position on is to be delivered */
extern void group_ordered_init(OrderedState *state, int64 position);

/*
 * The state of a group that is so far.  Messages between done ranges count as
 * handed out, but not once.
 */
extern void group_ordered_init_progress(OrderedState *state, const GroupProgress *progress);

/* returns the number of bytes, at most ORDERED_BLOB_MAX (54000 beyond that) */
extern int	group_ordered_encode(const OrderedState *state, char *blob);

/* done ranges in the current memory context; XX001 if the bytes make no sense */
extern void group_ordered_decode(OrderedState *state, const char *blob, int len);

/* append a done range behind the others, joining it with one it touches */
extern void group_ordered_append_done(OrderedState *state, int64 from, int64 to);

/* messages handed out and not done in [position, off) */
extern int64 group_ordered_count_undone(const OrderedState *state, int64 off);
#define group_ordered_in_flight(state) group_ordered_count_undone(state, (state)->cursor)
/* was the message at off handed out, and is not yet done? */
extern bool group_ordered_is_undone(const OrderedState *state, int64 off);

/* the first undone range at or after off, below limit; false if none */
extern bool group_ordered_next_undone(const OrderedState *state, int64 off, int64 limit,
									  GroupRange *range);

/* the entry for off, which is in [position, delivered) */
extern const OrderedDelivery *group_ordered_find_delivery(const OrderedState *state,
														  int64 off);

/* is the partition leased to anybody at this time? */
extern bool group_ordered_is_leased(const OrderedState *state, TimestampTz now);

/* ---- changes ---- */

/*
 * Offsets below first are gone: what was not done there is lost.  From `lost`
 * on there were no messages.
 */
extern void group_ordered_expire(OrderedState *state, int64 first, int64 lost);

/* new messages in [from, to) expired while the log was read */
extern void group_ordered_lose(OrderedState *state, int64 from, int64 to);

/*
 * The lease is over: what it held is handed out again, from position on.
 */
extern void group_ordered_end_lease(OrderedState *state);

/*
 * The message at off (>= cursor) is given out under the token; offsets between
 * the cursor and it are no messages.  Returns how often it has been given out
 * now.
 */
extern int	group_ordered_deliver(OrderedState *state, int64 off, uint64 token);

/* the offsets from the cursor up to off are no messages, or gone */
extern void group_ordered_skip(OrderedState *state, int64 off);

/*
 * Done are the messages in [from, to), a part of [position, delivered).  Returns how
 * many of them were not done before.
 */
extern int64 group_ordered_mark_done(OrderedState *state, int64 from, int64 to);

/* the lease ends when it holds nothing; returns true if it ended now */
extern bool group_ordered_release_if_idle(OrderedState *state);

/*
 * Given back: what was handed out from off on (an undone message below the
 * cursor) is handed out again, not before retry_at (0: at once).
 */
extern void group_ordered_give_back(OrderedState *state, int64 off, TimestampTz retry_at);

/* start anew at off: nothing outstanding, counters kept */
extern void group_ordered_move(OrderedState *state, int64 off);

/*
 * How much more may be handed out so that the encoded state stays below
 * ORDERED_BLOB_MAX in whatever order it is acknowledged.
 */
typedef struct OrderedRoom
{
	int64		dense;			/* offsets outside long done ranges */
	int64		nlong;			/* long done ranges */
} OrderedRoom;

extern void group_ordered_room_init(OrderedRoom *room, const OrderedState *state);

/* room for one more message that follows a gap of so many offsets? takes it */
extern bool group_ordered_room_take(OrderedRoom *room, int64 gap);

#endif
