/*
 * key_take.c
 *	  Claiming messages in key_shared mode.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "utils/snapmgr.h"

#include "group/floor.h"
#include "group/inflight.h"
#include "group/key_order.h"
#include "group/key_shared.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/shared_mode.h"
#include "group/shared_take.h"
#include "log/log.h"
#include "log/reader.h"

/* messages to look for at a time */
#define PEEK_MAX			1000

/* new messages of a key that become entries together */
#define RUN_MAX				15
#define RUN_ROOM(n)			(2 * (n))

StaticAssertDecl(RUN_ROOM(RUN_MAX) <= INFLIGHT_MAX_ROOM, "room is checked once for them");

/* so many messages of a partition may wait for their keys */
#define MAX_WAITING			1000000

/* ---- old messages ---- */

/*
 * The message is free, but its key is not.  Block the message if an earlier
 * one will unblock it, so that no consumer looks at it until then.
 */
static void
block_message(SharedTake *take, uint32 hash, int64 off)
{
	const InflightEntry *entry = group_inflight_seek_key(take->tree, hash, off);
	InflightEntry blocked = *entry;

	if (entry->nlevels > 1 || entry->levels[0].kind != INFLIGHT_AVAILABLE)
		return;
	blocked.levels[0].time = KEY_BLOCKED;
	group_inflight_replace(take->tree, &blocked, 1);
}

/* let the next round of this take find the message */
static void
unblock_message(SharedTake *take, const InflightEntry *entry)
{
	InflightEntry changed = *entry;

	if (group_key_clear_blocked(&changed))
		group_inflight_replace(take->tree, &changed, 1);
}

/* may the entry follow the messages of its key that were claimed just now? */
static bool
may_follow(SharedTake *take, const InflightEntry *entry)
{
	const InflightLevel *top = group_inflight_top(entry);
	TimestampTz at = DT_NOEND;

	return !group_inflight_is_foreign(entry) &&
		(group_shared_is_free(take->group, entry, take->now, &at) ||
		 (top->kind == INFLIGHT_AVAILABLE && top->time == KEY_BLOCKED));
}

/* does the consumer have this message already, or is it done? */
static bool
is_mine(SharedTake *take, const InflightEntry *entry)
{
	const InflightLevel *top = group_inflight_top(entry);

	if (top->kind == INFLIGHT_DONE)
		return !group_inflight_is_foreign(entry);
	return top->kind == INFLIGHT_LEASED && top->consumer == take->consumer->number &&
		top->time > take->now;
}

/* retention has dropped the message */
static void
expire_message(SharedTake *take, uint32 hash, int64 off)
{
	(void) group_inflight_seek_key(take->tree, hash, off);
	group_inflight_replace(take->tree, NULL, 0);
	group_inflight_head(take->tree)->expired++;
	group_inflight_head_changed(take->tree);
	(void) group_key_unblock(take->tree, hash);
}

static void
claim_message(SharedTake *take, const InflightEntry *entry)
{
	InflightEntry claimed = *entry;

	group_shared_take_claim(take, &claimed);
	group_inflight_replace(take->tree, &claimed, 1);
	if (take->consumer->auto_ack)
		take->unblocked |= group_key_unblock(take->tree, claimed.hash);
}

/*
 * Claim a message, if its key is free, and the messages of the key that follow
 * it.  Returns the offset of the last message that was dealt with.  The cursor
 * of the tree may be anywhere afterwards.
 */
static int64
claim_key(SharedTake *take, uint32 hash, int64 off, int64 first)
{
	const InflightEntry *entry;
	KeyOrder	order;
	int64		places;

	if (off < first)
	{
		expire_message(take, hash, off);
		return off;
	}
	group_key_look(take, hash, off, &order);
	places = group_key_places(take, &order);
	if (order.taken && order.may_block)
		block_message(take, hash, off);
	if (places == 0)
		return off;

	entry = group_inflight_seek_key(take->tree, hash, off);
	while (entry != NULL)
	{
		if (!is_mine(take, entry))
		{
			if (places == 0 || !may_follow(take, entry) ||
				entry->from >= group_inflight_head(take->tree)->frontier)
				break;
			if (take->nclaims == SHARED_MAX_CLAIMS)
			{
				unblock_message(take, entry);
				break;
			}
			if (!group_shared_take_wants_more(take))
				break;
			if (entry->from >= take->limit)
			{
				take->limited = true;
				break;
			}
			if (group_inflight_top(entry)->deliveries == 0 &&
				take->places <= 0)
			{
				/* the filter may make places */
				unblock_message(take, entry);
				group_shared_take_note_refused(take);
				break;
			}
			if (!group_shared_make_room(&take->tree, take->rel, take->group,
										take->partition, SHARED_CLAIM_ROOM))
			{
				entry = group_inflight_seek_key(take->tree, hash, off + 1);
				continue;
			}
			off = entry->from;
			claim_message(take, entry);
			places--;
		}
		else
			off = entry->from;
		entry = group_inflight_seek_key(take->tree, hash, off + 1);
	}
	return off;
}

/* claim what is due among the keys whose hashes are in [from, to] */
static void
claim_keys(SharedTake *take, uint32 from, uint32 to)
{
	int64		first = group_first_offset(take->rel, take->group, take->partition);
	const InflightEntry *entry = group_inflight_seek(take->tree, from, 0);

	while (entry != NULL && entry->hash <= to && group_shared_take_wants_more(take))
	{
		uint32		hash = entry->hash;
		int64		off = entry->from;

		if (off >= group_inflight_head(take->tree)->frontier ||
			!group_shared_is_free(take->group, entry, take->now, &take->wake_at))
			entry = group_inflight_next_due(take->tree, take->now);
		else if (!group_shared_make_room(&take->tree, take->rel, take->group, take->partition,
										 SHARED_CLAIM_ROOM))
			entry = group_inflight_seek(take->tree, hash, off);
		else
			entry = group_inflight_seek(take->tree, hash, claim_key(take, hash, off, first) + 1);
	}
}

/* begin with a different key each time, because a consumer may want few */
void
group_key_claim_old(SharedTake *take)
{
	uint32		start = pg_prng_uint32(&pg_global_prng_state);

	claim_keys(take, start, PG_UINT32_MAX);
	if (start > 0 && group_shared_take_wants_more(take))
		claim_keys(take, 0, start - 1);
}

/* ---- new messages ---- */

void
group_key_peek(SharedTake *take, int64 frontier, KeyPeek *peek)
{
	int64		want = take->wanted - take->nclaimed;
	int			max = (int) Min(want + take->slack, PEEK_MAX);
	LogKeyHash *key = log_key_hash_create(take->rel);
	TupleTableSlot *slot = take->consumer->slot;
	Snapshot	snapshot = group_message_snapshot();
	LogReader  *reader = log_reader_begin(take->rel, take->partition, frontier, take->limit,
										  snapshot, true);

	peek->nrows = 0;
	peek->rows = palloc(max * sizeof(KeyRow));
	peek->expired_from = peek->expired_to = 0;
	while (peek->nrows < max)
	{
		bool		found = log_reader_next(reader, slot);
		int64		from;
		int64		to;

		if (log_reader_expired(reader, &from, &to))
		{
			if (peek->expired_to == 0)
				peek->expired_from = from;
			peek->expired_to = to;
		}
		if (!found)
			break;
		peek->rows[peek->nrows].off = log_reader_offset(reader);
		peek->rows[peek->nrows].hash = group_key_hash(key, slot, log_reader_offset(reader));
		peek->nrows++;
	}
	peek->end = log_reader_position(reader);
	log_reader_end(reader);
	ExecClearTuple(slot);
	UnregisterSnapshot(snapshot);
}

/*
 * Make entries of messages of one key.  Another consumer may have entered some
 * of them, or a transaction that crashed.
 */
static void
enter_key(SharedTake *take, const KeyRow *rows, int n)
{
	KeyOrder	order;
	int64		places;

	group_key_look(take, rows[0].hash, rows[0].off, &order);
	places = group_key_places(take, &order);
	for (int i = 0; i < n; i++)
	{
		const InflightEntry *found = NULL;
		InflightEntry entry;

		if (order.found)
			found = group_inflight_seek_key(take->tree, rows[i].hash, rows[i].off);
		if (found != NULL && found->from <= rows[i].off)
		{
			places = 0;
			continue;
		}
		group_inflight_init(&entry, rows[i].hash, rows[i].off, 1);
		if (places > 0)
		{
			places--;
			group_shared_take_claim(take, &entry);
			order.may_block |= !take->consumer->auto_ack;
		}
		else
		{
			if (order.may_block)
				entry.levels[0].time = KEY_BLOCKED;
			order.may_block = true;
		}
		group_inflight_insert(take->tree, &entry);
	}
}

/*
 * Make entries of new messages, in the order of the tree, so that each leaf is
 * visited once.  If the tree has to be closed meanwhile, another consumer may
 * enter the same messages, and move the frontier beyond them.  Those are left
 * alone then: they may be done already.
 */
static void
enter_rows(SharedTake *take, const KeyRow *rows, int n)
{
	KeyRow	   *sorted = palloc(n * sizeof(KeyRow));

	memcpy(sorted, rows, n * sizeof(KeyRow));
	group_key_sort(sorted, n);
	for (int i = 0, next; i < n; i = next)
	{
		int			from = i;

		for (next = i + 1; next < n && next < i + RUN_MAX; next++)
			if (sorted[next].hash != sorted[i].hash)
				break;
		(void) group_shared_make_room(&take->tree, take->rel, take->group, take->partition,
									  RUN_ROOM(next - i));
		while (from < next && sorted[from].off < group_inflight_head(take->tree)->frontier)
			from++;
		if (from < next)
			enter_key(take, sorted + from, next - from);
	}
	pfree(sorted);
}

bool
group_key_claim_fresh(SharedTake *take, const KeyPeek *peek)
{
	int			i = 0;

	while (group_shared_take_wants_more(take))
	{
		InflightHead *head = group_inflight_counted_head(take->tree);
		int64		n;

		while (i < peek->nrows && peek->rows[i].off < head->frontier)
			i++;
		if (i == peek->nrows)
			return false;
		if (take->places <= 0 || head->waiting >= MAX_WAITING)
		{
			group_shared_take_note_refused(take);
			return true;
		}
		n = Min(peek->nrows - i, take->wanted - take->nclaimed);
		n = Min(n, SHARED_MAX_CLAIMS - take->nclaims);
		n = Min(n, take->places);
		enter_rows(take, peek->rows + i, (int) n);
		i += n;
		take->entered = true;
		head = group_inflight_head(take->tree);
		head->frontier = Max(head->frontier, peek->rows[i - 1].off + 1);
		group_inflight_head_changed(take->tree);
	}
	return true;
}
