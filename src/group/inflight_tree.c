/*
 * inflight_tree.c
 *	  Trees of entries: opening, closing, loading and storing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "group/inflight_tree.h"
#include "group/store.h"

/* the one tree that this session can have open */
static InflightTree *the_tree = NULL;

static InflightTree *
get_tree(void)
{
	MemoryContext old;
	InflightTree *tree;

	if (the_tree != NULL)
		return the_tree;
	old = MemoryContextSwitchTo(TopMemoryContext);
	tree = palloc0(sizeof(InflightTree));
	for (int i = 0; i <= INFLIGHT_MAX_HEIGHT; i++)
	{
		tree->nodes[i] = palloc0(sizeof(InflightNode));
		tree->others[i] = palloc0(sizeof(InflightNode));
	}
	MemoryContextSwitchTo(old);
	return the_tree = tree;
}

/*
 * What became of a transaction, as known when it was first asked for after the
 * tree was opened.
 */
static InflightOutcome
remembered_outcome(TransactionId xid, void *arg)
{
	InflightTree *tree = arg;
	int			i = xid & (INFLIGHT_OUTCOMES - 1);

	if (!TransactionIdEquals(tree->xids[i], xid))
	{
		tree->outcomes[i] = group_inflight_outcome(xid, NULL);
		tree->xids[i] = xid;
	}
	return tree->outcomes[i];
}

static LogStateKey
page_key(const InflightTree *tree, uint32 number)
{
	return group_store_key(tree->rules->page_kind, tree->group, tree->partition, number);
}

/* ---- settling ---- */

/* settle the entries of a leaf, and count what became of them */
static void
settle_node(InflightTree *tree, InflightNode *node, InflightJudge judge, void *arg)
{
	InflightSettled settled = {0};
	int			n = 0;

	if (node->height > 0)
		return;
	for (int i = 0; i < node->n; i++)
	{
		if (!group_inflight_settle(&node->u.entries[i], judge, arg, &settled))
		{
			if (node == group_inflight_leaf(tree) && n < tree->next)
				tree->next--;
			continue;
		}
		if (n < i)
			node->u.entries[n] = node->u.entries[i];
		n++;
	}
	node->n = n;
	/* a reader sees these counts, but does not store them */
	tree->head.acked += settled.acked;
	tree->head.dead_lettered += settled.dead_lettered;
	tree->head.redelivered += settled.redelivered;
	if (!settled.changed || !tree->exclusive)
		return;
	node->dirty = true;
	tree->head_dirty = true;
	if (TransactionIdIsValid(settled.newest) &&
		(!TransactionIdIsValid(tree->disk.settled_xid) ||
		 TransactionIdFollows(settled.newest, tree->disk.settled_xid)))
		tree->disk.settled_xid = settled.newest;
}

/*
 * VACUUM settles pages, too, and takes no lock except the buffer's.  It may
 * have settled this page since the node was loaded, and then the xids that it
 * removed must not be stored again.  So settle the node once more before it is
 * stored, with the buffer locked.
 */
static void
settle_again(InflightTree *tree, InflightNode *node)
{
	if (node->height > 0)
		return;
	for (int i = 0; i < node->n; i++)
	{
		if (group_inflight_is_foreign(&node->u.entries[i]))
		{
			settle_node(tree, node, group_inflight_outcome, NULL);
			break;
		}
	}
}

/* ---- loading ---- */

/* entries out of bounds were left by a crash during a split */
static void
trim_node(InflightNode *node)
{
	int			n = 0;

	for (int i = 0; i < node->n; i++)
	{
		InflightKey key;

		if (node->height > 0)
			key = node->u.children[i].key;
		else
			key = group_inflight_key(&node->u.entries[i]);
		/* the first child's key does not count */
		if (node->bounded && (node->height == 0 || i > 0) &&
			group_inflight_compare(key, node->high) >= 0)
			break;
		if (node->height == 0 && group_inflight_compare(key, node->low) < 0)
			continue;
		if (n < i)
			node->u.entries[n] = node->u.entries[i];
		n++;
	}
	if (n == node->n)
		return;
	node->n = n;
	node->dirty = true;
}

void
group_inflight_load(InflightTree *tree, InflightNode *node, uint32 number, int height)
{
	InflightPageBytes bytes;
	const char *data = bytes.data;
	int			len = 0;
	int			start = number == 0 ? sizeof(InflightDiskHead) : 0;
	bool		found = true;
	InflightCounts counts;

	node->loaded = true;
	node->dirty = false;
	node->number = number;
	if (number == 0 && !tree->storing)
	{
		data = tree->page0.data;
		len = tree->page0_len;
	}
	else if (number != INFLIGHT_NO_PAGE)
		found = group_store_read_page(tree->rel, page_key(tree, number), bytes.data, &len);
	else
		bytes.data[0] = 0;
	if (found && len < start)
		group_inflight_report_corrupt();
	group_inflight_decode_node(data + start, found ? len - start : 0, node);

	/*
	 * A standby may find a page above in an older or newer state than this
	 * one.  Then entries are missing from what is shown.
	 */
	if (height >= 0 && (!found || node->height != height))
	{
		if (!RecoveryInProgress())
			group_inflight_report_corrupt();
		node->height = height;
		node->n = 0;
	}
	if (node->height > 0 && node->n == 0 && !RecoveryInProgress())
		group_inflight_report_corrupt();
	group_inflight_count(node, &counts);
	/* changed by VACUUM */
	if (memcmp(&counts, &node->counted, sizeof(counts)) != 0 || node->redelivered > 0)
		node->dirty = true;
	tree->head.redelivered += node->redelivered;
	node->redelivered = 0;
	trim_node(node);
	settle_node(tree, node, tree->judge, tree->judge_arg);
	if (!tree->exclusive)
		node->dirty = false;
}

/* ---- storing ---- */

/* VACUUM has removed old xids from the trail; remove them here, too */
static void
merge_trail(InflightTree *tree, const InflightDiskHead *page)
{
	InflightDiskHead *disk = &tree->disk;
	TransactionId removed = InvalidTransactionId;

	for (int i = 0; i < Min(tree->loaded.nsteps, page->nsteps); i++)
		if (TransactionIdIsValid(tree->loaded.steps[i].xid) &&
			!TransactionIdIsValid(page->steps[i].xid))
			removed = tree->loaded.steps[i].xid;
	if (TransactionIdIsValid(tree->loaded.settled_xid) &&
		!TransactionIdIsValid(page->settled_xid))
		removed = tree->loaded.settled_xid;
	if (!TransactionIdIsValid(removed))
		return;
	for (int i = 0; i < disk->nsteps; i++)
		if (TransactionIdIsValid(disk->steps[i].xid) &&
			TransactionIdPrecedesOrEquals(disk->steps[i].xid, removed))
			disk->steps[i].xid = InvalidTransactionId;
	if (TransactionIdIsValid(disk->settled_xid) &&
		TransactionIdPrecedesOrEquals(disk->settled_xid, removed))
		disk->settled_xid = InvalidTransactionId;
}

static void
fill_disk_head(InflightTree *tree)
{
	InflightDiskHead *disk = &tree->disk;
	const InflightHead *head = &tree->head;

	if (tree->entries_stored)
		disk->versions[tree->version].frontier = head->frontier;
	if (head->limited)
		disk->flags |= INFLIGHT_LIMITED;
	else
		disk->flags &= ~INFLIGHT_LIMITED;
	disk->last_consumed_at = head->last_consumed_at;
	disk->waiting = head->waiting;
	disk->available = head->available;
	disk->leased = head->leased;
	disk->done = head->done;
	disk->acked = head->acked;
	disk->redelivered = head->redelivered;
	disk->dead_lettered = head->dead_lettered;
	disk->expired = head->expired;
}

static void
add_counts(InflightTree *tree, InflightNode *node)
{
	InflightCounts counts;

	group_inflight_count(node, &counts);
	tree->head.waiting += counts.waiting - node->counted.waiting;
	tree->head.available += counts.available - node->counted.available;
	tree->head.leased += counts.leased - node->counted.leased;
	tree->head.done += counts.done - node->counted.done;
	if (memcmp(&counts, &node->counted, sizeof(counts)) != 0)
		tree->head_dirty = true;
	node->counted = counts;
}

/* is the root node on page 0? */
static bool
has_inline_root(const InflightDiskHead *disk)
{
	for (int i = 0; i < disk->nversions; i++)
		if (disk->versions[i].root == 0)
			return true;
	return false;
}

static void
begin_store(InflightTree *tree)
{
	Assert(tree->exclusive);
	tree->lock->changing = true;
	tree->storing = true;
}

void
group_inflight_store_head(InflightTree *tree)
{
	InflightNode *root = tree->nodes[0];
	LogStatePage page;
	InflightDiskHead old;
	InflightPageBytes bytes;
	int			len;

	begin_store(tree);
	if (!group_store_lock_page(tree->rel, page_key(tree, 0), &page))
		group_inflight_report_corrupt();
	memcpy(bytes.data, page.data, page.len);
	len = Max(page.len, (int) sizeof(InflightDiskHead));
	if (page.len > 0)
	{
		group_inflight_decode_head(page.data, page.len, &old);
		merge_trail(tree, &old);
	}
	if (root->loaded && root->number == 0)
	{
		settle_again(tree, root);
		len = sizeof(InflightDiskHead) +
			group_inflight_encode_node(root, NULL, bytes.data + sizeof(InflightDiskHead),
									   len - sizeof(InflightDiskHead));
		add_counts(tree, root);
		root->dirty = false;
	}
	else if (!has_inline_root(&tree->disk))
		len = sizeof(InflightDiskHead);
	fill_disk_head(tree);
	memcpy(bytes.data, &tree->disk, sizeof(InflightDiskHead));
	group_store_replace_page(tree->rel, &page, bytes.data, len);
	group_store_unlock_page(&page);
	tree->loaded = tree->disk;

	/* the frontier is stored when all entries below it have been */
	tree->head_dirty = tree->head.frontier != tree->disk.versions[tree->version].frontier;
}

void
group_inflight_store(InflightTree *tree, InflightNode *node)
{
	LogStatePage page;
	InflightPageBytes bytes;
	int			len;

	if (node->number == INFLIGHT_NO_PAGE)
		group_inflight_place_root(tree);
	if (node->number == 0)
	{
		group_inflight_store_head(tree);
		return;
	}
	begin_store(tree);
	if (!group_store_lock_page(tree->rel, page_key(tree, node->number), &page))
		group_inflight_report_corrupt();
	settle_again(tree, node);
	memcpy(bytes.data, page.data, page.len);
	len = group_inflight_encode_node(node, NULL, bytes.data, page.len);
	group_store_replace_page(tree->rel, &page, bytes.data, len);
	group_store_unlock_page(&page);
	add_counts(tree, node);
	node->dirty = false;
}

void
group_inflight_summarize(const InflightTree *tree, const InflightNode *node,
						 TimestampTz *due, int64 *least)
{
	*due = DT_NOEND;
	*least = PG_INT64_MAX;
	if (node->height == 0)
	{
		if (node->n > 0)
			*due = tree->rules->due(tree->group, node->u.entries, node->n);
		for (int i = 0; i < node->n; i++)
			*least = Min(*least, node->u.entries[i].from);
	}
	else
	{
		for (int i = 0; i < node->n; i++)
		{
			*due = Min(*due, node->u.children[i].due);
			*least = Min(*least, node->u.children[i].least);
		}
	}
}

void
group_inflight_lower(InflightTree *tree, int depth, TimestampTz due, int64 least)
{
	for (int d = 0; d < depth; d++)
	{
		InflightNode *node = tree->nodes[d];
		InflightChild *child = &node->u.children[node->at];

		/* a time that has passed is early enough */
		if (least >= child->least && (due >= child->due || child->due <= tree->now))
			continue;
		child->least = Min(least, child->least);
		child->due = Min(due, child->due);
		group_inflight_store(tree, node);
	}
}

/* ---- opening and closing ---- */

InflightTree *
group_inflight_begin(Relation rel, const ConsumerGroup *group, int partition,
					 const InflightRules *rules, LWLockMode mode, bool empty)
{
	InflightTree *tree = get_tree();

	tree->rel = rel;
	tree->group = group;
	tree->partition = partition;
	tree->rules = rules;
	tree->exclusive = mode == LW_EXCLUSIVE;
	tree->judge = remembered_outcome;
	tree->judge_arg = tree;
	tree->storing = tree->changed = false;
	tree->refills = tree->kept = false;
	tree->now = GetCurrentTimestamp();
	tree->lock = group_state_lock(group->group_id, partition);
	tree->head_dirty = false;
	tree->entries_stored = false;
	tree->next = 0;
	tree->current = -1;
	tree->due_leaf = tree->begun = false;
	memset(tree->xids, 0, sizeof(tree->xids));
	for (int i = 0; i <= INFLIGHT_MAX_HEIGHT; i++)
		tree->nodes[i]->loaded = tree->others[i]->loaded = false;

	tree->page0_len = 0;
	LWLockAcquire(&tree->lock->lock, mode);
	if (tree->exclusive && tree->lock->changing)
	{
		tree->lock->interrupted++;
		tree->lock->changing = false;
	}
	if (!group_store_read_page(rel, page_key(tree, 0), tree->page0.data, &tree->page0_len) ||
		tree->page0_len == 0)
	{
		memset(&tree->disk, 0, sizeof(tree->disk));
		if (empty)
			return tree;
		LWLockRelease(&tree->lock->lock);
		return NULL;
	}
	group_inflight_decode_head(tree->page0.data, tree->page0_len, &tree->disk);
	tree->loaded = tree->disk;
	return tree;
}

static void
load_root(InflightTree *tree)
{
	InflightNode *root = tree->nodes[0];
	uint32		number = tree->disk.versions[tree->version].root;

	root->low = inflight_least_key;
	root->bounded = false;
	group_inflight_load(tree, root, number, -1);
	tree->height = root->height;

	/* back to page 0 after a seek, when the old root there is not needed */
	if (tree->exclusive && number != 0 && tree->disk.nversions == 1 &&
		root->height == 0 && group_inflight_slots(root) <= group_inflight_capacity(0, 0) / 2)
	{
		for (int i = 0; i < root->n; i++)
			root->u.entries[i].slot = -1;
		root->number = 0;
		tree->disk.versions[0].root = 0;
		group_inflight_store_head(tree);
		if (number != INFLIGHT_NO_PAGE)
			group_inflight_add_spare(tree, number);
	}
}

void
group_inflight_load_head(InflightTree *tree)
{
	InflightDiskHead *disk = &tree->disk;

	if (group_inflight_settle_head(disk, tree->judge, tree->judge_arg))
		tree->head_dirty = true;
	group_inflight_find_version(tree);
	tree->head.frontier = disk->versions[tree->version].frontier;
	tree->head.limited = (disk->flags & INFLIGHT_LIMITED) != 0;
	tree->head.last_consumed_at = disk->last_consumed_at;
	tree->head.waiting = disk->waiting;
	tree->head.available = disk->available;
	tree->head.leased = disk->leased;
	tree->head.done = disk->done;
	tree->head.acked = disk->acked;
	tree->head.redelivered = disk->redelivered;
	tree->head.dead_lettered = disk->dead_lettered;
	tree->head.expired = disk->expired;
	load_root(tree);
}

InflightTree *
group_inflight_open(Relation rel, const ConsumerGroup *group, int partition,
					const InflightRules *rules, LWLockMode mode)
{
	InflightTree *tree = group_inflight_begin(rel, group, partition, rules, mode, false);

	if (tree == NULL)
		return NULL;
	group_inflight_load_head(tree);
	if (tree->exclusive && tree->disk.mark != group_inflight_mark(tree))
		group_inflight_recount(tree);
	return tree;
}

void
group_inflight_close(InflightTree *tree)
{
	InflightPages pages = {0};

	/* who opens the tree next settles the same entries again, without WAL */
	if (tree->exclusive && (tree->changed || tree->storing))
	{
		group_inflight_leave(tree);
		for (int d = tree->height - 1; d >= 0; d--)
			if (tree->nodes[d]->loaded && tree->nodes[d]->dirty && tree->nodes[d]->number != 0)
				group_inflight_store(tree, tree->nodes[d]);
		if (tree->disk.garbage >= INFLIGHT_MAX_GARBAGE)
			group_inflight_collect(tree, &pages);
		group_inflight_add_step(tree);
		tree->entries_stored = true;
		if (tree->head_dirty || (tree->nodes[0]->dirty && tree->nodes[0]->number == 0))
			group_inflight_store_head(tree);
		if (tree->storing)
			tree->lock->changing = false;
	}
	LWLockRelease(&tree->lock->lock);
	if (pages.n > 0)
		group_inflight_free_others(tree->rel, tree->group, tree->partition,
								   tree->rules->page_kind, &pages);
}

void
group_inflight_expect_many(InflightTree *tree)
{
	tree->refills = true;
}

InflightHead *
group_inflight_head(InflightTree *tree)
{
	return &tree->head;
}

InflightHead *
group_inflight_counted_head(InflightTree *tree)
{
	InflightNode *leaf = group_inflight_leaf(tree);

	if (tree->exclusive && leaf->loaded)
		add_counts(tree, leaf);
	return &tree->head;
}

void
group_inflight_head_changed(InflightTree *tree)
{
	tree->head_dirty = tree->changed = true;
}
