/*
 * inflight_shape.c
 *	  Trees of entries: splitting and removing nodes, and pages for them.
 *
 * Each page has its own WAL record, so a crash may come between any two.  The
 * order of the records makes that harmless.
 *
 * A new page is removed from the list of spare pages before the tree refers to
 * it, and an old page is added to the list when the tree does not refer to it
 * any more.  So a crash leaves at most pages that nothing refers to.  A split
 * writes the new page, then the parent, then the old page.  So a crash leaves
 * at most entries in the old page that are out of its bounds, which are
 * ignored.  The first change after a restart removes both (inflight_repair.c).
 */
#include "postgres.h"

#include "group/inflight_tree.h"
#include "group/store.h"

/* ---- spare pages ---- */

void
group_inflight_add_spare(InflightTree *tree, uint32 number)
{
	InflightDiskHead *disk = &tree->disk;

	if (disk->nspares < INFLIGHT_MAX_SPARES)
		disk->spares[disk->nspares++] = number;
	else if (disk->garbage < PG_UINT16_MAX)
		disk->garbage++;
	tree->head_dirty = true;
}

/* do so many spare pages exist? */
static bool
has_spares(const InflightDiskHead *disk, int n)
{
	for (int i = 0; i < disk->nspares && n > 0; i++)
		n -= (disk->spares[i] & INFLIGHT_UNMADE) == 0;
	return n <= 0;
}

static uint32
take_spare(InflightTree *tree)
{
	InflightDiskHead *disk = &tree->disk;

	for (int i = disk->nspares - 1; i >= 0; i--)
	{
		uint32		number = disk->spares[i];

		if (number & INFLIGHT_UNMADE)
			continue;
		disk->spares[i] = disk->spares[--disk->nspares];
		tree->head_dirty = true;
		return number;
	}
	elog(ERROR, "no room for the state of consumer group \"%s\"", tree->group->name);
}

/* pages that may be needed to add n entries */
static int
pages_for(const InflightTree *tree, int n)
{
	return n + tree->height + 4;
}

bool
group_inflight_has_room(const InflightTree *tree, int nentries)
{
	const InflightNode *root = tree->nodes[0];

	Assert(nentries <= INFLIGHT_MAX_ROOM);
	if (tree->height == 0 && root->number != INFLIGHT_NO_PAGE &&
		group_inflight_slots(root) + 2 * nentries <= group_inflight_capacity(root->number, 0))
		return true;
	return has_spares(&tree->disk, pages_for(tree, nentries));
}

static int
compare_numbers(const void *a, const void *b)
{
	uint32		x = ((const LogStateKey *) a)->number;
	uint32		y = ((const LogStateKey *) b)->number;

	return x < y ? -1 : x > y;
}

void
group_inflight_reserve(Relation rel, const ConsumerGroup *group, int partition,
					   const InflightRules *rules, int nentries)
{
	InflightTree *tree = group_inflight_open(rel, group, partition, rules, LW_EXCLUSIVE);
	LogStateKey keys[INFLIGHT_MAX_SPARES];
	int			n = 0;
	int			wanted;
	InflightDiskHead *disk;

	if (tree == NULL)
		return;

	/* numbers first, so that no other session makes pages with them */
	disk = &tree->disk;
	wanted = Min(pages_for(tree, nentries) + 8, INFLIGHT_MAX_SPARES);
	while (disk->nspares < wanted)
	{
		if (disk->next_number >= INFLIGHT_UNMADE)
			elog(ERROR, "consumer group \"%s\" has no more numbers of pages", group->name);
		disk->spares[disk->nspares++] = disk->next_number++ | INFLIGHT_UNMADE;
		group_inflight_head_changed(tree);
	}
	for (int i = 0; i < disk->nspares; i++)
		if (disk->spares[i] & INFLIGHT_UNMADE)
			keys[n++] = group_store_key(rules->page_kind, group, partition,
										disk->spares[i] & ~INFLIGHT_UNMADE);
	group_inflight_close(tree);
	/* neighbours are made together */
	qsort(keys, n, sizeof(LogStateKey), compare_numbers);
	if (n == 0)
		return;
	group_store_create_pages(rel, keys, n);

	tree = group_inflight_open(rel, group, partition, rules, LW_EXCLUSIVE);
	if (tree == NULL)
		return;
	for (int i = 0; i < tree->disk.nspares; i++)
		for (int k = 0; k < n; k++)
			if (tree->disk.spares[i] == (keys[k].number | INFLIGHT_UNMADE))
			{
				tree->disk.spares[i] = keys[k].number;
				group_inflight_head_changed(tree);
			}
	group_inflight_close(tree);
}

/* ---- growing ---- */

void
group_inflight_place_root(InflightTree *tree)
{
	InflightNode *root = tree->nodes[0];
	InflightNode *empty = tree->others[0];
	uint32		number = take_spare(tree);

	/* the page may have the bytes of a former node */
	empty->loaded = true;
	empty->height = empty->n = 0;
	memset(&empty->counted, 0, sizeof(empty->counted));
	empty->number = number;
	group_inflight_store(tree, empty);
	empty->loaded = false;
	root->number = number;
	tree->disk.versions[tree->version].root = number;
	group_inflight_store_head(tree);
}

/* where to split a node */
static int
split_position(const InflightTree *tree, const InflightNode *node)
{
	int			capacity = group_inflight_capacity(PG_UINT32_MAX, node->height);
	int			half = node->n / 2;
	int			n = 0;
	int			slots = 0;

	if (node->height > 0)
		return !node->bounded && node->at == node->n - 1 ? node->n - 1 : half;

	/* entries that are added in order leave full leaves */
	if (!node->bounded && tree->next == node->n)
		half = capacity;
	else
		half = group_inflight_slots(node) / 2;
	while (n < node->n - 1)
	{
		slots += 1 + (node->u.entries[n].nlevels > 2);
		if (slots > Min(half, capacity))
			break;
		n++;
	}
	return Max(n, 1);
}

/* move the entries or children from `at` on to an empty node */
static void
move_upper(InflightNode *node, int at, InflightNode *upper)
{
	upper->height = node->height;
	upper->n = node->n - at;
	upper->bounded = node->bounded;
	upper->high = node->high;
	upper->nlong = node->nlong;
	upper->keeps_slots = false;
	memset(&upper->counted, 0, sizeof(upper->counted));
	if (node->height == 0)
	{
		memcpy(upper->u.entries, &node->u.entries[at], upper->n * sizeof(InflightEntry));
		for (int i = 0; i < upper->n; i++)
			upper->u.entries[i].slot = -1;
		upper->low = group_inflight_key(&upper->u.entries[0]);
	}
	else
	{
		memcpy(upper->u.children, &node->u.children[at], upper->n * sizeof(InflightChild));
		upper->low = upper->u.children[0].key;
	}
	node->n = at;
	node->bounded = true;
	node->high = upper->low;
	upper->loaded = true;
}

static void
set_child(InflightTree *tree, InflightChild *child, const InflightNode *node)
{
	child->key = node->low;
	child->number = node->number;
	group_inflight_summarize(tree, node, &child->due, &child->least);
}

/*
 * Let the path at this depth go on with the upper half of a node that was
 * split, if the cursor is there.  Returns the half off the path.
 */
static void
follow_half(InflightTree *tree, int depth, int at, InflightNode **upper)
{
	InflightNode *lower = tree->nodes[depth];
	bool		follow;

	if (lower->height == 0)
	{
		follow = tree->next > at;
		if (follow)
			tree->next -= at;
	}
	else
	{
		follow = lower->at >= at;
		if (follow)
			(*upper)->at = lower->at - at;
	}
	if (follow)
	{
		tree->nodes[depth] = *upper;
		*upper = lower;
		tree->nodes[depth - 1]->at++;
	}
	(*upper)->loaded = false;
}

/* split the node of the path at this depth, whose parent has room */
static void
split_node(InflightTree *tree, int depth)
{
	InflightNode *node = tree->nodes[depth];
	InflightNode *parent = tree->nodes[depth - 1];
	InflightNode *upper = tree->others[depth];
	int			at = split_position(tree, node);
	TimestampTz due;
	int64		least;

	upper->number = take_spare(tree);
	group_inflight_summarize(tree, node, &due, &least);
	group_inflight_lower(tree, depth, due, least);

	move_upper(node, at, upper);
	group_inflight_store(tree, upper);
	if (parent->number != 0)
		group_inflight_store_head(tree);	/* the page is not spare now */
	memmove(&parent->u.children[parent->at + 2], &parent->u.children[parent->at + 1],
			(parent->n - parent->at - 1) * sizeof(InflightChild));
	set_child(tree, &parent->u.children[parent->at + 1], upper);
	parent->n++;
	group_inflight_store(tree, parent);
	group_inflight_store(tree, node);

	follow_half(tree, depth, at, &upper);
	tree->others[depth] = upper;
}

/* put two halves of the root below a new root on the same page */
static void
grow_root(InflightTree *tree)
{
	InflightNode *lower;
	InflightNode *upper;
	InflightNode *root;
	int			at;

	if (tree->height == INFLIGHT_MAX_HEIGHT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("consumer group \"%s\" has too many unacknowledged messages",
						tree->group->name)));
	if (tree->nodes[0]->number == INFLIGHT_NO_PAGE)
		group_inflight_place_root(tree);

	lower = tree->nodes[0];
	root = tree->nodes[tree->height + 1];
	for (int d = tree->height + 1; d > 0; d--)
		tree->nodes[d] = tree->nodes[d - 1];
	tree->nodes[0] = root;
	tree->height++;
	root->loaded = true;
	root->dirty = false;
	root->number = lower->number;
	root->height = lower->height + 1;
	root->low = lower->low;
	root->bounded = false;
	root->at = 0;
	root->counted = lower->counted;
	root->n = 0;

	upper = tree->others[1];
	lower->number = take_spare(tree);
	upper->number = take_spare(tree);
	if (lower->height == 0)
	{
		memset(&lower->counted, 0, sizeof(lower->counted));
		for (int i = 0; i < lower->n; i++)
			lower->u.entries[i].slot = -1;
	}
	at = split_position(tree, lower);
	move_upper(lower, at, upper);
	group_inflight_store(tree, lower);
	group_inflight_store(tree, upper);
	if (root->number != 0)
		group_inflight_store_head(tree);	/* the pages are not spare now */
	root->n = 2;
	set_child(tree, &root->u.children[0], lower);
	set_child(tree, &root->u.children[1], upper);
	group_inflight_store(tree, root);

	follow_half(tree, 1, at, &upper);
	tree->others[1] = upper;
}

static bool
is_full(const InflightNode *node)
{
	return node->n >= group_inflight_capacity(node->number, node->height);
}

void
group_inflight_make_fit(InflightTree *tree)
{
	for (;;)
	{
		InflightNode *leaf = group_inflight_leaf(tree);
		int			d = tree->height;
		int			capacity;

		/* seldom count them */
		capacity = group_inflight_capacity(leaf->number, 0);
		if (leaf->n + leaf->nlong <= capacity || group_inflight_slots(leaf) <= capacity)
			return;

		/* the highest of the full nodes above the leaf */
		while (d > 0 && is_full(tree->nodes[d - 1]))
			d--;
		if (d == 0)
			grow_root(tree);
		else
			split_node(tree, d);
	}
}

/* ---- shrinking ---- */

/* if the root has only one child that fits into it, put it there */
static void
shrink_root(InflightTree *tree)
{
	InflightNode *root = tree->nodes[0];
	InflightNode *child;
	int			size;

	while (tree->height > 0 && root->n == 1)
	{
		child = tree->nodes[1];
		root->at = 0;
		group_inflight_enter(tree, 0);
		size = child->height == 0 ? group_inflight_slots(child) : child->n;
		if (size > group_inflight_capacity(root->number, child->height) * 3 / 4)
			return;
		root->height = child->height;
		root->n = child->n;
		root->nlong = child->nlong;
		root->counted = child->counted;
		if (child->height == 0)
		{
			memcpy(root->u.entries, child->u.entries, child->n * sizeof(InflightEntry));
			for (int i = 0; i < root->n; i++)
				root->u.entries[i].slot = -1;
		}
		else
			memcpy(root->u.children, child->u.children, child->n * sizeof(InflightChild));
		tree->height--;
		for (int d = 1; d <= INFLIGHT_MAX_HEIGHT; d++)
			tree->nodes[d]->loaded = false;
		group_inflight_store(tree, root);
		group_inflight_add_spare(tree, child->number);
	}
}

void
group_inflight_remove_leaf(InflightTree *tree)
{
	uint32		freed[INFLIGHT_MAX_HEIGHT];
	int			nfreed = 0;
	int			d = tree->height;
	InflightNode *leaf = group_inflight_leaf(tree);
	InflightNode *parent;

	tree->head.waiting -= leaf->counted.waiting;
	tree->head.available -= leaf->counted.available;
	tree->head.leased -= leaf->counted.leased;
	tree->head.done -= leaf->counted.done;
	do
	{
		tree->nodes[d]->loaded = false;
		freed[nfreed++] = tree->nodes[d]->number;
		parent = tree->nodes[--d];
		memmove(&parent->u.children[parent->at], &parent->u.children[parent->at + 1],
				(parent->n - parent->at - 1) * sizeof(InflightChild));
		parent->n--;
	} while (parent->n == 0 && d > 0);
	if (parent->n == 0)
	{
		parent->height = 0;
		tree->height = 0;
		memset(&parent->counted, 0, sizeof(parent->counted));
	}
	group_inflight_store(tree, parent);
	for (int i = 0; i < nfreed; i++)
		group_inflight_add_spare(tree, freed[i]);
	shrink_root(tree);
}
