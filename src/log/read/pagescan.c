/*
 * pagescan.c
 *	  The visible rows of one data page.
 *
 * Visibility is decided run by run, under the page's share lock.  The rows are
 * then read with the pin alone, because their bytes never change and a pinned
 * block is not reused.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "log/log.h"
#include "log/page/page.h"
#include "log/page/row_codec.h"
#include "log/page/run.h"
#include "log/page/structure.h"
#include "log/read/cursor.h"
#include "log/read/pagescan.h"
#include "log/read/slot.h"
#include "log/read/visibility.h"
#include "log/space/blockmap.h"
#include "log/space/directory.h"
#include "log/space/relcache.h"
#include "log/space/shared.h"
#include "log/space/tid.h"

void
log_page_scan_init(LogPageScan *ps, Relation rel)
{
	ps->rel = rel;
	ps->buffer = InvalidBuffer;
	ps->nranges = 0;
	ps->left = 0;
	ps->range = 0;
	ps->stopped = false;
	ps->cut = false;
	ps->context = CurrentMemoryContext;
	ps->map = NULL;
}

void
log_page_scan_release(LogPageScan *ps)
{
	if (BufferIsValid(ps->buffer))
		ReleaseBuffer(ps->buffer);
	ps->buffer = InvalidBuffer;
	ps->nranges = 0;
	ps->left = 0;
}

static void
begin_range(LogPageScan *ps, int range)
{
	LogRange   *r = &ps->ranges[range];
	LogRelCache *cache = ps->rel->rd_amcache;

	ps->range = range;
	ps->pos = r->pos;
	ps->skip = 0;
	ps->left = r->nrows;
	ps->natts = r->natts;
	ps->off = ps->base + r->index - 1;
	ps->time = r->time;
	if (cache)
	{
		/* produced_at() is often called for the rows of a scan */
		cache->scanned_partition = ps->partition;
		cache->scanned_from = ps->base + r->index;
		cache->scanned_to = ps->base + r->index + r->nrows;
		cache->scanned_time = r->time;
	}
}

/*
 * Collect the visible runs of a locked data page.  False if the page has
 * expired: its runs must not be believed then, because VACUUM moves the frozen
 * offset past expired runs without settling them.
 */
static bool
collect_ranges(LogPageScan *ps, Snapshot snapshot, int stop)
{
	Page		page = BufferGetPage(ps->buffer);
	LogPageOpaque *opaque = LOG_OPAQUE(page);
	LogRunWalk	walk;
	LogRun	   *run;
	int64		first;
	int64		frozen;

	log_low_offsets(ps->rel, ps->partition, &first, &frozen);
	if (opaque->base < first)
		return false;

	ps->base = opaque->base;
	ps->nrows = opaque->nrows;
	ps->nranges = 0;
	ps->stopped = false;
	ps->cut = false;
	ps->left = 0;
	log_run_begin(&walk, page);
	ps->full = walk.lower == LOG_PAGE_END;

	while ((run = log_run_next(&walk)) != NULL)
	{
		LogVisibility visibility;

		/* each range is a run that fits the page, so ranges[] has room */
		log_run_check(&walk, run, ps->rel, ps->buffer);
		visibility = log_run_visibility(ps->rel, ps->partition, run, walk.off,
										frozen, snapshot, ps->buffer);
		if ((stop >= LOG_STOP_IN_PROGRESS && visibility == LOG_IN_PROGRESS) ||
			(stop == LOG_STOP_OWN &&
			 (visibility == LOG_OWN_LATER ||
			  (visibility == LOG_VISIBLE && walk.off >= frozen &&
			   !(run->flags & LOG_RUN_COMMITTED) &&
			   TransactionIdIsCurrentTransactionId(run->xid)))))
		{
			ps->stopped = true;
			ps->stop_offset = walk.off;
			ps->stop_xid = run->xid;
			ps->stop_time = run->time;
			break;
		}
		if ((visibility == LOG_VISIBLE ||
			 (stop == LOG_STOP_NEVER_LIVE && visibility != LOG_INVISIBLE)) && run->nrows > 0)
		{
			LogRange   *r = &ps->ranges[ps->nranges++];

			if (unlikely(run->natts > RelationGetNumberOfAttributes(ps->rel)))
				log_page_corrupted(ps->rel, BufferGetBlockNumber(ps->buffer),
								   "its rows have more attributes than the stream has columns");
			r->pos = walk.pos + sizeof(LogRun);
			r->nrows = run->nrows;
			r->index = walk.off - ps->base;
			r->natts = run->natts;
			r->time = run->time;
		}
	}
	if (unlikely(!ps->stopped && (walk.off != ps->base + ps->nrows || walk.end != walk.lower)))
		log_page_corrupted(ps->rel, BufferGetBlockNumber(ps->buffer),
						   "its runs are not those that it counts");
	if (ps->nranges > 0)
		begin_range(ps, 0);
	return true;
}

/*
 * Does a page with this base follow the previous page?  No scan continues from
 * a page that was the tail when it was read.  The last partition has gaps,
 * because some of its offsets have no TID.
 */
static inline bool
is_base(const LogCursor *cursor, int64 base)
{
	return base == cursor->expected ||
		(cursor->partition == LOG_MAX_PARTITIONS - 1 && base > cursor->expected);
}

bool
log_page_scan_load(LogPageScan *ps, LogCursor *cursor, Snapshot snapshot, int stop)
{
	bool		live;

	log_page_scan_release(ps);
	ps->buffer = log_cursor_read(cursor);
	if (!BufferIsValid(ps->buffer))
		return false;
	ps->partition = cursor->partition;
	if (unlikely(cursor->expected >= 0 &&
				 !is_base(cursor, LOG_OPAQUE(BufferGetPage(ps->buffer))->base)))
	{
		/*
		 * The block was reused, or it is damaged: the caller finds out which.
		 */
		UnlockReleaseBuffer(ps->buffer);
		ps->buffer = InvalidBuffer;
		return false;
	}
	ps->cursor = *cursor;
	live = collect_ranges(ps, snapshot, stop);
	LockBuffer(ps->buffer, BUFFER_LOCK_UNLOCK);
	if (live)
		cursor->expected = ps->base + ps->nrows;
	else
		log_page_scan_release(ps);
	return live;
}

bool
log_page_scan_load_forward(LogPageScan *ps, LogCursor *cursor, Snapshot snapshot,
						   int stop, int64 *expected)
{
	bool		sought = false;

	for (;;)
	{
		bool		found = log_page_scan_load(ps, cursor, snapshot, stop);
		int64		first;

		if (found && ps->base <= *expected)
			return true;

		/*
		 * There is no page, or it begins at a later offset.  Either that is
		 * what the log holds, or the block was reused because the expected
		 * messages expired.  In the latter case the first offset has passed
		 * *expected, or has reached it: the pages after the first page of a
		 * large row have the next row's offset as their base.
		 */
		first = log_first_offset(cursor->rel, cursor->partition);
		if (first < *expected || (first == *expected && sought))
		{
			/*
			 * a hole in the log; before pages of the last partition it is
			 * legitimate
			 */
			if (found && cursor->partition < LOG_MAX_PARTITIONS - 1)
				log_check_missing(cursor->rel, cursor->partition, *expected, ps->base);
			return found;
		}
		log_page_scan_release(ps);
		*expected = first;
		sought = true;
		if (!log_cursor_seek(cursor, first))
			return false;
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Collect the rows of a locked data page that was read by its block number.
 * False if it has none; *sound tells whether that is legitimate.  shared is
 * NULL on a standby.
 */
static bool
collect_block(LogPageScan *ps, BlockNumber block, LogShared *shared, Snapshot snapshot,
			  bool *sound)
{
	LogPageOpaque *opaque = LOG_OPAQUE(BufferGetPage(ps->buffer));
	int64		end = opaque->base + opaque->nrows;
	int64		first = 0;
	int64		next = 0;

	ps->partition = opaque->partition;
	if (shared != NULL)
	{
		next = (int64) pg_atomic_read_u64(&shared->next_offset);
		first = (int64) pg_atomic_read_u64(&shared->first_offset);
	}
	else if (opaque->nrows > 0)
	{
		LogTail		tail;

		log_tail_load(ps->rel, ps->partition, &tail);
		next = tail.next_offset;
		first = tail.first_offset;
	}
	*sound = opaque->nrows == 0 || end <= next;

	/* a block that was freed and not reused still looks like a page */
	if (!*sound || opaque->nrows == 0 || end <= first ||
		!collect_ranges(ps, snapshot, LOG_STOP_NEVER))
		return false;

	log_cursor_init(&ps->cursor, ps->rel, ps->partition);
	ps->cursor.block = block;
	/* the extent is looked up only if a row continues on the next page */
	ps->cursor.extent.start = InvalidBlockNumber;
	ps->cursor.extent.base = opaque->base;
	return true;
}

/*
 * Should the block hold messages?  An old map is not enough for yes, because
 * messages may have expired since it was made.
 */
static bool
should_hold_messages(LogPageScan *ps, BlockNumber block)
{
	if (ps->map != NULL && !log_block_map_has(ps->map, block))
		return false;
	if (ps->map != NULL)
		log_block_map_free(ps->map);
	ps->map = NULL;
	ps->map = log_block_map(ps->rel, ps->context);
	return log_block_map_has(ps->map, block);
}

bool
log_page_scan_load_block(LogPageScan *ps, BlockNumber block, Snapshot snapshot,
						 BufferAccessStrategy strategy)
{
	Page		page;
	bool		live = false;
	bool		looked = false;

	log_page_scan_release(ps);
	ps->buffer = ReadBufferExtended(ps->rel, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
	page = BufferGetPage(ps->buffer);
	for (;;)
	{
		int			unknown = -1;
		bool		sound = false;

		LockBuffer(ps->buffer, BUFFER_LOCK_SHARE);
		if (log_page_is(page, LOG_PAGE_DATA, -1))
		{
			int			partition = LOG_OPAQUE(page)->partition;
			LogShared  *shared = log_shared_at_hand(ps->rel, partition);

			if (shared == NULL && log_use_shared())
				unknown = partition;
			else
				live = collect_block(ps, block, shared, snapshot, &sound);
		}
		LockBuffer(ps->buffer, BUFFER_LOCK_UNLOCK);

		if (unknown >= 0)
		{
			(void) log_shared(ps->rel, unknown);
			continue;
		}

		/*
		 * Check again: the page may have got its first messages meanwhile. It
		 * cannot have been reused, because it is pinned.
		 */
		if (!sound && looked)
			log_page_corrupted(ps->rel, block, "it should hold messages");
		if (sound || !should_hold_messages(ps, block))
			break;
		looked = true;
	}
	if (!live)
		log_page_scan_release(ps);
	return live;
}

/*
 * A row cannot be assembled.  Is that because it has expired?  On a standby
 * the first offset may move a moment later (log_check_missing).
 */
static bool
row_expired(LogPageScan *ps)
{
	if (RecoveryInProgress())
	{
		log_check_missing(ps->rel, ps->partition, ps->off, ps->off + 1);
		return true;
	}
	return ps->off < log_first_offset(ps->rel, ps->partition);
}

/*
 * Assemble a row that continues on the next page, in the slot's memory.  NULL
 * if the row has expired: its other pages may be gone.
 */
static const char *
assemble_row(LogPageScan *ps, TupleTableSlot *slot, uint32 pos, uint32 len)
{
	LogCursor	cursor = ps->cursor;
	char	   *body;
	uint32		have = LOG_PAGE_END - pos;

	/* Check the length before memory is allocated for it. */
	if (len / BLCKSZ > RelationGetNumberOfBlocks(ps->rel))
		log_page_corrupted(ps->rel, cursor.block, "a row is longer than the file");
	body = log_slot_reserve(slot, len);
	memcpy(body, (char *) BufferGetPage(ps->buffer) + pos, have);
	if (!BlockNumberIsValid(cursor.extent.start))
	{
		LogExtent	extent;
		BlockNumber block = cursor.block;

		/* find the extent that holds the block */
		bool		found = log_extent_find(ps->rel, ps->partition, ps->base, &extent);

		while (found && (block < extent.start || block >= extent.start + extent.nblocks))
		{
			LogExtent	prev;

			found = log_extent_prev(ps->rel, ps->partition, &extent, &prev);
			extent = prev;
		}
		if (!found)
		{
			if (row_expired(ps))
				return NULL;
			log_page_corrupted(ps->rel, block, "it is in no extent");
		}
		cursor.extent = extent;
	}
	while (have < len)
	{
		Buffer		buffer;
		Page		page;
		uint16		cont;

		CHECK_FOR_INTERRUPTS();
		buffer = log_cursor_next(&cursor) ? log_cursor_read(&cursor) : InvalidBuffer;
		if (!BufferIsValid(buffer))
		{
			if (row_expired(ps))
				return NULL;
			log_page_corrupted(ps->rel, cursor.block, "a row should continue after it");
		}
		page = BufferGetPage(buffer);
		cont = LOG_OPAQUE(page)->cont_len;
		if (cont != Min(len - have, LOG_PAGE_END - LOG_PAGE_START))
		{
			UnlockReleaseBuffer(buffer);
			if (row_expired(ps))
				return NULL;
			log_page_corrupted(ps->rel, cursor.block, "a row does not go on here as it should");
		}
		memcpy(body + have, (char *) page + LOG_PAGE_START, cont);
		have += cont;
		UnlockReleaseBuffer(buffer);
	}

	/* pages of the row can only have been reused after this moved */
	if (ps->off < log_first_offset(ps->rel, ps->partition))
		return NULL;
	return body;
}

static void
row_damaged(LogPageScan *ps)
{
	log_page_corrupted(ps->rel, BufferGetBlockNumber(ps->buffer), "a row is out of bounds");
}

void
log_page_scan_walk(LogPageScan *ps)
{
	const char *page = BufferGetPage(ps->buffer);

	while (ps->skip > 0)
	{
		uint32		body;
		uint32		len;
		uint16		flags;

		ps->pos = log_row_header(page, ps->pos, &body, &len, &flags);
		if (unlikely(ps->pos == 0))
			row_damaged(ps);
		ps->skip--;
	}
}

/*
 * Store the last row of a full page, which may continue on the next page.
 * False if it has expired.
 */
static pg_noinline bool
store_last_row(LogPageScan *ps, TupleTableSlot *slot)
{
	const char *page = BufferGetPage(ps->buffer);
	LogRow		row;
	uint32		body;

	log_page_scan_walk(ps);
	if (log_row_header(page, ps->pos, &body, &row.len, &row.flags) == 0)
		row_damaged(ps);
	row.natts = ps->natts;
	ps->left--;
	ps->off++;
	if (body + row.len <= LOG_PAGE_END)
	{
		row.body = page + body;
		log_slot_store(slot, &row, ps->buffer);
	}
	else
	{
		ExecClearTuple(slot);
		row.body = assemble_row(ps, slot, body, row.len);
		if (row.body == NULL)
		{
			ps->cut = true;
			return false;
		}
		log_slot_store(slot, &row, InvalidBuffer);
	}
	log_set_tid(ps->partition, ps->off, &slot->tts_tid);
	slot->tts_tableOid = RelationGetRelid(ps->rel);
	return true;
}

/* False if the page has no next row. */
static inline bool
has_next(LogPageScan *ps)
{
	while (unlikely(ps->left == 0))
	{
		if (ps->range + 1 >= ps->nranges)
			return false;
		begin_range(ps, ps->range + 1);
	}
	return true;
}

/* May the next row continue on the next page? */
static inline bool
may_go_on(const LogPageScan *ps)
{
	return ps->full && ps->left == 1 && ps->range + 1 >= ps->nranges;
}

bool
log_page_scan_on_page(LogPageScan *ps)
{
	return has_next(ps) && !may_go_on(ps);
}

bool
log_page_scan_next(LogPageScan *ps, TupleTableSlot *slot)
{
	LogSlot    *ls = (LogSlot *) slot;

	if (!has_next(ps))
		return false;
	if (unlikely(may_go_on(ps)))
		return store_last_row(ps, slot);
	if (ls->buffer != ps->buffer)
	{
		/*
		 * The slot does not know earlier rows of this page, so find the row's
		 * header here and not once more in the slot.
		 */
		log_page_scan_walk(ps);
		log_slot_pin(slot, ps->buffer);
		ls->end = 0;
	}
	log_page_scan_point(ps, ls);
	return true;
}

void
log_page_scan_position(LogPageScan *ps, int64 off)
{
	for (int i = 0; i < ps->nranges; i++)
	{
		LogRange   *r = &ps->ranges[i];

		if (ps->base + r->index + r->nrows <= off)
			continue;
		begin_range(ps, i);
		if (ps->off + 1 < off)
		{
			ps->skip = (uint32) (off - ps->off - 1);
			ps->left -= ps->skip;
			ps->off += ps->skip;
		}
		return;
	}
	/* there is nothing at or after off */
	ps->range = ps->nranges;
	ps->left = 0;
}

void
log_page_scan_to_end(LogPageScan *ps)
{
	ps->range = ps->nranges;
	ps->left = 0;
	ps->off = ps->base + ps->nrows;
}

bool
log_page_scan_prev(LogPageScan *ps, TupleTableSlot *slot)
{
	int64		target = -1;

	/*
	 * find the last visible row before the current one; rows are read forward
	 * only
	 */
	for (int i = ps->nranges - 1; i >= 0; i--)
	{
		LogRange   *r = &ps->ranges[i];
		int64		first = ps->base + r->index;

		if (first >= ps->off)
			continue;
		target = Min(ps->off - 1, first + r->nrows - 1);
		break;
	}
	if (target < 0)
		return false;
	log_page_scan_position(ps, target);
	return log_page_scan_next(ps, slot);
}
