/*
 * offsets.c
 *	  Questions about the offsets of a partition.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "log/log.h"
#include "log/page/page.h"
#include "log/page/run.h"
#include "log/page/structure.h"
#include "log/read/cursor.h"
#include "log/read/offsets.h"
#include "log/read/pagescan.h"
#include "log/read/visibility.h"
#include "log/reader.h"
#include "log/space.h"
#include "log/space/directory.h"
#include "log/space/partition.h"
#include "log/space/relcache.h"
#include "log/space/shared.h"

/*
 * Walk over run headers from `from` up to `to` or to the first run in
 * progress.  Counts visible rows and returns where the walk ended.
 */
static int64
walk_runs(Relation rel, int partition, int64 from, int64 to, Snapshot snapshot,
		  int stop, int64 *count, TransactionId *xid, TimestampTz *since)
{
	LogCursor	cursor;
	LogPageScan *ps = palloc(sizeof(LogPageScan));
	int64		position = from;	/* everything before it was seen */

	*count = 0;
	log_cursor_init(&cursor, rel, partition);
	log_page_scan_init(ps, rel);
	if (from < to && log_cursor_seek(&cursor, from))
	{
		do
		{
			CHECK_FOR_INTERRUPTS();
			if (!log_page_scan_load_forward(ps, &cursor, snapshot, stop, &position))
				break;
			for (int i = 0; i < ps->nranges; i++)
			{
				int64		a = Max(ps->base + ps->ranges[i].index, from);
				int64		b = Min(ps->base + ps->ranges[i].index + ps->ranges[i].nrows, to);

				if (a < b)
					*count += b - a;
			}
			if (ps->stopped)
			{
				position = Max(position, ps->stop_offset);
				if (position < to)
				{
					if (xid)
						*xid = ps->stop_xid;
					if (since)
						*since = ps->stop_time;
				}
				break;
			}
			position = Max(position, ps->base + ps->nrows);
		} while (position < to && log_cursor_next(&cursor));
	}
	log_page_scan_release(ps);
	if (!ps->stopped)
		log_check_missing(rel, partition, position, to);
	pfree(ps);
	return Min(position, to);
}

int64
log_stable_offset(Relation rel, int partition, TransactionId *blocked_by,
				  TimestampTz *blocked_since)
{
	int64		from = Max(log_first_offset(rel, partition),
						   log_frozen_offset(rel, partition));
	int64		next = log_next_offset(rel, partition);
	LogShared  *shared = NULL;
	Snapshot	snapshot;
	int64		count;
	int64		stable;
	uint64		known;

	if (blocked_by)
		*blocked_by = InvalidTransactionId;
	if (blocked_since)
		*blocked_since = 0;

	/*
	 * What an earlier call found settled is settled for the snapshot taken
	 * here, too, because that is a later one.
	 */
	if (log_use_shared())
	{
		shared = log_shared(rel, partition);
		from = Max(from, (int64) pg_atomic_read_u64(&shared->settled_offset));
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	stable = walk_runs(rel, partition, from, next, snapshot, LOG_STOP_OWN, &count,
					   blocked_by, blocked_since);
	UnregisterSnapshot(snapshot);
	if (shared)
	{
		known = pg_atomic_read_u64(&shared->settled_offset);
		while (known < (uint64) stable &&
			   !pg_atomic_compare_exchange_u64(&shared->settled_offset, &known, stable))
			;
	}
	return stable;
}

int64
log_count_rows(Relation rel, int partition, int64 from, int64 to, Snapshot snapshot)
{
	int64		count;

	from = Max(from, log_first_offset(rel, partition));
	to = Min(to, log_next_offset(rel, partition));
	(void) walk_runs(rel, partition, from, to, snapshot, LOG_STOP_NEVER, &count, NULL, NULL);
	return count;
}

/* Add visible messages; false if there is no room. */
static bool
peek_add(LogPeek *peek, int64 from, int64 to)
{
	if (from >= to)
		return true;
	if (peek->nranges > 0 && peek->ranges[peek->nranges - 1].to == from)
		peek->ranges[peek->nranges - 1].to = to;
	else if (peek->nranges == LOG_PEEK_RANGES)
		return false;
	else
	{
		peek->ranges[peek->nranges].from = from;
		peek->ranges[peek->nranges++].to = to;
	}
	peek->nmessages += to - from;
	return true;
}

/* Offsets below `first` can no longer be read; continue there. */
static void
peek_expire(LogPeek *peek, Relation rel, int partition, int64 first)
{
	if (first <= peek->end)
		return;
	peek->end = first;
	peek->expired_to = Max(peek->expired_from, Min(log_expired_offset(rel, partition), first));
}

/* Add what is visible on the page; false if the peek ends there. */
static bool
peek_page(LogPeek *peek, const LogPageScan *ps, int64 to, int64 want)
{
	for (int i = 0; i < ps->nranges; i++)
	{
		int64		a = Max(ps->base + ps->ranges[i].index, peek->end);
		int64		b = Min(ps->base + ps->ranges[i].index + ps->ranges[i].nrows, to);

		if (!peek_add(peek, a, b))
		{
			peek->end = a;
			return false;
		}
		peek->end = Max(peek->end, b);
		if (peek->nmessages >= want)
			return false;
	}
	peek->end = Max(peek->end, Min(ps->stopped ? ps->stop_offset : ps->base + ps->nrows, to));
	return !ps->stopped && peek->end < to;
}

void
log_peek(Relation rel, int partition, int64 from, int64 to, int64 want,
		 Snapshot snapshot, LogPeek *peek)
{
	LogCursor	cursor;
	LogPageScan *ps;
	bool		complete = false;

	/* as in log_reader_begin() */
	PredicateLockRelation(rel, snapshot);
	peek->end = from;
	peek->expired_from = peek->expired_to = from;
	peek->nmessages = 0;
	peek->nranges = 0;
	peek_expire(peek, rel, partition, log_first_offset(rel, partition));
	to = Min(to, log_next_offset(rel, partition));
	if (peek->end >= to)
		return;

	log_cursor_init(&cursor, rel, partition);
	ps = palloc(sizeof(LogPageScan));
	log_page_scan_init(ps, rel);
	if (log_cursor_seek(&cursor, peek->end))
	{
		do
		{
			int64		expected = peek->end;

			CHECK_FOR_INTERRUPTS();
			if (!log_page_scan_load_forward(ps, &cursor, snapshot, LOG_STOP_OWN, &expected))
				break;
			peek_expire(peek, rel, partition, expected);
			if (!peek_page(peek, ps, to, want))
			{
				complete = true;
				break;
			}
		} while (log_cursor_next(&cursor));
	}
	log_page_scan_release(ps);
	pfree(ps);
	if (!complete)
		log_check_missing(rel, partition, peek->end, to);
}

int64
log_count_live(Relation rel, int partition, int64 from, int64 to)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int64		count;

	from = Max(from, log_first_offset(rel, partition));
	to = Min(to, log_next_offset(rel, partition));
	(void) walk_runs(rel, partition, from, to, snapshot, LOG_STOP_NEVER_LIVE, &count, NULL, NULL);
	UnregisterSnapshot(snapshot);
	return count;
}

int64
log_count_messages(Relation rel, int partition, Snapshot snapshot)
{
	BlockNumber block = log_head_block(rel, partition);
	Buffer		buffer;
	int64		first;
	int64		frozen;
	int64		dead;

	if (!BlockNumberIsValid(block))
		return 0;
	/* read both under one lock, because VACUUM moves them together */
	buffer = log_page_read(rel, block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_SHARE);
	first = LOG_HEAD(BufferGetPage(buffer))->first_offset;
	frozen = LOG_HEAD(BufferGetPage(buffer))->frozen_offset;
	dead = LOG_HEAD(BufferGetPage(buffer))->frozen_dead;
	UnlockReleaseBuffer(buffer);

	if (frozen < first)
		return log_count_rows(rel, partition, first, PG_INT64_MAX, snapshot);
	return frozen - first - dead +
		log_count_rows(rel, partition, frozen, PG_INT64_MAX, snapshot);
}

TimestampTz
log_produced_at_range(Relation rel, int partition, int64 off, int64 *from, int64 *to)
{
	LogRelCache *cache;
	LogCursor	cursor;
	Buffer		buffer;
	TimestampTz result = DT_NOBEGIN;

	*from = off;
	*to = off + 1;
	if (off < log_first_offset(rel, partition) || off >= log_next_offset(rel, partition))
		return DT_NOBEGIN;
	cache = rel->rd_amcache;
	if (cache && partition == cache->scanned_partition &&
		off >= cache->scanned_from && off < cache->scanned_to)
	{
		*from = cache->scanned_from;
		*to = cache->scanned_to;
		return cache->scanned_time;
	}
	log_cursor_init(&cursor, rel, partition);
	if (!log_cursor_seek(&cursor, off))
		return DT_NOBEGIN;
	buffer = log_cursor_read(&cursor);
	if (BufferIsValid(buffer))
	{
		LogRunWalk	walk;
		LogRun	   *run;

		log_run_begin(&walk, BufferGetPage(buffer));
		while ((run = log_run_next(&walk)) != NULL && walk.off <= off)
		{
			log_run_check(&walk, run, rel, buffer);
			if (off < walk.off + run->nrows)
			{
				result = run->time;
				*from = walk.off;
				*to = walk.off + run->nrows;
				break;
			}
		}
		UnlockReleaseBuffer(buffer);
	}
	return result;
}

TimestampTz
log_produced_at(Relation rel, int partition, int64 off)
{
	int64		from;
	int64		to;

	return log_produced_at_range(rel, partition, off, &from, &to);
}

/*
 * Offset of the first run on the cursor's page with append time t or later; -1
 * if all runs are older or there is none.
 */
static int64
page_offset_at_time(LogCursor *cursor, TimestampTz t, bool *any)
{
	Buffer		buffer = log_cursor_read(cursor);
	int64		result = -1;
	LogRunWalk	walk;
	LogRun	   *run;

	*any = false;
	if (!BufferIsValid(buffer))
	{
		/* beyond the tail: later than anything */
		*any = true;
		return PG_INT64_MAX;
	}
	log_run_begin(&walk, BufferGetPage(buffer));
	while (result < 0 && (run = log_run_next(&walk)) != NULL)
	{
		log_run_check(&walk, run, cursor->rel, buffer);
		*any = true;
		if (run->time >= t)
			result = walk.off;
	}
	UnlockReleaseBuffer(buffer);
	return result;
}

int64
log_offset_at_time(Relation rel, int partition, TimestampTz t)
{
	LogCursor	cursor;
	LogExtent	after;
	BlockNumber lo;
	BlockNumber hi;
	int64		next = log_next_offset(rel, partition);
	int64		first;
	int64		result;

again:
	result = PG_INT64_MAX;
	log_cursor_init(&cursor, rel, partition);
	if (!log_extent_find_time(rel, partition, t, &cursor.extent))
		return next;

	/*
	 * Times never decrease within a partition, so bisect to the first page
	 * with a run that is late enough.  Pages in the middle of a huge row have
	 * no run and count as the page before them.
	 */
	lo = cursor.extent.start;
	hi = cursor.extent.start + cursor.extent.nblocks;
	while (lo < hi)
	{
		BlockNumber mid = lo + (hi - lo) / 2;
		int64		off = -1;
		bool		any = false;

		for (cursor.block = mid;; cursor.block--)
		{
			CHECK_FOR_INTERRUPTS();
			off = page_offset_at_time(&cursor, t, &any);
			if (any || cursor.block == lo)
				break;
		}
		if (off >= 0)
		{
			result = Min(result, off);
			hi = cursor.block;
		}
		else
			lo = mid + 1;
	}

	/* all of the extent is older, although its last time is late enough */
	if (result == PG_INT64_MAX && cursor.extent.last_time != DT_NOEND &&
		log_extent_next(rel, partition, &cursor.extent, &after))
		result = after.base;

	/* if the extent has expired, its blocks may hold anything */
	first = log_first_offset(rel, partition);
	if (cursor.extent.base < first)
	{
		CHECK_FOR_INTERRUPTS();
		goto again;
	}
	return Max(Min(result, next), first);
}

/*
 * ---- rows of aborted transactions ----
 */

int64
log_count_dead(Relation rel, int partition, int64 from, int64 to)
{
	LogCursor	cursor;
	int64		dead = 0;
	int64		off = from;

	log_cursor_init(&cursor, rel, partition);
	if (from >= to || !log_cursor_seek(&cursor, from))
		return 0;
	do
	{
		Buffer		buffer;
		LogRunWalk	walk;
		LogRun	   *run;

		CHECK_FOR_INTERRUPTS();
		buffer = log_cursor_read(&cursor);
		if (!BufferIsValid(buffer))
			break;
		log_run_begin(&walk, BufferGetPage(buffer));
		while ((run = log_run_next(&walk)) != NULL && walk.off < to)
		{
			log_run_check(&walk, run, rel, buffer);
			if (walk.off >= from && (run->flags & LOG_RUN_DEAD))
				dead += run->nrows;
		}
		off = walk.off;
		UnlockReleaseBuffer(buffer);
	} while (off < to && log_cursor_next(&cursor));
	return dead;
}

int64
log_known_dead(Relation rel, int partition, int64 from, int64 to)
{
	LogHead		head;

	log_read_head(rel, partition, &head);
	if (head.frozen_dead == 0)
		return 0;
	return log_count_dead(rel, partition, from, Min(to, head.frozen_offset));
}
