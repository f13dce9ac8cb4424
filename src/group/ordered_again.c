/*
 * ordered_again.c
 *	  Messages of a group in ordered mode that are handed out again after
 *	  they were done: redrive().
 *
 * These messages stay done until they are handed out.  So a redrive does not
 * disturb the consumer that holds the partition: nothing appears among its
 * messages that it was not given.  If the partition is leased, its holder gets
 * them within the lease.  If not, they are undone messages again before the
 * next lease begins, and are handed out in their turn.
 */
#include "postgres.h"

#include "group/mode.h"
#include "group/ordered_state.h"

/* index of the first range that ends after off */
static int
find_again(const OrderedState *state, int64 off)
{
	int			i = 0;

	while (i < state->nagain && state->again[i].to <= off)
		i++;
	return i;
}

/* add off to the ranges; returns false if it is there already */
static bool
add_again(OrderedState *state, int64 off)
{
	int			i = find_again(state, off);
	bool		before;
	bool		after;

	if (i < state->nagain && state->again[i].from <= off)
		return false;
	before = i > 0 && state->again[i - 1].to == off;
	after = i < state->nagain && state->again[i].from == off + 1;
	if (before && after)
	{
		state->again[i - 1].to = state->again[i].to;
		state->nagain--;
		memmove(state->again + i, state->again + i + 1,
				(state->nagain - i) * sizeof(GroupRange));
	}
	else if (before)
		state->again[i - 1].to++;
	else if (after)
		state->again[i].from--;
	else
	{
		Size		size = (state->nagain + 1) * sizeof(GroupRange);

		state->again = state->again == NULL ? palloc(size) : repalloc(state->again, size);
		memmove(state->again + i + 1, state->again + i,
				(state->nagain - i) * sizeof(GroupRange));
		state->again[i].from = off;
		state->again[i].to = off + 1;
		state->nagain++;
	}
	return true;
}

void
group_ordered_forget_again(OrderedState *state, int64 off)
{
	int			i = find_again(state, off);
	GroupRange *range;

	if (i == state->nagain || state->again[i].from > off)
		return;
	range = &state->again[i];
	if (range->from == off)
		range->from++;
	else if (range->to == off + 1)
		range->to--;
	else
	{
		int64		to = range->to;

		/* split it: a new range, which is extended then */
		range->to = off;
		(void) add_again(state, off + 1);
		state->again[i + 1].to = to;
		return;
	}
	if (range->from == range->to)
	{
		state->nagain--;
		memmove(state->again + i, state->again + i + 1,
				(state->nagain - i) * sizeof(GroupRange));
	}
}

bool
group_ordered_redrive(OrderedState *state, int64 off)
{
	if (off >= state->delivered || group_ordered_is_undone(state, off) ||
		!add_again(state, off))
		return true;
	if (group_ordered_room_fits(state))
		return true;
	group_ordered_forget_again(state, off);
	return false;
}

int64
group_ordered_count_again(const OrderedState *state, int64 off)
{
	int64		count = 0;

	for (int i = 0; i < state->nagain; i++)
		count += Max(0, state->again[i].to - Max(state->again[i].from, off));
	return count;
}

int64
group_ordered_needed(const OrderedState *state)
{
	return state->nagain > 0 ? Min(state->position, state->again[0].from) : state->position;
}

bool
group_ordered_deliver_again(OrderedState *state, int64 off, uint64 token)
{
	Assert(off < state->cursor);

	if (!group_ordered_room_for_again(state))
		return false;
	group_ordered_forget_again(state, off);
	group_ordered_mark_undone(state, off, token, 1);
	state->delivered_count++;
	state->redelivered_count++;
	return true;
}

void
group_ordered_requeue_again(OrderedState *state)
{
	Assert(!state->leased);

	while (state->nagain > 0 && group_ordered_room_for_again(state))
	{
		int64		off = state->again[0].from;

		group_ordered_forget_again(state, off);
		group_ordered_mark_undone(state, off, 0, 0);
	}
	state->cursor = state->position;
}
