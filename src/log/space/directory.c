/*
 * directory.c
 *	  Lookup of extents, and finding the tail.
 *
 * A lookup works on copies of the head and of one leaf, so it never holds two
 * locks.  A leaf that is no longer the one that the root named has another id.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space/directory.h"
#include "log/space/partition.h"
#include "log/space/shared.h"

typedef struct Directory
{
	Relation	rel;
	int			partition;
	bool		stale;			/* a leaf was not the one the root named */
	int			leaf_index;		/* of the loaded leaf, -1: none */
	BlockNumber head_block;
	PGAlignedBlock head;
	PGAlignedBlock leaf;
} Directory;

#define ROOT(d)		LOG_HEAD_ROOT(LOG_HEAD((d)->head.data))
#define NROOT(d)	((int) LOG_HEAD((d)->head.data)->nroot)
#define LEAF(d)		LOG_DIRECTORY((d)->leaf.data)

/* Nothing after the content of a page is looked at. */
static void
copy_content(PGAlignedBlock *copy, Page page)
{
	memcpy(copy->data, page, ((PageHeader) page)->pd_lower);
}

static bool
open_directory(Directory *d, Relation rel, int partition)
{
	Buffer		buffer;

	d->rel = rel;
	d->partition = partition;
	d->stale = false;
	d->leaf_index = -1;
	d->head_block = log_head_block(rel, partition);
	if (!BlockNumberIsValid(d->head_block))
		return false;
	buffer = log_page_read(rel, d->head_block, LOG_PAGE_HEAD, partition, BUFFER_LOCK_SHARE);
	copy_content(&d->head, BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	return true;
}

static bool
load_leaf(Directory *d, int r)
{
	Buffer		buffer;
	Page		page;

	if (d->leaf_index == r)
		return true;
	CHECK_FOR_INTERRUPTS();
	log_check_block(d->rel, ROOT(d)[r].block);
	buffer = ReadBuffer(d->rel, ROOT(d)[r].block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	if (!log_page_is(page, LOG_PAGE_DIRECTORY, d->partition) ||
		LOG_OPAQUE(page)->owner != ROOT(d)[r].leaf_id)
	{
		UnlockReleaseBuffer(buffer);
		d->stale = true;
		return false;
	}
	copy_content(&d->leaf, page);
	UnlockReleaseBuffer(buffer);
	d->leaf_index = r;
	return true;
}

/*
 * A lookup that meets a stale leaf starts over.  A damaged leaf would make it
 * start over for ever, so retries are limited.  On a standby the pages of a
 * record change one after the other, so the startup process needs some time.
 */
#define MAX_RETRIES 1000
#define PATIENT_RETRIES 10

static void
check_retries(Directory *d, int retries)
{
	bool		standby = retries >= PATIENT_RETRIES && RecoveryInProgress();

	CHECK_FOR_INTERRUPTS();
	if (standby)
		pg_usleep(1000);
	if (retries >= (standby ? MAX_RETRIES : MAX_RETRIES / 10))
		log_page_corrupted(d->rel, d->head_block, "its directory names pages that are none");
}

static inline bool
is_used(const LogExtent *extent)
{
	return extent->base != LOG_SPARE_EXTENT;
}

/* Return an extent of the loaded leaf. */
static void
take_extent(Directory *d, const LogExtent *from, LogExtent *to)
{
	if (unlikely(from->start == 0 || from->nblocks == 0 || from->base < 0 ||
				 (uint64) from->start + from->nblocks > MaxBlockNumber))
		log_page_corrupted(d->rel, ROOT(d)[d->leaf_index].block, "it holds an impossible extent");

	/*
	 * After a crash or on a standby, the file may lack blocks of the tail's
	 * extent.
	 */
	if (from->last_time != DT_NOEND)
		log_check_block(d->rel, from->start + from->nblocks - 1);
	*to = *from;
}

/*
 * The last leaf whose base is at most off or, if strict, less than off; the
 * first leaf if there is none.
 */
static int
root_search(Directory *d, int64 off, bool strict)
{
	int			lo = 0;
	int			hi = NROOT(d);

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;
		int64		base = ROOT(d)[mid].base;

		if (base != LOG_SPARE_EXTENT && (strict ? base < off : base <= off))
			lo = mid + 1;
		else
			hi = mid;
	}
	return Max(lo - 1, 0);
}

bool
log_extent_find(Relation rel, int partition, int64 off, LogExtent *extent)
{
	Directory	d;
	int			retries = 0;

	do
	{
		int			lo = 0;
		int			hi;

		if (!open_directory(&d, rel, partition) || NROOT(&d) == 0)
			return false;
		check_retries(&d, retries++);
		if (!load_leaf(&d, root_search(&d, off, false)))
			continue;
		hi = LEAF(&d)->nextents;
		while (lo < hi)
		{
			int			mid = (lo + hi) / 2;
			LogExtent  *e = &LEAF(&d)->extents[mid];

			if (is_used(e) && e->base <= off)
				lo = mid + 1;
			else
				hi = mid;
		}
		lo = Max(lo - 1, 0);
		if (LEAF(&d)->nextents == 0 || !is_used(&LEAF(&d)->extents[lo]))
			return false;
		take_extent(&d, &LEAF(&d)->extents[lo], extent);
	} while (d.stale);
	return true;
}

bool
log_extent_find_time(Relation rel, int partition, TimestampTz t, LogExtent *extent)
{
	Directory	d;
	int			retries = 0;
	bool		found;

	do
	{
		int			lo = 0;
		int			hi;

		found = false;
		if (!open_directory(&d, rel, partition) || NROOT(&d) == 0)
			return false;
		check_retries(&d, retries++);

		/* find the last leaf that begins before t */
		hi = NROOT(&d);
		while (lo < hi && !d.stale)
		{
			int			mid = (lo + hi) / 2;

			if (!load_leaf(&d, mid))
				break;
			if (LEAF(&d)->nextents > 0 && is_used(&LEAF(&d)->extents[0]) &&
				LEAF(&d)->extents[0].first_time < t)
				lo = mid + 1;
			else
				hi = mid;
		}
		for (int r = Max(lo - 1, 0); r < NROOT(&d) && !found && !d.stale; r++)
		{
			if (!load_leaf(&d, r))
				break;
			for (uint32 i = 0; i < LEAF(&d)->nextents && !found; i++)
			{
				LogExtent  *e = &LEAF(&d)->extents[i];

				if (is_used(e) && e->last_time >= t)
				{
					take_extent(&d, e, extent);
					found = true;
				}
			}
		}
	} while (d.stale);
	return found;
}

bool
log_extent_next(Relation rel, int partition, const LogExtent *current, LogExtent *extent)
{
	Directory	d;
	int			retries = 0;

	do
	{
		bool		passed = false;

		if (!open_directory(&d, rel, partition))
			return false;
		check_retries(&d, retries++);
		for (int r = root_search(&d, current->base, true); r < NROOT(&d); r++)
		{
			if (!load_leaf(&d, r))
				break;
			for (uint32 i = 0; i < LEAF(&d)->nextents; i++)
			{
				LogExtent  *e = &LEAF(&d)->extents[i];

				if (!is_used(e))
					return false;
				/* extents in the middle of a huge row have the same base */
				if (e->base > current->base || (e->base == current->base && passed))
				{
					take_extent(&d, e, extent);
					return true;
				}
				if (e->base == current->base && e->start == current->start)
				{
					/* the tail's extent may have grown */
					if (e->nblocks > current->nblocks)
					{
						take_extent(&d, e, extent);
						return true;
					}
					passed = true;
				}
			}
		}
	} while (d.stale);
	return false;
}

bool
log_extent_prev(Relation rel, int partition, const LogExtent *current, LogExtent *extent)
{
	Directory	d;
	int			retries = 0;
	bool		found;

	do
	{
		bool		done = false;

		found = false;
		if (!open_directory(&d, rel, partition))
			return false;
		check_retries(&d, retries++);
		for (int r = Max(root_search(&d, current->base, true) - 1, 0);
			 r < NROOT(&d) && !done; r++)
		{
			if (!load_leaf(&d, r))
				break;
			for (uint32 i = 0; i < LEAF(&d)->nextents; i++)
			{
				LogExtent  *e = &LEAF(&d)->extents[i];

				if (!is_used(e) || e->base > current->base ||
					(e->base == current->base && e->start == current->start))
				{
					done = true;
					break;
				}
				take_extent(&d, e, extent);
				found = true;
			}
		}
	} while (d.stale);
	return found;
}

/*
 * The last extent in use, its leaf, and the number of spare blocks after it.
 */
static bool
find_last(Directory *d, LogExtent *extent, BlockNumber *leaf, uint32 *spare)
{
	*spare = 0;
	for (int r = NROOT(d) - 1; r >= 0; r--)
	{
		if (!load_leaf(d, r))
			return false;
		for (int i = (int) LEAF(d)->nextents - 1; i >= 0; i--)
		{
			LogExtent  *e = &LEAF(d)->extents[i];

			if (is_used(e))
			{
				take_extent(d, e, extent);
				*leaf = ROOT(d)[r].block;
				return true;
			}
			*spare += e->nblocks;
		}
	}
	return false;
}

bool
log_extent_last(Relation rel, int partition, LogExtent *extent)
{
	Directory	d;
	int			retries = 0;
	BlockNumber leaf;
	uint32		spare;
	bool		found;

	do
	{
		if (!open_directory(&d, rel, partition))
			return false;
		check_retries(&d, retries++);
		found = find_last(&d, extent, &leaf, &spare);
	} while (d.stale);
	return found;
}

LogExtent *
log_extents_used(Relation rel, int partition, int *n)
{
	Directory	d;
	int			retries = 0;
	int			allocated = 64;
	LogExtent  *extents = palloc(allocated * sizeof(LogExtent));

	do
	{
		*n = 0;
		if (!open_directory(&d, rel, partition))
			break;
		check_retries(&d, retries++);
		for (int r = 0; r < NROOT(&d); r++)
		{
			if (!load_leaf(&d, r))
				break;
			for (uint32 i = 0; i < LEAF(&d)->nextents; i++)
			{
				if (!is_used(&LEAF(&d)->extents[i]))
					continue;
				if (*n >= allocated)
				{
					allocated *= 2;
					extents = repalloc_huge(extents, allocated * sizeof(LogExtent));
				}
				take_extent(&d, &LEAF(&d)->extents[i], &extents[(*n)++]);
			}
		}
	} while (d.stale);
	return extents;
}

void
log_extent_count(Relation rel, int partition, int *live, int *spare, int64 *blocks)
{
	Directory	d;
	int			retries = 0;

	do
	{
		*live = *spare = 0;
		*blocks = 0;
		if (!open_directory(&d, rel, partition))
			return;
		check_retries(&d, retries++);
		for (int r = 0; r < NROOT(&d); r++)
		{
			if (!load_leaf(&d, r))
				break;
			for (uint32 i = 0; i < LEAF(&d)->nextents; i++)
			{
				LogExtent  *e = &LEAF(&d)->extents[i];

				if (is_used(e))
				{
					(*live)++;
					*blocks += e->nblocks;
				}
				else
					(*spare)++;
			}
		}
	} while (d.stale);
}

/* Was the page written since the extent was entered? */
static inline bool
page_in_extent(Page page, int partition, const LogExtent *extent)
{
	return log_page_is(page, LOG_PAGE_DATA, partition) &&
		LOG_OPAQUE(page)->base >= extent->base;
}

/*
 * Find the time of the last run, because the next one must not be before it.
 * If the last page holds only a part of a large row, the run is on an earlier
 * page.
 */
static void
find_last_time(Relation rel, const LogExtent *extent, LogTail *tail)
{
	uint16		last_run = 0;

	for (BlockNumber end = tail->next_block; end > extent->start && last_run == 0; end--)
	{
		Buffer		buffer = ReadBuffer(rel, end - 1);
		Page		page = BufferGetPage(buffer);

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		if (log_page_is(page, LOG_PAGE_DATA, -1))
			last_run = LOG_OPAQUE(page)->last_run;
		if (last_run != 0)
			tail->last_time = ((LogRun *) ((char *) page + last_run))->time;
		UnlockReleaseBuffer(buffer);
	}
}

/*
 * The tail is found by bisection.  This works because the pages of an extent
 * are filled in order, and because a page that a reused block still holds has
 * a lower base or another partition.
 */
void
log_tail_load(Relation rel, int partition, LogTail *tail)
{
	Directory	d;
	LogExtent	extent;
	BlockNumber nblocks;
	BlockNumber lo;
	BlockNumber hi;
	int			retries = 0;
	bool		found;

	memset(tail, 0, sizeof(*tail));
	tail->head = tail->leaf = tail->tail = InvalidBlockNumber;
	tail->extent_start = tail->extent_end = tail->next_block = InvalidBlockNumber;
	tail->last_time = DT_NOBEGIN;

	do
	{
		if (!open_directory(&d, rel, partition))
			return;
		check_retries(&d, retries++);
		found = find_last(&d, &extent, &tail->leaf, &tail->spare_blocks);
		/* the first extent came into use after the head was copied */
		if (found && ROOT(&d)[0].base == LOG_SPARE_EXTENT)
			d.stale = true;
	} while (d.stale);

	tail->head = d.head_block;
	tail->first_offset = LOG_HEAD(d.head.data)->first_offset;
	tail->frozen_offset = LOG_HEAD(d.head.data)->frozen_offset;
	tail->next_offset = LOG_HEAD(d.head.data)->origin_offset;
	if (!found)
		return;

	/*
	 * Only whole extents expire.  A reader that goes block by block would not
	 * notice this damage.
	 */
	if (LOG_HEAD_ROOT(LOG_HEAD(d.head.data))->base != tail->first_offset)
		log_page_corrupted(rel, tail->head, "its first offset is not where its first extent begins");

	tail->extent_start = extent.start;
	tail->extent_end = extent.start + extent.nblocks;
	tail->extent_base = extent.base;
	tail->next_offset = extent.base;
	tail->last_time = extent.first_time;

	/* after a crash the file may not have all reserved blocks */
	nblocks = RelationGetNumberOfBlocks(rel);
	lo = extent.start;
	hi = Min(tail->extent_end, nblocks);
	while (lo < hi)
	{
		BlockNumber mid = lo + (hi - lo) / 2;
		Buffer		buffer = ReadBuffer(rel, mid);
		Page		page = BufferGetPage(buffer);
		bool		in;

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		in = page_in_extent(page, partition, &extent);
		if (in)
			tail->next_offset = LOG_OPAQUE(page)->base + LOG_OPAQUE(page)->nrows;
		UnlockReleaseBuffer(buffer);
		if (in)
			lo = mid + 1;
		else
			hi = mid;
	}
	tail->next_block = lo;
	if (lo > extent.start)
		tail->tail = lo - 1;

	/*
	 * If a page in the middle was lost, the log would seem to end there and
	 * appends would overwrite what follows.  So probe the pages after the
	 * tail, in growing steps.  A standby appends nothing, and its pages
	 * change meanwhile.
	 */
	if (RecoveryInProgress())
		return;
	find_last_time(rel, &extent, tail);
	hi = Min(tail->extent_end, nblocks);
	for (BlockNumber step = 1; lo + step < hi; step *= 2)
	{
		Buffer		buffer = ReadBuffer(rel, lo + step);
		bool		in;

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		in = page_in_extent(BufferGetPage(buffer), partition, &extent);
		UnlockReleaseBuffer(buffer);
		if (in)
			log_page_corrupted(rel, lo, "pages follow it that belong to its partition");
	}
	if (tail->next_offset < tail->frozen_offset || tail->next_offset < tail->first_offset)
		log_page_corrupted(rel, tail->head, "its partition ends before its frozen offset");
}
