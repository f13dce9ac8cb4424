/*
 * structure.c
 *	  Changes of structure pages, shared with redo.  Nothing here can fail.
 */
#include "postgres.h"

#include "log/page/page.h"
#include "log/page/structure.h"

void
log_fill_meta(Page page, uint32 npartitions, BlockNumber nallocated)
{
	LogMeta    *meta;

	log_page_init(page, LOG_PAGE_META, 0);
	meta = LOG_META(page);
	meta->npartitions = npartitions;
	meta->state_root = InvalidBlockNumber;
	meta->nallocated = nallocated;
	meta->nfree = 0;
	meta->nstates = 0;
	memset(meta->reserved, 0, sizeof(meta->reserved));
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
	head->first_offset = head->expired_offset = head->origin_offset = origin;
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

void
log_meta_set_content(Page metapage)
{
	log_page_set_content(metapage, offsetof(LogMeta, free) +
						 LOG_META(metapage)->nfree * sizeof(LogBlockRange));
}

void
log_fill_state_directory(Page page, int level)
{
	LogStateDirectory *directory;

	log_page_init(page, LOG_PAGE_STATE_DIRECTORY, 0);
	directory = LOG_STATE_DIRECTORY(page);
	directory->level = level;
	directory->reserved = 0;
	directory->nentries = 0;
	log_state_directory_set_content(page);
}

void
log_state_directory_set_content(Page page)
{
	log_page_set_content(page, offsetof(LogStateDirectory, entries) +
						 LOG_STATE_DIRECTORY(page)->nentries * sizeof(LogStateEntry));
}

void
log_fill_state(Page page, const LogStateKey *key, const char *data, int len)
{
	LogPageOpaque *opaque;

	log_page_init(page, LOG_PAGE_STATE, key->partition);
	opaque = LOG_OPAQUE(page);
	opaque->owner = key->owner;
	opaque->nrows = key->kind;
	opaque->base = key->number;
	memcpy(LOG_PAGE_CONTENT(page), data, len);
	log_page_set_content(page, len);
}

static void
remove_range(LogMeta *meta, uint32 i)
{
	memmove(&meta->free[i], &meta->free[i + 1],
			(meta->nfree - i - 1) * sizeof(LogBlockRange));
	meta->nfree--;
}

/* Take blocks that were picked.  Changes the meta page only. */
void
log_take_blocks(Page metapage, BlockNumber start, uint32 nblocks)
{
	LogMeta    *meta = LOG_META(metapage);

	if (start >= meta->nallocated)
	{
		meta->nallocated = start + nblocks;
		return;
	}
	for (uint32 i = 0; i < meta->nfree; i++)
	{
		LogBlockRange *range = &meta->free[i];
		uint32		before = start - range->start;
		uint32		after_it;

		if (start < range->start || start >= range->start + range->nblocks)
			continue;
		Assert(start + nblocks <= range->start + range->nblocks);
		after_it = range->nblocks - before - nblocks;
		range->nblocks = before;
		if (before == 0)
		{
			range->start = start + nblocks;
			range->nblocks = after_it;
			if (after_it == 0)
				remove_range(meta, i);
		}
		else if (after_it > 0)
			log_free_blocks(metapage, start + nblocks, after_it);
		log_meta_set_content(metapage);
		return;
	}
	Assert(false);
}

/*
 * Give blocks back.  If the list is full, its smallest range is dropped;
 * freelist.c rebuilds the list later.
 */
void
log_free_blocks(Page metapage, BlockNumber start, uint32 nblocks)
{
	LogMeta    *meta = LOG_META(metapage);
	uint32		i = 0;

	while (i < meta->nfree && meta->free[i].start < start)
		i++;
	if (i > 0 && meta->free[i - 1].start + meta->free[i - 1].nblocks == start)
	{
		meta->free[i - 1].nblocks += nblocks;
		if (i < meta->nfree &&
			meta->free[i - 1].start + meta->free[i - 1].nblocks == meta->free[i].start)
		{
			meta->free[i - 1].nblocks += meta->free[i].nblocks;
			remove_range(meta, i);
		}
	}
	else if (i < meta->nfree && start + nblocks == meta->free[i].start)
	{
		meta->free[i].start = start;
		meta->free[i].nblocks += nblocks;
	}
	else
	{
		if (meta->nfree == LOG_META_MAX_FREE)
		{
			uint32		least = 0;

			LOG_OPAQUE(metapage)->flags |= LOG_META_INCOMPLETE;
			for (uint32 k = 1; k < meta->nfree; k++)
				if (meta->free[k].nblocks < meta->free[least].nblocks)
					least = k;
			if (meta->free[least].nblocks >= nblocks)
				return;
			remove_range(meta, least);
			if (least < i)
				i--;
		}
		memmove(&meta->free[i + 1], &meta->free[i],
				(meta->nfree - i) * sizeof(LogBlockRange));
		meta->free[i].start = start;
		meta->free[i].nblocks = nblocks;
		meta->nfree++;
	}
	log_meta_set_content(metapage);
}
