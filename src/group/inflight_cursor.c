/*
 * inflight_cursor.c
 *	  Trees of entries: finding and changing entries.
 *
 * The path from the root to the current leaf is in memory.  A changed leaf is
 * stored when the cursor leaves it.
 */
#include "postgres.h"

#include "group/inflight_tree.h"

/* ---- the path ---- */

int
group_inflight_find_child(const InflightNode *node, InflightKey key)
{
	int			lo = 0;
	int			hi = node->n - 1;

	/* the last child that does not begin after the key, or the first */
	while (lo < hi)
	{
		int			mid = (lo + hi + 1) / 2;

		if (group_inflight_compare(node->u.children[mid].key, key) <= 0)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

/* set the bounds of a child */
static void
set_bounds(const InflightNode *parent, int i, InflightNode *child)
{
	child->low = i == 0 ? parent->low : parent->u.children[i].key;
	if (i + 1 < parent->n)
	{
		child->bounded = true;
		child->high = parent->u.children[i + 1].key;
	}
	else
	{
		child->bounded = parent->bounded;
		child->high = parent->high;
	}
}

void
group_inflight_enter(InflightTree *tree, int depth)
{
	InflightNode *parent = tree->nodes[depth];
	InflightNode *child = tree->nodes[depth + 1];
	uint32		number;

	if (parent->n == 0)			/* on a standby only */
		group_inflight_report_corrupt();
	number = parent->u.children[parent->at].number;
	if (child->loaded && child->number != number)
	{
		if (child->dirty)
			group_inflight_store(tree, child);
		child->loaded = false;
	}
	set_bounds(parent, parent->at, child);
	if (!child->loaded)
		group_inflight_load(tree, child, number, parent->height - 1);
}

/* the first entry of a leaf that ends after the key, or n */
static int
find_entry(const InflightNode *leaf, InflightKey key)
{
	int			lo = 0;
	int			hi = leaf->n;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;
		const InflightEntry *entry = &leaf->u.entries[mid];
		InflightKey end = {entry->hash, entry->from + entry->count - 1};

		if (group_inflight_compare(end, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
group_inflight_descend(InflightTree *tree, InflightKey key)
{
	for (int d = 0; d < tree->height; d++)
	{
		tree->nodes[d]->at = group_inflight_find_child(tree->nodes[d], key);
		group_inflight_enter(tree, d);
	}
	tree->next = find_entry(group_inflight_leaf(tree), key);
	tree->current = -1;
	tree->due_leaf = false;
	tree->begun = true;
}

/* merge neighbours that differ in nothing but their offsets */
static void
merge_entries(InflightNode *leaf)
{
	int			n = 0;

	for (int i = 1; i < leaf->n; i++)
	{
		InflightEntry *to = &leaf->u.entries[n];
		InflightEntry *entry = &leaf->u.entries[i];
		bool		same = to->hash == 0 && entry->hash == 0 &&
			to->from + to->count == entry->from &&
			(int64) to->count + entry->count <= PG_INT32_MAX &&
			to->nlevels == entry->nlevels;

		for (int l = 0; same && l < to->nlevels; l++)
		{
			const InflightLevel *a = &to->levels[l];
			const InflightLevel *b = &entry->levels[l];

			same = a->xid == b->xid && a->kind == b->kind && a->buried == b->buried &&
				a->deliveries == b->deliveries && a->time == b->time &&
				a->token == b->token && a->consumer == b->consumer &&
				a->uncounted == b->uncounted;
		}
		if (same)
			to->count += entry->count;
		else if (++n < i)
			leaf->u.entries[n] = *entry;
	}
	leaf->n = leaf->n == 0 ? 0 : n + 1;
}

/* raise what the nodes above the leaf say, which has been stored */
static void
raise_path(InflightTree *tree)
{
	for (int d = tree->height - 1; d >= 0; d--)
	{
		InflightNode *node = tree->nodes[d];
		InflightChild *child = &node->u.children[node->at];
		TimestampTz due;
		TimestampTz old_due;
		int64		least;
		int64		old_least;
		bool		changed = false;

		group_inflight_summarize(tree, tree->nodes[d + 1], &due, &least);
		group_inflight_summarize(tree, node, &old_due, &old_least);

		/* only what saves visits is worth the WAL */
		if (child->due <= tree->now && due > tree->now)
		{
			child->due = due;
			changed = true;
		}
		if (child->least < least && child->least == old_least)
		{
			child->least = least;
			changed = true;
		}
		if (!changed)
			break;
		node->dirty = true;
		if (node->number == 0)
			tree->head_dirty = true;
	}
}

/*
 * Keep an empty leaf that is about to be filled again?  What the root says
 * about the leaf remains, so the next search finds it.  If no leaf has become
 * empty since the tree was opened, this one was not filled again.
 */
static bool
keep_leaf(InflightTree *tree, InflightNode *leaf)
{
	if (!tree->refills || tree->height != 1 || tree->nodes[0]->n > INFLIGHT_MAX_KEPT)
		return false;
	if (leaf->dirty)
	{
		tree->kept = leaf->keeps_slots = true;
		group_inflight_store(tree, leaf);
		leaf->keeps_slots = false;
	}
	return tree->kept;
}

void
group_inflight_leave(InflightTree *tree)
{
	InflightNode *leaf = group_inflight_leaf(tree);
	TimestampTz due;
	int64		least;

	if (!tree->exclusive || !leaf->loaded)
		return;
	if (leaf->dirty)
		merge_entries(leaf);
	tree->current = -1;
	if (tree->height == 0)
	{
		if (leaf->dirty && leaf->number != 0)
			group_inflight_store(tree, leaf);
		return;
	}
	if (leaf->n == 0)
	{
		if (!keep_leaf(tree, leaf))
			group_inflight_remove_leaf(tree);
		return;
	}
	if (leaf->dirty)
	{
		group_inflight_summarize(tree, leaf, &due, &least);
		group_inflight_lower(tree, tree->height, due, least);
		group_inflight_store(tree, leaf);
	}
	raise_path(tree);
}

/* ---- finding ---- */

/* go to the leaf after the current one; false if there is none */
static bool
next_leaf(InflightTree *tree)
{
	InflightNode *leaf = group_inflight_leaf(tree);
	InflightKey key = leaf->high;

	if (!leaf->bounded)
		return false;
	group_inflight_leave(tree);
	group_inflight_descend(tree, key);
	return true;
}

/* make the leaf for the key the current one */
static void
move_to(InflightTree *tree, InflightKey key)
{
	InflightNode *leaf = group_inflight_leaf(tree);

	if (leaf->loaded && tree->begun)
	{
		if (group_inflight_compare(key, leaf->low) >= 0 &&
			(!leaf->bounded || group_inflight_compare(key, leaf->high) < 0))
		{
			tree->current = -1;
			tree->due_leaf = false;
			return;
		}
		group_inflight_leave(tree);
	}
	group_inflight_descend(tree, key);
}

static void
seek(InflightTree *tree, uint32 hash, int64 off)
{
	InflightKey key = {hash, off};

	move_to(tree, key);
	tree->next = find_entry(group_inflight_leaf(tree), key);
}

const InflightEntry *
group_inflight_seek(InflightTree *tree, uint32 hash, int64 off)
{
	seek(tree, hash, off);
	return group_inflight_next(tree);
}

const InflightEntry *
group_inflight_seek_key(InflightTree *tree, uint32 hash, int64 off)
{
	seek(tree, hash, off);
	return group_inflight_next_of_key(tree, hash);
}

const InflightEntry *
group_inflight_next(InflightTree *tree)
{
	if (!tree->begun)
		group_inflight_descend(tree, inflight_least_key);
	for (;;)
	{
		InflightNode *leaf = group_inflight_leaf(tree);

		if (leaf->loaded && tree->next < leaf->n)
			break;
		tree->current = -1;
		if (!leaf->loaded || !next_leaf(tree))
			return NULL;
	}
	tree->current = tree->next++;
	return &group_inflight_leaf(tree)->u.entries[tree->current];
}

const InflightEntry *
group_inflight_next_of_key(InflightTree *tree, uint32 hash)
{
	InflightNode *leaf;

	Assert(tree->begun);
	tree->current = -1;
	for (;;)
	{
		leaf = group_inflight_leaf(tree);
		if (!leaf->loaded || tree->next < leaf->n)
			break;
		/* stay in a leaf that ends after the key */
		if ((leaf->bounded && leaf->high.hash > hash) || !next_leaf(tree))
			return NULL;
	}
	if (!leaf->loaded || leaf->u.entries[tree->next].hash != hash)
		return NULL;
	tree->current = tree->next++;
	return &leaf->u.entries[tree->current];
}

/* go to the first leaf at or after the key that is due; false if none is */
static bool
descend_due(InflightTree *tree, InflightKey key, TimestampTz now)
{
	int			d = 0;

	while (d < tree->height)
	{
		InflightNode *node = tree->nodes[d];
		int			i = group_inflight_find_child(node, key);

		while (i < node->n && node->u.children[i].due > now)
			i++;
		if (i == node->n)
		{
			if (!node->bounded)
				return false;
			key = node->high;
			d = 0;
			continue;
		}
		node->at = i;
		group_inflight_enter(tree, d++);
	}
	tree->next = find_entry(group_inflight_leaf(tree), key);
	tree->current = -1;
	tree->due_leaf = tree->begun = true;
	return true;
}

const InflightEntry *
group_inflight_next_due(InflightTree *tree, TimestampTz now)
{
	InflightNode *leaf;

	if (!tree->begun)
	{
		if (tree->height == 0)
			group_inflight_descend(tree, inflight_least_key);
		else if (!descend_due(tree, inflight_least_key, now))
			return NULL;
	}
	for (;;)
	{
		InflightKey key;

		leaf = group_inflight_leaf(tree);
		if (!leaf->loaded)
			return NULL;
		if (!tree->due_leaf)
		{
			TimestampTz due;
			int64		least;

			group_inflight_summarize(tree, leaf, &due, &least);
			tree->due_leaf = due <= now;
		}
		if (tree->due_leaf && tree->next < leaf->n)
		{
			tree->current = tree->next++;
			return &leaf->u.entries[tree->current];
		}
		tree->current = -1;
		if (!leaf->bounded)
			return NULL;
		key = leaf->high;
		group_inflight_leave(tree);
		if (tree->height == 0)
			group_inflight_descend(tree, key);
		else if (!descend_due(tree, key, now))
		{
			/* at the end: leave the cursor after the last leaf */
			group_inflight_leaf(tree)->loaded = false;
			return NULL;
		}
	}
}

TimestampTz
group_inflight_due(InflightTree *tree)
{
	TimestampTz due;
	int64		least;

	if (tree->height > 0 && group_inflight_leaf(tree)->loaded)
		group_inflight_leave(tree);
	tree->begun = false;
	group_inflight_summarize(tree, tree->nodes[0], &due, &least);
	return due;
}

/* ---- the position ---- */

/* lower *best to the least offset below a node that is not done */
static void
find_least(InflightTree *tree, const InflightNode *node, int depth, int64 *best)
{
	int64		floor = PG_INT64_MIN;
	int			last = -1;

	if (node->height == 0)
	{
		for (int i = 0; i < node->n; i++)
		{
			const InflightEntry *entry = &node->u.entries[i];

			if (entry->from < *best && !group_inflight_is_done(entry))
				*best = entry->from;
		}
		return;
	}

	/* the children in the order of their least offsets */
	for (;;)
	{
		InflightNode *other = tree->others[depth + 1];
		int			next = -1;

		for (int i = 0; i < node->n; i++)
		{
			int64		least = node->u.children[i].least;

			if (least < floor || (least == floor && i <= last) || least >= *best)
				continue;
			if (next < 0 || least < node->u.children[next].least)
				next = i;
		}
		if (next < 0)
			return;
		last = next;
		floor = node->u.children[next].least;
		set_bounds(node, next, other);
		if (tree->nodes[depth + 1]->loaded &&
			tree->nodes[depth + 1]->number == node->u.children[next].number)
			other = tree->nodes[depth + 1];
		else
			group_inflight_load(tree, other, node->u.children[next].number, node->height - 1);
		find_least(tree, other, depth + 1, best);
	}
}

int64
group_inflight_position(InflightTree *tree)
{
	int64		best = tree->head.frontier;
	bool		exclusive = tree->exclusive;
	InflightHead head;
	InflightNode *leaf = group_inflight_leaf(tree);
	TimestampTz due;
	int64		least;

	/* a changed leaf may have a lower offset than the nodes above it know */
	if (leaf->loaded && leaf->dirty && tree->height > 0)
	{
		group_inflight_summarize(tree, leaf, &due, &least);
		group_inflight_lower(tree, tree->height, due, least);
	}

	/*
	 * Nodes off the path are not stored, so what is settled in them must not
	 * be counted yet.
	 */
	head = tree->head;
	tree->exclusive = false;
	find_least(tree, tree->nodes[0], 0, &best);
	tree->exclusive = exclusive;
	tree->head = head;
	return best;
}

/* ---- changing ---- */

void
group_inflight_replace(InflightTree *tree, const InflightEntry *with, int n)
{
	InflightNode *leaf = group_inflight_leaf(tree);
	InflightEntry *entry = &leaf->u.entries[tree->current];
	int			slot = entry->slot;
	bool		grows;

	Assert(tree->exclusive && tree->current >= 0 && n <= 3);
	grows = n > 1 || (n == 1 && with->nlevels > Max(2, entry->nlevels));
	memmove(entry + n, entry + 1,
			(leaf->n - tree->current - 1) * sizeof(InflightEntry));
	for (int i = 0; i < n; i++)
	{
		entry[i] = with[i];
		entry[i].slot = i == 0 ? slot : -1;
		leaf->nlong += with[i].nlevels > 2;
	}
	leaf->n += n - 1;
	leaf->dirty = tree->changed = true;
	tree->next = tree->current + n;
	tree->current = -1;
	if (grows)
		group_inflight_make_fit(tree);
}

void
group_inflight_insert(InflightTree *tree, const InflightEntry *entry)
{
	InflightKey key = group_inflight_key(entry);
	int64		end = entry->from + entry->count;

	Assert(tree->exclusive);
	while (key.off < end)
	{
		int64		to = end;
		InflightNode *leaf;
		InflightEntry *new;
		int			i;

		move_to(tree, key);
		leaf = group_inflight_leaf(tree);

		/* no entry extends into the next leaf */
		if (leaf->bounded && leaf->high.hash == key.hash)
			to = Min(end, leaf->high.off);
		i = find_entry(leaf, key);
		new = &leaf->u.entries[i];
		Assert(i == leaf->n || new->hash != key.hash || new->from >= to);
		if (i < leaf->n)
			memmove(new + 1, new, (leaf->n - i) * sizeof(InflightEntry));
		*new = *entry;
		new->from = key.off;
		new->count = (int32) (to - key.off);
		new->slot = -1;
		leaf->nlong += new->nlevels > 2;
		leaf->n++;
		leaf->dirty = tree->changed = true;
		tree->next = i + 1;
		tree->current = -1;
		group_inflight_make_fit(tree);
		key.off = to;
	}
}
