/*
 * reader.c
 *	  Reading a partition forward, and questions about its offsets.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "log/log_internal.h"

struct LogReader
{
	Relation	rel;
	int			partition;
	int64		to;
	Snapshot	snapshot;
	int			stop;
	int64		position;
	int64		expired_from;	/* expired before it could be returned */
	int64		expired_to;
	bool		loaded;			/* ps holds the cursor's page */
	bool		done;
	TransactionId blocked_by;
	TimestampTz blocked_since;
	LogCursor	cursor;
	LogPageScan ps;
};

/* offsets up to first could not be read any more: go on there */
static void
note_expired(LogReader *reader, int64 first)
{
	int64		lost = log_lost_offset(reader->rel, reader->partition);

	if (reader->expired_to == 0)
		reader->expired_from = reader->position;
	reader->position = Min(first, reader->to);
	/* what expired since is read yet, or noted when it cannot be */
	reader->expired_to = Min(lost, reader->position);
}

LogReader *
log_reader_begin(Relation rel, int partition, int64 from, int64 to,
				 Snapshot snapshot, bool stop_at_own)
{
	LogReader  *reader = palloc(sizeof(LogReader));
	int64		first;
	int64		next;

	/*
	 * Serializable transactions must know what was looked for: before the end
	 * is looked at, see log_append_rows.
	 */
	PredicateLockRelation(rel, snapshot);
	first = log_first_offset(rel, partition);
	next = log_next_offset(rel, partition);

	reader->rel = rel;
	reader->partition = partition;
	/* the end as of now, so that reading does not chase a busy producer */
	reader->to = Min(to, next);
	reader->snapshot = snapshot;
	reader->stop = stop_at_own ? LOG_STOP_OWN : LOG_STOP_IN_PROGRESS;
	reader->position = from;
	reader->expired_from = reader->expired_to = 0;
	if (from < first)
		note_expired(reader, first);
	from = reader->position;
	reader->loaded = false;
	reader->done = from >= reader->to;
	reader->blocked_by = InvalidTransactionId;
	reader->blocked_since = 0;
	log_cursor_init(&reader->cursor, rel, partition);
	log_page_scan_init(&reader->ps, rel);
	if (!reader->done && !log_cursor_seek(&reader->cursor, from))
	{
		reader->done = true;
		log_check_missing(rel, partition, from, reader->to);
	}
	return reader;
}

/* load the page at the cursor; false at the end of what there is */
static bool
load_page(LogReader *reader)
{
	int64		expected = reader->position;
	bool		found = log_page_scan_load_forward(&reader->ps, &reader->cursor,
												   reader->snapshot, reader->stop,
												   &expected);

	if (expected > reader->position)
		note_expired(reader, expected);
	if (!found)
	{
		log_check_missing(reader->rel, reader->partition, reader->position, reader->to);
		return false;
	}
	if (reader->ps.base < reader->position)
		log_page_scan_position(&reader->ps, reader->position);
	reader->loaded = true;
	return true;
}

bool
log_reader_next(LogReader *reader, TupleTableSlot *slot)
{
	LogPageScan *ps = &reader->ps;
	bool		cut;

	while (!reader->done)
	{
		if (!reader->loaded && !load_page(reader))
			break;
		if (log_page_scan_step(ps, slot))
		{
			if (ps->off >= reader->to)
			{
				reader->position = reader->to;
				break;
			}
			reader->position = ps->off + 1;
			return true;
		}
		if (ps->stopped)
		{
			if (ps->stop_offset < reader->to)
			{
				reader->position = Max(reader->position, ps->stop_offset);
				reader->blocked_by = ps->stop_xid;
				reader->blocked_since = ps->stop_time;
			}
			else
				reader->position = reader->to;
			break;
		}
		reader->loaded = false;
		cut = ps->cut;
		if (cut)
		{
			/* its row went on behind the page, and expired with what follows */
			reader->position = ps->off;
			note_expired(reader, log_first_offset(reader->rel, reader->partition));
		}
		else
			reader->position = Min(Max(reader->position, ps->base + ps->nrows), reader->to);
		if (reader->position >= reader->to)
			break;
		CHECK_FOR_INTERRUPTS();
		if (!(cut ? log_cursor_seek(&reader->cursor, reader->position) :
			  log_cursor_next(&reader->cursor)))
		{
			log_check_missing(reader->rel, reader->partition, reader->position, reader->to);
			break;
		}
	}
	reader->done = true;
	log_page_scan_release(ps);
	ExecClearTuple(slot);
	return false;
}

int64
log_reader_offset(LogReader *reader)
{
	return reader->ps.off;
}

TimestampTz
log_reader_produced_at(LogReader *reader)
{
	return reader->ps.time;
}

int64
log_reader_position(LogReader *reader)
{
	return reader->position;
}

bool
log_reader_expired(LogReader *reader, int64 *from, int64 *to)
{
	if (reader->expired_to == 0)
		return false;
	*from = reader->expired_from;
	*to = reader->expired_to;
	reader->expired_to = 0;
	return *from < *to;
}

TransactionId
log_reader_blocked_by(LogReader *reader)
{
	return reader->blocked_by;
}

TimestampTz
log_reader_blocked_since(LogReader *reader)
{
	return reader->blocked_since;
}

void
log_reader_end(LogReader *reader)
{
	log_page_scan_release(&reader->ps);
	pfree(reader);
}

/*
 * Walk over run headers only, from `from` up to `to` or the first run in
 * progress.  Counts visible rows; returns where it ended.
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
	 * What an earlier call found settled stays so for every later snapshot,
	 * and the one taken here is later than that.
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
	/* under one lock, as vacuum moves them together */
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
		Page		page = BufferGetPage(buffer);
		uint32		pos = LOG_PAGE_START + LOG_OPAQUE(page)->cont_len;
		int64		base = LOG_OPAQUE(page)->base;

		while (base <= off && MAXALIGN(pos) + sizeof(LogRun) <= ((PageHeader) page)->pd_lower)
		{
			LogRun	   *run = (LogRun *) ((char *) page + MAXALIGN(pos));

			if (off < base + run->nrows)
			{
				result = run->time;
				*from = base;
				*to = base + run->nrows;
				break;
			}
			base += run->nrows;
			pos = MAXALIGN(pos) + sizeof(LogRun) + run->nbytes;
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
 * Offset of the first run on the cursor's page appended at or after t; -1 if
 * all are older or it has none.
 */
static int64
page_offset_at_time(LogCursor *cursor, TimestampTz t, bool *any)
{
	Buffer		buffer = log_cursor_read(cursor);
	int64		result = -1;
	Page		page;
	uint32		pos;
	int64		base;

	*any = false;
	if (!BufferIsValid(buffer))
	{
		/* behind the tail: later than anything */
		*any = true;
		return PG_INT64_MAX;
	}
	page = BufferGetPage(buffer);
	pos = LOG_PAGE_START + LOG_OPAQUE(page)->cont_len;
	base = LOG_OPAQUE(page)->base;
	while (result < 0 && MAXALIGN(pos) + sizeof(LogRun) <= ((PageHeader) page)->pd_lower)
	{
		LogRun	   *run = (LogRun *) ((char *) page + MAXALIGN(pos));

		*any = true;
		if (run->time >= t)
			result = base;
		base += run->nrows;
		pos = MAXALIGN(pos) + sizeof(LogRun) + run->nbytes;
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
	 * Times never fall within a partition: bisect to the first page with a
	 * run that is late enough.  Pages amid a huge row have none: they count
	 * as the page before.
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

	/* all of it is older: the extent was full when its last time came */
	if (result == PG_INT64_MAX && cursor.extent.last_time != DT_NOEND &&
		log_extent_next(rel, partition, &cursor.extent, &after))
		result = after.base;

	/* if the extent expired meanwhile, its blocks may hold anything */
	first = log_first_offset(rel, partition);
	if (cursor.extent.base < first)
	{
		CHECK_FOR_INTERRUPTS();
		goto again;
	}
	return Max(Min(result, next), first);
}
