/*
 * ordered_codec.c
 *	  Encoding of a group's state in one partition, in ordered mode.
 *
 * Encoded state, all integers as varints (7 bits a byte, low ones first)
 * unless said otherwise:
 *
 *		flags (1 byte, ORDERED_HAS_*)
 *		position, cursor - position, delivered - position
 *		lease, if any: token (8 bytes), deadline (8 bytes), length of the
 *			consumer's name (1 byte), name
 *		retry, if any: retry_at (8 bytes), retry_offset - position
 *		counters: delivered, acked, redelivered, dead lettered, expired
 *		last_consumed_at (8 bytes), if ever
 *		number of deliveries; for each: length of the range, 2 * deliveries,
 *			plus 1 if some are excused, their number then, token (8 bytes)
 *		number of items of done ranges; the items follow each other from
 *			position on:
 *			2 * d, n	d offsets that are not done, then n that are
 *			1, 8 bytes	a bit for each of the next 64 offsets, set if done
 *		messages to be handed out again, if any: number of ranges; for each:
 *			offsets since the end of the previous range, length
 *
 * Single acknowledgements may leave many holes.  The bitmaps bound the size of
 * the state then.
 */
#include "postgres.h"

#include "group/mode.h"
#include "group/ordered_state.h"

#define ORDERED_HAS_LEASE		0x01
#define ORDERED_HAS_RETRY		0x02
#define ORDERED_HAS_CONSUMED	0x04
#define ORDERED_HAS_AGAIN		0x08
#define ORDERED_FLAGS			0x0f

#define CHUNK_OFFSETS		64
#define CHUNK_BYTES			9	/* size of a bitmap item */

/* upper limit of everything except the done ranges */
#define FIXED_MAX			(160 + ORDERED_MAX_DELIVERIES * 18)

/* ---- encoding ---- */

typedef struct Writer
{
	char	   *ptr;
	char	   *end;
} Writer;

typedef struct Reader
{
	const char *ptr;
	const char *end;
} Reader;

static void
report_too_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many unacknowledged messages in a partition"),
			 errhint("Acknowledge the oldest messages first.")));
}

static void
report_corrupt(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("invalid consumer group state")));
}

static void
put_bytes(Writer *w, const void *data, int len)
{
	if (w->end - w->ptr < len)
		report_too_large();
	memcpy(w->ptr, data, len);
	w->ptr += len;
}

static int
varint_size(uint64 value)
{
	int			size = 1;

	while (value >= 0x80)
	{
		value >>= 7;
		size++;
	}
	return size;
}

static void
put_varint(Writer *w, uint64 value)
{
	char		buf[10];
	int			len = 0;

	while (value >= 0x80)
	{
		buf[len++] = (char) (value | 0x80);
		value >>= 7;
	}
	buf[len++] = (char) value;
	put_bytes(w, buf, len);
}

static void
get_bytes(Reader *r, void *data, int len)
{
	if (r->end - r->ptr < len)
		report_corrupt();
	memcpy(data, r->ptr, len);
	r->ptr += len;
}

/* read an offset or count; a negative value is corruption */
static int64
get_varint(Reader *r)
{
	uint64		value = 0;
	int			shift = 0;

	for (;;)
	{
		uint8		byte;

		get_bytes(r, &byte, 1);
		value |= (uint64) (byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
		shift += 7;
		if (shift > 56)
			report_corrupt();
	}
	if (value > (uint64) PG_INT64_MAX)
		report_corrupt();
	return (int64) value;
}

/*
 * bytes needed as runs by the done ranges from i on that begin below off + 64
 */
static int
run_bytes(const OrderedState *state, int i, int64 off)
{
	int64		at = off;
	int			bytes = 0;

	for (; i < state->ndone && state->done[i].from < off + CHUNK_OFFSETS; i++)
	{
		int64		from = Max(state->done[i].from, at);

		bytes += varint_size((uint64) (from - at) << 1);
		bytes += varint_size(state->done[i].to - from);
		at = state->done[i].to;
		if (bytes > CHUNK_BYTES)
			break;
	}
	return bytes;
}

/* Write the items of the done ranges.  With w NULL, only count them. */
static int
encode_done(Writer *w, const OrderedState *state)
{
	int64		off = state->position;
	int			nitems = 0;
	int			i = 0;

	while (i < state->ndone)
	{
		if (run_bytes(state, i, off) > CHUNK_BYTES)
		{
			uint64		bits = 0;
			int64		chunk_end = off + CHUNK_OFFSETS;

			while (i < state->ndone && state->done[i].from < chunk_end)
			{
				int64		to = Min(state->done[i].to, chunk_end);

				for (int64 o = Max(state->done[i].from, off); o < to; o++)
					bits |= UINT64CONST(1) << (o - off);
				if (state->done[i].to > chunk_end)
					break;
				i++;
			}
			if (w)
			{
				put_varint(w, 1);
				put_bytes(w, &bits, sizeof(bits));
			}
			off = chunk_end;
		}
		else
		{
			int64		from = Max(state->done[i].from, off);

			if (w)
			{
				put_varint(w, (uint64) (from - off) << 1);
				put_varint(w, state->done[i].to - from);
			}
			off = state->done[i].to;
			i++;
		}
		nitems++;
	}
	return nitems;
}

static void
encode_again(Writer *w, const OrderedState *state)
{
	int64		at = 0;

	put_varint(w, state->nagain);
	for (int i = 0; i < state->nagain; i++)
	{
		put_varint(w, state->again[i].from - at);
		put_varint(w, state->again[i].to - state->again[i].from);
		at = state->again[i].to;
	}
}

/* the size of what encode_again() writes */
static int
count_again_bytes(const OrderedState *state)
{
	int64		at = 0;
	int			bytes;

	if (state->nagain == 0)
		return 0;
	bytes = varint_size(state->nagain);
	for (int i = 0; i < state->nagain; i++)
	{
		bytes += varint_size(state->again[i].from - at) +
			varint_size(state->again[i].to - state->again[i].from);
		at = state->again[i].to;
	}
	return bytes;
}

int
group_ordered_encode(const OrderedState *state, char *blob)
{
	Writer		w = {blob, blob + ORDERED_BLOB_MAX};
	uint8		flags = 0;
	int64		from = state->position;

	if (state->leased)
		flags |= ORDERED_HAS_LEASE;
	if (state->retry_at != 0)
		flags |= ORDERED_HAS_RETRY;
	if (state->last_consumed_at != 0)
		flags |= ORDERED_HAS_CONSUMED;
	if (state->nagain > 0)
		flags |= ORDERED_HAS_AGAIN;

	put_bytes(&w, &flags, 1);
	put_varint(&w, state->position);
	put_varint(&w, state->cursor - state->position);
	put_varint(&w, state->delivered - state->position);
	if (state->leased)
	{
		uint8		len = (uint8) strlen(state->consumer);

		put_bytes(&w, &state->token, sizeof(uint64));
		put_bytes(&w, &state->deadline, sizeof(TimestampTz));
		put_bytes(&w, &len, 1);
		put_bytes(&w, state->consumer, len);
	}
	if (state->retry_at != 0)
	{
		put_bytes(&w, &state->retry_at, sizeof(TimestampTz));
		put_varint(&w, state->retry_offset - state->position);
	}
	put_varint(&w, state->delivered_count);
	put_varint(&w, state->acked_count);
	put_varint(&w, state->redelivered_count);
	put_varint(&w, state->dead_lettered_count);
	put_varint(&w, state->expired_count);
	if (state->last_consumed_at != 0)
		put_bytes(&w, &state->last_consumed_at, sizeof(TimestampTz));

	put_varint(&w, state->ndeliveries);
	for (int i = 0; i < state->ndeliveries; i++)
	{
		const OrderedDelivery *d = &state->deliveries[i];

		put_varint(&w, d->to - from);
		put_varint(&w, (uint64) d->deliveries << 1 | (d->excused > 0));
		if (d->excused > 0)
			put_varint(&w, d->excused);
		put_bytes(&w, &d->token, sizeof(uint64));
		from = d->to;
	}

	put_varint(&w, encode_done(NULL, state));
	encode_done(&w, state);
	if (state->nagain > 0)
		encode_again(&w, state);

	return w.ptr - blob;
}

/*
 * Read the items of the done ranges.  Fails with XX001 if an item is
 * malformed, or if a range is not within (position, delivered).
 */
static void
decode_done(Reader *r, OrderedState *state)
{
	int64		nitems = get_varint(r);
	int64		off = state->position;

	for (int64 n = 0; n < nitems; n++)
	{
		int64		head = get_varint(r);

		if (head == 1)
		{
			uint64		bits;

			get_bytes(r, &bits, sizeof(bits));
			for (int i = 0; i < CHUNK_OFFSETS; i++)
				if (bits & (UINT64CONST(1) << i))
					group_ordered_append_done(state, off + i, off + i + 1);
			off += CHUNK_OFFSETS;
		}
		else
		{
			int64		length = get_varint(r);

			if ((head & 1) != 0 || length < 1 ||
				(head >> 1) > state->delivered - off ||
				length > state->delivered - off - (head >> 1))
				report_corrupt();
			off += head >> 1;
			group_ordered_append_done(state, off, off + length);
			off += length;
		}
	}
	if (state->ndone > 0 &&
		(state->done[0].from <= state->position ||
		 state->done[state->ndone - 1].to > state->delivered))
		report_corrupt();
}

static void
decode_again(Reader *r, OrderedState *state)
{
	int64		n = get_varint(r);
	int64		at = 0;

	if (n < 1 || n > ORDERED_BLOB_MAX / 2)
		report_corrupt();
	state->again = palloc(sizeof(GroupRange) * n);
	for (int64 i = 0; i < n; i++)
	{
		int64		gap = get_varint(r);
		int64		length = get_varint(r);

		if ((i > 0 && gap < 1) || length < 1 || gap > state->delivered - at ||
			length > state->delivered - at - gap)
			report_corrupt();
		state->again[i].from = at + gap;
		state->again[i].to = at = at + gap + length;
	}
	state->nagain = (int) n;
}

void
group_ordered_decode(OrderedState *state, const char *blob, int len)
{
	Reader		r = {blob, blob + len};
	uint8		flags;
	int64		cursor;
	int64		delivered;
	int64		from;
	int64		ndeliveries;

	get_bytes(&r, &flags, 1);
	if ((flags & ~ORDERED_FLAGS) != 0)
		report_corrupt();

	group_ordered_init(state, get_varint(&r));
	cursor = get_varint(&r);
	delivered = get_varint(&r);
	if (cursor > delivered || delivered > PG_INT64_MAX - state->position)
		report_corrupt();
	state->cursor = state->position + cursor;
	state->delivered = state->position + delivered;
	if (flags & ORDERED_HAS_LEASE)
	{
		uint8		namelen;

		state->leased = true;
		get_bytes(&r, &state->token, sizeof(uint64));
		get_bytes(&r, &state->deadline, sizeof(TimestampTz));
		get_bytes(&r, &namelen, 1);
		if (namelen > GROUP_CONSUMER_MAX)
			report_corrupt();
		get_bytes(&r, state->consumer, namelen);
		state->consumer[namelen] = '\0';
	}
	if (flags & ORDERED_HAS_RETRY)
	{
		get_bytes(&r, &state->retry_at, sizeof(TimestampTz));
		state->retry_offset = state->position + get_varint(&r);
	}
	state->delivered_count = get_varint(&r);
	state->acked_count = get_varint(&r);
	state->redelivered_count = get_varint(&r);
	state->dead_lettered_count = get_varint(&r);
	state->expired_count = get_varint(&r);
	if (flags & ORDERED_HAS_CONSUMED)
		get_bytes(&r, &state->last_consumed_at, sizeof(TimestampTz));

	ndeliveries = get_varint(&r);
	if (ndeliveries > ORDERED_MAX_DELIVERIES)
		report_corrupt();
	from = state->position;
	for (int i = 0; i < ndeliveries; i++)
	{
		OrderedDelivery *d = &state->deliveries[i];
		int64		length = get_varint(&r);
		int64		head = get_varint(&r);
		int64		count = head >> 1;
		int64		excused = (head & 1) != 0 ? get_varint(&r) : 0;

		if (length < 1 || length > state->delivered - from ||
			count > PG_INT32_MAX || excused > count)
			report_corrupt();
		d->to = from = from + length;
		d->deliveries = (int32) count;
		d->excused = (int32) excused;
		get_bytes(&r, &d->token, sizeof(uint64));
	}
	state->ndeliveries = (int) ndeliveries;
	if (from != state->delivered)
		report_corrupt();

	decode_done(&r, state);
	if (flags & ORDERED_HAS_AGAIN)
		decode_again(&r, state);
	if (r.ptr != r.end)
		report_corrupt();
}

void
group_ordered_room_init(OrderedRoom *room, const OrderedState *state)
{
	room->dense = state->delivered - state->position;
	room->nlong = 0;
	room->again_bytes = count_again_bytes(state);
	for (int i = 0; i < state->ndone; i++)
	{
		int64		length = state->done[i].to - state->done[i].from;

		if (length >= CHUNK_OFFSETS)
		{
			room->dense -= length;
			room->nlong++;
		}
	}
}

/*
 * Cost of 64 offsets: a bitmap, or at most as many bytes of runs, and
 * sometimes a run before the bitmap.  A long range costs a run and splits the
 * 64 offsets in which it is.
 */
static bool
fits(const OrderedRoom *room)
{
	return FIXED_MAX + room->again_bytes +
		(room->dense / CHUNK_OFFSETS + 1) * (CHUNK_BYTES + 3) +
		room->nlong * (2 * CHUNK_BYTES + 3) <= ORDERED_BLOB_MAX;
}

bool
group_ordered_room_take(OrderedRoom *room, int64 gap)
{
	OrderedRoom next = *room;

	next.dense++;
	if (gap >= CHUNK_OFFSETS)
		next.nlong++;
	else
		next.dense += gap;
	if (!fits(&next))
		return false;
	*room = next;
	return true;
}

/*
 * A message in a long range leaves two ranges, which may be short.  One below
 * the position leaves the range between them.
 */
bool
group_ordered_room_for_again(const OrderedState *state)
{
	OrderedRoom room;

	group_ordered_room_init(&room, state);
	room.dense += 1 + 2 * CHUNK_OFFSETS;
	room.nlong++;
	return fits(&room);
}

bool
group_ordered_room_fits(const OrderedState *state)
{
	OrderedRoom room;

	group_ordered_room_init(&room, state);
	return fits(&room);
}
