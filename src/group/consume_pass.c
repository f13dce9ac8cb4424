/*
 * consume_pass.c
 *	  One pass over all partitions of a stream to find messages for a
 *	  consumer.
 *
 * A pass first looks at all partitions without locks.  Then it takes messages
 * from the partitions that seem to have some: first from those that the
 * consumer has leased already, then from the others, starting with a different
 * one in each pass.
 *
 * If partitions were added, or the routing columns of the stream were changed,
 * some messages must be delivered after messages of other partitions.  The
 * positions of the group in all partitions decide how far each partition may
 * be delivered.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/consume_pass.h"
#include "group/judge.h"
#include "group/mode.h"
#include "log/log.h"
#include "log/reader.h"

typedef struct ConsumePass
{
	const GroupConsumer *consumer;
	const GroupMode *mode;
	int			npartitions;
	int64		positions[LOG_MAX_PARTITIONS];
	bool		has_barrier;
	int64		barriers[LOG_MAX_PARTITIONS];
	bool		limited;		/* messages have to wait for other partitions */
	bool		advanced;		/* a position moved */
	bool		busy;
	TimestampTz wake_at;
} ConsumePass;

/* is everything acknowledged that must be delivered before this partition? */
static bool
parents_are_done(const ConsumePass *pass, int partition)
{
	int			parents[LOG_MAX_PARTITIONS];
	int64		offsets[LOG_MAX_PARTITIONS];
	int			n;

	if (partition == 0)
		return true;
	n = log_get_parents(pass->consumer->rel, partition, parents, offsets);
	for (int i = 0; i < n; i++)
		if (parents[i] < pass->npartitions && pass->positions[parents[i]] < offsets[i])
			return false;
	return true;
}

static void
take_messages(ConsumePass *pass, int partition)
{
	int64		limit = pass->has_barrier ? pass->barriers[partition] : PG_INT64_MAX;
	GroupTaken	taken = {
		.position = pass->positions[partition],
		.wake_at = DT_NOEND
	};

	if (!parents_are_done(pass, partition))
	{
		pass->limited = true;
		return;
	}
	pass->mode->take(pass->consumer, partition, limit, &taken);
	pass->busy |= taken.busy;
	pass->limited |= taken.limited;
	pass->wake_at = Min(pass->wake_at, taken.wake_at);
	if (taken.position != pass->positions[partition])
	{
		pass->positions[partition] = taken.position;
		pass->advanced = true;
	}
}

/*
 * Make one pass: look at all partitions, then take from those that seem to
 * have messages.  The first of the other partitions rotates, so that consumers
 * that ask for few messages get to all partitions.
 */
static void
make_pass(ConsumePass *pass)
{
	static uint32 rotation = 0;
	const GroupConsumer *consumer = pass->consumer;
	int			held[LOG_MAX_PARTITIONS];
	int			others[LOG_MAX_PARTITIONS];
	int			nheld = 0;
	int			nothers = 0;
	uint32		start;
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext pass_context = AllocSetContextCreate(CurrentMemoryContext,
													   "streamq consume",
													   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(pass_context);

	if (rotation == 0)
		rotation = (uint32) MyProcPid;
	start = rotation++ % pass->npartitions;

	/*
	 * The parents of a partition have lower numbers, so their positions are
	 * known already.  Barriers depend on the positions of all partitions, so
	 * they are left to take_messages(), which looks again.
	 */
	for (int p = 0; p < pass->npartitions; p++)
	{
		GroupOutlook outlook;

		pass->mode->look(consumer, p, now, &outlook);
		pass->positions[p] = outlook.position;
		pass->wake_at = Min(pass->wake_at, outlook.wake_at);
		if (outlook.promise != GROUP_PROMISES_NOTHING &&
			(consumer->partitions == NULL || consumer->partitions[p]))
		{
			if (!parents_are_done(pass, p))
				pass->limited = true;
			else if (outlook.promise == GROUP_PROMISES_OWN)
				held[nheld++] = p;
			else
				others[nothers++] = p;
		}
		MemoryContextReset(pass_context);
	}

	pass->has_barrier = log_barrier_limits(consumer->rel, pass->npartitions,
										   pass->positions, pass->barriers);

	for (int i = 0; i < nheld && group_wants_more(consumer); i++)
	{
		take_messages(pass, held[i]);
		MemoryContextReset(pass_context);
	}

	/* then the others, in a circle that begins at `start` */
	for (int i = 0, at = 0; i < nothers && group_wants_more(consumer); i++)
	{
		if (i == 0)
			while (at < nothers - 1 && others[at] < (int) start)
				at++;
		take_messages(pass, others[(at + i) % nothers]);
		MemoryContextReset(pass_context);
	}

	MemoryContextSwitchTo(old);
	MemoryContextDelete(pass_context);
}

void
group_consume_partitions(const GroupConsumer *consumer, bool *busy, TimestampTz *wake_at)
{
	ConsumePass pass;			/* large: the arrays need no zeros */

	pass.consumer = consumer;
	pass.mode = consumer->group->mode;
	pass.npartitions = log_partition_count(consumer->rel);
	pass.busy = false;
	pass.wake_at = DT_NOEND;
	do
	{
		pass.limited = false;
		pass.advanced = false;
		make_pass(&pass);

		/*
		 * messages acknowledged now may be those for which another partition
		 * waits
		 */
	} while (pass.limited && pass.advanced && group_wants_more(consumer));

	*busy |= pass.busy;
	*wake_at = Min(*wake_at, pass.wake_at);
}

bool
group_has_message(const GroupConsumer *consumer, int partition, int64 from, int64 limit,
				  GroupPassed *passed)
{
	Snapshot	snapshot = group_message_snapshot();
	LogReader  *reader;
	int64		start = from;
	bool		found;

	if (passed != NULL && passed->from <= from && from < passed->to)
	{
		start = passed->from;
		from = passed->to;
	}
	reader = log_reader_begin(consumer->rel, partition, from, limit, snapshot, true);
	while ((found = log_reader_next(reader, consumer->slot)) && consumer->judge != NULL &&
		   !group_judge_may_deliver(consumer, LOG_MSG_ID(partition, log_reader_offset(reader)),
									log_reader_produced_at(reader)))
		CHECK_FOR_INTERRUPTS();
	if (passed != NULL)
	{
		passed->from = start;
		passed->to = found ? log_reader_offset(reader) : log_reader_position(reader);
	}
	log_reader_end(reader);
	ExecClearTuple(consumer->slot);
	UnregisterSnapshot(snapshot);
	return found;
}

bool
group_look_partitions(const GroupConsumer *consumer, GroupPassed *passed,
					  TimestampTz *wake_at)
{
	ConsumePass pass;
	GroupOutlook outlooks[LOG_MAX_PARTITIONS];
	TimestampTz now = GetCurrentTimestamp();
	bool		found = false;

	pass.consumer = consumer;
	pass.mode = consumer->group->mode;
	pass.npartitions = log_partition_count(consumer->rel);
	for (int p = 0; p < pass.npartitions; p++)
	{
		pass.mode->look(consumer, p, now, &outlooks[p]);
		pass.positions[p] = outlooks[p].position;
		*wake_at = Min(*wake_at, outlooks[p].wake_at);
	}
	pass.has_barrier = log_barrier_limits(consumer->rel, pass.npartitions,
										  pass.positions, pass.barriers);
	for (int p = 0; p < pass.npartitions && !found; p++)
		found = outlooks[p].promise != GROUP_PROMISES_NOTHING &&
			parents_are_done(&pass, p) &&
			group_has_message(consumer, p, outlooks[p].next,
							  pass.has_barrier ? pass.barriers[p] : PG_INT64_MAX,
							  &passed[p]);
	return found;
}
