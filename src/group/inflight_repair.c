/*
 * inflight_repair.c
 *	  Trees of entries: counting again after a crash, and freeing pages that
 *	  are not in use.
 */
#include "postgres.h"

#include "group/inflight_tree.h"
#include "group/store.h"

/*
 * After a crash of the server, or an error between two pages of one change,
 * the counts may be wrong, entries may be out of the bounds of their leaf, and
 * there may be pages that nothing refers to.  So the head has a mark.  The
 * counts are exact if the mark is that of this start of the server, and no
 * change was interrupted since.
 */
uint64
group_inflight_mark(const InflightTree *tree)
{
	return group_shmem_incarnation() + tree->lock->interrupted;
}

void
group_inflight_recount(InflightTree *tree)
{
	InflightCounts total = {0};
	InflightKey key = inflight_least_key;
	bool		more;

	do
	{
		InflightNode *leaf;
		InflightCounts counts;

		group_inflight_descend(tree, key);
		leaf = group_inflight_leaf(tree);
		group_inflight_count(leaf, &counts);
		total.waiting += counts.waiting;
		total.available += counts.available;
		total.leased += counts.leased;
		total.done += counts.done;
		more = leaf->bounded;
		key = leaf->high;
		/* stores what loading has removed */
		group_inflight_leave(tree);
	} while (more);
	tree->head.waiting = total.waiting;
	tree->head.available = total.available;
	tree->head.leased = total.leased;
	tree->head.done = total.done;
	tree->begun = false;

	/*
	 * a leaf that is stored later changes the counts by what it contributes
	 * now
	 */
	if (tree->height == 0)
		group_inflight_count(tree->nodes[0], &tree->nodes[0]->counted);
	tree->disk.garbage = INFLIGHT_MAX_GARBAGE;
	tree->disk.mark = group_inflight_mark(tree);
	group_inflight_head_changed(tree);
}

/* ---- freeing ---- */

static void
add_page(InflightPages *pages, uint32 number)
{
	if (pages->n == pages->max)
	{
		pages->max = Max(256, pages->max * 2);
		if (pages->numbers == NULL)
			pages->numbers = palloc(pages->max * sizeof(uint32));
		else
			pages->numbers = repalloc_huge(pages->numbers, pages->max * sizeof(uint32));
	}
	pages->numbers[pages->n++] = number;
}

static void
add_node(InflightTree *tree, const InflightNode *node, int depth, InflightPages *pages)
{
	add_page(pages, node->number);
	for (int i = 0; node->height > 0 && i < node->n; i++)
	{
		InflightNode *child = tree->others[depth + 1];

		if (node->height == 1)
		{
			add_page(pages, node->u.children[i].number);
			continue;
		}
		child->bounded = false;
		group_inflight_load(tree, child, node->u.children[i].number, node->height - 1);
		add_node(tree, child, depth + 1, pages);
	}
}

static int
compare_numbers(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

void
group_inflight_collect(InflightTree *tree, InflightPages *pages)
{
	InflightDiskHead *disk = &tree->disk;
	bool		exclusive = tree->exclusive;
	InflightHead head = tree->head;

	/* nodes off the path are neither stored nor counted */
	tree->exclusive = false;
	add_page(pages, 0);
	for (int i = 0; i < disk->nspares; i++)
		add_page(pages, disk->spares[i] & ~INFLIGHT_UNMADE);
	for (int i = 0; i < disk->nversions; i++)
	{
		InflightNode *root = tree->nodes[0];

		if (i != tree->version)
		{
			root = tree->others[0];
			root->bounded = false;
			root->low = inflight_least_key;
			group_inflight_load(tree, root, disk->versions[i].root, -1);
		}
		add_node(tree, root, 0, pages);
	}
	tree->exclusive = exclusive;
	tree->head = head;
	qsort(pages->numbers, pages->n, sizeof(uint32), compare_numbers);
	pages->end = disk->next_number;
	disk->garbage = 0;
	tree->head_dirty = true;
}

static bool
keep_page(uint32 number, void *arg)
{
	InflightPages *pages = arg;

	return number >= pages->end ||
		bsearch(&number, pages->numbers, pages->n, sizeof(uint32), compare_numbers) != NULL;
}

void
group_inflight_free_others(Relation rel, const ConsumerGroup *group, int partition,
						   uint8 page_kind, InflightPages *pages)
{
	group_store_free_pages(rel, group_store_key(page_kind, group, partition, 0),
						   keep_page, pages);
	pfree(pages->numbers);
}
