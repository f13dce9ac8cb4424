/*
 * freeze.c
 *	  VACUUM: moves the frozen offset forward.
 *
 * VACUUM reads the pages from the old frozen offset to the end of the
 * partition.  The new frozen offset is the first run that is not old enough.
 * Below it, every run is committed, except for those that VACUUM marks dead on
 * their pages.  The usual partition has committed rows only and costs no page
 * writes at all: the one WAL record changes the head page.
 *
 * Nothing is removed, except for extents at the head that hold only dead rows.
 */
#include "postgres.h"

#include "access/multixact.h"
#include "commands/progress.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xloginsert.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/backend_progress.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"

#include "log/log.h"
#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/run.h"
#include "log/page/structure.h"
#include "log/read/cursor.h"
#include "log/read/offsets.h"
#include "log/read/pagescan.h"
#include "log/read/visibility.h"
#include "log/space.h"
#include "log/space/partition.h"
#include "log/space/shared.h"
#include "log/write/expire.h"
#include "log/write/freeze.h"
#include "log/write/state_callbacks.h"
#include "base/loaded.h"

typedef struct FreezeState
{
	Relation	rel;
	int			partition;
	BufferAccessStrategy strategy;
	TransactionId cutoff;		/* older xids are frozen */
	TransactionId newest;		/* newest xid frozen */
	TransactionId oldest_left;	/* oldest xid not frozen */
	int64		to;				/* end of the partition when VACUUM began */
	int64		frozen;			/* the new frozen offset */
	bool		stopped;
	int64		live;
	int64		dead;
} FreezeState;

/* Mark aborted runs of a page for good. */
static void
mark_dead(FreezeState *fs, Buffer buffer, uint16 *positions, int n)
{
	Page		page = BufferGetPage(buffer);

	START_CRIT_SECTION();
	for (int i = 0; i < n; i++)
		((LogRun *) ((char *) page + positions[i]))->flags |= LOG_RUN_DEAD;
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(fs->rel))
	{
		XLogRecPtr	lsn;

		XLogBeginInsert();
		XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
		XLogRegisterBufData(0, (char *) positions, n * sizeof(uint16));
		lsn = XLogInsert(LOG_RMGR_ID, XLOG_LOG_DEAD);
		PageSetLSN(page, lsn);
	}
	END_CRIT_SECTION();
}

/*
 * Has the page at the cursor expired, or been reused since?  Then *first,
 * where the retained messages begin, is above `expected`.
 */
static bool
page_expired(LogCursor *cursor, Buffer buffer, int64 expected, int64 *first)
{
	int64		frozen;

	log_low_offsets(cursor->rel, cursor->partition, first, &frozen);
	if (*first <= expected)
		return false;
	return !BufferIsValid(buffer) ||
		LOG_OPAQUE(BufferGetPage(buffer))->base < *first ||
		LOG_OPAQUE(BufferGetPage(buffer))->base > expected;
}

/*
 * Look at the runs of a page from `from` on.  Returns the offset after the
 * page; `positions` gets the aborted runs that are not marked yet.
 */
static int64
freeze_runs(FreezeState *fs, Buffer buffer, int64 from, uint16 *positions, int *npositions)
{
	LogRunWalk	walk;
	LogRun	   *run;

	log_run_begin(&walk, BufferGetPage(buffer));
	while ((run = log_run_next(&walk)) != NULL)
	{
		bool		committed;

		if (walk.off < from)
			continue;

		/*
		 * A run that is too young stops the frozen offset, but not
		 * relfrozenxid: the later runs are read, too, and the oldest xid left
		 * is what relfrozenxid advances to.
		 */
		if (fs->stopped || !TransactionIdPrecedes(run->xid, fs->cutoff))
		{
			fs->stopped = true;
			if (!(run->flags & LOG_RUN_DEAD) &&
				(!TransactionIdIsValid(fs->oldest_left) ||
				 TransactionIdPrecedes(run->xid, fs->oldest_left)))
				fs->oldest_left = run->xid;
			fs->live += run->nrows;
			continue;
		}
		committed = !(run->flags & (LOG_RUN_ABORTED | LOG_RUN_DEAD)) &&
			((run->flags & LOG_RUN_COMMITTED) ||
			 log_xid_committed(fs->rel, run, buffer));
		if (committed)
			fs->live += run->nrows;
		else
		{
			fs->dead += run->nrows;
			if (!(run->flags & LOG_RUN_DEAD))
				positions[(*npositions)++] = (uint16) walk.pos;
		}
		if (!TransactionIdIsValid(fs->newest) ||
			TransactionIdFollows(run->xid, fs->newest))
			fs->newest = run->xid;
		fs->frozen = walk.off + run->nrows;
	}
	return walk.off;
}

/*
 * Look at the runs of a page from *next on, and advance *next past the page.
 * False at the tail.
 */
static bool
freeze_page(FreezeState *fs, LogCursor *cursor, int64 *next)
{
	uint16		positions[LOG_MAX_RANGES];
	int			npositions = 0;
	Buffer		buffer = log_cursor_read(cursor);
	Page		page;
	int64		off;
	int64		from;
	const char *problem;

	while (page_expired(cursor, buffer, *next, &from))
	{
		if (BufferIsValid(buffer))
			UnlockReleaseBuffer(buffer);
		CHECK_FOR_INTERRUPTS();
		*next = from;
		if (!fs->stopped)
			fs->frozen = Max(fs->frozen, from);
		if (!log_cursor_seek(cursor, from))
			return false;
		buffer = log_cursor_read(cursor);
	}
	if (!BufferIsValid(buffer))
	{
		log_check_missing(fs->rel, fs->partition, *next, fs->to);
		return false;
	}
	from = *next;
	page = BufferGetPage(buffer);
	problem = log_page_check_runs(page);
	if (problem)
		log_page_corrupted(fs->rel, cursor->block, problem);
	if (LOG_OPAQUE(page)->base > from && fs->partition < LOG_MAX_PARTITIONS - 1)
		log_check_missing(fs->rel, fs->partition, from, fs->to);
	off = freeze_runs(fs, buffer, from, positions, &npositions);

	/*
	 * Do not go beyond the end of the partition as it was.  A page that was
	 * the tail when it was read may have got more rows since, and an empty
	 * page may follow it.
	 */
	if (!fs->stopped)
		fs->frozen = Max(fs->frozen, Min(off, fs->to));
	*next = Max(*next, off);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);

	if (npositions > 0)
	{
		/*
		 * positions stay valid: runs do not move, and outcomes do not change
		 */
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		mark_dead(fs, buffer, positions, npositions);
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	}
	ReleaseBuffer(buffer);
	return *next < fs->to;
}

/*
 * Move the frozen offset.  `dead` is the number of rows newly marked dead
 * between `from` and the new frozen offset.
 */
static void
advance_frozen(FreezeState *fs, int64 from, int64 dead)
{
	LogShared  *shared = log_shared(fs->rel, fs->partition);
	BlockNumber block = log_head_block(fs->rel, fs->partition);
	Buffer		buffer;
	LogHead    *head;

	for (;;)
	{
		buffer = log_page_read(fs->rel, block, LOG_PAGE_HEAD, fs->partition,
							   BUFFER_LOCK_EXCLUSIVE);
		head = LOG_HEAD(BufferGetPage(buffer));
		if (head->first_offset <= from)
			break;

		/* some of what was counted has expired */
		from = head->first_offset;
		UnlockReleaseBuffer(buffer);
		dead = log_count_dead(fs->rel, fs->partition, from, fs->frozen);
	}
	if (head->frozen_offset >= fs->frozen)
	{
		UnlockReleaseBuffer(buffer);
		return;
	}

	START_CRIT_SECTION();
	head->frozen_offset = fs->frozen;
	head->frozen_dead = Min(head->frozen_dead + dead,
							head->frozen_offset - head->first_offset);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(fs->rel))
	{
		xl_log_freeze xlrec;
		XLogRecPtr	lsn;

		xlrec.frozen_offset = head->frozen_offset;
		xlrec.frozen_dead = head->frozen_dead;
		xlrec.newest_xid = fs->newest;
		xlrec.dboid = MyDatabaseId;
		XLogBeginInsert();
		XLogRegisterData((char *) &xlrec, sizeof(xlrec));
		XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
		lsn = XLogInsert(LOG_RMGR_ID, XLOG_LOG_FREEZE);
		PageSetLSN(BufferGetPage(buffer), lsn);
	}
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);

	/* wait for readers that are about to ask the commit log */
	LWLockAcquire(&shared->append_lock, LW_EXCLUSIVE);
	LWLockAcquire(&shared->freeze_lock, LW_EXCLUSIVE);
	if (shared->tail.frozen_offset < fs->frozen)
	{
		shared->tail.frozen_offset = fs->frozen;
		pg_atomic_write_u64(&shared->frozen_offset, fs->frozen);
	}
	LWLockRelease(&shared->freeze_lock);
	LWLockRelease(&shared->append_lock);
}

static int64
frozen_dead(Relation rel, int partition)
{
	BlockNumber block = log_head_block(rel, partition);
	Buffer		buffer;
	int64		dead;

	if (!BlockNumberIsValid(block))
		return 0;
	buffer = log_page_read(rel, block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_SHARE);
	dead = LOG_HEAD(BufferGetPage(buffer))->frozen_dead;
	UnlockReleaseBuffer(buffer);
	return dead;
}

/*
 * Freeze one partition: look at its runs, move its frozen offset, and free the
 * extents that hold only dead rows.
 */
static void
vacuum_partition(FreezeState *fs)
{
	int64		first = log_first_offset(fs->rel, fs->partition);
	int64		from = Max(first, log_frozen_offset(fs->rel, fs->partition));
	int64		dead_before = fs->dead;
	LogCursor	cursor;
	int64		at = from;
	int64		below = Max(0, from - first - frozen_dead(fs->rel, fs->partition));

	fs->to = log_next_offset(fs->rel, fs->partition);
	fs->frozen = from;
	fs->newest = InvalidTransactionId;
	fs->stopped = false;
	log_cursor_init(&cursor, fs->rel, fs->partition);
	cursor.strategy = fs->strategy;
	if (from < fs->to && log_cursor_seek(&cursor, from))
	{
		do
		{
			COMPAT_VACUUM_DELAY_POINT();
		} while (freeze_page(fs, &cursor, &at) && log_cursor_next(&cursor));
	}
	/* runs that were not read would count as frozen */
	log_check_missing(fs->rel, fs->partition, at, fs->to);
	fs->live += below;
	if (fs->frozen > log_frozen_offset(fs->rel, fs->partition))
		advance_frozen(fs, from, fs->dead - dead_before);
	log_expire_dead(fs->rel, fs->partition);
}

void
log_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy strategy)
{
	FreezeState fs;
	TransactionId oldest_xmin = GetOldestNonRemovableTransactionId(rel);
	TransactionId frozenxid;
	TransactionId state_xid;
	MultiXactId minmulti = GetOldestMultiXactId();
	BlockNumber nblocks;
	int			npartitions = log_partition_count(rel);
	TimestampTz start = GetCurrentTimestamp();
	PgStat_Counter live = 0;

	base_require_loaded();
	memset(&fs, 0, sizeof(fs));
	fs.rel = rel;
	fs.strategy = strategy;
	fs.cutoff = oldest_xmin;
	fs.oldest_left = InvalidTransactionId;

	pgstat_progress_start_command(PROGRESS_COMMAND_VACUUM, RelationGetRelid(rel));
	for (int p = 0; p < npartitions; p++)
	{
		fs.partition = p;
		vacuum_partition(&fs);
	}
	state_xid = log_state_vacuum(rel, oldest_xmin);

	frozenxid = oldest_xmin;
	if (TransactionIdIsValid(fs.oldest_left) &&
		TransactionIdPrecedes(fs.oldest_left, frozenxid))
		frozenxid = fs.oldest_left;
	if (TransactionIdIsValid(state_xid) && TransactionIdPrecedes(state_xid, frozenxid))
		frozenxid = state_xid;

	live = fs.live;
	nblocks = RelationGetNumberOfBlocks(rel);
	COMPAT_UPDATE_RELSTATS(rel, nblocks, live, false, frozenxid, minmulti);
	COMPAT_REPORT_VACUUM(rel, live, start);
	log_restore_free_list(rel, true);
	pgstat_progress_end_command();

	if (params->options & VACOPT_VERBOSE)
		ereport(INFO,
				(errmsg("vacuumed stream \"%s\": " INT64_FORMAT " rows, " INT64_FORMAT
						" of aborted transactions newly found, in %d partitions",
						RelationGetRelationName(rel), (int64) live, fs.dead, npartitions)));
}
