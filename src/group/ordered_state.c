/*
 * ordered_state.c
 *	  The state of a group in ordered mode in one partition, and the rules
 *	  of the mode.
 */
#include "postgres.h"

#include "group/mode.h"
#include "group/ordered_state.h"

/* ---- looking ---- */

void
group_ordered_init(OrderedState *state, int64 position)
{
	memset(state, 0, sizeof(OrderedState));
	state->position = state->cursor = state->delivered = position;
}

/* index of the first done range that ends after off */
static int
find_done(const OrderedState *state, int64 off)
{
	int			low = 0;
	int			high = state->ndone;

	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (state->done[mid].to > off)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

int64
group_ordered_count_undone(const OrderedState *state, int64 off)
{
	int64		count = Min(off, state->delivered) - state->position;

	if (count <= 0)
		return 0;
	for (int i = 0; i < state->ndone && state->done[i].from < off; i++)
		count -= Min(state->done[i].to, off) - state->done[i].from;
	return count;
}

bool
group_ordered_is_undone(const OrderedState *state, int64 off)
{
	int			i;

	if (off < state->position || off >= state->delivered)
		return false;
	i = find_done(state, off);
	return i == state->ndone || state->done[i].from > off;
}

bool
group_ordered_next_undone(const OrderedState *state, int64 off, int64 limit,
						  GroupRange *range)
{
	int			i;

	off = Max(off, state->position);
	limit = Min(limit, state->delivered);
	i = find_done(state, off);
	if (i < state->ndone && state->done[i].from <= off)
		off = state->done[i++].to;
	if (off >= limit)
		return false;
	range->from = off;
	range->to = limit;
	if (i < state->ndone)
		range->to = Min(limit, state->done[i].from);
	return true;
}

const OrderedDelivery *
group_ordered_find_delivery(const OrderedState *state, int64 off)
{
	Assert(off >= state->position && off < state->delivered);
	for (int i = 0; i < state->ndeliveries; i++)
		if (state->deliveries[i].to > off)
			return &state->deliveries[i];
	elog(ERROR, "offset is not covered by the consumer group's deliveries");
	return NULL;
}

bool
group_ordered_is_leased(const OrderedState *state, TimestampTz now)
{
	return state->leased && state->deadline > now;
}

/* ---- changing ---- */

/* make room for one more done range */
static void
reserve_done(OrderedState *state)
{
	if (state->ndone < state->maxdone)
		return;
	state->maxdone = Max(16, state->maxdone * 2);
	if (state->done == NULL)
		state->done = palloc(state->maxdone * sizeof(GroupRange));
	else
		state->done = repalloc(state->done,
							   state->maxdone * sizeof(GroupRange));
}

void
group_ordered_append_done(OrderedState *state, int64 from, int64 to)
{
	if (from >= to)
		return;
	if (state->ndone > 0 && state->done[state->ndone - 1].to >= from)
	{
		GroupRange *last = &state->done[state->ndone - 1];

		last->to = Max(last->to, to);
		return;
	}
	reserve_done(state);
	state->done[state->ndone].from = from;
	state->done[state->ndone].to = to;
	state->ndone++;
}

void
group_ordered_init_progress(OrderedState *state, const GroupProgress *progress)
{
	group_ordered_init(state, progress->position);
	if (progress->ndone == 0)
		return;
	for (int i = 0; i < progress->ndone; i++)
		group_ordered_append_done(state, progress->done[i].from, progress->done[i].to);
	state->delivered = progress->done[progress->ndone - 1].to;
	state->ndeliveries = 1;
	state->deliveries[0].to = state->delivered;
	state->deliveries[0].token = 0;
	state->deliveries[0].deliveries = state->deliveries[0].excused = 0;
}

/*
 * Move position over done ranges and dropped offsets, and everything that
 * refers to lower offsets with it.
 */
static void
advance_position(OrderedState *state, int64 position)
{
	int			n;

	if (state->ndone > 0 && state->done[0].from <= position)
	{
		n = find_done(state, position);
		if (n < state->ndone && state->done[n].from <= position)
			position = state->done[n++].to;
		state->ndone -= n;
		memmove(state->done, state->done + n,
				state->ndone * sizeof(GroupRange));
	}
	if (position == state->position)
		return;

	state->position = position;
	state->cursor = Max(state->cursor, position);
	state->delivered = Max(state->delivered, position);
	for (n = 0; n < state->ndeliveries; n++)
		if (state->deliveries[n].to > position)
			break;
	state->ndeliveries -= n;
	memmove(state->deliveries, state->deliveries + n,
			state->ndeliveries * sizeof(OrderedDelivery));
	if (state->retry_offset < position)
		state->retry_offset = state->retry_at = 0;
}

int64
group_ordered_mark_done(OrderedState *state, int64 from, int64 to)
{
	int			first;
	int			last;
	int64		count;

	from = Max(from, state->position);
	to = Min(to, state->delivered);
	if (from >= to)
		return 0;

	/* [first, last) are the ranges that overlap or touch [from, to) */
	first = find_done(state, from - 1);
	count = to - from;
	for (last = first; last < state->ndone && state->done[last].from <= to; last++)
		count -= Max(0, Min(state->done[last].to, to) -
					 Max(state->done[last].from, from));
	if (count == 0)
		return 0;

	if (last > first)
	{
		state->done[first].from = Min(state->done[first].from, from);
		state->done[first].to = Max(state->done[last - 1].to, to);
		memmove(state->done + first + 1, state->done + last,
				(state->ndone - last) * sizeof(GroupRange));
		state->ndone -= last - first - 1;
	}
	else
	{
		reserve_done(state);
		memmove(state->done + first + 1, state->done + first,
				(state->ndone - first) * sizeof(GroupRange));
		state->done[first].from = from;
		state->done[first].to = to;
		state->ndone++;
	}

	advance_position(state, state->position);
	return count;
}

/*
 * Limit the number of entries.  First, neighbors with equal content are
 * merged.  If that is not enough, neighbors with the least difference are
 * merged, and keep the higher count and its token.  Acknowledgements with the
 * other token may be refused then, and their messages are delivered once more.
 */
static void
compact_deliveries(OrderedState *state)
{
	OrderedDelivery *d = state->deliveries;
	int			n = 0;

	for (int i = 1; i < state->ndeliveries; i++)
	{
		if (d[i].token == d[n].token && d[i].deliveries == d[n].deliveries &&
			d[i].excused == d[n].excused)
			d[n].to = d[i].to;
		else
			d[++n] = d[i];
	}
	if (state->ndeliveries > 0)
		state->ndeliveries = n + 1;

	while (state->ndeliveries > ORDERED_MAX_DELIVERIES)
	{
		int			best = 0;

		for (int i = 1; i + 1 < state->ndeliveries; i++)
			if (abs(d[i].deliveries - d[i + 1].deliveries) <
				abs(d[best].deliveries - d[best + 1].deliveries))
				best = i;
		if (d[best].deliveries > d[best + 1].deliveries)
		{
			d[best + 1].token = d[best].token;
			d[best + 1].deliveries = d[best].deliveries;
			d[best + 1].excused = d[best].excused;
		}
		state->ndeliveries--;
		memmove(d + best, d + best + 1,
				(state->ndeliveries - best) * sizeof(OrderedDelivery));
	}
}

/* set the delivery of [from, to), in [position, delivered) */
static void
set_delivery(OrderedState *state, int64 from, int64 to, uint64 token, int32 deliveries)
{
	OrderedDelivery old[ORDERED_MAX_DELIVERIES + 2];
	int			nold = state->ndeliveries;
	OrderedDelivery *d = state->deliveries;
	OrderedDelivery entry = {to, token, deliveries};
	int			n = 0;
	int			i = 0;

	memcpy(old, d, nold * sizeof(OrderedDelivery));
	for (; i < nold && old[i].to <= from; i++)
		d[n++] = old[i];
	if (i < nold && from > (i > 0 ? old[i - 1].to : state->position))
	{
		d[n] = old[i];
		d[n++].to = from;
	}
	d[n++] = entry;
	for (; i < nold; i++)
		if (old[i].to > to)
			d[n++] = old[i];
	state->ndeliveries = n;
	compact_deliveries(state);
}

void
group_ordered_mark_undone(OrderedState *state, int64 off, uint64 token, int32 deliveries)
{
	int			i;
	GroupRange	range;

	if (off < state->position)
	{
		int64		position = state->position;

		/* [off + 1, position) does not touch the first done range */
		state->position = off;
		if (off + 1 < position)
		{
			reserve_done(state);
			memmove(state->done + 1, state->done, state->ndone * sizeof(GroupRange));
			state->done[0].from = off + 1;
			state->done[0].to = position;
			state->ndone++;
		}
		set_delivery(state, off, position, token, deliveries);
		return;
	}

	i = find_done(state, off);
	Assert(i < state->ndone && state->done[i].from <= off);
	range = state->done[i];
	if (range.from < off && off + 1 < range.to)
	{
		reserve_done(state);
		memmove(state->done + i + 1, state->done + i, (state->ndone - i) * sizeof(GroupRange));
		state->ndone++;
		state->done[i].to = off;
		state->done[i + 1].from = off + 1;
	}
	else if (range.from < off)
		state->done[i].to = off;
	else if (off + 1 < range.to)
		state->done[i].from = off + 1;
	else
	{
		state->ndone--;
		memmove(state->done + i, state->done + i + 1, (state->ndone - i) * sizeof(GroupRange));
	}

	/*
	 * The deliveries of done messages do not count any more.  So the whole
	 * range gets this one, and many messages in it need only one entry.
	 */
	set_delivery(state, range.from, range.to, token, deliveries);
}

bool
group_ordered_release_if_idle(OrderedState *state)
{
	if (!state->leased || group_ordered_in_flight(state) > 0)
		return false;
	state->leased = false;
	return true;
}

/* messages below first cannot be handed out again */
static void
expire_again(OrderedState *state, int64 first)
{
	int			n = 0;

	while (n < state->nagain && state->again[n].to <= first)
	{
		state->expired_count += state->again[n].to - state->again[n].from;
		n++;
	}
	state->nagain -= n;
	if (n > 0)
		memmove(state->again, state->again + n, state->nagain * sizeof(GroupRange));
	if (state->nagain > 0 && state->again[0].from < first)
	{
		state->expired_count += first - state->again[0].from;
		state->again[0].from = first;
	}
}

void
group_ordered_expire(OrderedState *state, int64 first, int64 lost)
{
	expire_again(state, first);
	if (first <= state->position)
		return;

	/*
	 * messages that were never handed out are counted by offsets, because the
	 * log does not have them any more
	 */
	state->expired_count += group_ordered_count_undone(state, first) +
		Max(0, Min(first, lost) - state->delivered);
	advance_position(state, first);
	group_ordered_release_if_idle(state);
}

void
group_ordered_lose(OrderedState *state, int64 from, int64 to)
{
	/* messages handed out before are counted when the cursor passes them */
	state->expired_count += Max(0, to - Max(from, state->delivered));
}

void
group_ordered_end_lease(OrderedState *state)
{
	state->leased = false;
	state->cursor = state->position;
}

void
group_ordered_skip(OrderedState *state, int64 off)
{
	if (off <= state->cursor)
		return;

	/* messages handed out before that retention has just dropped */
	if (state->cursor < state->delivered)
		state->expired_count += group_ordered_mark_done(state, state->cursor,
														Min(off, state->delivered));
	if (off > state->delivered)
	{
		int64		from = state->delivered;

		state->delivered = off;
		if (from == state->position)
		{
			/* nothing is outstanding before the gap */
			advance_position(state, off);
		}
		else
		{
			state->deliveries[state->ndeliveries - 1].to = off;
			group_ordered_append_done(state, from, off);
		}
	}
	state->cursor = off;
}

/* count another delivery of the message at off; returns the new number */
static int
redeliver(OrderedState *state, int64 off, uint64 token)
{
	OrderedDelivery *d = state->deliveries;
	int64		from = state->position;
	OrderedDelivery parts[3];
	int			nparts = 0;
	int			i = 0;
	int			deliveries;

	while (d[i].to <= off)
		from = d[i++].to;

	deliveries = d[i].deliveries;
	if (deliveries < PG_INT32_MAX)
		deliveries++;
	if (from < off)
	{
		parts[nparts] = d[i];
		parts[nparts++].to = off;
	}
	parts[nparts].to = off + 1;
	parts[nparts].token = token;
	parts[nparts].excused = d[i].excused;
	parts[nparts++].deliveries = deliveries;
	if (d[i].to > off + 1)
		parts[nparts++] = d[i];

	memmove(d + i + nparts, d + i + 1,
			(state->ndeliveries - i - 1) * sizeof(OrderedDelivery));
	memcpy(d + i, parts, nparts * sizeof(OrderedDelivery));
	state->ndeliveries += nparts - 1;
	compact_deliveries(state);

	return deliveries;
}

int
group_ordered_deliver(OrderedState *state, int64 off, uint64 token)
{
	int			deliveries = 1;

	Assert(off >= state->cursor);

	group_ordered_skip(state, off);
	state->delivered_count++;
	if (off < state->delivered)
	{
		deliveries = redeliver(state, off, token);
		state->redelivered_count++;
	}
	else
	{
		OrderedDelivery *entry = &state->deliveries[state->ndeliveries++];

		entry->to = off + 1;
		entry->token = token;
		entry->deliveries = 1;
		entry->excused = 0;
		compact_deliveries(state);
		state->delivered = off + 1;
	}
	state->cursor = off + 1;
	if (state->retry_at != 0 && state->retry_offset <= off)
		state->retry_offset = state->retry_at = 0;

	return deliveries;
}

int32
group_ordered_next_deliveries(const OrderedState *state, int64 off)
{
	int32		deliveries;

	if (off < state->position || off >= state->delivered)
		return 1;
	deliveries = group_ordered_find_delivery(state, off)->deliveries;
	return deliveries < PG_INT32_MAX ? deliveries + 1 : deliveries;
}

int32
group_ordered_excused(const OrderedState *state, int64 off)
{
	if (off < state->position || off >= state->delivered)
		return 0;
	return group_ordered_find_delivery(state, off)->excused;
}

void
group_ordered_dismiss(OrderedState *state, int64 off)
{
	Assert(off >= state->cursor);

	group_ordered_skip(state, off);
	if (off < state->delivered)
	{
		(void) group_ordered_mark_done(state, off, off + 1);
		state->cursor = Max(state->cursor, off + 1);
	}
	else
		group_ordered_skip(state, off + 1);
	if (state->retry_at != 0 && state->retry_offset <= off)
		state->retry_offset = state->retry_at = 0;
}

/* one more delivery of the messages in [from, to) is excused */
static void
excuse(OrderedState *state, int64 from, int64 to)
{
	OrderedDelivery old[ORDERED_MAX_DELIVERIES + 2];
	int			nold = state->ndeliveries;
	int64		start = state->position;
	int			n = 0;

	if (from >= to)
		return;
	memcpy(old, state->deliveries, nold * sizeof(OrderedDelivery));
	for (int i = 0; i < nold; i++)
	{
		int64		ends[3] = {Min(from, old[i].to), Min(to, old[i].to), old[i].to};

		/* before the range, in it, after it */
		for (int part = 0; part < lengthof(ends); part++)
		{
			OrderedDelivery *d = &state->deliveries[n];

			if (ends[part] <= start)
				continue;
			*d = old[i];
			d->to = start = ends[part];
			if (part == 1 && d->excused < d->deliveries)
				d->excused++;
			n++;
		}
	}
	state->ndeliveries = n;
	compact_deliveries(state);
}

void
group_ordered_give_back(OrderedState *state, int64 off, TimestampTz retry_at)
{
	Assert(off < state->cursor && group_ordered_is_undone(state, off));

	excuse(state, off + 1, state->cursor);
	state->cursor = off;
	state->retry_at = retry_at;
	state->retry_offset = retry_at != 0 ? off : 0;
	group_ordered_release_if_idle(state);
}

void
group_ordered_move(OrderedState *state, int64 off)
{
	state->position = state->cursor = state->delivered = off;
	state->leased = false;
	state->retry_at = state->retry_offset = 0;
	state->ndeliveries = 0;
	state->ndone = 0;
	state->nagain = 0;
}
