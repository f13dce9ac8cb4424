/*
 * shared_take.c
 *	  Handing out messages in shared mode.
 *
 * Messages that came back are taken first, then new ones from the frontier on.
 * A message is claimed by a level with the xid of this transaction.  Other
 * consumers leave it alone from then on, and a rollback gives it back at once.
 *
 * The log is never read with the tree open.  So a consumer looks for new
 * messages before it opens the tree.  It looks for more messages than it
 * wants, because other consumers may move the frontier in the meantime.
 */
#include "postgres.h"

#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/floor.h"
#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/group_restored.h"
#include "group/group_ring.h"
#include "group/inflight.h"
#include "group/key_shared.h"
#include "group/memory.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/shared_mode.h"
#include "group/shared_take.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/space.h"

/* messages to look for beyond those that are wanted, at first and at most */
#define PEEK_SLACK			32
#define KEY_PEEK_SLACK		8
#define MAX_PEEK_SLACK		1000

/* so many messages fill several leaves of the tree, if each has an entry */
#define MANY_CLAIMS			200

/* with a filter, claim at least so many messages at a time */
#define FILTER_CLAIM		256

/* see note_wake_up() */
#define MANY_ENTRIES		50
#define LOOK_AGAIN			(100 * INT64CONST(1000))

/* other consumers took all messages that were found: try so often */
#define MAX_PEEKS			10

/* ---- looking ---- */

void
group_shared_look(const GroupConsumer *consumer, int partition, TimestampTz now,
				  GroupOutlook *outlook)
{
	const ConsumerGroup *group = consumer->group;
	InflightHead head;
	TimestampTz due;

	outlook->promise = GROUP_PROMISES_NOTHING;
	outlook->next = 0;
	outlook->wake_at = DT_NOEND;
	if (!group_inflight_look(consumer->rel, group, partition, group_shared_rules(group),
							 &head, &outlook->position, &due))
	{
		GroupProgress progress;

		/* group_shared_take() creates the state */
		group_restored_progress(consumer->rel, group, partition, &progress);
		outlook->position = outlook->next = progress.position;
		if (progress.position < log_next_offset(consumer->rel, partition))
			outlook->promise = GROUP_PROMISES_MESSAGES;
		return;
	}

	/*
	 * Which entries have come back is not looked up: they are at or after the
	 * position.  Messages without an entry are at or after the frontier.
	 *
	 * A consumer that is refused for max_in_flight must leave a note in the
	 * state, so let it try if there is none.
	 */
	outlook->next = outlook->position;
	if (due <= now)
		outlook->promise = GROUP_PROMISES_MESSAGES;
	else if (head.frontier < log_next_offset(consumer->rel, partition) &&
			 (consumer->auto_ack || !head.limited ||
			  head.available + head.leased < group->max_in_flight))
	{
		outlook->promise = GROUP_PROMISES_MESSAGES;
		outlook->next = head.frontier;
	}
	else
	{
		outlook->wake_at = due;
		if (head.leased > 0 && group_shared_has_gone(consumer->rel, group, partition))
			outlook->promise = GROUP_PROMISES_MESSAGES;
	}
}

/* ---- claims ---- */

void
group_shared_take_open(SharedTake *take)
{
	InflightHead *head;

	Assert(take->tree == NULL);
	take->tree = group_shared_open(take->rel, take->group, take->partition);
	if (group_shared_has_keys(take->group) && take->wanted - take->nclaimed >= MANY_CLAIMS)
		group_inflight_expect_many(take->tree);
	head = group_inflight_counted_head(take->tree);
	/* the tree counts what was claimed since only when it stores a leaf */
	take->places = take->consumer->auto_ack ? PG_INT64_MAX :
		Max(0, take->group->max_in_flight - head->available - head->leased);
}

void
group_shared_take_close(SharedTake *take)
{
	if (take->ordered)
		take->position = group_inflight_position(take->tree);
	group_inflight_close(take->tree);
	take->tree = NULL;
}

void
group_shared_take_note_refused(SharedTake *take)
{
	InflightHead *head = group_inflight_head(take->tree);

	take->refused = true;
	if (!head->limited)
	{
		head->limited = true;
		group_inflight_head_changed(take->tree);
	}
}

/* remember a claim, and how the messages were before */
static void
note_claim(SharedTake *take, const InflightEntry *entry)
{
	static const InflightLevel fresh = {.kind = INFLIGHT_AVAILABLE};
	SharedClaim *claim;
	Size		size = entry->nlevels * sizeof(InflightLevel);

	if (take->nclaims == take->maxclaims)
	{
		take->maxclaims = Max(8, take->maxclaims * 4);
		take->claims = take->claims == NULL ?
			palloc(take->maxclaims * sizeof(SharedClaim)) :
			repalloc(take->claims, take->maxclaims * sizeof(SharedClaim));
	}
	claim = &take->claims[take->nclaims++];
	claim->from = entry->from;
	claim->count = entry->count;
	claim->hash = entry->hash;
	claim->deliveries = group_inflight_top(entry)->deliveries;
	claim->nlevels = entry->nlevels;
	claim->levels = NULL;
	if (entry->nlevels == 1 && memcmp(entry->levels, &fresh, sizeof(fresh)) == 0)
		return;
	claim->levels = palloc(size);
	memcpy(claim->levels, entry->levels, size);
}

void
group_shared_take_claim(SharedTake *take, InflightEntry *entry)
{
	InflightHead *head = group_inflight_head(take->tree);
	InflightLevel level = {
		.deliveries = group_inflight_top(entry)->deliveries + 1,
		.token = take->token
	};

	note_claim(take, entry);
	take->nclaimed += entry->count;
	if (level.deliveries == 1 && !take->consumer->auto_ack)
		take->places -= entry->count;
	head->last_consumed_at = take->now;
	group_inflight_head_changed(take->tree);

	if (take->consumer->auto_ack)
		level.kind = INFLIGHT_DONE;
	else
	{
		level.kind = INFLIGHT_LEASED;
		level.time = take->deadline;
		level.consumer = take->consumer->number;
	}
	group_inflight_push(entry, &level);
	take->claimed = true;
}

/*
 * Retention dropped messages before they could be handed out again.  Under a
 * running lease they may still be acknowledged.
 */
static void
expire_entry(SharedTake *take, const InflightEntry *entry, int64 first)
{
	InflightHead *head = group_inflight_head(take->tree);
	InflightEntry parts[3];
	int			middle;
	int			n = group_inflight_cut(entry, entry->from, first, parts, &middle);

	head->expired += parts[middle].count;
	group_inflight_head_changed(take->tree);
	Assert(middle == 0);
	group_inflight_replace(take->tree, parts + 1, n - 1);
}

/*
 * Claim messages that came back: others have had them, but not finished.
 * Entries beyond the frontier are left over from a crash, and are new
 * messages (claim_fresh).
 */
static void
claim_old(SharedTake *take)
{
	const InflightEntry *entry;
	int64		first = group_first_offset(take->rel, take->group, take->partition);

	entry = group_inflight_next_due(take->tree, take->now);
	while (entry != NULL && entry->from < group_inflight_head(take->tree)->frontier &&
		   group_shared_take_wants_more(take))
	{
		int64		n = Min(entry->count, take->wanted - take->nclaimed);
		InflightEntry parts[3];
		int			nparts;
		int			middle;

		if (group_inflight_top(entry)->deliveries == 0)
			n = Min(n, Max(take->places, 0));
		if (entry->from + n > take->limit)
		{
			n = Max(0, take->limit - entry->from);
			take->limited = true;
		}
		if (!group_shared_is_free(take->group, entry, take->now, &take->wake_at))
			n = 0;
		else if (n == 0)
			group_shared_take_note_refused(take);
		if (n > 0)
		{
			int64		from = entry->from;

			if (!group_shared_make_room(&take->tree, take->rel, take->group, take->partition,
										SHARED_CLAIM_ROOM))
			{
				entry = group_inflight_seek(take->tree, 0, from);
				continue;
			}
			if (entry->from < first)
				expire_entry(take, entry, first);
			else
			{
				nparts = group_inflight_cut(entry, from, from + n, parts, &middle);
				group_shared_take_claim(take, &parts[middle]);
				group_inflight_replace(take->tree, parts, nparts);
			}
		}
		entry = group_inflight_next_due(take->tree, take->now);
	}
}

/* ---- new messages ---- */

/* count messages that expired before they were handed out */
static void
expire_fresh(SharedTake *take, int64 from, int64 to)
{
	InflightHead *head = group_inflight_head(take->tree);

	from = Max(from, head->frontier);
	if (from < to)
	{
		head->expired += to - from;
		head->frontier = to;
		group_inflight_head_changed(take->tree);
	}
}

/*
 * Claim messages that the peek found.  The frontier moves with each entry, so
 * that the tree may be closed between two of them.  Returns false if other
 * consumers took all of them, and it is worth looking for more.
 */
static bool
claim_fresh(SharedTake *take, const LogPeek *peek)
{
	InflightHead *head = group_inflight_head(take->tree);

	for (int i = 0; i < peek->nranges;)
	{
		int64		from = Max(peek->ranges[i].from, head->frontier);
		int64		n = peek->ranges[i].to - from;
		const InflightEntry *found;
		InflightEntry entry;

		if (n <= 0)
		{
			i++;
			continue;
		}
		if (!group_shared_take_wants_more(take))
			return true;
		if (take->places <= 0)
		{
			group_shared_take_note_refused(take);
			return true;
		}
		if (!group_shared_make_room(&take->tree, take->rel, take->group, take->partition,
									SHARED_CLAIM_ROOM))
		{
			/* others may have claimed messages meanwhile: look again */
			head = group_inflight_head(take->tree);
			continue;
		}
		found = group_inflight_seek_key(take->tree, 0, from);
		if (found != NULL && found->from <= from)
		{
			/* left over from a crash: as one that came back */
			head->frontier = found->from + found->count;
			group_inflight_head_changed(take->tree);
			continue;
		}
		if (found != NULL)
			n = Min(n, found->from - from);
		n = Min(n, Min(take->places, take->wanted - take->nclaimed));
		group_inflight_init(&entry, 0, from, (int32) n);
		group_shared_take_claim(take, &entry);
		group_inflight_insert(take->tree, &entry);
		head->frontier = from + n;
		group_inflight_head_changed(take->tree);
	}
	return false;
}

/* nothing is left of what a peek found */
static void
finish_peek(SharedTake *take, int64 end)
{
	InflightHead *head = group_inflight_head(take->tree);

	if (head->frontier < end)
	{
		head->frontier = end;
		group_inflight_head_changed(take->tree);
	}
	take->limited |= head->frontier >= take->limit;
}

/*
 * Find new messages, and claim them.  Returns false if nothing more can be
 * claimed in this round.
 */
static bool
take_fresh(SharedTake *take)
{
	bool		keys = group_shared_has_keys(take->group);
	int64		frontier = group_inflight_head(take->tree)->frontier;
	int64		end;
	LogPeek		peek;
	KeyPeek		key_peek;
	bool		done;

	take->limited |= frontier >= take->limit;
	if (frontier >= Min(take->limit, log_next_offset(take->rel, take->partition)))
		return false;
	group_shared_take_close(take);
	if (keys)
		group_key_peek(take, frontier, &key_peek);
	else
	{
		Snapshot	snapshot = group_message_snapshot();

		log_peek(take->rel, take->partition, frontier, take->limit,
				 take->wanted - take->nclaimed + take->slack, snapshot, &peek);
		UnregisterSnapshot(snapshot);
	}
	end = keys ? key_peek.end : peek.end;

	group_shared_take_open(take);
	if (keys)
	{
		expire_fresh(take, key_peek.expired_from, key_peek.expired_to);
		done = group_key_claim_fresh(take, &key_peek);
		pfree(key_peek.rows);
	}
	else
	{
		expire_fresh(take, peek.expired_from, peek.expired_to);
		done = claim_fresh(take, &peek);
	}
	if (done)
		return false;
	finish_peek(take, end);
	return end > frontier;
}

/*
 * A tree of several leaves that has changes in progress does not know when the
 * first message is due in the leaves without such changes.  Then look again
 * soon.
 */
static void
note_wake_up(SharedTake *take)
{
	InflightHead *head = group_inflight_counted_head(take->tree);

	take->leased = head->leased;
	if (take->nclaims == 0 && head->available + head->leased + head->done > MANY_ENTRIES &&
		group_inflight_due(take->tree) <= take->now)
		take->wake_at = Min(take->wake_at, take->now + LOOK_AGAIN);
}

/* claim messages, old ones first */
static void
claim_once(SharedTake *take)
{
	TimestampTz due;

	take->refused = false;
	group_shared_take_open(take);
	due = group_inflight_due(take->tree);
	if (due > take->now)
		take->wake_at = Min(take->wake_at, due);
	else if (group_shared_has_keys(take->group))
		group_key_claim_old(take);
	else
		claim_old(take);

	/*
	 * In key_shared mode, new messages may all have keys that are taken.
	 * There may be many of them in a row, so look at more and more at a time.
	 */
	take->slack = group_shared_has_keys(take->group) ? KEY_PEEK_SLACK : PEEK_SLACK;
	for (int tries = 0; group_shared_take_wants_more(take) && tries < MAX_PEEKS;)
	{
		take->entered = false;
		if (!take_fresh(take))
			break;
		if (take->entered)
			take->slack = Min(take->slack * 2, MAX_PEEK_SLACK);
		else
			tries++;
	}
	note_wake_up(take);
	group_shared_take_close(take);
}

/*
 * The tree counts messages of aborted transactions as leased until somebody
 * meets them.  After a refusal they have been met, so try once more.
 */
static void
claim_messages(SharedTake *take)
{
	claim_once(take);
	if (take->refused && take->nclaims == 0)
		claim_once(take);
}

/* ---- taking ---- */

static void
init_take(SharedTake *take, const GroupConsumer *consumer, int partition, int64 limit)
{
	memset(take, 0, sizeof(SharedTake));
	take->consumer = consumer;
	take->rel = consumer->rel;
	take->group = consumer->group;
	take->partition = partition;
	take->limit = limit;
	take->ordered = log_partition_count(consumer->rel) > 1;
	take->now = GetCurrentTimestamp();
	take->deadline = group_add_interval(take->now, consumer->lease, "lease", false);
	take->token = consumer->token != 0 ? consumer->token : group_memory_session_token();
	take->wake_at = DT_NOEND;
}

void
group_shared_take(const GroupConsumer *consumer, int partition, int64 limit,
				  GroupTaken *taken)
{
	Relation	rel = consumer->rel;
	const ConsumerGroup *group = consumer->group;
	GroupLock	lock = group_lock_partition(group->group_id, partition, GROUP_LOCK_SHARE, false);
	int			before = group_messages_count(consumer->messages);
	bool		ended = false;
	SharedTake	take;

	if (lock == GROUP_LOCK_BUSY)
	{
		taken->busy = true;
		return;
	}
	if (!group_is_current(rel, group))
	{
		if (lock == GROUP_LOCK_TAKEN)
			group_unlock_partition(group->group_id, partition, GROUP_LOCK_SHARE);
		taken->busy = true;
		return;
	}
	init_take(&take, consumer, partition, limit);
	take.position = taken->position;
	while (group_wants_more(consumer) && !take.stopped)
	{
		take.nclaims = 0;
		take.nclaimed = 0;
		take.wanted = consumer->max_messages - group_messages_count(consumer->messages);
		if (group->filter != NULL || take.postponed)
			take.wanted = Max(take.wanted, FILTER_CLAIM);
		claim_messages(&take);
		if (take.nclaims == 0)
		{
			if (ended || take.leased == 0 || !group_shared_end_gone(&take))
				break;
			ended = true;
			continue;
		}
		group_shared_read_claims(&take);
	}
	if (take.claims != NULL)
		pfree(take.claims);

	taken->limited = take.limited;
	taken->wake_at = take.wake_at;
	taken->position = take.position;
	if (group_messages_count(consumer->messages) > before)
		group_ring_at_end(RelationGetRelid(rel),
						  take.unblocked || (consumer->auto_ack && log_partitions_depend(rel)));
	else if (take.claimed)
		group_ring_at_end(RelationGetRelid(rel), take.unblocked);
	else if (lock == GROUP_LOCK_TAKEN)
		group_unlock_partition(group->group_id, partition, GROUP_LOCK_SHARE);
}
