/*
 * ordered_take.c
 *	  Handing out messages in ordered mode.
 *
 * group_ordered_look() reads the state without a lock.  group_ordered_take()
 * locks the partition, looks again, reads the log, and writes the state.  A
 * partition locked by another transaction is skipped.
 *
 * The snapshot for reading messages is taken after the lock, also in
 * REPEATABLE READ: it must see all transactions on which the position is
 * based.
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/floor.h"
#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/group_ring.h"
#include "group/memory.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/ordered.h"
#include "group/ordered_state.h"
#include "group/ordered_store.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/space.h"

/*
 * if so many acknowledged messages follow each other, start a new scan after
 * them instead of reading them
 */
#define JUMP_MESSAGES		256

/*
 * Set the outlook by a state.  Offsets that are new in the log count as
 * messages, even if they were rolled back.
 */
static void
look_at_state(const GroupConsumer *consumer, int partition, const OrderedState *state,
			  TimestampTz now, GroupOutlook *outlook)
{
	bool		held = false;
	int64		from = state->position;
	GroupRange	run;

	outlook->promise = GROUP_PROMISES_NOTHING;
	outlook->position = state->position;
	outlook->next = 0;
	outlook->wake_at = DT_NOEND;

	if (state->leased && state->deadline <= now &&
		group_ordered_next_undone(state, from, state->cursor, &run))
	{
		const OrderedDelivery *delivery = group_ordered_find_delivery(state, run.from);
		TimestampTz at = group_retry_time(consumer->group,
										  delivery->deliveries - delivery->excused,
										  state->deadline);

		if (at > now)
		{
			outlook->wake_at = at;
			return;
		}
	}
	if (group_ordered_is_leased(state, now))
	{
		held = strcmp(state->consumer, consumer->name) == 0;
		if (!held)
		{
			outlook->wake_at = state->deadline;
			return;
		}
		from = state->cursor;
		if (!consumer->auto_ack &&
			group_ordered_in_flight(state) >= consumer->group->max_in_flight)
		{
			outlook->wake_at = state->deadline;
			return;
		}
	}

	if (state->nagain > 0)
	{
		outlook->promise = held ? GROUP_PROMISES_OWN : GROUP_PROMISES_MESSAGES;
		outlook->next = state->again[0].from;
		return;
	}

	/* messages that were handed out before come first, then new messages */
	if (group_ordered_next_undone(state, from, state->delivered, &run))
		from = run.from;
	else
		from = Max(from, state->delivered);
	if (from >= log_next_offset(consumer->rel, partition))
		return;
	if (state->retry_at > now && from >= state->retry_offset)
	{
		outlook->wake_at = state->retry_at;
		return;
	}
	outlook->promise = held ? GROUP_PROMISES_OWN : GROUP_PROMISES_MESSAGES;
	outlook->next = from;
}

void
group_ordered_look(const GroupConsumer *consumer, int partition, TimestampTz now,
				   GroupOutlook *outlook)
{
	OrderedState state;

	group_ordered_check_serializable(consumer->rel, consumer->group, partition);
	group_ordered_read(consumer->rel, consumer->group, partition, &state);
	look_at_state(consumer, partition, &state, now, outlook);
}

/* handing out messages of one partition */
typedef struct Delivery
{
	const GroupConsumer *consumer;
	int			partition;
	OrderedState *state;
	uint64		token;
	TimestampTz now;
	int64		limit;
	Snapshot	snapshot;
	int64		in_flight;
	int			n;				/* messages handed out */
	bool		limited;		/* the limit kept messages back */
	bool		buried;			/* dead letters were written */
} Delivery;

static bool
wants_more(const Delivery *d)
{
	return group_wants_more(d->consumer) &&
		(d->consumer->auto_ack || d->in_flight < d->consumer->group->max_in_flight);
}

/* is off one of the messages to be handed out again, within the lease? */
static bool
is_again(const OrderedState *state, int64 off)
{
	return group_ordered_count_again(state, off) > group_ordered_count_again(state, off + 1);
}

/*
 * Hand out the message in the slot, or do what group_judge() says.  Returns
 * false if neither this message nor a later one can be handed out.
 */
static bool
hand_out(Delivery *d, LogReader *reader, int64 off)
{
	const GroupConsumer *consumer = d->consumer;
	OrderedState *state = d->state;
	bool		again = is_again(state, off);
	LogKeptRow	row;
	GroupVerdict verdict;

	row.msg_id = LOG_MSG_ID(d->partition, off);
	row.produced_at = log_reader_produced_at(reader);
	row.note = again ? 1 : group_ordered_next_deliveries(state, off);
	verdict = group_judge(consumer, &row, again ? 0 : group_ordered_excused(state, off));
	if (verdict == GROUP_STOP)
		return false;
	if (verdict == GROUP_DELIVER)
	{
		if (!again)
			(void) group_ordered_deliver(state, off, d->token);
		else if (!group_ordered_deliver_again(state, off, d->token))
			return false;
		group_messages_add(consumer->messages, consumer->rel, consumer->slot, &row);
		d->n++;
		if (consumer->auto_ack)
		{
			group_ordered_mark_done(state, off, off + 1);
			state->acked_count++;
		}
		else
			d->in_flight++;
		return true;
	}

	if (again)
		group_ordered_forget_again(state, off);
	else
		group_ordered_dismiss(state, off);
	if (verdict == GROUP_EXPIRE)
		state->expired_count++;
	else if (verdict == GROUP_BURY)
	{
		state->dead_lettered_count++;
		d->buried = true;
	}
	return true;
}

/* hand out messages that are done, again, within the running lease */
static void
deliver_again(Delivery *d)
{
	OrderedState *state = d->state;
	bool		stopped = false;

	while (state->nagain > 0 && wants_more(d) && !stopped)
	{
		int64		next = state->again[0].from;
		int64		to = state->again[0].to;
		LogReader  *reader = log_reader_begin(d->consumer->rel, d->partition, next, to,
											  d->snapshot, true);

		while (wants_more(d) && !stopped && log_reader_next(reader, d->consumer->slot))
		{
			int64		off = log_reader_offset(reader);

			/* others between have expired */
			for (; next < off; next++)
			{
				group_ordered_forget_again(state, next);
				state->expired_count++;
			}
			stopped = !hand_out(d, reader, off);
			if (stopped)
				break;
			next = off + 1;
			if (!d->consumer->auto_ack)
				group_memory_note(d->consumer->group->group_id, d->partition, off, next,
								  d->token);
		}
		/* nothing left of the range although there was time: it has expired */
		if (!stopped && wants_more(d))
			for (; next < to; next++)
			{
				group_ordered_forget_again(state, next);
				state->expired_count++;
			}
		log_reader_end(reader);
	}
}

/*
 * Take room for the new offsets up to off.  Messages that are not handed out
 * may have become one long done range, which needs less room than was taken.
 */
static bool
take_room(const OrderedState *state, OrderedRoom *room, int64 off)
{
	int64		gap = state->position == state->delivered ? 0 : off - state->delivered;

	if (state->position == state->delivered)
		room->dense = room->nlong = 0;
	if (group_ordered_room_take(room, gap))
		return true;
	group_ordered_room_init(room, state);
	return group_ordered_room_take(room, gap);
}

/*
 * Read the log from the cursor up to the limit, and hand out messages as the
 * rules allow.
 */
static void
deliver_in_order(Delivery *d)
{
	const GroupConsumer *consumer = d->consumer;
	OrderedState *state = d->state;
	LogReader  *reader;
	OrderedRoom room;
	int64		end = d->limit;

	if (state->retry_at > d->now)
		end = Min(end, Max(state->cursor, state->retry_offset));
	group_ordered_room_init(&room, state);

	reader = log_reader_begin(consumer->rel, d->partition, state->cursor, end, d->snapshot, true);
	while (wants_more(d))
	{
		bool		found = log_reader_next(reader, consumer->slot);
		int64		off = found ? log_reader_offset(reader) : log_reader_position(reader);
		int64		from;
		int64		to;

		/* new offsets need room in the state, unless nothing is outstanding */
		if (off >= state->delivered && !take_room(state, &room, off))
			break;
		if (log_reader_expired(reader, &from, &to))
			group_ordered_lose(state, Max(from, state->cursor), to);
		if (!found)
		{
			d->limited = off >= d->limit;
			group_ordered_skip(state, off);
			break;
		}

		if (off < state->delivered && !group_ordered_is_undone(state, off))
		{
			GroupRange	run;

			/* acknowledged out of order */
			if (!group_ordered_next_undone(state, off, state->delivered, &run))
				run.from = state->delivered;
			if (run.from - off >= JUMP_MESSAGES)
			{
				log_reader_end(reader);
				reader = log_reader_begin(consumer->rel, d->partition, run.from, end,
										  d->snapshot, true);
			}
			continue;
		}
		if (!hand_out(d, reader, off))
			break;
	}
	log_reader_end(reader);
}

static void
deliver_messages(Delivery *d)
{
	d->snapshot = group_message_snapshot();
	d->in_flight = group_ordered_in_flight(d->state);
	if (d->state->leased)
		deliver_again(d);
	deliver_in_order(d);
	ExecClearTuple(d->consumer->slot);
	UnregisterSnapshot(d->snapshot);
}

/* update the state after handing out messages from first to the cursor */
static void
finish_delivery(const GroupConsumer *consumer, int partition, OrderedState *state,
				uint64 token, int64 first, TimestampTz now)
{
	Relation	rel = consumer->rel;
	const ConsumerGroup *group = consumer->group;

	if (!consumer->auto_ack)
	{
		TimestampTz deadline = group_add_interval(now, consumer->lease, "lease", false);

		if (!state->leased || state->deadline < deadline)
			state->deadline = deadline;
		state->leased = true;
		state->token = token;
		strlcpy(state->consumer, consumer->name, sizeof(state->consumer));
		group_memory_note(group->group_id, partition, first, state->cursor, token);
	}
	state->last_consumed_at = now;
	group_ordered_write(rel, group, partition, state);
	group_ring_at_end(RelationGetRelid(rel),
					  !state->leased &&
					  (state->cursor < log_next_offset(rel, partition) ||
					   log_partitions_depend(rel)));
}

void
group_ordered_take(const GroupConsumer *consumer, int partition, int64 limit,
				   GroupTaken *taken)
{
	Relation	rel = consumer->rel;
	const ConsumerGroup *group = consumer->group;
	GroupLock	lock = group_lock_partition(group->group_id, partition, GROUP_LOCK_EXCLUSIVE, false);
	TimestampTz now = GetCurrentTimestamp();
	OrderedState state;
	GroupOutlook outlook;
	int64		delivered;
	int64		first;
	uint64		token;
	bool		had_again;
	Delivery	delivery = {.consumer = consumer, .partition = partition, .limit = limit};

	if (lock == GROUP_LOCK_BUSY)
	{
		taken->busy = true;
		return;
	}
	if (!group_is_current(rel, group))
	{
		if (lock == GROUP_LOCK_TAKEN)
			group_unlock_partition(group->group_id, partition, GROUP_LOCK_EXCLUSIVE);
		taken->busy = true;
		return;
	}
	group_ordered_check_serializable(rel, group, partition);
	group_ordered_read(rel, group, partition, &state);
	look_at_state(consumer, partition, &state, now, &outlook);
	taken->position = outlook.position;
	taken->wake_at = outlook.wake_at;
	taken->limited = outlook.promise != GROUP_PROMISES_NOTHING && outlook.next >= limit;
	if (outlook.promise == GROUP_PROMISES_NOTHING || taken->limited)
	{
		if (lock == GROUP_LOCK_TAKEN)
			group_unlock_partition(group->group_id, partition, GROUP_LOCK_EXCLUSIVE);
		return;
	}

	delivered = state.delivered;
	had_again = state.nagain > 0;
	if (!group_ordered_is_leased(&state, now))
	{
		/*
		 * Expired messages of a running lease are not lost yet, because the
		 * consumer may acknowledge them.  Without a lease, they are counted
		 * as expired.
		 */
		group_ordered_end_lease(&state);
		first = group_first_offset(rel, group, partition);
		if (group_ordered_needed(&state) < first)
			group_ordered_expire(&state, first, group_expired_offset(rel, group, partition));
		group_ordered_requeue_again(&state);
	}
	token = state.leased ? state.token : group_memory_make_token();
	first = state.cursor;

	delivery.state = &state;
	delivery.token = token;
	delivery.now = now;
	deliver_messages(&delivery);
	taken->limited = delivery.limited;
	if (delivery.n > 0)
		finish_delivery(consumer, partition, &state, token, first, now);
	else if (delivery.buried || had_again)
	{
		/* dead letters are written in this transaction, and so is a redrive */
		group_ordered_write(rel, group, partition, &state);
		group_ring_at_end(RelationGetRelid(rel), true);
	}
	else
	{
		/*
		 * no message, but rolled-back or expired offsets: save that they need
		 * not be read again
		 */
		if (state.position != outlook.position || state.delivered != delivered)
			group_ordered_write_settled(rel, group, partition, &state);
		if (lock == GROUP_LOCK_TAKEN)
			group_unlock_partition(group->group_id, partition, GROUP_LOCK_EXCLUSIVE);
	}

	if (state.position != outlook.position)
		group_memory_forget(group->group_id, partition, state.position);
	taken->position = state.position;
}
