/*
 * retention.c
 *	  Dropping messages by the limits of their stream.
 *
 * The limit on age is applied to each partition.  The limits on bytes and on
 * messages apply to the whole stream: the oldest extents of all partitions are
 * dropped until the rest is within the limit.
 *
 * Only whole extents are dropped.  By age and by messages, the stream keeps at
 * least what the limit says.  By bytes it keeps at most that, except for the
 * extents that are being written.
 */
#include "postgres.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/try.h"
#include "log/log.h"
#include "log/options.h"
#include "log/reader.h"
#include "log/space.h"
#include "stream/retention.h"

/*
 * a stream above its limit on bytes shrinks to so much below the limit, so
 * that it does not reach the limit again at once
 */
#define LIMIT_SLACK(max_bytes)	((max_bytes) / 16)

#define MAX_HOLDERS		16

static StreamRetentionHolder holders[MAX_HOLDERS];
static int	nholders = 0;
static const StreamRetentionKeeper *keeper = NULL;
static void (*follower) (Relation rel) = NULL;
static void (*nudge) (void) = NULL;

typedef struct PartitionPlan
{
	int64		first;
	int64		limit;			/* offsets from here on must be kept */
	int64		upto;			/* offsets below this are to be dropped */
	bool		has_extent;
	LogHeadExtent extent;		/* the extent that begins at upto */
	int64		dead;			/* known rolled-back messages from upto on */
	int64		counted;		/* known rolled-back messages in the extent;
								 * -1: not counted yet */
} PartitionPlan;

typedef struct RetentionPlan
{
	Relation	rel;
	int			npartitions;
	PartitionPlan *partitions;
	int64		bytes;			/* remaining bytes */
	bool		count;			/* there is a limit on messages */
	int64		messages;		/* remaining messages, without known
								 * rolled-back ones */
} RetentionPlan;

void
stream_register_retention_holder(StreamRetentionHolder holder)
{
	if (nholders == MAX_HOLDERS)
		elog(ERROR, "too many retention holders");
	holders[nholders++] = holder;
}

void
stream_register_retention_keeper(const StreamRetentionKeeper *new_keeper)
{
	keeper = new_keeper;
}

void
stream_register_retention_follower(void (*function) (Relation rel))
{
	follower = function;
}

void
stream_register_retention_nudge(void (*function) (void))
{
	nudge = function;
}

/* find the next extent to drop, if there is one that may be dropped */
static void
find_extent(RetentionPlan *plan, int p)
{
	PartitionPlan *part = &plan->partitions[p];

	part->has_extent = part->upto < part->limit &&
		log_get_head_extent(plan->rel, p, part->upto, &part->extent) &&
		part->extent.end <= part->limit;
	part->counted = -1;
}

/* number of messages in the next extent to drop */
static int64
extent_messages(RetentionPlan *plan, int p)
{
	PartitionPlan *part = &plan->partitions[p];

	if (part->counted < 0)
		part->counted = part->dead == 0 ? 0 :
			Min(part->dead, log_known_dead(plan->rel, p, part->upto, part->extent.end));
	return part->extent.end - part->upto - part->counted;
}

/* somebody who needs messages */
#define NEED_UNACKED	0x01	/* holders */
#define NEED_KEPT		0x02	/* the keeper */

/* who needs messages of a stream, whatever the limits say */
static int
get_needs(Relation rel, const StreamOptions *options)
{
	int			needs = 0;

	if (options->keep_unacked)
		needs |= NEED_UNACKED;
	if (keeper != NULL && keeper->keeps(rel))
		needs |= NEED_KEPT;
	return needs;
}

/* do not drop what is needed */
static void
apply_needs(RetentionPlan *plan, int needs)
{
	int64	   *least = palloc(sizeof(int64) * plan->npartitions);

	for (int p = 0; p < plan->npartitions; p++)
		least[p] = PG_INT64_MAX;
	if (needs & NEED_UNACKED)
	{
		for (int i = 0; i < nholders; i++)
			holders[i] (plan->rel, plan->npartitions, least);
	}
	if (needs & NEED_KEPT)
		keeper->lower(plan->rel, plan->npartitions, least);
	for (int p = 0; p < plan->npartitions; p++)
		plan->partitions[p].limit = Min(plan->partitions[p].limit, least[p]);
	pfree(least);
}

/*
 * Collect what is in the stream, and up to where it may be dropped.  `count`
 * means that there is a limit on messages: then rolled-back messages are not
 * counted.
 */
static void
make_plan(RetentionPlan *plan, Relation rel, int needs, bool count)
{
	plan->rel = rel;
	plan->npartitions = log_partition_count(rel);
	plan->partitions = palloc0(sizeof(PartitionPlan) * plan->npartitions);
	plan->bytes = plan->messages = 0;
	plan->count = count;
	for (int p = 0; p < plan->npartitions; p++)
	{
		PartitionPlan *part = &plan->partitions[p];
		LogBounds	bounds;

		log_get_bounds(rel, p, &bounds);
		plan->bytes += bounds.bytes + bounds.free_bytes;
		if (count)
			part->dead = log_all_known_dead(rel, p);
		plan->messages += bounds.next_offset - bounds.first_offset - part->dead;
		part->first = part->upto = bounds.first_offset;
		part->limit = bounds.next_offset;
		if (part->first < part->limit)
			part->limit = log_stable_offset(rel, p, NULL, NULL);
	}
	apply_needs(plan, needs);
	for (int p = 0; p < plan->npartitions; p++)
		find_extent(plan, p);
}

/* plan to drop the next extent, too */
static void
drop_extent(RetentionPlan *plan, int p)
{
	PartitionPlan *part = &plan->partitions[p];

	CHECK_FOR_INTERRUPTS();
	plan->bytes -= part->extent.bytes;
	if (plan->count)
	{
		plan->messages -= extent_messages(plan, p);
		part->dead -= part->counted;
	}
	part->upto = part->extent.end;
	find_extent(plan, p);
}

static void
plan_by_time(RetentionPlan *plan, const Interval *retention)
{
	TimestampTz before = log_options_time_before(retention);

	for (int p = 0; p < plan->npartitions; p++)
	{
		PartitionPlan *part = &plan->partitions[p];

		while (part->has_extent && part->extent.last_time < before)
			drop_extent(plan, p);
	}
}

/* is the limit still reached without the next extent? */
static bool
are_messages_enough(RetentionPlan *plan, int p, int64 limit)
{
	PartitionPlan *part = &plan->partitions[p];

	/* counting reads the extent, so do it only if it can change the answer */
	if (plan->messages - (part->extent.end - part->upto) >= limit)
		return true;
	if (plan->messages - (part->extent.end - part->upto - part->dead) < limit)
		return false;
	return plan->messages - extent_messages(plan, p) >= limit;
}

/* the partition with the oldest extent that may be dropped; -1 if none */
static int
oldest_extent(RetentionPlan *plan)
{
	int			best = -1;

	for (int p = 0; p < plan->npartitions; p++)
		if (plan->partitions[p].has_extent &&
			(best < 0 || plan->partitions[p].extent.last_time <
			 plan->partitions[best].extent.last_time))
			best = p;
	return best;
}

/* plan what to drop by the limits; is there anything, and is it much? */
static RetentionResult
apply_limits(RetentionPlan *plan, const StreamOptions *options)
{
	RetentionResult result = RETENTION_NONE;
	bool		much = false;
	int			p;

	if (log_options_has_retention(options))
		plan_by_time(plan, &options->retention);
	if (log_options_has_ttl(options))
		plan_by_time(plan, &options->flow.message_ttl);
	if (options->max_bytes > 0 && plan->bytes > options->max_bytes)
	{
		/*
		 * more than a quarter above the limit: it may be a lot at the next
		 * round
		 */
		much = plan->bytes > options->max_bytes + options->max_bytes / 4;
		while (plan->bytes > options->max_bytes - LIMIT_SLACK(options->max_bytes) &&
			   (p = oldest_extent(plan)) >= 0)
			drop_extent(plan, p);
	}
	while (options->max_messages > 0 && (p = oldest_extent(plan)) >= 0 &&
		   are_messages_enough(plan, p, options->max_messages))
		drop_extent(plan, p);

	for (p = 0; p < plan->npartitions; p++)
		if (plan->partitions[p].upto > plan->partitions[p].first)
			result = much ? RETENTION_MUCH : RETENTION_SOME;
	return result;
}

RetentionResult
stream_retention_apply(Oid relid)
{
	Relation	rel;
	StreamOptions options;
	RetentionPlan plan;
	RetentionResult result = RETENTION_NONE;

	/* neither wait for DDL, nor let DDL wait for long */
	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return RETENTION_NONE;
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
	{
		UnlockRelationOid(relid, AccessShareLock);
		return RETENTION_NONE;
	}
	if (log_is_stream(rel))
	{
		log_options_get(rel, &options);
		make_plan(&plan, rel, 0, options.max_messages > 0);
		result = apply_limits(&plan, &options);
		if (result != RETENTION_NONE)
		{
			/*
			 * asking what is needed may be expensive: do so only if something
			 * would be dropped
			 */
			int			needs = get_needs(rel, &options);

			if (needs != 0)
			{
				pfree(plan.partitions);
				make_plan(&plan, rel, needs, options.max_messages > 0);
				result = apply_limits(&plan, &options);
			}
		}
		for (int p = 0; p < plan.npartitions; p++)
			if (plan.partitions[p].upto > plan.partitions[p].first)
				(void) log_expire(rel, p, plan.partitions[p].upto, false);
		if (follower != NULL)
			follower(rel);
		pfree(plan.partitions);
		log_restore_free_list(rel, false);
	}
	relation_close(rel, AccessShareLock);
	return result;
}

typedef struct Room
{
	Relation	rel;
	int64		most;			/* bytes that may remain */
	bool		left;			/* something could not be dropped quickly */
} Room;

static void
make_room(void *arg)
{
	Room	   *room = arg;
	RetentionPlan plan;
	int			p;

	make_plan(&plan, room->rel, 0, false);
	while (plan.bytes > room->most && (p = oldest_extent(&plan)) >= 0)
		drop_extent(&plan, p);
	for (p = 0; p < plan.npartitions; p++)
	{
		PartitionPlan *part = &plan.partitions[p];

		if (part->upto <= part->first)
			continue;
		(void) log_expire(room->rel, p, part->upto, true);
		room->left |= log_first_offset(room->rel, p) < part->upto;
	}
	pfree(plan.partitions);
}

/*
 * Three cases are left to the background process.  Streams with keep_unacked:
 * acknowledgements of this transaction may be rolled back.  Streams with a
 * keeper: what it needs is in tables.  Extents whose rolled-back rows must be
 * counted: that needs reading them.
 */
void
stream_retention_make_room(Relation rel, int64 bytes)
{
	StreamOptions options;
	Room		room;

	log_options_get(rel, &options);
	if (options.max_bytes <= 0)
		return;
	room.rel = rel;
	room.left = get_needs(rel, &options) != 0;
	room.most = options.max_bytes -
		Max(LIMIT_SLACK(options.max_bytes), Min(bytes, options.max_bytes / 2));
	if (!room.left)
	{
		ErrorData  *error;

		/*
		 * A damaged file must not block appending.  The background process
		 * reports the damage.
		 */
		error = base_try(make_room, &room, BASE_TRY_KEEP, base_try_is_damage);
		if (error != NULL)
		{
			FreeErrorData(error);
			room.left = true;
		}
	}
	if (room.left)
		nudge();
}
