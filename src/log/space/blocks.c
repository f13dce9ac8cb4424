/*
 * blocks.c
 *	  Blocks of the file: handed out, given back and reused.
 *
 * All of it happens under the relation extension lock, in two steps.  Picking
 * blocks may fail or stall, because it extends the file or looks for pins, so
 * it must happen before a page is locked for change.  Taking them changes the
 * locked meta page and cannot fail.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "compat.h"
#include "log/log.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space/blocks.h"

/* smallest range that is worth an extent */
#define LEAST_RANGE 8

/*
 * Raise an error if a block from the list of free blocks holds live data.
 * Reusing it would spread damage from the list to messages.
 */
static void
check_unused(Relation rel, BlockNumber block)
{
	Buffer		buffer;
	Page		page;
	bool		used = false;
	int			partition = -1;
	int64		end = 0;

	log_check_block(rel, block);
	buffer = ReadBuffer(rel, block);
	page = BufferGetPage(buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (log_page_is(page, LOG_PAGE_DATA, -1))
	{
		partition = LOG_OPAQUE(page)->partition;
		end = LOG_OPAQUE(page)->base + LOG_OPAQUE(page)->nrows;
	}
	else
		used = log_page_is(page, LOG_PAGE_META, -1) ||
			log_page_is(page, LOG_PAGE_HEAD, -1) ||
			log_page_is(page, LOG_PAGE_STATE, -1) ||
			log_page_is(page, LOG_PAGE_STATE_DIRECTORY, -1);
	UnlockReleaseBuffer(buffer);
	if (partition >= 0 && partition < log_partition_count(rel))
		used = end > log_first_offset(rel, partition);
	if (used)
		log_page_corrupted(rel, block, "it is in use, but was to be used again");
}

/*
 * Does any backend have the block pinned?  Rows are read with only a pin, so a
 * pinned block is not reused.  A backend that pins it from now on finds that
 * it has expired.
 *
 * A block that is not in shared buffers cannot be pinned and is not read for
 * this.
 */
static bool
is_pinned(Relation rel, BlockNumber block)
{
	BufferTag	tag;
	uint32		hash;
	LWLock	   *lock;
	int			id;
	Buffer		buffer;

	COMPAT_INIT_BUFFER_TAG(&tag, RelationLocator(rel), MAIN_FORKNUM, block);
	hash = BufTableHashCode(&tag);
	lock = BufMappingPartitionLock(hash);
	LWLockAcquire(lock, LW_SHARED);
	id = BufTableLookup(&tag, hash);
	LWLockRelease(lock);
	if (id < 0)
		return false;

	buffer = ReadBuffer(rel, block);
	if (!ConditionalLockBufferForCleanup(buffer))
	{
		ReleaseBuffer(buffer);
		return true;
	}
	UnlockReleaseBuffer(buffer);
	return false;
}

/*
 * Find nblocks unpinned blocks in one piece in a free range, or the longest
 * piece of at least `least` blocks that begins first.
 */
static bool
find_unpinned(Relation rel, const LogBlockRange *free, uint32 nblocks, uint32 least,
			  LogBlockRange *range)
{
	range->start = free->start;
	range->nblocks = 0;
	for (uint32 i = 0; i < free->nblocks && range->nblocks < nblocks; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!is_pinned(rel, free->start + i))
			range->nblocks++;
		else if (range->nblocks >= least)
			break;
		else
		{
			range->start = free->start + i + 1;
			range->nblocks = 0;
		}
	}
	return range->nblocks >= least;
}

static void
fresh_blocks(Relation rel, BlockNumber start, uint32 nblocks)
{
	/* nothing was handed out from here on, so nothing was written */
	if (start < RelationGetNumberOfBlocks(rel))
	{
		Buffer		buffer = ReadBuffer(rel, start);
		bool		isnew;

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		isnew = PageIsNew(BufferGetPage(buffer));
		UnlockReleaseBuffer(buffer);
		if (!isnew)
			log_page_corrupted(rel, start, "it is in use, but was never handed out");
	}
	if ((uint64) start + nblocks >= MaxBlockNumber)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot extend stream \"%s\" beyond %u blocks",
						RelationGetRelationName(rel), MaxBlockNumber)));
	log_extend_file(rel, start + nblocks);
}

static void
copy_meta(Relation rel, PGAlignedBlock *copy)
{
	Buffer		buffer = log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_SHARE);

	memcpy(copy->data, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
}

static void
check_range(Relation rel, const LogMeta *meta, uint32 i)
{
	if (meta->free[i].start == 0 || meta->free[i].nblocks == 0 ||
		(uint64) meta->free[i].start + meta->free[i].nblocks > meta->nallocated)
		log_page_corrupted(rel, 0, "it names impossible free blocks");
}

/*
 * Pick blocks for an extent: free ones if there are any, else fresh ones.  A
 * free range may be shorter than asked for.
 */
LogBlockRange
log_pick_blocks(Relation rel, uint32 nblocks)
{
	PGAlignedBlock copy;
	LogMeta    *meta = LOG_META(copy.data);
	LogBlockRange range;

	copy_meta(rel, &copy);
	for (uint32 i = 0; i < meta->nfree; i++)
	{
		check_range(rel, meta, i);
		if (find_unpinned(rel, &meta->free[i], nblocks, Min(nblocks, LEAST_RANGE), &range))
		{
			/*
			 * Check only one block of the range; reading all of them would be
			 * slow.
			 */
			check_unused(rel, range.start);
			return range;
		}
	}
	range.start = meta->nallocated;
	range.nblocks = nblocks;
	fresh_blocks(rel, range.start, range.nblocks);
	return range;
}

/*
 * Pick one block for a structure page, outside of `taken` (NULL: nothing else
 * was picked).
 */
BlockNumber
log_pick_block(Relation rel, const LogBlockRange *taken)
{
	PGAlignedBlock copy;
	LogMeta    *meta = LOG_META(copy.data);
	BlockNumber block;

	copy_meta(rel, &copy);
	for (uint32 i = 0; i < meta->nfree; i++)
	{
		BlockNumber end = meta->free[i].start + meta->free[i].nblocks;

		check_range(rel, meta, i);
		for (block = meta->free[i].start; block < end; block++)
		{
			if (taken && block >= taken->start && block < taken->start + taken->nblocks)
				continue;
			if (!is_pinned(rel, block))
			{
				check_unused(rel, block);
				return block;
			}
		}
	}
	block = meta->nallocated;
	if (taken && block < taken->start + taken->nblocks)
		block = taken->start + taken->nblocks;
	fresh_blocks(rel, block, 1);
	return block;
}

uint32
log_blocks_in_use(Relation rel, uint32 *npartitions)
{
	Buffer		buffer = log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_SHARE);
	LogMeta    *meta = LOG_META(BufferGetPage(buffer));
	uint32		blocks = meta->nallocated;

	for (uint32 i = 0; i < meta->nfree; i++)
		blocks -= Min(blocks, meta->free[i].nblocks);
	*npartitions = meta->npartitions;
	UnlockReleaseBuffer(buffer);
	return blocks;
}
