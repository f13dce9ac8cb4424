/*
 * freelist.c
 *	  Rebuilding the list of free blocks.
 *
 * The list in the meta page has room for 886 ranges.  If there are more, the
 * smallest are left out and the page says so.  The list is then rebuilt from
 * what is in use: heads, directory pages, extents, and state pages are all
 * that a file can hold, and every other block is free.  If the free ranges
 * still do not fit, the largest are kept.
 *
 * All of this happens under the extension lock, so no block is handed out or
 * given back meanwhile.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space.h"
#include "log/space/partition.h"
#include "log/space/state_directory.h"

typedef struct Ranges
{
	int			n;
	int			max;
	LogBlockRange *ranges;
} Ranges;

static void
add_range(Ranges *r, BlockNumber start, uint32 nblocks)
{
	if (r->n == r->max)
	{
		r->max *= 2;
		r->ranges = repalloc_huge(r->ranges, r->max * sizeof(LogBlockRange));
	}
	r->ranges[r->n].start = start;
	r->ranges[r->n].nblocks = nblocks;
	r->n++;
}

static int
compare_start(const void *a, const void *b)
{
	BlockNumber x = ((const LogBlockRange *) a)->start;
	BlockNumber y = ((const LogBlockRange *) b)->start;

	return x < y ? -1 : x > y;
}

/* Order by size, largest first. */
static int
compare_size(const void *a, const void *b)
{
	uint32		x = ((const LogBlockRange *) a)->nblocks;
	uint32		y = ((const LogBlockRange *) b)->nblocks;

	return x > y ? -1 : x < y ? 1 : compare_start(a, b);
}

/* Copy a page of the given kind. */
static void
copy_page(Relation rel, BlockNumber block, LogPageKind kind, int partition, char *copy)
{
	Buffer		buffer;

	CHECK_FOR_INTERRUPTS();
	buffer = log_page_read(rel, block, kind, partition, BUFFER_LOCK_SHARE);
	memcpy(copy, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
}

static void
add_partition(Relation rel, int partition, BlockNumber block, Ranges *used)
{
	PGAlignedBlock headcopy;
	PGAlignedBlock copy;
	LogHead    *head = LOG_HEAD(headcopy.data);
	LogDirectory *directory = LOG_DIRECTORY(copy.data);

	add_range(used, block, 1);
	copy_page(rel, block, LOG_PAGE_HEAD, partition, headcopy.data);
	for (int r = 0; r < head->nroot; r++)
	{
		BlockNumber leaf = LOG_HEAD_ROOT(head)[r].block;

		add_range(used, leaf, 1);
		copy_page(rel, leaf, LOG_PAGE_DIRECTORY, partition, copy.data);
		if (LOG_OPAQUE(copy.data)->owner != LOG_HEAD_ROOT(head)[r].leaf_id)
			log_page_corrupted(rel, leaf, "it is not the directory page that the root means");
		for (uint32 i = 0; i < directory->nextents; i++)
			add_range(used, directory->extents[i].start, directory->extents[i].nblocks);
	}
}

/*
 * Add the pages of the state directory from a page on.  level is that of the
 * page, -1 for the root.
 */
static void
add_state_directory(Relation rel, BlockNumber block, int level, Ranges *used)
{
	PGAlignedBlock copy;
	LogStateDirectory *directory = LOG_STATE_DIRECTORY(copy.data);

	copy_page(rel, block, LOG_PAGE_STATE_DIRECTORY, -1, copy.data);
	if (level >= 0 && directory->level != level)
		log_page_corrupted(rel, block, "it is not a page of the state directory's next level");
	add_range(used, block, 1);
	if (used->n > (int) RelationGetNumberOfBlocks(rel))
		log_page_corrupted(rel, block, "it is in use twice, or was never handed out");
	if (directory->level == 0)
		return;
	for (uint32 i = 0; i < directory->nentries; i++)
		add_state_directory(rel, directory->entries[i].block, directory->level - 1, used);
}

static void
add_states(Relation rel, BlockNumber root, Ranges *used)
{
	LogStateWalk walk;
	LogStateEntry entry;

	if (!BlockNumberIsValid(root))
		return;
	add_state_directory(rel, root, -1, used);
	log_state_walk_begin(&walk, rel, NULL);
	while (log_state_walk_next(&walk, &entry))
		add_range(used, entry.block, 1);
}

/* Collect what lies between the ranges in use. */
static void
find_free(Relation rel, BlockNumber nallocated, Ranges *used, Ranges *free)
{
	uint64		end = 1;		/* the first block after the meta page */

	qsort(used->ranges, used->n, sizeof(LogBlockRange), compare_start);
	for (int i = 0; i < used->n; i++)
	{
		LogBlockRange *range = &used->ranges[i];

		/* a block that is in use twice would be freed and overwritten */
		if (range->start < end || range->nblocks == 0 ||
			(uint64) range->start + range->nblocks > nallocated)
			log_page_corrupted(rel, range->start, "it is in use twice, or was never handed out");
		if (range->start > end)
			add_range(free, (BlockNumber) end, (uint32) (range->start - end));
		end = (uint64) range->start + range->nblocks;
	}
	if (end < nallocated)
		add_range(free, (BlockNumber) end, (uint32) (nallocated - end));
}

/*
 * Rebuild the list from what is in use.  The caller holds the extension lock.
 */
static void
restore_free_list(Relation rel)
{
	PGAlignedBlock copy;
	LogMeta    *meta = LOG_META(copy.data);
	Ranges		used = {0, 1024, NULL};
	Ranges		free = {0, 1024, NULL};
	uint32		nfree;
	Buffer		buffer;
	Page		page;

	used.ranges = palloc(used.max * sizeof(LogBlockRange));
	free.ranges = palloc(free.max * sizeof(LogBlockRange));
	copy_page(rel, 0, LOG_PAGE_META, -1, copy.data);
	for (int p = 0; p < (int) meta->npartitions; p++)
		add_partition(rel, p, meta->heads[p], &used);
	add_states(rel, meta->state_root, &used);
	find_free(rel, meta->nallocated, &used, &free);

	nfree = Min(free.n, LOG_META_MAX_FREE);
	if (free.n > LOG_META_MAX_FREE)
	{
		qsort(free.ranges, free.n, sizeof(LogBlockRange), compare_size);
		qsort(free.ranges, nfree, sizeof(LogBlockRange), compare_start);
	}

	buffer = log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buffer);
	START_CRIT_SECTION();
	LOG_META(page)->nfree = nfree;
	memcpy(LOG_META(page)->free, free.ranges, nfree * sizeof(LogBlockRange));
	if (nfree == (uint32) free.n)
		LOG_OPAQUE(page)->flags &= ~LOG_META_INCOMPLETE;
	log_meta_set_content(page);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(rel))
		log_xlog_pages(LOG_PAGES_FREE, &buffer, 1);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
	pfree(used.ranges);
	pfree(free.ranges);
}

static bool
is_wanted(Relation rel, bool always)
{
	Buffer		buffer = log_read_meta(rel);
	Page		page;
	bool		wanted;

	if (!BufferIsValid(buffer))
		return false;
	page = BufferGetPage(buffer);
	wanted = (LOG_OPAQUE(page)->flags & LOG_META_INCOMPLETE) != 0 &&
		(always || LOG_META(page)->nfree < LOG_META_MAX_FREE / 2);
	UnlockReleaseBuffer(buffer);
	return wanted;
}

void
log_restore_free_list(Relation rel, bool always)
{
	if (!is_wanted(rel, always))
		return;
	LockRelationForExtension(rel, ExclusiveLock);
	if (is_wanted(rel, always))
		restore_free_list(rel);
	UnlockRelationForExtension(rel, ExclusiveLock);
}
