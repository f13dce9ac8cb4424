/*
 * retention.c
 *	  Dropping the oldest messages: whole extents at the head of a partition.
 *
 * Freed blocks go to the free list in the meta page and are used again by any
 * partition's tail.  Nothing else is touched: no table lock, no page of the extent.
 * A reader that comes late to a block finds another base offset than its
 * directory entry promised, or none, and goes on at the partition's first offset.
 *
 * A block is used again only while nobody has it pinned (log_pick_blocks), since rows
 * are read with the pin alone.
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"

#include "log/log_internal.h"
#include "log/log_xlog.h"

/*
 * Free the extents at the head of one directory page that hold nothing at or
 * above `upto`.  Returns false when there was nothing (more) to free.
 */
static bool
free_head_extents(Relation rel, int partition, LogShared *shared, int64 upto)
{
	Buffer		buffers[4];		/* meta, head, leaf, next leaf */
	Page		metapage;
	Page		headpage;
	Page		leafpage;
	LogHead    *head;
	LogRootEntry *root;
	LogDirectory *directory;
	int			n = 0;
	int			nbuffers = 3;
	int64		first;
	bool		drop_leaf = false;

	/* the tail's extent must not change while the directory is looked at */
	LWLockAcquire(&shared->append_lock, LW_EXCLUSIVE);
	if (!BlockNumberIsValid(shared->tail.head))
	{
		LWLockRelease(&shared->append_lock);
		return false;
	}
	buffers[0] = log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_EXCLUSIVE);
	metapage = BufferGetPage(buffers[0]);
	buffers[1] = log_page_read(rel, shared->tail.head, LOG_PAGE_HEAD, partition,
							   BUFFER_LOCK_EXCLUSIVE);
	headpage = BufferGetPage(buffers[1]);
	head = LOG_HEAD(headpage);
	root = LOG_HEAD_ROOT(head);
	first = head->first_offset;
	if (head->nroot > 0)
	{
		buffers[2] = log_page_read(rel, root[0].block, LOG_PAGE_DIRECTORY, partition,
								   BUFFER_LOCK_EXCLUSIVE);
		leafpage = BufferGetPage(buffers[2]);
		directory = LOG_DIRECTORY(leafpage);
		if (LOG_OPAQUE(leafpage)->owner != root[0].leaf_id || directory->nextents == 0)
			log_page_corrupted(rel, root[0].block, "it is not the first directory page of its partition");
		for (n = 0; n < (int) directory->nextents; n++)
		{
			LogExtent  *extent = &directory->extents[n];
			int64		end;

			if (extent->base == LOG_SPARE_EXTENT ||
				extent->start == shared->tail.extent_start)
				break;
			if (extent->start == 0 || extent->nblocks == 0 ||
				(uint64) extent->start + extent->nblocks > LOG_META(metapage)->nallocated)
				log_page_corrupted(rel, root[0].block, "it holds an impossible extent");
			/* it ends where the next one begins */
			if (n + 1 < (int) directory->nextents)
				end = directory->extents[n + 1].base;
			else if (head->nroot > 1)
				end = root[1].base;
			else
				break;
			if (end == LOG_SPARE_EXTENT || end > upto)
				break;
			first = Max(first, end);
		}
		drop_leaf = n == (int) directory->nextents && head->nroot > 1;
	}
	else
		nbuffers = 2;

	if (n == 0)
	{
		for (int i = nbuffers - 1; i >= 0; i--)
			UnlockReleaseBuffer(buffers[i]);
		LWLockRelease(&shared->append_lock);
		return false;
	}

	START_CRIT_SECTION();
	for (int i = 0; i < n; i++)
		log_free_blocks(metapage, directory->extents[i].start, directory->extents[i].nblocks);
	directory->nextents -= n;
	memmove(&directory->extents[0], &directory->extents[n],
			directory->nextents * sizeof(LogExtent));
	log_page_set_content(leafpage, offsetof(LogDirectory, extents) +
						 directory->nextents * sizeof(LogExtent));
	if (drop_leaf)
	{
		log_free_blocks(metapage, root[0].block, 1);
		head->nroot--;
		memmove(&root[0], &root[1], head->nroot * sizeof(LogRootEntry));
		log_head_set_content(headpage);
	}
	else
		root[0].base = directory->extents[0].base;
	head->first_offset = first;
	if (head->frozen_offset < first)
	{
		head->frozen_offset = first;
		head->frozen_dead = 0;
	}
	/* those that went are not counted one by one: never more than there are */
	head->frozen_dead = Min(head->frozen_dead, head->frozen_offset - first);
	for (int i = 0; i < 3; i++)
		MarkBufferDirty(buffers[i]);
	if (RelationNeedsWAL(rel))
		log_xlog_pages(LOG_PAGES_EXPIRE, buffers, 3);
	shared->tail.first_offset = head->first_offset;
	shared->tail.frozen_offset = head->frozen_offset;
	pg_atomic_write_u64(&shared->first_offset, head->first_offset);
	if ((int64) pg_atomic_read_u64(&shared->frozen_offset) < head->frozen_offset)
		pg_atomic_write_u64(&shared->frozen_offset, head->frozen_offset);
	END_CRIT_SECTION();

	for (int i = 2; i >= 0; i--)
		UnlockReleaseBuffer(buffers[i]);
	LWLockRelease(&shared->append_lock);
	return true;
}

int64
log_expire(Relation rel, int partition, int64 upto)
{
	LogShared  *shared = log_shared(rel, partition);
	int64		before = log_first_offset(rel, partition);

	/* messages in flight must not go before they were delivered */
	upto = Min(upto, log_stable_offset(rel, partition, NULL, NULL));
	if (upto <= before)
		return 0;

	LockRelationForExtension(rel, ExclusiveLock);
	while (free_head_extents(rel, partition, shared, upto))
		CHECK_FOR_INTERRUPTS();
	UnlockRelationForExtension(rel, ExclusiveLock);
	return log_first_offset(rel, partition) - before;
}
