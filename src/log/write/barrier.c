/*
 * barrier.c
 *	  Barriers: points where the routing columns changed.
 *
 * If a stream is partitioned by other columns than before, the next message of
 * a key may go to another partition than the earlier ones.  A barrier keeps
 * them in order.  It is a set of offsets, one per partition: every partition
 * must be finished up to its offset before any message after the offsets is
 * delivered.
 *
 * Barriers are kept in the heads, so they belong to the file, and TRUNCATE,
 * which leaves nothing to finish, drops them.  Rollback does not undo a
 * barrier.  Then it only delays messages that could have been delivered a
 * little sooner, until the next change drops it.
 *
 * Partition 0, which always exists, says which barriers there are.  It is
 * written last, so a barrier that was not completed has no effect.  A
 * partition that does not know a barrier was added later, and all of it comes
 * after the barrier.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "utils/rel.h"

#include "compat.h"
#include "log/log.h"
#include "log/options.h"
#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space/partition.h"
#include "log/write/barrier.h"

/*
 * What the head of a partition says about barriers, and the offsets needed
 * with it.
 */
typedef struct Barriers
{
	int			n;
	LogBarrier	entries[LOG_MAX_BARRIERS];
	int64		first_offset;
	int64		origin_offset;
} Barriers;

static void
read_barriers(Relation rel, int partition, Barriers *barriers)
{
	BlockNumber block = log_head_block(rel, partition);
	Buffer		buffer;
	LogHead    *head;

	barriers->n = 0;
	barriers->first_offset = barriers->origin_offset = 0;
	if (!BlockNumberIsValid(block))
		return;
	buffer = log_page_read(rel, block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_SHARE);
	head = LOG_HEAD(BufferGetPage(buffer));
	barriers->n = head->nbarriers;
	memcpy(barriers->entries, LOG_HEAD_BARRIERS(head), head->nbarriers * sizeof(LogBarrier));
	barriers->first_offset = head->first_offset;
	barriers->origin_offset = head->origin_offset;
	UnlockReleaseBuffer(buffer);
}

/*
 * Store barriers in a head.  The caller holds the extension lock, so nothing
 * else can make the head's content longer.
 */
static void
write_barriers(Relation rel, int partition, const Barriers *barriers)
{
	BlockNumber block = log_head_block(rel, partition);
	Buffer		buffer = log_page_read(rel, block, LOG_PAGE_HEAD, partition,
									   BUFFER_LOCK_EXCLUSIVE);
	Page		page = BufferGetPage(buffer);
	LogHead    *head = LOG_HEAD(page);

	/* the root of the directory follows them */
	if (barriers->n > head->nbarriers &&
		head->nroot + barriers->n - head->nbarriers > LOG_HEAD_MAX_ROOT(head))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("partition %d of stream \"%s\" has too many extents",
						partition, RelationGetRelationName(rel)),
				 errdetail("There is no room to record that its partitioning columns change.")));

	START_CRIT_SECTION();
	memmove(LOG_HEAD_BARRIERS(head) + barriers->n, LOG_HEAD_ROOT(head),
			head->nroot * sizeof(LogRootEntry));
	memcpy(LOG_HEAD_BARRIERS(head), barriers->entries, barriers->n * sizeof(LogBarrier));
	head->nbarriers = barriers->n;
	log_head_set_content(page);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(rel))
		log_xlog_pages(LOG_PAGES_BARRIER, &buffer, 1);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

/* Offset of a barrier in a partition; 0 if the partition does not know it. */
static int64
barrier_offset(const Barriers *barriers, uint32 id)
{
	for (int i = 0; i < barriers->n; i++)
		if (barriers->entries[i].id == id)
			return barriers->entries[i].offset;
	return 0;
}

/* Has everything before this barrier expired? */
static bool
is_outlived(const Barriers *all, int npartitions, uint32 id)
{
	for (int p = 0; p < npartitions; p++)
		if (barrier_offset(&all[p], id) > all[p].first_offset)
			return false;
	return true;
}

/*
 * Did the transaction that made the barrier fail?  The caller's lock on the
 * stream rules out that it is still running.  False if the commit log has
 * forgotten the transaction.
 */
static bool
is_undone(const LogBarrier *barrier)
{
	FullTransactionId full = FullTransactionIdFromU64(barrier->xid);
	TransactionId xid = XidFromFullTransactionId(full);
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	bool		undone = false;

	if (!TransactionIdIsNormal(xid) || barrier->xid >= next ||
		next - barrier->xid > PG_INT32_MAX ||
		TransactionIdIsCurrentTransactionId(xid))
		return false;
	LWLockAcquire(XactTruncationLock, LW_SHARED);
	if (!TransactionIdPrecedes(xid, COMPAT_OLDEST_CLOG_XID()))
		undone = !TransactionIdDidCommit(xid);
	LWLockRelease(XactTruncationLock);
	return undone;
}

/* Drop the barriers of partition 0 that no longer matter. */
static void
drop_barriers(const Barriers *all, int npartitions, Barriers *known)
{
	int			kept = 0;

	for (int i = 0; i < known->n; i++)
		if (!is_undone(&known->entries[i]))
			known->entries[kept++] = known->entries[i];
	known->n = kept;

	/*
	 * A consumer may still hold expired messages, so outlived barriers are
	 * dropped only if room is needed.
	 */
	if (known->n == LOG_MAX_BARRIERS)
	{
		while (known->n > 0 && is_outlived(all, npartitions, known->entries[0].id))
			memmove(&known->entries[0], &known->entries[1],
					--known->n * sizeof(LogBarrier));
	}
}

/* Keep only the known barriers. */
static void
keep_barriers(Barriers *barriers, const Barriers *known)
{
	int			kept = 0;

	for (int i = 0, k = 0; i < barriers->n; i++)
	{
		while (k < known->n && known->entries[k].id < barriers->entries[i].id)
			k++;
		if (k < known->n && known->entries[k].id == barriers->entries[i].id)
			barriers->entries[kept++] = barriers->entries[i];
	}
	barriers->n = kept;
}

void
log_add_barrier(Relation rel)
{
	int			npartitions;
	Barriers   *all;
	Barriers	known;
	int64	   *next;
	uint64		xid = U64FromFullTransactionId(GetCurrentFullTransactionId());
	uint32		last = 0;
	bool		anything = false;
	bool		moved = false;

	/* a single partition is always in order */
	if (RelationGetNumberOfBlocks(rel) == 0 ||
		(npartitions = log_partition_count(rel)) == 1)
		return;

	all = palloc(npartitions * sizeof(Barriers));
	next = palloc(npartitions * sizeof(int64));
	for (int p = 0; p < npartitions; p++)
		next[p] = log_next_offset(rel, p);

	LockRelationForExtension(rel, ExclusiveLock);
	for (int p = 0; p < npartitions; p++)
		read_barriers(rel, p, &all[p]);
	known = all[0];
	if (known.n > 0)
		last = known.entries[known.n - 1].id;
	drop_barriers(all, npartitions, &known);
	for (int p = 0; p < npartitions; p++)
	{
		anything |= next[p] > all[p].origin_offset;
		moved |= known.n == 0 ||
			barrier_offset(&all[p], known.entries[known.n - 1].id) != next[p];
	}

	/*
	 * there is nothing to finish, or nothing was written since the last
	 * barrier
	 */
	if (!anything || !moved)
	{
		UnlockRelationForExtension(rel, ExclusiveLock);
		pfree(next);
		pfree(all);
		return;
	}

	if (known.n == LOG_MAX_BARRIERS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot change the columns that stream \"%s\" is partitioned by more than %d times",
						RelationGetRelationName(rel), LOG_MAX_BARRIERS),
				 errdetail("It still has messages from before the first of these changes."),
				 errhint("Use TRUNCATE, or copy the messages into a new stream.")));
	for (int p = npartitions - 1; p >= 0; p--)
	{
		keep_barriers(&all[p], &known);
		all[p].entries[all[p].n].offset = next[p];
		all[p].entries[all[p].n].xid = xid;
		all[p].entries[all[p].n].id = last + 1;
		all[p].entries[all[p].n].reserved = 0;
		all[p].n++;
		write_barriers(rel, p, &all[p]);
	}
	UnlockRelationForExtension(rel, ExclusiveLock);
	pfree(next);
	pfree(all);
}

void
log_column_changed(Relation rel, AttrNumber attnum, bool dropped)
{
	if (log_options_column_changed(rel, attnum, dropped))
		log_add_barrier(rel);
}

bool
log_barrier_limits(Relation rel, int npartitions, const int64 *positions, int64 *limits)
{
	Barriers	known;
	Barriers	barriers;
	uint32		waiting = PG_UINT32_MAX;

	if (npartitions == 1)
		return false;
	read_barriers(rel, 0, &known);
	if (known.n == 0)
		return false;

	/* the first barrier that some partition has not reached */
	for (int p = 0; p < npartitions; p++)
	{
		read_barriers(rel, p, &barriers);
		keep_barriers(&barriers, &known);
		for (int i = 0; i < barriers.n; i++)
			if (barriers.entries[i].offset > positions[p])
			{
				waiting = Min(waiting, barriers.entries[i].id);
				break;
			}
	}
	if (waiting == PG_UINT32_MAX)
		return false;
	for (int p = 0; p < npartitions; p++)
	{
		read_barriers(rel, p, &barriers);
		limits[p] = barrier_offset(&barriers, waiting);
	}
	return true;
}

/*
 * The partition that was added last has a parent if any partition has one,
 * because it has all earlier ones with messages as parents.
 */
bool
log_partitions_depend(Relation rel)
{
	StreamOptions options;
	int			parents[LOG_MAX_PARTITIONS];
	int64		offsets[LOG_MAX_PARTITIONS];
	Barriers	known;

	log_options_get(rel, &options);
	if (options.npartitions == 1)
		return false;
	if (log_get_parents(rel, options.npartitions - 1, parents, offsets) > 0)
		return true;
	read_barriers(rel, 0, &known);
	return known.n > 0;
}

/*
 * ---- dump and restore ----
 */

int
log_get_barriers(Relation rel, int npartitions, int64 *offsets)
{
	Barriers	known;
	Barriers	barriers;

	read_barriers(rel, 0, &known);
	for (int p = 0; p < npartitions && known.n > 0; p++)
	{
		read_barriers(rel, p, &barriers);
		for (int i = 0; i < known.n; i++)
			offsets[i * npartitions + p] = barrier_offset(&barriers, known.entries[i].id);
	}
	return known.n;
}

void
log_set_barriers(Relation rel, int npartitions, int n, const int64 *offsets)
{
	Barriers	barriers;
	uint64		xid;

	Assert(n <= LOG_MAX_BARRIERS);
	read_barriers(rel, 0, &barriers);
	if (n == 0 && barriers.n == 0)
		return;
	xid = U64FromFullTransactionId(GetCurrentFullTransactionId());
	log_ensure_partitions(rel, npartitions);
	LockRelationForExtension(rel, ExclusiveLock);
	for (int p = npartitions - 1; p >= 0; p--)
	{
		for (int i = 0; i < n; i++)
		{
			barriers.entries[i].offset = offsets[i * npartitions + p];
			barriers.entries[i].xid = xid;
			barriers.entries[i].id = i + 1;
			barriers.entries[i].reserved = 0;
		}
		barriers.n = n;
		write_barriers(rel, p, &barriers);
	}
	UnlockRelationForExtension(rel, ExclusiveLock);
}
