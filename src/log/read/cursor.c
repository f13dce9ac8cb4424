/*
 * cursor.c
 *	  A cursor over a partition's pages in log order.
 */
#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/read/cursor.h"
#include "log/space/directory.h"
#include "log/space/shared.h"

void
log_cursor_init(LogCursor *cursor, Relation rel, int partition)
{
	cursor->rel = rel;
	cursor->partition = partition;
	cursor->strategy = NULL;
	cursor->block = InvalidBlockNumber;
	cursor->expected = -1;
}

/*
 * Offsets [*base, *end) of the rows that start on a page of the cursor's
 * extent.  False if the block holds none.
 */
static bool
page_rows(LogCursor *cursor, BlockNumber block, int64 *base, int64 *end)
{
	Buffer		buffer = ReadBufferExtended(cursor->rel, MAIN_FORKNUM, block,
											RBM_NORMAL, cursor->strategy);
	Page		page = BufferGetPage(buffer);
	bool		in;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	in = log_page_is(page, LOG_PAGE_DATA, cursor->partition) &&
		LOG_OPAQUE(page)->base >= cursor->extent.base;
	if (in)
	{
		*base = LOG_OPAQUE(page)->base;
		*end = *base + LOG_OPAQUE(page)->nrows;
	}
	UnlockReleaseBuffer(buffer);
	return in;
}

/*
 * End of the blocks that can be read.  After a crash or on a standby the file
 * may lack reserved blocks.
 */
static BlockNumber
extent_end(LogCursor *cursor)
{
	BlockNumber end = cursor->extent.start + cursor->extent.nblocks;

	if (cursor->extent.last_time == DT_NOEND)
		return Min(end, RelationGetNumberOfBlocks(cursor->rel));
	return end;
}

/* number of guesses before a seek turns to bisection */
#define MAX_GUESSES	4

bool
log_cursor_seek(LogCursor *cursor, int64 off)
{
	BlockNumber lo;
	BlockNumber hi;
	BlockNumber mid;
	int			guesses = 0;

	/* forget the old place, which may have expired */
	cursor->expected = -1;
	cursor->block = InvalidBlockNumber;
	if (!log_extent_find(cursor->rel, cursor->partition, off, &cursor->extent))
		return false;

	/*
	 * Find the last page whose base is at most off.  The number of rows on
	 * one page gives a guess where to look next.  If guesses do not converge,
	 * bisect.
	 */
	lo = cursor->extent.start;
	hi = extent_end(cursor);
	mid = lo + (hi - lo) / 2;
	while (lo < hi)
	{
		int64		base;
		int64		next;
		int64		distance = 0;

		if (!page_rows(cursor, mid, &base, &next))
			hi = mid;
		else if (base > off)
		{
			hi = mid;
			distance = -1 - (base - off) / Max(next - base, 1);
		}
		else
		{
			lo = mid + 1;
			/* off is on this page */
			if (off < next)
				break;
			distance = 1 + (off - next) / Max(next - base, 1);
		}
		if (distance != 0 && guesses++ < MAX_GUESSES)
			mid = (BlockNumber) Min(Max((int64) mid + distance, (int64) lo), (int64) hi - 1);
		else
			mid = lo + (hi - lo) / 2;
	}
	cursor->block = lo > cursor->extent.start ? lo - 1 : lo;
	return true;
}

bool
log_cursor_next(LogCursor *cursor)
{
	LogExtent	next;

	if (!BlockNumberIsValid(cursor->block))
		return false;
	if (cursor->block + 1 < cursor->extent.start + cursor->extent.nblocks)
	{
		cursor->block++;
		return true;
	}
	if (!log_extent_next(cursor->rel, cursor->partition, &cursor->extent, &next))
		return false;
	cursor->block = next.start == cursor->extent.start ? cursor->block + 1 : next.start;
	cursor->extent = next;
	return true;
}

bool
log_cursor_prev(LogCursor *cursor)
{
	LogExtent	prev;

	cursor->expected = -1;
	if (!BlockNumberIsValid(cursor->block))
		return false;
	if (cursor->block > cursor->extent.start)
	{
		cursor->block--;
		return true;
	}
	if (!log_extent_prev(cursor->rel, cursor->partition, &cursor->extent, &prev))
	{
		cursor->block = InvalidBlockNumber;
		return false;
	}
	cursor->extent = prev;
	cursor->block = prev.start + prev.nblocks - 1;
	return true;
}

Buffer
log_cursor_read(LogCursor *cursor)
{
	Buffer		buffer;
	Page		page;

	if (!BlockNumberIsValid(cursor->block))
		return InvalidBuffer;
	if (cursor->extent.last_time == DT_NOEND &&
		cursor->block >= RelationGetNumberOfBlocks(cursor->rel))
		return InvalidBuffer;
	if (unlikely(!log_shared_known(cursor->rel, cursor->partition)))
		(void) log_shared(cursor->rel, cursor->partition);
	buffer = ReadBufferExtended(cursor->rel, MAIN_FORKNUM, cursor->block,
								RBM_NORMAL, cursor->strategy);
	page = BufferGetPage(buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!log_page_is(page, LOG_PAGE_DATA, cursor->partition) ||
		LOG_OPAQUE(page)->base < cursor->extent.base)
	{
		UnlockReleaseBuffer(buffer);
		return InvalidBuffer;
	}
	return buffer;
}
