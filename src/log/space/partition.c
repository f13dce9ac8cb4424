/*
 * partition.c
 *	  The meta page and the heads of partitions.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "log/log.h"
#include "log/options.h"
#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space.h"
#include "log/space/blocks.h"
#include "log/space/extent.h"
#include "log/space/partition.h"

/*
 * most blocks that can be reserved ahead of a tail, for the longest possible
 * rows
 */
#define MAX_RESERVED	(4 * LOG_LIMIT_EXTENT)

/* ---- the file ---- */

/*
 * The meta page is empty.  Either the pages after it are empty too, as a crash
 * may leave them, or the file has lost its first page.
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

		/* a crash may have left a file that was extended but never written */
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
 * Extension is not logged, so after a crash the file may be shorter than what
 * was handed out.  Extend it again, so that all blocks of a reserved extent
 * can be read.
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

	/*
	 * recovery restores what was written; only reserved blocks may be missing
	 */
	if (want - nblocks > (uint64) npartitions * MAX_RESERVED)
		log_page_corrupted(rel, 0, "the file is much shorter than it says");
	LockRelationForExtension(rel, ExclusiveLock);
	log_extend_file(rel, want);
	UnlockRelationForExtension(rel, ExclusiveLock);
}

/* ---- partitions ---- */

/*
 * Pin the meta page; InvalidBuffer if the file is empty.  This is done several
 * times in a call of consume(), and asking for the length of the file is a
 * system call.  So it is avoided if the page is where it was in memory.
 */
static Buffer
pin_meta(Relation rel)
{
	static struct
	{
		RelFileLocator locator;
		Buffer		buffer;
	}			recent[8] = {0};
	RelFileLocator locator = RelationLocator(rel);
	int			i = LocatorRelNumber(locator) % lengthof(recent);

	if (BufferIsValid(recent[i].buffer) &&
		RelFileLocatorEquals(recent[i].locator, locator) &&
		ReadRecentBuffer(locator, MAIN_FORKNUM, 0, recent[i].buffer))
		return recent[i].buffer;
	if (RelationGetNumberOfBlocks(rel) == 0)
		return InvalidBuffer;
	recent[i].locator = locator;
	recent[i].buffer = ReadBuffer(rel, 0);
	return recent[i].buffer;
}

Buffer
log_read_meta(Relation rel)
{
	Buffer		buffer = pin_meta(rel);
	Page		page;

	if (!BufferIsValid(buffer))
		return InvalidBuffer;
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

/* Add a head or, if the partition has one, replace its list of parents. */
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

	/* the root of a very large log leaves no room for more parents */
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

		/* move what follows the parents */
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
	log_options_get(rel, &options);
	if (npartitions <= options.npartitions)
		return;
	log_ensure_partitions(rel, options.npartitions);

	parents = palloc(options.npartitions * sizeof(LogParent));
	for (int p = 0; p < options.npartitions; p++)
	{
		int64		next = log_next_offset(rel, p);

		/* an empty partition has nothing to finish */
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

/* ---- what a head says ---- */

void
log_read_head(Relation rel, int partition, LogHead *head)
{
	BlockNumber block = log_head_block(rel, partition);
	Buffer		buffer;

	memset(head, 0, sizeof(LogHead));
	if (!BlockNumberIsValid(block))
		return;
	buffer = log_page_read(rel, block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_SHARE);
	*head = *LOG_HEAD(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
}

int64
log_expired_offset(Relation rel, int partition)
{
	LogHead		head;

	log_read_head(rel, partition, &head);
	return head.expired_offset;
}

int64
log_all_known_dead(Relation rel, int partition)
{
	LogHead		head;

	log_read_head(rel, partition, &head);
	return head.frozen_dead;
}

int64
log_origin_offset(Relation rel, int partition)
{
	LogHead		head;

	log_read_head(rel, partition, &head);
	return head.origin_offset;
}
