/*
 * extent.c
 *	  Space: blocks of the file are given to partitions in extents, and each
 *	  partition's directory lists them in log order.
 *
 * The directory has two levels: the root stands in the partition's head page
 * and names directory pages (leaves), which hold the extents.  A leaf has an id that
 * is never used again within its partition, so a reader that came by an
 * outdated root notices and starts over.
 *
 * Extents are reserved ahead of the tail (log_reserve) while no append lock is
 * held, since extending a file may stall.  A reserved extent is a spare entry
 * at the end of the directory until the tail moves into it (log_enter_extent).
 * All allocation is done under the relation extension lock; one WAL record carries the
 * images of all structure pages a step changes.
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/rel.h"

#include "log/log_internal.h"
#include "log/page/log_xlog.h"

#define MIN_EXTENT		8		/* blocks: 64 kB */
#define MAX_EXTENT		1024	/* 8 MB, unless the stream is huge */
#define LIMIT_EXTENT	65536	/* 512 MB */
#define MAX_RESERVED	(4 * LIMIT_EXTENT)	/* ahead of a tail, for the
											 * longest rows there can be */
#define MIN_STEP		32		/* blocks are reserved at a time in steps from
								 * 256 kB, once extents are that large, up to
								 * log_extend_size or what a batch needs */
#define STEP_SHARE		256		/* a larger step is no more of a partition than
								 * that */
#define LEAST_SHARE		8192	/* neither an extent nor a step is less: with
								 * several partitions each step may become an
								 * extent, and a directory has room for
								 * 120,000 */

int			log_extend_size = 128;

/* ---- the file ---- */

/*
 * The meta page is empty: so must be what follows, as a crash may leave it, or the
 * file has lost its first page.
 */
static void
check_empty(Relation rel)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);

	for (BlockNumber block = 1; block < Min(nblocks, 16); block++)
	{
		Buffer		buffer = ReadBuffer(rel, block);
		bool		isnew;

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		isnew = PageIsNew(BufferGetPage(buffer));
		UnlockReleaseBuffer(buffer);
		if (!isnew)
			log_page_corrupted(rel, 0, "it is empty, but other pages are not");
	}
}

void
log_create_storage(Relation rel)
{
	Buffer		buffers[2];

	LockRelationForExtension(rel, ExclusiveLock);
	if (RelationGetNumberOfBlocks(rel) > 0)
	{
		Buffer		buffer = ReadBuffer(rel, 0);
		bool		isnew;

		/* a crash may have left an extended file that was never written */
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		isnew = PageIsNew(BufferGetPage(buffer));
		UnlockReleaseBuffer(buffer);
		if (!isnew)
		{
			UnlockRelationForExtension(rel, ExclusiveLock);
			return;
		}
		check_empty(rel);
	}
	log_extend_file(rel, 2);
	buffers[0] = ReadBufferExtended(rel, MAIN_FORKNUM, 0, RBM_ZERO_AND_LOCK, NULL);
	buffers[1] = ReadBufferExtended(rel, MAIN_FORKNUM, 1, RBM_ZERO_AND_LOCK, NULL);

	START_CRIT_SECTION();
	log_fill_meta(BufferGetPage(buffers[0]), 1, 2);
	LOG_META(BufferGetPage(buffers[0]))->heads[0] = 1;
	log_fill_head(BufferGetPage(buffers[1]), 0, 0);
	MarkBufferDirty(buffers[0]);
	MarkBufferDirty(buffers[1]);
	if (RelationNeedsWAL(rel))
		log_xlog_pages(LOG_PAGES_CREATE, buffers, 2);
	END_CRIT_SECTION();

	UnlockReleaseBuffer(buffers[1]);
	UnlockReleaseBuffer(buffers[0]);
	UnlockRelationForExtension(rel, ExclusiveLock);
}

/*
 * After a crash the file may be shorter than what was handed out: extension is
 * not logged.  Put the blocks back, so that all of a reserved extent can be read.
 */
void
log_restore_length(Relation rel)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);
	BlockNumber want;
	uint32		npartitions;
	Buffer		buffer;

	buffer = log_read_meta(rel);
	if (!BufferIsValid(buffer))
		return;
	want = LOG_META(BufferGetPage(buffer))->nallocated;
	npartitions = LOG_META(BufferGetPage(buffer))->npartitions;
	UnlockReleaseBuffer(buffer);
	if (nblocks >= want)
		return;

	/* what was written is there again: only what was reserved may be missing */
	if (want - nblocks > (uint64) npartitions * MAX_RESERVED)
		log_page_corrupted(rel, 0, "the file is much shorter than it says");
	LockRelationForExtension(rel, ExclusiveLock);
	log_extend_file(rel, want);
	UnlockRelationForExtension(rel, ExclusiveLock);
}

void
log_fill_meta(Page page, uint32 npartitions, BlockNumber nallocated)
{
	LogMeta    *meta;

	log_page_init(page, LOG_PAGE_META, 0);
	meta = LOG_META(page);
	meta->npartitions = npartitions;
	meta->state_dir = InvalidBlockNumber;
	meta->nallocated = nallocated;
	meta->nfree = 0;
	for (int i = 0; i < LOG_META_PARTITIONS; i++)
		meta->heads[i] = InvalidBlockNumber;
	log_page_set_content(page, offsetof(LogMeta, free));
}

void
log_fill_head(Page page, int partition, int64 origin)
{
	LogHead    *head;

	log_page_init(page, LOG_PAGE_HEAD, partition);
	head = LOG_HEAD(page);
	memset(head, 0, sizeof(LogHead));
	head->first_offset = head->lost_offset = head->origin_offset = origin;
	head->frozen_offset = origin;
	head->next_leaf_id = 1;
	log_page_set_content(page, sizeof(LogHead));
}

void
log_head_set_content(Page page)
{
	LogHead    *head = LOG_HEAD(page);

	log_page_set_content(page, sizeof(LogHead) + head->nparents * sizeof(LogParent) +
						 head->nbarriers * sizeof(LogBarrier) +
						 head->nroot * sizeof(LogRootEntry));
}

/* ---- partitions ---- */

Buffer
log_read_meta(Relation rel)
{
	Buffer		buffer;
	Page		page;

	if (RelationGetNumberOfBlocks(rel) == 0)
		return InvalidBuffer;
	buffer = ReadBuffer(rel, 0);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	if (PageIsNew(page))
	{
		UnlockReleaseBuffer(buffer);
		check_empty(rel);
		return InvalidBuffer;
	}
	if (!log_page_is(page, LOG_PAGE_META, -1))
		log_page_corrupted(rel, 0, "it is not a meta page of a known version");
	return buffer;
}

int
log_partition_count(Relation rel)
{
	Buffer		buffer = log_read_meta(rel);
	int			n;

	if (!BufferIsValid(buffer))
		return 1;
	n = LOG_META(BufferGetPage(buffer))->npartitions;
	UnlockReleaseBuffer(buffer);
	return n;
}

BlockNumber
log_head_block(Relation rel, int partition)
{
	BlockNumber block = InvalidBlockNumber;
	Buffer		buffer = log_read_meta(rel);
	LogMeta    *meta;

	if (!BufferIsValid(buffer))
		return InvalidBlockNumber;
	meta = LOG_META(BufferGetPage(buffer));
	if (partition < (int) meta->npartitions)
	{
		block = meta->heads[partition];
		if (!BlockNumberIsValid(block))
			log_page_corrupted(rel, 0, "the head of a partition is not named");
	}
	UnlockReleaseBuffer(buffer);
	return block;
}

/*
 * Add one head, or (for a head that is there) only set what must be finished
 * before it.
 */
static void
put_head(Relation rel, int partition, int nparents, const LogParent *parents)
{
	Buffer		buffers[2];
	Page		metapage;
	Page		headpage;
	BlockNumber block = log_head_block(rel, partition);
	bool		added = !BlockNumberIsValid(block);

	if (added)
		block = log_pick_block(rel, NULL);
	buffers[0] = log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_EXCLUSIVE);
	metapage = BufferGetPage(buffers[0]);
	if (added)
	{
		buffers[1] = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, NULL);
	}
	else
		buffers[1] = log_page_read(rel, block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_EXCLUSIVE);
	headpage = BufferGetPage(buffers[1]);

	/* in a very large log there is no room for as many */
	if (!added && nparents > LOG_HEAD(headpage)->nparents &&
		nparents - LOG_HEAD(headpage)->nparents + LOG_HEAD(headpage)->nroot >
		LOG_HEAD_MAX_ROOT(LOG_HEAD(headpage)))
	{
		UnlockReleaseBuffer(buffers[1]);
		UnlockReleaseBuffer(buffers[0]);
		return;
	}

	START_CRIT_SECTION();
	if (added)
	{
		LogMeta    *meta = LOG_META(metapage);

		log_take_blocks(metapage, block, 1);
		meta->heads[partition] = block;
		meta->npartitions = Max(meta->npartitions, (uint32) partition + 1);
		log_fill_head(headpage, partition, 0);
	}
	if (nparents > 0 || !added)
	{
		LogHead    *head = LOG_HEAD(headpage);

		/* what comes behind them */
		memmove(LOG_HEAD_PARENTS(head) + nparents, LOG_HEAD_BARRIERS(head),
				head->nbarriers * sizeof(LogBarrier) + head->nroot * sizeof(LogRootEntry));
		if (nparents > 0)
			memcpy(LOG_HEAD_PARENTS(head), parents, nparents * sizeof(LogParent));
		head->nparents = nparents;
		log_head_set_content(headpage);
	}
	MarkBufferDirty(buffers[0]);
	MarkBufferDirty(buffers[1]);
	if (RelationNeedsWAL(rel))
		log_xlog_pages(LOG_PAGES_PARTITION, buffers, 2);
	END_CRIT_SECTION();

	UnlockReleaseBuffer(buffers[1]);
	UnlockReleaseBuffer(buffers[0]);
}

void
log_ensure_partitions(Relation rel, int npartitions)
{
	if (RelationGetNumberOfBlocks(rel) == 0)
		log_create_storage(rel);
	if (log_partition_count(rel) >= npartitions)
		return;
	log_create_storage(rel);
	LockRelationForExtension(rel, ExclusiveLock);
	for (int p = log_partition_count(rel); p < npartitions; p++)
		put_head(rel, p, 0, NULL);
	UnlockRelationForExtension(rel, ExclusiveLock);
}

void
log_add_partitions(Relation rel, int npartitions)
{
	StreamOptions options;
	LogParent  *parents;
	int			nparents = 0;

	Assert(npartitions <= LOG_MAX_PARTITIONS);
	options_get(rel, &options);
	if (npartitions <= options.npartitions)
		return;
	log_ensure_partitions(rel, options.npartitions);

	parents = palloc(options.npartitions * sizeof(LogParent));
	for (int p = 0; p < options.npartitions; p++)
	{
		int64		next = log_next_offset(rel, p);

		/* nothing was written: nothing to finish */
		if (next == 0)
			continue;
		parents[nparents].offset = next;
		parents[nparents].partition = p;
		parents[nparents].reserved = 0;
		nparents++;
	}

	LockRelationForExtension(rel, ExclusiveLock);
	for (int p = options.npartitions; p < npartitions; p++)
		put_head(rel, p, nparents, parents);
	UnlockRelationForExtension(rel, ExclusiveLock);
	pfree(parents);
}

void
log_set_parents(Relation rel, int partition, int nparents, const int *parents,
				const int64 *offsets)
{
	LogParent	list[LOG_MAX_PARTITIONS];
	int			present[LOG_MAX_PARTITIONS];
	int64		ends[LOG_MAX_PARTITIONS];

	if (nparents == 0 && log_get_parents(rel, partition, present, ends) == 0)
		return;
	for (int i = 0; i < nparents; i++)
	{
		list[i].offset = offsets[i];
		list[i].partition = parents[i];
		list[i].reserved = 0;
	}
	log_ensure_partitions(rel, partition + 1);
	LockRelationForExtension(rel, ExclusiveLock);
	put_head(rel, partition, nparents, list);
	UnlockRelationForExtension(rel, ExclusiveLock);
}

int
log_get_parents(Relation rel, int partition, int *parents, int64 *parent_offsets)
{
	BlockNumber block = log_head_block(rel, partition);
	Buffer		buffer;
	LogHead    *head;
	int			n;

	if (!BlockNumberIsValid(block))
		return 0;
	buffer = log_page_read(rel, block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_SHARE);
	head = LOG_HEAD(BufferGetPage(buffer));
	n = head->nparents;
	for (int i = 0; i < n; i++)
	{
		if (LOG_HEAD_PARENTS(head)[i].partition >= (uint32) partition)
			log_page_corrupted(rel, block, "it has an impossible parent");
		parents[i] = LOG_HEAD_PARENTS(head)[i].partition;
		parent_offsets[i] = LOG_HEAD_PARENTS(head)[i].offset;
	}
	UnlockReleaseBuffer(buffer);
	return n;
}

/* ---- reserving and entering extents ---- */

static inline uint32
pages_ahead(const LogTail *tail)
{
	uint32		n = tail->spare_blocks;

	if (BlockNumberIsValid(tail->extent_start))
		n += tail->extent_end - tail->next_block;
	return n;
}

/* does a new extent need a new leaf?  The extension lock is held. */
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

void
log_directory_add(Page page, BlockNumber start, uint32 nblocks, bool lengthen)
{
	LogDirectory *directory = LOG_DIRECTORY(page);

	if (lengthen)
		directory->extents[directory->nextents - 1].nblocks += nblocks;
	else
	{
		LogExtent  *extent = &directory->extents[directory->nextents++];

		extent->start = start;
		extent->nblocks = nblocks;
		extent->base = LOG_SPARE_EXTENT;
		extent->first_time = extent->last_time = DT_NOEND;
	}
	log_page_set_content(page, offsetof(LogDirectory, extents) +
						 directory->nextents * sizeof(LogExtent));
}

/*
 * Reserve nblocks behind the directory's end: as a spare extent of their own,
 * or by making the last extent longer when they follow it in the file and it
 * stays within max_extent.  Returns how many it were: less where free blocks
 * are used again.
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

void
log_reserve(Relation rel, int partition, LogShared *shared, uint32 npages)
{
	uint32		ahead;
	int64		max_bytes = log_relcache(rel)->max_bytes;

	if (max_bytes > 0)
		log_make_room(rel, npages);
	LockRelationForExtension(rel, ExclusiveLock);
	LWLockAcquire(&shared->append_lock, LW_SHARED);
	ahead = pages_ahead(&shared->tail);
	LWLockRelease(&shared->append_lock);

	while (ahead < npages)
	{
		/*
		 * Small streams stay small, big ones have few and large extents: a
		 * sixteenth of what the partition may have by now.  Space is taken in
		 * steps, which lengthen an extent as long as nobody else took the
		 * blocks behind it: what is reserved and not used yet is little
		 * against what is used.  With a limit, a partition has some extents
		 * within it, since only whole ones can be dropped.
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
		max_extent = Min(Max(max_extent, npages - ahead), LIMIT_EXTENT);
		step = Min(Max(npages - ahead, Min(max_extent, step)), LIMIT_EXTENT);
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
