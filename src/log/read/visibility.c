/*
 * visibility.c
 *	  Which rows a snapshot sees; decided once for all rows of a run.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/read/visibility.h"
#include "log/space/partition.h"
#include "log/space/relcache.h"
#include "log/space/shared.h"

int64
log_frozen_offset(Relation rel, int partition)
{
	LogShared  *shared = log_shared_at_hand(rel, partition);
	BlockNumber block;
	Buffer		buffer;
	int64		frozen;

	if (shared != NULL)
		return (int64) pg_atomic_read_u64(&shared->frozen_offset);

	block = log_head_block(rel, partition);
	if (!BlockNumberIsValid(block))
		return 0;
	buffer = log_page_read(rel, block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_SHARE);
	frozen = LOG_HEAD(BufferGetPage(buffer))->frozen_offset;
	UnlockReleaseBuffer(buffer);
	return frozen;
}

/*
 * Reject a transaction id that cannot occur, before the commit log is asked
 * for a page that it may not have.
 */
static void
check_xid(Relation rel, const LogRun *run, Buffer buffer)
{
	if (unlikely(!TransactionIdIsNormal(run->xid) ||
				 TransactionIdPrecedes(run->xid, COMPAT_OLDEST_XID()) ||
				 !TransactionIdPrecedes(run->xid, ReadNextTransactionId())))
		log_page_corrupted(rel, BufferGetBlockNumber(buffer),
						   "it holds rows of an impossible transaction id");
}

bool
log_xid_committed(Relation rel, const LogRun *run, Buffer buffer)
{
	check_xid(rel, run, buffer);
	return TransactionIdDidCommit(run->xid);
}

void
log_low_offsets(Relation rel, int partition, int64 *first, int64 *frozen)
{
	LogShared  *shared = log_shared_at_hand(rel, partition);

	if (shared != NULL)
	{
		/*
		 * The page must have been pinned before the offsets are read, because
		 * expiry publishes the first offset before blocks are checked for
		 * pins.  Expiry moves the first offset before the frozen one, so a
		 * reader of the new frozen offset must read the new first offset,
		 * too.
		 */
		pg_memory_barrier();
		*frozen = (int64) pg_atomic_read_u64(&shared->frozen_offset);
		pg_read_barrier();
		*first = (int64) pg_atomic_read_u64(&shared->first_offset);
	}
	else
	{
		BlockNumber block = log_head_block(rel, partition);
		Buffer		buffer;

		*first = *frozen = 0;
		if (!BlockNumberIsValid(block))
			return;
		buffer = log_page_read(rel, block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_SHARE);
		*first = LOG_HEAD(BufferGetPage(buffer))->first_offset;
		*frozen = LOG_HEAD(BufferGetPage(buffer))->frozen_offset;
		UnlockReleaseBuffer(buffer);
	}
}

/*
 * Store the outcome in the run.  As in heap pages, a commit must be durable
 * first.
 */
static void
set_hint(LogRun *run, Buffer buffer, uint16 hint)
{
	if (hint == LOG_RUN_COMMITTED && BufferIsPermanent(buffer))
	{
		XLogRecPtr	lsn = TransactionIdGetCommitLSN(run->xid);

		if (XLogNeedsFlush(lsn) && BufferGetLSNAtomic(buffer) < lsn)
			return;
	}
	run->flags |= hint;
	MarkBufferDirtyHint(buffer, true);
}

/*
 * Did the run's transaction commit?  The caller knows that it is not in
 * progress.
 *
 * VACUUM may let the commit log be truncated up to the frozen offset.  It
 * holds the freeze lock while it moves that offset, so the frozen offset is
 * read again under that lock before the commit log is asked.
 */
static bool
run_committed(Relation rel, int partition, LogRun *run, int64 first_row, Buffer buffer)
{
	LogShared  *shared = log_shared_at_hand(rel, partition);
	bool		committed;

	if (run->flags & (LOG_RUN_ABORTED | LOG_RUN_DEAD))
		return false;
	if (run->flags & LOG_RUN_COMMITTED)
		return true;

	if (shared != NULL)
	{
		LWLockAcquire(&shared->freeze_lock, LW_SHARED);
		if (first_row < (int64) pg_atomic_read_u64(&shared->frozen_offset))
		{
			bool		expired = first_row <
				(int64) pg_atomic_read_u64(&shared->first_offset);

			/* dead runs were not marked in what has expired */
			LWLockRelease(&shared->freeze_lock);
			return !expired && (run->flags & LOG_RUN_DEAD) == 0;
		}
	}
	committed = log_xid_committed(rel, run, buffer);
	if (shared)
		LWLockRelease(&shared->freeze_lock);
	set_hint(run, buffer, committed ? LOG_RUN_COMMITTED : LOG_RUN_ABORTED);
	return committed;
}

LogVisibility
log_run_visibility(Relation rel, int partition, LogRun *run,
				   int64 first_row, int64 frozen, Snapshot snapshot, Buffer buffer)
{
	TransactionId xid = run->xid;

	if (first_row < frozen)
		return (run->flags & LOG_RUN_DEAD) ? LOG_INVISIBLE : LOG_VISIBLE;

	if (likely(snapshot->snapshot_type == SNAPSHOT_MVCC))
	{
		if (run->flags & (LOG_RUN_ABORTED | LOG_RUN_DEAD))
			return LOG_INVISIBLE;
		if (!(run->flags & LOG_RUN_COMMITTED) &&
			TransactionIdIsCurrentTransactionId(xid))
			return run->cid < snapshot->curcid ? LOG_VISIBLE : LOG_OWN_LATER;
		if (XidInMVCCSnapshot(xid, snapshot))
		{
			check_xid(rel, run, buffer);
			/* a serializable reader does not see this write */
			if (CheckForSerializableConflictOutNeeded(rel, snapshot))
				CheckForSerializableConflictOut(rel, xid, snapshot);
			return LOG_IN_PROGRESS;
		}
		return run_committed(rel, partition, run, first_row, buffer) ?
			LOG_VISIBLE : LOG_INVISIBLE;
	}

	switch (snapshot->snapshot_type)
	{
		case SNAPSHOT_ANY:
			return LOG_VISIBLE;
		case SNAPSHOT_DIRTY:
			snapshot->xmin = snapshot->xmax = InvalidTransactionId;
			snapshot->speculativeToken = 0;
			if (TransactionIdIsCurrentTransactionId(xid))
				return LOG_VISIBLE;
			if (TransactionIdIsInProgress(xid))
			{
				snapshot->xmin = xid;
				return LOG_VISIBLE;
			}
			break;
		default:
			/* as of now, own changes included */
			if (TransactionIdIsCurrentTransactionId(xid))
				return LOG_VISIBLE;
			if (TransactionIdIsInProgress(xid))
				return LOG_IN_PROGRESS;
			break;
	}
	return run_committed(rel, partition, run, first_row, buffer) ?
		LOG_VISIBLE : LOG_INVISIBLE;
}
