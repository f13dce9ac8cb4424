/*
 * expire.c
 *	  Expiry of the oldest messages: whole extents at the head of a
 *	  partition.
 *
 * The freed blocks go to the free list in the meta page and are reused by the
 * tail of any partition.  Expiry takes no table lock and touches no page of
 * the extents.
 *
 * Expiry does not wait for readers.  A reader that has pinned a live page can
 * go on reading it, because log_pick_blocks() reuses a block only while nobody
 * has it pinned.  A later reader finds that the page is below the first
 * offset, or that the block holds other rows than should follow, and continues
 * at the first offset (log_page_scan_load_forward).
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"

#include "log/log.h"
#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/read/offsets.h"
#include "log/reader.h"
#include "log/space.h"
#include "log/space/directory.h"
#include "log/space/partition.h"
#include "log/space/shared.h"
#include "log/write/expire.h"

/*
 * Count of dead rows below the frozen offset in [from, to), as of frozen
 * offset `frozen`.
 */
typedef struct DeadCount
{
	int64		from;
	int64		to;
	int64		frozen;
	int64		dead;
} DeadCount;

typedef enum FreeResult
{
	FREE_NOTHING,				/* nothing (more) to free */
	FREE_DONE,
	FREE_COUNT					/* the caller must count the dead rows first */
} FreeResult;

/*
 * If a large row spans extents, the extent before the tail's may have pages
 * with the same base as the tail's extent.  If the tail reused them, they
 * could not be told from its own pages.  Is the extent free of such pages?
 */
static bool
ends_before_tail(Relation rel, int partition, const LogExtent *extent, int64 tail_base)
{
	Buffer		buffer = log_page_read(rel, extent->start + extent->nblocks - 1,
									   LOG_PAGE_DATA, partition, BUFFER_LOCK_SHARE);
	int64		base = LOG_OPAQUE(BufferGetPage(buffer))->base;

	UnlockReleaseBuffer(buffer);
	return base < tail_base;
}

/* The locked pages at the head of a partition. */
typedef struct HeadPages
{
	Buffer		meta;
	Buffer		head;
	Buffer		leaf;			/* first directory page, InvalidBuffer if
								 * there is none */
} HeadPages;

static void
lock_head_pages(Relation rel, int partition, BlockNumber block, HeadPages *pages)
{
	LogRootEntry *root;

	pages->meta = log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_EXCLUSIVE);
	pages->head = log_page_read(rel, block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_EXCLUSIVE);
	pages->leaf = InvalidBuffer;
	if (LOG_HEAD(BufferGetPage(pages->head))->nroot == 0)
		return;
	root = LOG_HEAD_ROOT(LOG_HEAD(BufferGetPage(pages->head)));
	pages->leaf = log_page_read(rel, root[0].block, LOG_PAGE_DIRECTORY, partition,
								BUFFER_LOCK_EXCLUSIVE);
	if (LOG_OPAQUE(BufferGetPage(pages->leaf))->owner != root[0].leaf_id ||
		LOG_DIRECTORY(BufferGetPage(pages->leaf))->nextents == 0)
		log_page_corrupted(rel, root[0].block, "it is not the first directory page of its partition");
}

static void
unlock_head_pages(const HeadPages *pages)
{
	if (BufferIsValid(pages->leaf))
		UnlockReleaseBuffer(pages->leaf);
	UnlockReleaseBuffer(pages->head);
	UnlockReleaseBuffer(pages->meta);
}

/*
 * Number of extents of the first directory page that hold nothing at or above
 * `upto`.  *first becomes the first offset without them.
 */
static int
count_extents_below(Relation rel, int partition, const LogTail *tail, const HeadPages *pages,
					int64 upto, int64 *first)
{
	LogHead    *head = LOG_HEAD(BufferGetPage(pages->head));
	LogRootEntry *root = LOG_HEAD_ROOT(head);
	LogDirectory *directory = LOG_DIRECTORY(BufferGetPage(pages->leaf));
	uint32		nallocated = LOG_META(BufferGetPage(pages->meta))->nallocated;
	int			n;

	for (n = 0; n < (int) directory->nextents; n++)
	{
		LogExtent  *extent = &directory->extents[n];
		int64		end;

		if (extent->base == LOG_SPARE_EXTENT ||
			extent->start == tail->extent_start)
			break;
		if (extent->start == 0 || extent->nblocks == 0 ||
			(uint64) extent->start + extent->nblocks > nallocated)
			log_page_corrupted(rel, root[0].block, "it holds an impossible extent");
		/* an extent ends where the next one begins */
		if (n + 1 < (int) directory->nextents)
			end = directory->extents[n + 1].base;
		else if (head->nroot > 1)
			end = root[1].base;
		else
			break;
		if (end == LOG_SPARE_EXTENT || end > upto)
			break;
		if (n == 1 && head->frozen_dead > 0)
			break;
		if (end >= tail->extent_base &&
			!ends_before_tail(rel, partition, extent, tail->extent_base))
			break;
		*first = Max(*first, end);
	}
	return n;
}

/*
 * Remove the first n extents, so that the partition begins with offset
 * `first`.
 */
static void
remove_extents(Relation rel, LogShared *shared, const HeadPages *pages, int n,
			   int64 first, int64 dead)
{
	Page		metapage = BufferGetPage(pages->meta);
	Page		headpage = BufferGetPage(pages->head);
	Page		leafpage = BufferGetPage(pages->leaf);
	LogHead    *head = LOG_HEAD(headpage);
	LogRootEntry *root = LOG_HEAD_ROOT(head);
	LogDirectory *directory = LOG_DIRECTORY(leafpage);
	Buffer		buffers[3] = {pages->meta, pages->head, pages->leaf};

	START_CRIT_SECTION();
	for (int i = 0; i < n; i++)
		log_free_blocks(metapage, directory->extents[i].start, directory->extents[i].nblocks);
	directory->nextents -= n;
	memmove(&directory->extents[0], &directory->extents[n],
			directory->nextents * sizeof(LogExtent));
	log_page_set_content(leafpage, offsetof(LogDirectory, extents) +
						 directory->nextents * sizeof(LogExtent));
	if (directory->nextents == 0)
	{
		/*
		 * No leaf has id 0, so a lookup with an older root finds the leaf
		 * stale.
		 */
		LOG_OPAQUE(leafpage)->owner = 0;
		log_free_blocks(metapage, root[0].block, 1);
		head->nroot--;
		memmove(&root[0], &root[1], head->nroot * sizeof(LogRootEntry));
		log_head_set_content(headpage);
	}
	else
		root[0].base = directory->extents[0].base;
	if (dead < first - head->first_offset)
		head->expired_offset = first;
	head->first_offset = first;
	head->frozen_offset = Max(head->frozen_offset, first);
	head->frozen_dead = Min(Max(head->frozen_dead - dead, 0),
							head->frozen_offset - first);
	for (int i = 0; i < 3; i++)
		MarkBufferDirty(buffers[i]);
	if (RelationNeedsWAL(rel))
		log_xlog_pages(LOG_PAGES_EXPIRE, buffers, 3);

	/* publish in this order, and not while a reader asks the commit log */
	LWLockAcquire(&shared->freeze_lock, LW_EXCLUSIVE);
	shared->tail.first_offset = head->first_offset;
	pg_atomic_write_u64(&shared->first_offset, head->first_offset);
	pg_write_barrier();
	if (shared->tail.frozen_offset < head->frozen_offset)
	{
		shared->tail.frozen_offset = head->frozen_offset;
		pg_atomic_write_u64(&shared->frozen_offset, head->frozen_offset);
	}
	LWLockRelease(&shared->freeze_lock);
	END_CRIT_SECTION();
}

/*
 * Free extents at the head of the first directory page that hold nothing at or
 * above `upto`.
 *
 * The head keeps the number of dead rows below the frozen offset.  While that
 * is not zero, one extent at a time is freed, and its dead rows must be
 * counted first.  FREE_COUNT tells the caller to count the offsets in *count
 * and to call again.
 */
static FreeResult
free_head_extents(Relation rel, int partition, LogShared *shared, int64 upto,
				  DeadCount *count)
{
	HeadPages	pages;
	LogHead    *head;
	int			n = 0;
	int64		first;
	FreeResult	result = FREE_NOTHING;

	/* the append lock keeps the tail's extent from changing */
	LWLockAcquire(&shared->append_lock, LW_EXCLUSIVE);
	if (!BlockNumberIsValid(shared->tail.head))
	{
		LWLockRelease(&shared->append_lock);
		return FREE_NOTHING;
	}
	lock_head_pages(rel, partition, shared->tail.head, &pages);
	head = LOG_HEAD(BufferGetPage(pages.head));
	first = head->first_offset;
	if (BufferIsValid(pages.leaf))
		n = count_extents_below(rel, partition, &shared->tail, &pages, upto, &first);

	if (n == 0)
		 /* nothing to free */ ;
	else if (head->frozen_dead > 0 &&
			 (count->from != head->first_offset || count->to != first ||
			  count->frozen != head->frozen_offset))
	{
		count->from = head->first_offset;
		count->to = first;
		count->frozen = head->frozen_offset;
		result = FREE_COUNT;
	}
	else
	{
		remove_extents(rel, shared, &pages, n, first,
					   head->frozen_dead > 0 ? count->dead : 0);
		result = FREE_DONE;
	}
	unlock_head_pages(&pages);
	LWLockRelease(&shared->append_lock);
	return result;
}

bool
log_get_head_extent(Relation rel, int partition, int64 from, LogHeadExtent *result)
{
	LogExtent	extent;
	LogExtent	next;
	LogExtent	after;

	if (!log_extent_find(rel, partition, from, &extent) ||
		!log_extent_next(rel, partition, &extent, &next) ||
		next.start == extent.start)
		return false;
	result->end = next.base;
	result->bytes = (int64) extent.nblocks * BLCKSZ;
	result->last_time = extent.last_time;

	/* extents that hold only the middle of its last row go with it */
	while (log_extent_next(rel, partition, &next, &after) &&
		   after.base == next.base && after.start != next.start)
	{
		result->bytes += (int64) next.nblocks * BLCKSZ;
		next = after;
	}
	return true;
}

static void
expire_below(Relation rel, int partition, int64 upto, bool quick)
{
	LogShared  *shared = log_shared(rel, partition);
	DeadCount	count = {-1, -1, -1, 0};
	FreeResult	result;

	do
	{
		CHECK_FOR_INTERRUPTS();
		LockRelationForExtension(rel, ExclusiveLock);
		result = free_head_extents(rel, partition, shared, upto, &count);
		UnlockRelationForExtension(rel, ExclusiveLock);
		if (result == FREE_COUNT)
			count.dead = log_count_dead(rel, partition, count.from,
										Min(count.to, count.frozen));
	} while (result == FREE_DONE || (result == FREE_COUNT && !quick));
}

int64
log_expire(Relation rel, int partition, int64 upto, bool quick)
{
	int64		before = log_first_offset(rel, partition);

	/* messages in flight must not expire before they are delivered */
	if (upto > before)
		upto = Min(upto, log_stable_offset(rel, partition, NULL, NULL));
	if (upto <= before)
		return 0;
	expire_below(rel, partition, upto, quick);
	return log_first_offset(rel, partition) - before;
}

void
log_expire_dead(Relation rel, int partition)
{
	for (;;)
	{
		LogHead		head;
		int64		first;
		LogExtent	extent;
		LogExtent	next;

		log_read_head(rel, partition, &head);
		first = head.first_offset;

		/* without enough dead rows the first extent cannot be all dead */
		if (head.frozen_dead == 0 ||
			!log_extent_find(rel, partition, first, &extent) ||
			!log_extent_next(rel, partition, &extent, &next) ||
			next.start == extent.start || next.base > head.frozen_offset ||
			next.base - first > head.frozen_dead ||
			log_count_dead(rel, partition, first, next.base) < next.base - first)
			break;
		expire_below(rel, partition, next.base, false);
		if (log_first_offset(rel, partition) == first)
			break;
	}
}
