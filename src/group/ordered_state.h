/*
 * ordered_state.h
 *	  The state of a group in ordered mode in one partition, and the rules
 *	  of the mode.
 *
 * Functions here work on a struct only: no locks, no pages, no transactions.
 * ordered_codec.c encodes the struct, ordered_version.c stores versions of it
 * in the bytes of a page, and ordered_store.c reads and writes the page.
 *
 * The offsets of the partition as the group sees them:
 *
 *	   done     | handed out under the lease | handed out before | never
 *	 ...........position ................ cursor .......... delivered ......
 *
 * Some offsets between position and delivered are done: acknowledged out of
 * order, or not a message (rolled back).  They are kept as done ranges.  Each
 * other offset there is a message that was handed out and not acknowledged
 * yet, so the number of messages is the number of offsets outside the done
 * ranges.
 */
#ifndef STREAMQ_GROUP_ORDERED_STATE_H
#define STREAMQ_GROUP_ORDERED_STATE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "group/mode.h"

/*
 * The longest encoded state.  A page has room for three of this size: the
 * committed one, the one of the current transaction, and the one of a
 * savepoint in it.
 */
#define ORDERED_BLOB_MAX		2640

/*
 * This many unacknowledged messages always fit into ORDERED_BLOB_MAX, in
 * whatever order they are acknowledged.
 */
#define ORDERED_MAX_IN_FLIGHT 10000

#define ORDERED_MAX_DELIVERIES 32	/* ranges with their own delivery count */

/* delivery of a range of messages, which starts where the previous one ends */
typedef struct OrderedDelivery
{
	int64		to;				/* exclusive */
	uint64		token;			/* of the lease under which they were given
								 * last */
	int32		deliveries;
	int32		excused;		/* deliveries that ended because a message
								 * before them was given back */
} OrderedDelivery;

/* the state of a partition; see the picture above for the offsets */
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

	/* nack: nothing from retry_offset on before retry_at (0: no limit) */
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

	/* sorted, not touching each other, within (position, delivered) */
	int			ndone;
	int			maxdone;
	GroupRange *done;			/* palloc'd, NULL if there was never one */

	/*
	 * redrive: done messages to be handed out again.  They are sorted, below
	 * delivered, and some may be below position.
	 */
	int			nagain;
	GroupRange *again;			/* palloc'd, NULL if there was never one */
} OrderedState;

/* initial state of a group: everything from position on is to be delivered */
extern void group_ordered_init(OrderedState *state, int64 position);

/*
 * The state that corresponds to some progress.  Messages between done ranges
 * count as handed out, with zero deliveries.
 */
extern void group_ordered_init_progress(OrderedState *state, const GroupProgress *progress);

/* returns the number of bytes; fails with 54000 beyond ORDERED_BLOB_MAX */
extern int	group_ordered_encode(const OrderedState *state, char *blob);

/* XX001 if the bytes are invalid; state->done is in the current context */
extern void group_ordered_decode(OrderedState *state, const char *blob, int len);

/* append a done range after the others, merging it with one that it touches */
extern void group_ordered_append_done(OrderedState *state, int64 from, int64 to);

/* number of messages in [position, off) that are handed out and not done */
extern int64 group_ordered_count_undone(const OrderedState *state, int64 off);
#define group_ordered_in_flight(state) group_ordered_count_undone(state, (state)->cursor)
/* was the message at off handed out and is not done yet? */
extern bool group_ordered_is_undone(const OrderedState *state, int64 off);

/* find the first undone range at or after off, below limit; false if none */
extern bool group_ordered_next_undone(const OrderedState *state, int64 off, int64 limit,
									  GroupRange *range);

/* the entry for off; off must be in [position, delivered) */
extern const OrderedDelivery *group_ordered_find_delivery(const OrderedState *state,
														  int64 off);

/* is the partition leased now, to any consumer? */
extern bool group_ordered_is_leased(const OrderedState *state, TimestampTz now);

/* ---- changes ---- */

/*
 * Retention dropped all offsets below first: count messages that were not done
 * there as expired.  Offsets from `lost` on were no messages.
 */
extern void group_ordered_expire(OrderedState *state, int64 first, int64 lost);

/* count new messages in [from, to) that expired while the log was read */
extern void group_ordered_lose(OrderedState *state, int64 from, int64 to);

/* end the lease; its messages are handed out again, from position on */
extern void group_ordered_end_lease(OrderedState *state);

/*
 * Hand out the message at off (>= cursor) under the token.  Offsets between
 * the cursor and off are no messages.  Returns the number of its deliveries,
 * with this one.
 */
extern int	group_ordered_deliver(OrderedState *state, int64 off, uint64 token);

/* the number of deliveries that group_ordered_deliver() would return */
extern int32 group_ordered_next_deliveries(const OrderedState *state, int64 off);

/*
 * Deliveries of the message that say nothing about it.  They do not count for
 * max_deliveries.
 */
extern int32 group_ordered_excused(const OrderedState *state, int64 off);

/*
 * Mark the message at off (>= cursor) as done instead of handing it out, and
 * move the cursor after it.
 */
extern void group_ordered_dismiss(OrderedState *state, int64 off);

/* move the cursor to off, over offsets that are no messages or were dropped */
extern void group_ordered_skip(OrderedState *state, int64 off);

/*
 * Mark the messages in [from, to) as done; the range must lie within
 * [position, delivered).  Returns how many of them were not done before.
 */
extern int64 group_ordered_mark_done(OrderedState *state, int64 from, int64 to);

/*
 * Undo that the message at off is done: it was delivered so often, last under
 * the token.  The position goes back if the message is below it.
 */
extern void group_ordered_mark_undone(OrderedState *state, int64 off, uint64 token,
									  int32 deliveries);

/* end the lease if it holds no messages; true if it ended now */
extern bool group_ordered_release_if_idle(OrderedState *state);

/*
 * Hand out again what was handed out from off on, but not before retry_at (0:
 * at once).  off must be an undone message below the cursor.  The messages
 * after it are excused.
 */
extern void group_ordered_give_back(OrderedState *state, int64 off, TimestampTz retry_at);

/*
 * Note that a message below delivered is to be handed out again.  Nothing is
 * noted for a message that is not done, because it will be handed out anyway.
 * Returns false if there is no room.
 */
extern bool group_ordered_redrive(OrderedState *state, int64 off);

/* the messages of group_ordered_redrive() are done after all */
extern void group_ordered_forget_again(OrderedState *state, int64 off);

/*
 * Hand out one of these messages under the token, within the running lease:
 * off must be below the cursor.  False if there is no room.
 */
extern bool group_ordered_deliver_again(OrderedState *state, int64 off, uint64 token);

/*
 * Without a lease, turn these messages into messages that are handed out in
 * their turn, as far as there is room.  The position goes back to the first.
 */
extern void group_ordered_requeue_again(OrderedState *state);

/* number of these messages at off and after it */
extern int64 group_ordered_count_again(const OrderedState *state, int64 off);

/* the least offset that is not done, or is to be handed out again */
extern int64 group_ordered_needed(const OrderedState *state);

/* start over at off: nothing is outstanding, counters are kept */
extern void group_ordered_move(OrderedState *state, int64 off);

/*
 * How much more may be handed out so that the encoded state stays below
 * ORDERED_BLOB_MAX, in whatever order the messages are acknowledged.
 */
typedef struct OrderedRoom
{
	int64		dense;			/* offsets outside long done ranges */
	int64		nlong;			/* long done ranges */
	int			again_bytes;	/* size of the messages to be handed out again */
} OrderedRoom;

extern void group_ordered_room_init(OrderedRoom *room, const OrderedState *state);

/* take room for a message after a gap of so many offsets; false if full */
extern bool group_ordered_room_take(OrderedRoom *room, int64 gap);

/* is there room to make a message undone, wherever it is? */
extern bool group_ordered_room_for_again(const OrderedState *state);

/* do the messages to be handed out again fit? */
extern bool group_ordered_room_fits(const OrderedState *state);

#endif
