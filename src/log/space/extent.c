/*
 * extent.c
 *	  Extents: the blocks of the file are given to partitions in extents,
 *	  and each partition's directory lists its extents in log order.
 *
 * The directory has two levels.  The root is in the partition's head page and
 * names directory pages (leaves), which hold the extents.  A leaf has an id
 * that is never used again within its partition, so a reader with an outdated
 * root notices and starts over.
 *
 * Extending a file may stall.  So extents are reserved ahead of the tail
 * (log_reserve), while no append lock is held.  A reserved extent is a spare
 * entry at the end of the directory until the tail moves into it
 * (log_enter_extent).  All allocation is done under the relation extension
 * lock.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/rel.h"

#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space.h"
#include "log/space/blocks.h"
#include "log/space/extent.h"
#include "log/space/partition.h"
#include "log/space/relcache.h"
#include "log/space/shared.h"

#define MIN_EXTENT		8		/* 64 kB */
#define MAX_EXTENT		1024	/* 8 MB, unless the stream is huge */
#define MIN_STEP		32		/* 256 kB */
#define STEP_SHARE		256		/* a larger step is at most this fraction of
								 * the partition */
#define LEAST_SHARE		8192	/* extents and steps are at least this
								 * fraction, because a directory has room for
								 * only 120,000 extents, and with several
								 * partitions each step may become an extent */

int			log_extend_size = 128;

void		(*log_space_hook) (Relation rel, int64 bytes) = NULL;

static inline uint32
pages_ahead(const LogTail *tail)
{
	uint32		n = tail->spare_blocks;

	if (BlockNumberIsValid(tail->extent_start))
		n += tail->extent_end - tail->next_block;
	return n;
}

/* Does a new extent need a new leaf?  The caller holds the extension lock. */
static bool
leaf_is_full(Relation rel, int partition)
{
	BlockNumber headblock = log_head_block(rel, partition);
	BlockNumber leaf = InvalidBlockNumber;
	Buffer		buffer;
	LogHead    *head;
	bool		full = true;

	buffer = log_page_read(rel, headblock, LOG_PAGE_HEAD, partition, BUFFER_LOCK_SHARE);
	head = LOG_HEAD(BufferGetPage(buffer));
	if (head->nroot > 0)
		leaf = LOG_HEAD_ROOT(head)[head->nroot - 1].block;
	UnlockReleaseBuffer(buffer);
	if (BlockNumberIsValid(leaf))
	{
		buffer = log_page_read(rel, leaf, LOG_PAGE_DIRECTORY, partition, BUFFER_LOCK_SHARE);
		full = LOG_DIRECTORY(BufferGetPage(buffer))->nextents >= LOG_DIRECTORY_MAX;
		UnlockReleaseBuffer(buffer);
	}
	return full;
}

/*
 * Reserve nblocks at the end of the directory.  If they follow the last extent
 * in the file, and it stays within max_extent, they make it longer; otherwise
 * they become a spare extent.  Returns the number of blocks reserved, which is
 * lower if free blocks are reused.
 */
static uint32
add_blocks(Relation rel, int partition, LogShared *shared, uint32 nblocks, uint32 max_extent)
{
	Buffer		buffers[3];		/* meta, head, leaf */
	Page		metapage;
	Page		headpage;
	LogHead    *head;
	LogDirectory *directory;
	LogBlockRange range;
	BlockNumber spare_leaf = InvalidBlockNumber;
	bool		newleaf = leaf_is_full(rel, partition);
	bool		lengthen = false;

	range = log_pick_blocks(rel, nblocks);
	if (newleaf)
		spare_leaf = log_pick_block(rel, &range);

	LWLockAcquire(&shared->append_lock, LW_EXCLUSIVE);
	buffers[0] = log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_EXCLUSIVE);
	metapage = BufferGetPage(buffers[0]);
	buffers[1] = log_page_read(rel, LOG_META(metapage)->heads[partition], LOG_PAGE_HEAD,
							   partition, BUFFER_LOCK_EXCLUSIVE);
	headpage = BufferGetPage(buffers[1]);
	head = LOG_HEAD(headpage);

	if (head->nroot > 0)
	{
		buffers[2] = log_page_read(rel, LOG_HEAD_ROOT(head)[head->nroot - 1].block,
								   LOG_PAGE_DIRECTORY, partition, BUFFER_LOCK_EXCLUSIVE);
		directory = LOG_DIRECTORY(BufferGetPage(buffers[2]));
		if (directory->nextents > 0)
		{
			LogExtent  *extent = &directory->extents[directory->nextents - 1];

			lengthen = extent->start + extent->nblocks == range.start &&
				extent->nblocks + range.nblocks <= max_extent;
		}
		newleaf = newleaf && !lengthen;
		if (newleaf)
			UnlockReleaseBuffer(buffers[2]);
	}
	if (newleaf)
	{
		if (head->nroot >= LOG_HEAD_MAX_ROOT(head))
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("partition %d of stream \"%s\" has too many extents",
							partition, RelationGetRelationName(rel))));
		buffers[2] = ReadBufferExtended(rel, MAIN_FORKNUM, spare_leaf, RBM_ZERO_AND_LOCK, NULL);
	}

	START_CRIT_SECTION();
	log_take_blocks(metapage, range.start, range.nblocks);
	if (newleaf)
	{
		Page		page = BufferGetPage(buffers[2]);
		LogRootEntry *entry = &LOG_HEAD_ROOT(head)[head->nroot];

		log_take_blocks(metapage, spare_leaf, 1);
		log_page_init(page, LOG_PAGE_DIRECTORY, partition);
		LOG_OPAQUE(page)->owner = head->next_leaf_id;
		LOG_DIRECTORY(page)->nextents = 0;
		LOG_DIRECTORY(page)->reserved = 0;
		entry->block = spare_leaf;
		entry->leaf_id = head->next_leaf_id++;
		entry->base = LOG_SPARE_EXTENT;
		head->nroot++;
		log_head_set_content(headpage);
		MarkBufferDirty(buffers[1]);
	}
	log_directory_add(BufferGetPage(buffers[2]), range.start, range.nblocks, lengthen);
	directory = LOG_DIRECTORY(BufferGetPage(buffers[2]));
	if (directory->extents[directory->nextents - 1].base == LOG_SPARE_EXTENT)
		shared->tail.spare_blocks += range.nblocks;
	else
		shared->tail.extent_end += range.nblocks;
	MarkBufferDirty(buffers[0]);
	MarkBufferDirty(buffers[2]);
	if (!RelationNeedsWAL(rel))
		 /* nothing to log */ ;
	else if (newleaf)
		log_xlog_pages(LOG_PAGES_RESERVE, buffers, 3);
	else
		log_xlog_reserve(buffers[0], buffers[2], range.start, range.nblocks, lengthen);
	END_CRIT_SECTION();

	for (int i = 2; i >= 0; i--)
		UnlockReleaseBuffer(buffers[i]);
	LWLockRelease(&shared->append_lock);
	return range.nblocks;
}

/*
 * Before npages are reserved, expire what a limit on bytes does not allow
 * besides them.  The caller holds no lock except the relation's.
 */
static void
make_room(Relation rel, uint32 npages)
{
	int64		limit = log_relcache(rel)->options.max_bytes / BLCKSZ;
	uint32		npartitions;
	uint32		used = log_blocks_in_use(rel, &npartitions);

	/* parallel mode allows no new snapshots */
	if (log_space_hook == NULL || (int64) used + npages <= limit ||
		used < log_relcache(rel)->room_blocks || IsInParallelMode())
		return;
	log_space_hook(rel, (int64) npages * BLCKSZ);

	/* do not try again at every step what could not be expired now */
	used = log_blocks_in_use(rel, &npartitions);
	log_relcache(rel)->room_blocks = (int64) used + npages <= limit ? 0 :
		(uint32) Min(used + limit / 16, MaxBlockNumber);
}

void
log_reserve(Relation rel, int partition, LogShared *shared, uint32 npages)
{
	uint32		ahead;
	int64		max_bytes = log_relcache(rel)->options.max_bytes;

	if (max_bytes > 0)
		make_room(rel, npages);
	LockRelationForExtension(rel, ExclusiveLock);
	LWLockAcquire(&shared->append_lock, LW_SHARED);
	ahead = pages_ahead(&shared->tail);
	LWLockRelease(&shared->append_lock);

	while (ahead < npages)
	{
		/*
		 * An extent may have a sixteenth of the partition's blocks: small
		 * streams stay small, and large ones have few, large extents.  Space
		 * is taken in smaller steps, so that little is reserved and not used.
		 * A step lengthens the last extent if nobody else took the blocks
		 * after it.  With a limit on bytes, extents are small enough for a
		 * partition to have several within it, because only whole ones can
		 * expire.
		 */
		uint32		npartitions;
		uint32		blocks = log_blocks_in_use(rel, &npartitions);
		uint32		max_extent;
		uint32		step;

		blocks /= npartitions;
		max_extent = Max(Min(Max(blocks / 16, MIN_EXTENT), MAX_EXTENT),
						 blocks / LEAST_SHARE);
		step = Max(Min(Max(blocks / STEP_SHARE, MIN_STEP), (uint32) log_extend_size),
				   blocks / LEAST_SHARE);
		if (max_bytes > 0)
			max_extent = Min(max_extent, Max(max_bytes / BLCKSZ / 16 / npartitions,
											 MIN_EXTENT));
		max_extent = Min(Max(max_extent, npages - ahead), LOG_LIMIT_EXTENT);
		step = Min(Max(npages - ahead, Min(max_extent, step)), LOG_LIMIT_EXTENT);
		ahead += add_blocks(rel, partition, shared, step, max_extent);
		CHECK_FOR_INTERRUPTS();
	}
	UnlockRelationForExtension(rel, ExclusiveLock);
}

void
log_enter_extent(Relation rel, int partition, LogShared *shared, TimestampTz now)
{
	LogTail    *tail = &shared->tail;
	Buffer		buffers[3];		/* head, leaf of the new extent, old leaf */
	int			nbuffers = 0;
	Buffer		headbuf;
	Buffer		newbuf = InvalidBuffer;
	Buffer		oldbuf = InvalidBuffer;
	LogHead    *head;
	LogRootEntry *root;
	int			r = 0;
	int			e = 0;
	LogExtent  *extent;

	headbuf = log_page_read(rel, tail->head, LOG_PAGE_HEAD, partition, BUFFER_LOCK_EXCLUSIVE);
	head = LOG_HEAD(BufferGetPage(headbuf));
	root = LOG_HEAD_ROOT(head);

	if (BlockNumberIsValid(tail->extent_start))
	{
		LogDirectory *directory;

		oldbuf = log_page_read(rel, tail->leaf, LOG_PAGE_DIRECTORY, partition,
							   BUFFER_LOCK_EXCLUSIVE);
		directory = LOG_DIRECTORY(BufferGetPage(oldbuf));
		while (e < (int) directory->nextents &&
			   directory->extents[e].start != tail->extent_start)
			e++;
		if (e >= (int) directory->nextents)
			log_page_corrupted(rel, tail->leaf, "the extent of the tail is not in it");
		for (r = head->nroot - 1; r > 0 && root[r].block != tail->leaf; r--)
			;
		if (++e >= (int) directory->nextents)
		{
			e = 0;
			r++;
		}
		else
			newbuf = oldbuf;
	}
	if (r >= head->nroot)
		log_page_corrupted(rel, tail->head, "the reserved extents are not in the directory");
	if (!BufferIsValid(newbuf))
		newbuf = log_page_read(rel, root[r].block, LOG_PAGE_DIRECTORY, partition,
							   BUFFER_LOCK_EXCLUSIVE);
	if (e >= (int) LOG_DIRECTORY(BufferGetPage(newbuf))->nextents)
		log_page_corrupted(rel, root[r].block, "the reserved extents are not in the directory");
	extent = &LOG_DIRECTORY(BufferGetPage(newbuf))->extents[e];
	if (extent->base != LOG_SPARE_EXTENT || extent->start == 0 || extent->nblocks == 0 ||
		(uint64) extent->start + extent->nblocks > RelationGetNumberOfBlocks(rel))
		log_page_corrupted(rel, root[r].block, "the next extent is not one that was reserved");

	if (e == 0)
		buffers[nbuffers++] = headbuf;
	buffers[nbuffers++] = newbuf;
	if (BufferIsValid(oldbuf) && oldbuf != newbuf)
		buffers[nbuffers++] = oldbuf;

	START_CRIT_SECTION();
	if (BufferIsValid(oldbuf))
	{
		LogDirectory *directory = LOG_DIRECTORY(BufferGetPage(oldbuf));

		for (uint32 i = 0; i < directory->nextents; i++)
			if (directory->extents[i].start == tail->extent_start)
				directory->extents[i].last_time = tail->last_time;
	}
	extent->base = tail->next_offset;
	extent->first_time = now;
	if (e == 0)
		root[r].base = tail->next_offset;
	for (int i = 0; i < nbuffers; i++)
		MarkBufferDirty(buffers[i]);
	if (RelationNeedsWAL(rel))
		log_xlog_pages(LOG_PAGES_ENTER, buffers, nbuffers);
	tail->leaf = root[r].block;
	tail->extent_start = extent->start;
	tail->extent_end = extent->start + extent->nblocks;
	tail->extent_base = extent->base;
	tail->tail = InvalidBlockNumber;
	tail->next_block = extent->start;
	tail->spare_blocks -= extent->nblocks;
	END_CRIT_SECTION();

	if (BufferIsValid(oldbuf) && oldbuf != newbuf)
		UnlockReleaseBuffer(oldbuf);
	UnlockReleaseBuffer(newbuf);
	UnlockReleaseBuffer(headbuf);
}
