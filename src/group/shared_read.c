/*
 * shared_read.c
 *	  Reading claimed messages in the shared modes, and correcting claims.
 *
 * A claim is made by what the tree and the run headers say.  Only reading the
 * message shows whether it can be handed out.  All messages that are not
 * handed out are collected, and then leave the tree, or become what they were
 * before.
 */
#include "postgres.h"

#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/inflight.h"
#include "group/key_shared.h"
#include "group/memory.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/shared_mode.h"
#include "group/shared_take.h"
#include "log/log.h"
#include "log/reader.h"

/*
 * if so many other messages lie before the next claimed one, start a new scan
 * instead of reading them
 */
#define JUMP_MESSAGES		256

typedef enum FixKind
{
	FIX_REMOVE,					/* gone from the stream, or passed: done */
	FIX_EXPIRE,					/* done and counted as expired */
	FIX_BURY,					/* done and counted as dead-lettered */
	FIX_POSTPONE,				/* new, and not due before a time */
	FIX_RESTORE					/* not handed out */
} FixKind;

/* what becomes of a part of a claim */
typedef struct Fix
{
	FixKind		kind;
	int			claim;
	int64		from;
	int64		to;
	TimestampTz time;			/* of FIX_POSTPONE */
} Fix;

typedef struct ReadClaims
{
	SharedTake *take;
	int			claim;			/* the next claimed message: claim and offset */
	int64		off;
	TimestampTz due;			/* of the message that is being judged */
	int			nfixes;
	int			maxfixes;
	Fix		   *fixes;
} ReadClaims;

static int64
claim_end(const SharedClaim *claim)
{
	return claim->from + claim->count;
}

static bool
has_claim(const ReadClaims *read)
{
	return read->claim < read->take->nclaims;
}

/* what becomes of the next claimed messages, up to `to` in the same claim */
static void
add_fix(ReadClaims *read, FixKind kind, int64 to)
{
	Fix		   *last = read->nfixes > 0 ? &read->fixes[read->nfixes - 1] : NULL;

	if (last != NULL && last->kind == kind && last->claim == read->claim && last->to == read->off &&
		last->time == read->due)
	{
		last->to = to;
		return;
	}
	if (read->nfixes == read->maxfixes)
	{
		read->maxfixes = Max(16, read->maxfixes * 2);
		read->fixes = read->fixes == NULL ? palloc(read->maxfixes * sizeof(Fix)) :
			repalloc(read->fixes, read->maxfixes * sizeof(Fix));
	}
	read->fixes[read->nfixes++] = (Fix)
	{
		kind, read->claim, read->off, to, read->due
	};
}

/* go on to the message at `to` of the same claim, or to the next claim */
static void
advance(ReadClaims *read, int64 to)
{
	read->off = to;
	if (to == claim_end(&read->take->claims[read->claim]) && ++read->claim < read->take->nclaims)
		read->off = read->take->claims[read->claim].from;
}

/* the same fix for all claimed messages below off */
static void
fix_below(ReadClaims *read, FixKind kind, int64 off)
{
	while (has_claim(read) && read->off < off)
	{
		int64		to = Min(off, claim_end(&read->take->claims[read->claim]));

		add_fix(read, kind, to);
		advance(read, to);
	}
}

/*
 * Retention dropped messages after they were claimed, or the snapshot knows
 * that they were rolled back.
 */
static void
fix_missing(ReadClaims *read, int64 off)
{
	if (!has_claim(read) || read->off >= off)
		return;
	fix_below(read, FIX_EXPIRE,
			  Min(off, log_first_offset(read->take->rel, read->take->partition)));
	fix_below(read, FIX_REMOVE, off);
}

/*
 * Is the message in the slot, the next claimed one, to be handed out later?
 * This counts only for a message that nobody has had or changed: otherwise the
 * tree knows when it is due.
 */
static bool
is_early(ReadClaims *read)
{
	SharedTake *take = read->take;
	AttrNumber	column = take->consumer->due_column;
	bool		isnull;
	Datum		due;

	if (column == InvalidAttrNumber || take->claims[read->claim].levels != NULL)
		return false;
	due = slot_getattr(take->consumer->slot, column, &isnull);
	if (isnull || DatumGetTimestampTz(due) <= take->now)
		return false;
	read->due = DatumGetTimestampTz(due);
	take->wake_at = Min(take->wake_at, read->due);
	take->postponed = true;
	return true;
}

/* hand out the next claimed message, which is in the slot; false to stop */
static bool
judge_message(ReadClaims *read, TimestampTz produced_at)
{
	SharedTake *take = read->take;
	const GroupConsumer *consumer = take->consumer;
	LogKeptRow	row = {
		.msg_id = LOG_MSG_ID(take->partition, read->off),
		.produced_at = produced_at,
		.note = take->claims[read->claim].deliveries + 1
	};

	if (is_early(read))
	{
		add_fix(read, FIX_POSTPONE, read->off + 1);
		read->due = 0;
		advance(read, read->off + 1);
		return true;
	}
	switch (group_judge(consumer, &row, 0))
	{
		case GROUP_DELIVER:
			group_messages_add(consumer->messages, take->rel, consumer->slot, &row);
			if (consumer->auto_ack)
				break;
			if (consumer->token == 0)
				group_memory_note(take->group->group_id, take->partition,
								  read->off, read->off + 1, take->token);
			if (group_shared_has_keys(take->group))
				group_key_remember(take->group->group_id, take->partition,
								   read->off, take->claims[read->claim].hash);
			break;
		case GROUP_PASS:
			add_fix(read, FIX_REMOVE, read->off + 1);
			break;
		case GROUP_EXPIRE:
			add_fix(read, FIX_EXPIRE, read->off + 1);
			break;
		case GROUP_BURY:
			add_fix(read, FIX_BURY, read->off + 1);
			break;
		case GROUP_STOP:
			return false;
	}
	advance(read, read->off + 1);
	return true;
}

/* read the claimed messages, as many as the consumer wants */
static void
read_messages(ReadClaims *read)
{
	SharedTake *take = read->take;
	TupleTableSlot *slot = take->consumer->slot;
	Snapshot	snapshot = group_message_snapshot();
	int64		end = claim_end(&take->claims[take->nclaims - 1]);
	LogReader  *reader = NULL;

	while (has_claim(read) && group_wants_more(take->consumer))
	{
		bool		found;
		int64		off;

		if (reader == NULL)
			reader = log_reader_begin(take->rel, take->partition, read->off, end,
									  snapshot, true);
		found = log_reader_next(reader, slot);
		off = found ? log_reader_offset(reader) : log_reader_position(reader);
		fix_missing(read, off);
		if (!found || !has_claim(read))
			break;
		if (read->off == off)
		{
			if (!judge_message(read, log_reader_produced_at(reader)))
				break;
		}
		else if (read->off - off >= JUMP_MESSAGES)
		{
			log_reader_end(reader);
			reader = NULL;
		}
	}
	if (reader != NULL)
		log_reader_end(reader);
	ExecClearTuple(slot);
	UnregisterSnapshot(snapshot);

	/*
	 * The consumer has enough, a message cannot be returned, or a
	 * SERIALIZABLE transaction does not see it.
	 */
	if (has_claim(read))
	{
		take->stopped = true;
		fix_below(read, FIX_RESTORE, PG_INT64_MAX);
	}
}

/* is this a claim of this take, as it was made? */
static bool
is_claim(const SharedTake *take, const InflightEntry *entry)
{
	const InflightLevel *top = group_inflight_top(entry);

	return !group_inflight_is_foreign(entry) && TransactionIdIsValid(top->xid) &&
		top->token == take->token && top->kind != INFLIGHT_AVAILABLE;
}

/* change a part of a claim; true if the part remains in the tree */
static bool
fix_part(SharedTake *take, const Fix *fix, InflightEntry *part)
{
	InflightHead *head = group_inflight_head(take->tree);
	const SharedClaim *claim = &take->claims[fix->claim];
	InflightLevel level;

	switch (fix->kind)
	{
		case FIX_REMOVE:
			return false;
		case FIX_EXPIRE:
			head->expired += part->count;
			group_inflight_head_changed(take->tree);
			return false;
		case FIX_BURY:
			level = *group_inflight_top(part);
			level.kind = INFLIGHT_DONE;
			level.buried = true;
			level.deliveries = claim->deliveries;	/* it is not handed out */
			level.time = 0;
			level.consumer = 0;
			group_inflight_push(part, &level);
			return true;
		case FIX_POSTPONE:
			/* as a fact, because it does not depend on this transaction */
			level = (InflightLevel)
			{
				.kind = INFLIGHT_AVAILABLE, .time = fix->time
			};
			group_inflight_settle_to(part, &level);
			return true;
		case FIX_RESTORE:
			part->nlevels = claim->nlevels;
			if (claim->levels != NULL)
				memcpy(part->levels, claim->levels, claim->nlevels * sizeof(InflightLevel));
			else
				part->levels[0] = (InflightLevel)
			{
				.kind = INFLIGHT_AVAILABLE
			};
			/* what blocked it may be gone */
			(void) group_key_clear_blocked(part);
			return true;
	}
	pg_unreachable();
}

/* change all that is left of a part of a claim */
static void
apply_fix(SharedTake *take, const Fix *fix)
{
	uint32		hash = take->claims[fix->claim].hash;
	int64		off = fix->from;

	while (off < fix->to)
	{
		const InflightEntry *entry;
		InflightEntry parts[3];
		int			n;
		int			middle;
		int64		to;

		(void) group_shared_make_room(&take->tree, take->rel, take->group, take->partition,
									  SHARED_CLAIM_ROOM);
		entry = group_inflight_seek_key(take->tree, hash, off);
		if (entry == NULL || entry->from >= fix->to)
			break;
		off = Max(off, entry->from);
		to = Min(fix->to, entry->from + entry->count);
		/* user code may have acknowledged it meanwhile */
		if (is_claim(take, entry))
		{
			n = group_inflight_cut(entry, off, to, parts, &middle);
			if (!fix_part(take, fix, &parts[middle]))
			{
				memmove(&parts[middle], &parts[middle + 1],
						(n - middle - 1) * sizeof(InflightEntry));
				n--;
			}
			group_inflight_replace(take->tree, parts, n);
			if (fix->kind != FIX_RESTORE && fix->kind != FIX_POSTPONE && group_shared_has_keys(take->group))
				take->unblocked |= group_key_unblock(take->tree, hash);
		}
		off = to;
	}
}

#define ST_SORT sort_claims
#define ST_ELEMENT_TYPE SharedClaim
#define ST_COMPARE(a, b) ((a)->from < (b)->from ? -1 : (a)->from > (b)->from)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Put claims in the order of offsets.  Old messages come first, in the order
 * of the tree, then new ones.  If the offsets are close together, which is the
 * usual case, each has its place.
 */
static void
order_claims(SharedTake *take)
{
	SharedClaim *claims = take->claims;
	int64		least = claims[0].from;
	int64		greatest = claims[0].from;
	bool		ordered = true;
	int64		range;
	int		   *places;
	SharedClaim *sorted;
	int			n = 0;

	for (int i = 1; i < take->nclaims; i++)
	{
		ordered = ordered && claims[i - 1].from < claims[i].from;
		least = Min(least, claims[i].from);
		greatest = Max(greatest, claims[i].from);
	}
	if (ordered)
		return;
	range = greatest - least + 1;
	if (range > 4 * take->nclaims)
	{
		sort_claims(claims, take->nclaims);
		return;
	}
	places = palloc0(range * sizeof(int));
	for (int i = 0; i < take->nclaims; i++)
		places[claims[i].from - least] = i + 1;
	sorted = palloc(take->maxclaims * sizeof(SharedClaim));
	for (int64 i = 0; i < range; i++)
		if (places[i] > 0)
			sorted[n++] = claims[places[i] - 1];
	Assert(n == take->nclaims);
	pfree(places);
	pfree(claims);
	take->claims = sorted;
}

void
group_shared_read_claims(SharedTake *take)
{
	ReadClaims	read = {.take = take};

	order_claims(take);
	read.off = take->claims[0].from;
	read_messages(&read);

	if (read.nfixes > 0)
	{
		group_shared_take_open(take);
		for (int i = 0; i < read.nfixes; i++)
			apply_fix(take, &read.fixes[i]);
		group_shared_take_close(take);
		pfree(read.fixes);
	}
}
