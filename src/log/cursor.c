/*
 * cursor.c
 *	  Walking over a partition's pages in log order.
 */
#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "log/log_internal.h"

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
 * Base of a page of the cursor's extent, false if the block holds none.
 */
static bool
page_base(LogCursor *cursor, BlockNumber block, int64 *base)
{
	Buffer		buffer = ReadBufferExtended(cursor->rel, MAIN_FORKNUM, block,
											RBM_NORMAL, cursor->strategy);
	Page		page = BufferGetPage(buffer);
	bool		in;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	in = log_page_is(page, LOG_PAGE_DATA, cursor->partition) &&
		LOG_OPAQUE(page)->base >= cursor->extent.base;
	if (in)
		*base = LOG_OPAQUE(page)->base;
	UnlockReleaseBuffer(buffer);
	return in;
}

/*
 * End of the blocks that may be read: reserved ones need not be in the file
 * after a crash or on a standby.
 */
static BlockNumber
extent_end(LogCursor *cursor)
{
	BlockNumber end = cursor->extent.start + cursor->extent.nblocks;

	if (cursor->extent.last_time == DT_NOEND)
		return Min(end, RelationGetNumberOfBlocks(cursor->rel));
	return end;
}

/* is the row with this offset likely on the cursor's page or the one after it? */
static bool
seek_near(LogCursor *cursor, int64 off)
{
	BlockNumber end;
	int64		base;

	if (!BlockNumberIsValid(cursor->block) || off < cursor->extent.base)
		return false;
	end = extent_end(cursor);
	if (cursor->block >= end || !page_base(cursor, cursor->block, &base) || base > off)
		return false;
	for (int i = 0; i < 2; i++)
	{
		if (cursor->block + 1 >= end)
			return false;
		if (!page_base(cursor, cursor->block + 1, &base) || base > off)
			return true;
		cursor->block++;
	}
	return false;
}

bool
log_cursor_seek(LogCursor *cursor, int64 off)
{
	BlockNumber lo;
	BlockNumber hi;

	cursor->expected = -1;
	if (seek_near(cursor, off))
		return true;
	cursor->block = InvalidBlockNumber;
	if (!log_extent_find(cursor->rel, cursor->partition, off, &cursor->extent))
		return false;

	/* the last page whose base is at most off */
	lo = cursor->extent.start;
	hi = extent_end(cursor);
	while (lo < hi)
	{
		BlockNumber mid = lo + (hi - lo) / 2;
		int64		base;

		if (page_base(cursor, mid, &base) && base <= off)
			lo = mid + 1;
		else
			hi = mid;
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
