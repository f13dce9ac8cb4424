/*
 * blockmap.c
 *	  The blocks of the file that hold messages, for scans in block order.
 *
 * Such a scan meets blocks without messages.  That is correct for structure
 * pages and for free and reserved blocks.  Any other block has lost its
 * messages.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "log/log.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space/blockmap.h"
#include "log/space/directory.h"
#include "log/space/shared.h"

struct LogBlockMap
{
	int			nranges;
	LogBlockRange *ranges;		/* blocks in use, ordered by start */
};

static int
compare_ranges(const void *a, const void *b)
{
	BlockNumber x = ((const LogBlockRange *) a)->start;
	BlockNumber y = ((const LogBlockRange *) b)->start;

	return x < y ? -1 : x > y;
}

/*
 * Collect the blocks in use of all partitions.  The last extent counts only up
 * to the tail.  The tail is read after the directory, so it is in the last
 * extent or beyond.
 */
LogBlockMap *
log_block_map(Relation rel, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	LogBlockMap *map = palloc0(sizeof(LogBlockMap));
	int			npartitions = log_partition_count(rel);
	int			allocated = 64;

	map->ranges = palloc(allocated * sizeof(LogBlockRange));
	for (int p = 0; p < npartitions; p++)
	{
		int			n;
		LogExtent  *extents = log_extents_used(rel, p, &n);
		LogTail		tail;

		log_get_tail(rel, p, &tail);
		for (int i = 0; i < n; i++)
		{
			LogBlockRange *range;

			if (map->nranges >= allocated)
			{
				allocated *= 2;
				map->ranges = repalloc_huge(map->ranges, allocated * sizeof(LogBlockRange));
			}
			range = &map->ranges[map->nranges];
			range->start = extents[i].start;
			range->nblocks = extents[i].nblocks;
			if (range->start == tail.extent_start)
				range->nblocks = BlockNumberIsValid(tail.tail) ? tail.tail + 1 - range->start : 0;
			if (range->nblocks > 0)
				map->nranges++;
		}
		pfree(extents);
	}
	qsort(map->ranges, map->nranges, sizeof(LogBlockRange), compare_ranges);
	MemoryContextSwitchTo(old);
	return map;
}

void
log_block_map_free(LogBlockMap *map)
{
	pfree(map->ranges);
	pfree(map);
}

bool
log_block_map_has(const LogBlockMap *map, BlockNumber block)
{
	int			lo = 0;
	int			hi = map->nranges;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (map->ranges[mid].start <= block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && block - map->ranges[lo - 1].start < map->ranges[lo - 1].nblocks;
}

void
log_check_length(Relation rel)
{
	LogBlockMap *map = log_block_map(rel, CurrentMemoryContext);

	/* the file may grow meanwhile, but does not shrink */
	if (map->nranges > 0)
	{
		LogBlockRange *last = &map->ranges[map->nranges - 1];
		BlockNumber end = last->start + last->nblocks;

		if (end > RelationGetNumberOfBlocks(rel))
			log_page_corrupted(rel, end - 1, "it should be there, but the file ends before it");
	}
	log_block_map_free(map);
}
