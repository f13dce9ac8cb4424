/*
 * backlog.c
 *	  How far the groups of a stream are behind, and what producers do about
 *	  it: the backlog policy of the stream.
 *
 * Producers may append messages until the slowest group is as far behind as
 * the stream allows.  Counting this room needs the states of all groups.  So a
 * producer that has counted stores the rest of the room in shared memory, and
 * other producers take from it until it is used up.  Rows count as soon as
 * they are appended, committed or not.
 *
 * Two heavyweight locks make this exact.  A producer holds the append lock of
 * the stream in ShareLock while it takes room and appends.  It holds the lock
 * in ExclusiveLock while it counts, so no other producer is appending.  The
 * lock is released at once.
 *
 * Consumers stop before the rows of a transaction in progress.  So if
 * producers with such rows waited for room (policy "block"), nobody could go
 * on.  Therefore a transaction that appends holds the transaction lock of the
 * stream in ShareLock until it ends.  A transaction without rows releases the
 * lock while it waits.  A transaction with rows takes it in ExclusiveLock,
 * which waits for the other transactions with rows.  If one of these also
 * wants to append more, PostgreSQL's deadlock detection lets it fail.  A
 * transaction that has consumed from the stream never waits for room, and takes
 * the lock only if it is free.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "group/floor.h"
#include "group/group.h"
#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/group_restored.h"
#include "group/group_ring.h"
#include "group/mode.h"
#include "log/admission.h"
#include "log/log.h"
#include "log/options.h"
#include "log/reader.h"
#include "signal/doorbell.h"
#include "stream/flow.h"

/* how often a waiting producer looks without being woken, in ms */
#define POLL_INTERVAL	1000

/* room of a stream without groups */
#define NO_BACKLOG		(PG_INT64_MAX / 2)

/* what a count found */
typedef struct Backlog
{
	int64		room;			/* messages that may be appended */
	int64		lag;			/* of the slowest group */
	char		group_name[GROUP_NAME_MAX + 1]; /* its name */
	int32		group_id;
	int64		unsettled;		/* messages of transactions in progress, and
								 * those after them */
} Backlog;

/* the mode in which this process holds the append lock */
static LOCKMODE append_mode = NoLock;

/* ---- counting ---- */

/*
 * Counts of settled messages, kept from one count to the next.  Both ends of
 * the range move forward, so a producer that counts often reads only what has
 * changed.
 */
typedef struct CountKey
{
	RelFileLocator locator;
	int32		group_id;
	int32		partition;
} CountKey;

typedef struct Count
{
	CountKey	key;
	int64		from;
	int64		to;
	int64		count;			/* messages in [from, to) */
} Count;

#define COUNTS_MAX	1000

static HTAB *counts = NULL;

static int64
count_live(Relation rel, int partition, int64 from, int64 to)
{
	return from < to ? log_count_live(rel, partition, from, to) : 0;
}

/* number of messages in [from, to), which no transaction in progress wrote */
static int64
count_settled(Relation rel, const ConsumerGroup *group, int partition, int64 from, int64 to)
{
	CountKey	key;
	Count	   *kept;
	bool		found;
	int64		count;

	if (counts != NULL && hash_get_num_entries(counts) >= COUNTS_MAX)
	{
		hash_destroy(counts);
		counts = NULL;
	}
	if (counts == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(CountKey);
		ctl.entrysize = sizeof(Count);
		ctl.hcxt = TopMemoryContext;
		counts = hash_create("streamq backlog", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	memset(&key, 0, sizeof(key));
	key.locator = RelationLocator(rel);
	key.group_id = group->group_id;
	key.partition = partition;

	kept = hash_search(counts, &key, HASH_FIND, NULL);
	if (kept != NULL && kept->from <= from && from <= kept->to && kept->to <= to &&
		log_first_offset(rel, partition) <= kept->from)
		count = kept->count - count_live(rel, partition, kept->from, from) +
			count_live(rel, partition, kept->to, to);
	else
		count = count_live(rel, partition, from, to);

	/* after what may fail */
	kept = hash_search(counts, &key, HASH_ENTER, &found);
	kept->from = from;
	kept->to = to;
	kept->count = count;
	return count;
}

/*
 * How far a group is behind, exactly or, if `quick`, at most: then gaps count,
 * too.
 */
static int64
count_lag(Relation rel, const ConsumerGroup *group, bool quick)
{
	int			npartitions = log_partition_count(rel);
	TimestampTz now = GetCurrentTimestamp();
	int64		lag = 0;

	for (int p = 0; p < npartitions; p++)
	{
		GroupFigures figures;
		int64		fresh;
		int64		next;
		int64		stable;

		group->mode->figures(rel, group, p, now, &figures);
		fresh = Max(figures.fresh, group_first_offset(rel, group, p));
		next = log_next_offset(rel, p);
		lag += figures.undone;
		if (fresh >= next)
			continue;
		if (quick)
		{
			lag += next - fresh;
			continue;
		}
		stable = log_stable_offset(rel, p, NULL, NULL);
		if (fresh < stable)
			lag += count_settled(rel, group, p, fresh, stable);
		lag += count_live(rel, p, Max(stable, fresh), next);
	}
	return lag;
}

/*
 * Count the room for n messages.  Gaps are looked for only if the room would
 * not be enough with them.
 */
static void
count_room(Relation rel, int64 limit, int64 n, Backlog *backlog)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq backlog",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *lc;

	memset(backlog, 0, sizeof(Backlog));
	backlog->room = NO_BACKLOG;
	foreach(lc, group_list(rel))
	{
		const ConsumerGroup *group = lfirst(lc);
		int64		lag;

		if (group_is_being_restored(rel, group))
			continue;
		lag = count_lag(rel, group, true);
		if (lag + n > limit)
			lag = count_lag(rel, group, false);
		if (limit - lag < backlog->room)
		{
			backlog->room = limit - lag;
			backlog->lag = lag;
			backlog->group_id = group->group_id;
			strlcpy(backlog->group_name, group->name, sizeof(backlog->group_name));
		}
	}
	if (backlog->room < n)
	{
		int			npartitions = log_partition_count(rel);

		for (int p = 0; p < npartitions; p++)
			backlog->unsettled += count_live(rel, p, log_stable_offset(rel, p, NULL, NULL),
											 log_next_offset(rel, p));
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* ---- taking room ---- */

/* take room that another producer has counted; the append lock is held */
static bool
take_room(Relation rel, int64 n)
{
	LogFlow    *flow = log_flow(rel);
	uint64		room = pg_atomic_read_u64(&flow->room);

	if (pg_atomic_read_u64(&flow->mark) != stream_flow_mark(RelationGetRelid(rel)))
		return false;
	do
	{
		if ((int64) room < n)
			return false;
	} while (!pg_atomic_compare_exchange_u64(&flow->room, &room, room - n));
	return true;
}

static void
lock_append(Relation rel, LOCKMODE mode)
{
	(void) group_lock_producer(RelationGetRelid(rel), GROUP_PRODUCER_APPEND, mode, true);
	append_mode = mode;
}

static void
unlock_append(Relation rel)
{
	group_unlock_producer(RelationGetRelid(rel), GROUP_PRODUCER_APPEND, append_mode);
}

/* ---- eviction ---- */

/*
 * Find the oldest message of a group that may be evicted.  Returns its
 * partition, and its offset in *oldest, or -1 if there is none.  Messages of
 * transactions in progress, and messages after them, may not be evicted.
 */
static int
find_oldest(Relation rel, const ConsumerGroup *group, int64 *oldest)
{
	int			npartitions = log_partition_count(rel);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz best_time = 0;
	int			best = -1;

	for (int p = 0; p < npartitions; p++)
	{
		GroupFigures figures;
		int64		off;
		TimestampTz time;

		group->mode->figures(rel, group, p, now, &figures);
		off = figures.oldest >= 0 ? figures.oldest :
			Max(figures.fresh, group_first_offset(rel, group, p));
		if (off >= log_stable_offset(rel, p, NULL, NULL))
			continue;
		time = log_produced_at(rel, p, off);
		if (best < 0 || time < best_time)
		{
			best = p;
			best_time = time;
			*oldest = off;
		}
	}
	return best;
}

/*
 * Take the oldest messages from a group until n messages fit.  The append lock
 * is held in ExclusiveLock.  A step evicts only a part of the excess, because
 * the next oldest messages may be in another partition.
 */
static void
evict_from_group(Relation rel, const ConsumerGroup *group, int64 limit, int64 n)
{
	int			npartitions = log_partition_count(rel);
	int64		excess;

	while ((excess = count_lag(rel, group, false) + n - limit) > 0)
	{
		int64		oldest = 0;
		int			p = find_oldest(rel, group, &oldest);
		int64		floor;

		CHECK_FOR_INTERRUPTS();
		if (p < 0)
			break;
		floor = oldest + Max(excess / npartitions, 1);
		group_raise_floor(rel, group, p, Min(floor, log_stable_offset(rel, p, NULL, NULL)));
	}
}

static void
evict(Relation rel, int64 limit, int64 n)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq eviction",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *lc;

	foreach(lc, group_list(rel))
	{
		const ConsumerGroup *group = lfirst(lc);

		if (!group_is_being_restored(rel, group))
			evict_from_group(rel, group, limit, n);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * Try to take room for n messages.  If there is enough, the append lock is
 * held on return.  If not, *backlog says why.
 */
static bool
try_enter(Relation rel, int64 limit, int64 n, bool may_evict, Backlog *backlog)
{
	Oid			relid = RelationGetRelid(rel);
	LogFlow    *flow;
	uint64		mark;

	lock_append(rel, ShareLock);
	if (take_room(rel, n))
		return true;
	unlock_append(rel);

	/* others may have counted while this process waited for the lock */
	lock_append(rel, ExclusiveLock);
	if (take_room(rel, n))
		return true;
	mark = stream_flow_mark(relid);
	pg_memory_barrier();
	count_room(rel, limit, n, backlog);
	if (backlog->room < n && may_evict && n <= limit)
	{
		evict(rel, limit, n);
		count_room(rel, limit, n, backlog);
	}

	/*
	 * What this transaction acknowledged is room for itself only, because it
	 * may abort.
	 */
	flow = log_flow(rel);
	pg_atomic_write_u64(&flow->room, 0);
	if (!group_ring_is_undoable(relid))
	{
		pg_atomic_write_u64(&flow->room, (uint64) Max(backlog->room - n, 0));
		pg_atomic_write_u64(&flow->mark, mark);
	}
	if (backlog->room >= n)
		return true;
	pg_atomic_write_u64(&flow->room, 0);
	unlock_append(rel);
	return false;
}

/* ---- policies ---- */

static void
report_full(Relation rel, int64 limit, const Backlog *backlog)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("stream \"%s\" is full", RelationGetRelationName(rel)),
			 errdetail("Consumer group \"%s\" is %lld messages behind, of %lld that backlog_messages allows.",
					   backlog->group_name, (long long) backlog->lag, (long long) limit),
			 errhint("Try again when the group has acknowledged messages.")));
}

static void
report_too_large(Relation rel, int64 limit, int64 n)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("cannot append %lld messages to stream \"%s\" at once",
					(long long) n, RelationGetRelationName(rel)),
			 errdetail("The stream allows a backlog of %lld messages.", (long long) limit),
			 errhint("Append fewer messages in one transaction, or raise backlog_messages with streamq.alter_stream().")));
}

/*
 * Policy "block": nobody can make room if consumers have to wait for this
 * transaction.
 */
static void
check_can_wait(Relation rel, int64 limit, int64 n, const Backlog *backlog, LOCKMODE xact_mode)
{
	if (group_ring_is_undoable(RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("cannot wait for room in stream \"%s\"", RelationGetRelationName(rel)),
				 errdetail("This transaction has consumed from the stream, and consumer group \"%s\" is %lld messages behind.",
						   backlog->group_name, (long long) backlog->lag),
				 errhint("Append in another transaction than the one that consumes, or acknowledge first.")));
	if (xact_mode == ExclusiveLock && backlog->unsettled + n > limit)
		report_too_large(rel, limit, backlog->unsettled + n);
}

/*
 * Sleep until a group may have acknowledged something.
 *
 * PostgreSQL finds no deadlock here, because this process waits for no lock.
 * But the transaction that would make room may be waiting for a lock of this
 * process.
 */
static void
wait_for_room(Relation rel, uint64 seen, const Backlog *backlog, TimestampTz *check_at)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now >= *check_at)
	{
		if (group_lock_holder_waits(RelationGetRelid(rel), backlog->group_id))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
					 errmsg("deadlock detected"),
					 errdetail("This transaction waits for room in stream \"%s\", and a transaction that has consumed or appended there waits for this one.",
							   RelationGetRelationName(rel))));
		*check_at = TimestampTzPlusMilliseconds(now, POLL_INTERVAL);
	}
	InvalidateCatalogSnapshot();
	signal_wait(RelationGetRelid(rel), seen, POLL_INTERVAL);
	AcceptInvalidationMessages();
}

static void enter_by_policy(Relation rel, int64 n);

/*
 * Policy "block".  xact_mode is the mode in which the transaction lock is
 * kept, as long as this transaction may have rows in the stream.  The caller
 * appends rows, or only wants to know that there is room.
 */
static void
enter_or_wait(Relation rel, int64 n, bool append)
{
	Oid			relid = RelationGetRelid(rel);
	LOCKMODE	xact_mode = NoLock; /* held since an earlier append */
	Backlog		backlog;
	LogFlowOptions options;
	TimestampTz check_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), DeadlockTimeout);

	/*
	 * A transaction that has consumed from the stream does not wait for room.
	 * So it need not wait for a producer that does, and must not: its commit
	 * may be what makes room.
	 */
	if (group_lock_producer(relid, GROUP_PRODUCER_XACT, ShareLock,
							!group_ring_is_undoable(relid)) == GROUP_LOCK_HELD)
		xact_mode = ShareLock;
	for (;;)
	{
		uint64		seen;

		options = log_options_flow(rel);
		if (options.backlog_policy != LOG_BACKLOG_BLOCK || options.backlog_messages == 0)
		{
			/* changed while this process waited */
			stream_flow_unblock();
			enter_by_policy(rel, n);
			return;
		}
		seen = signal_count(relid);
		if (try_enter(rel, options.backlog_messages, n, false, &backlog))
			break;
		if (n > options.backlog_messages)
			report_too_large(rel, options.backlog_messages, n);
		check_can_wait(rel, options.backlog_messages, n, &backlog, xact_mode);

		if (xact_mode == ShareLock)
		{
			(void) group_lock_producer(relid, GROUP_PRODUCER_XACT, ExclusiveLock, true);
			xact_mode = ExclusiveLock;
			continue;
		}
		if (!stream_flow_is_blocking())
		{
			/* count again, because the last acknowledgement may not ring */
			stream_flow_block(relid);
			continue;
		}
		if (xact_mode == NoLock)
			group_unlock_producer(relid, GROUP_PRODUCER_XACT, ShareLock);
		wait_for_room(rel, seen, &backlog, &check_at);
		if (xact_mode == NoLock)
			(void) group_lock_producer(relid, GROUP_PRODUCER_XACT, ShareLock, true);
	}
	stream_flow_unblock();
	if (!append && xact_mode == NoLock)
		group_unlock_producer(relid, GROUP_PRODUCER_XACT, ShareLock);
}

/*
 * A background process of this library serves many streams, so it must not wait
 * for the consumers of one.  It tries again later.
 */
static bool
may_wait(void)
{
	return MyBgworkerEntry == NULL ||
		strcmp(MyBgworkerEntry->bgw_library_name, "streamq") != 0;
}

/* make sure that n messages fit, or do what the stream's policy says */
static void
enter_by_policy(Relation rel, int64 n)
{
	LogFlowOptions options = log_options_flow(rel);
	Backlog		backlog;

	if (options.backlog_messages == 0)
		return;
	if (options.backlog_policy == LOG_BACKLOG_BLOCK && !may_wait())
		options.backlog_policy = LOG_BACKLOG_REJECT;
	switch (options.backlog_policy)
	{
		case LOG_BACKLOG_NONE:
			break;
		case LOG_BACKLOG_REJECT:
			if (try_enter(rel, options.backlog_messages, n, false, &backlog))
				break;
			if (n > options.backlog_messages)
				report_too_large(rel, options.backlog_messages, n);
			report_full(rel, options.backlog_messages, &backlog);
			break;
		case LOG_BACKLOG_BLOCK:
			enter_or_wait(rel, n, true);
			break;
		case LOG_BACKLOG_EVICT:
			if (!try_enter(rel, options.backlog_messages, n, true, &backlog))
				report_too_large(rel, options.backlog_messages, Max(backlog.unsettled, 0) + n);
			break;
	}
}

void
group_backlog_enter(Relation rel, int64 n)
{
	double		max_rate = log_options_flow(rel).max_rate;

	append_mode = NoLock;
	if (max_rate > 0)
		stream_rate_wait(rel, max_rate, n);
	enter_by_policy(rel, n);
}

void
group_backlog_leave(Relation rel)
{
	if (append_mode != NoLock)
		unlock_append(rel);
	append_mode = NoLock;
}

/*
 * The same for a producer that does not append yet.  The append lock is held
 * while the room that was taken is put back, so nobody counts in between.
 */
bool
group_backlog_room(Relation rel, int64 n, bool wait)
{
	LogFlowOptions options = log_options_flow(rel);
	Oid			relid = RelationGetRelid(rel);
	Backlog		backlog;

	if (options.backlog_policy != LOG_BACKLOG_BLOCK || n > options.backlog_messages ||
		!may_wait() || group_ring_is_undoable(relid))
		return true;
	append_mode = NoLock;
	if (wait)
		enter_or_wait(rel, n, false);
	else if (!try_enter(rel, options.backlog_messages, n, false, &backlog))
		return false;
	if (append_mode != NoLock)
		pg_atomic_fetch_add_u64(&log_flow(rel)->room, n);
	group_backlog_leave(rel);
	return true;
}
