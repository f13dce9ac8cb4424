/*
 * inflight_read.c
 *	  Looking at a tree of entries without changing it.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "group/inflight_tree.h"
#include "log/space.h"

/* count the entries of an open tree whose head does not know them */
static void
count_entries(InflightTree *tree)
{
	InflightCounts total = {0};

	group_inflight_descend(tree, inflight_least_key);
	for (;;)
	{
		InflightNode *leaf = group_inflight_leaf(tree);
		InflightCounts counts;

		group_inflight_count(leaf, &counts);
		total.waiting += counts.waiting;
		total.available += counts.available;
		total.leased += counts.leased;
		total.done += counts.done;
		if (!leaf->bounded)
			break;
		group_inflight_descend(tree, leaf->high);
	}
	tree->head.waiting = total.waiting;
	tree->head.available = total.available;
	tree->head.leased = total.leased;
	tree->head.done = total.done;
}

bool
group_inflight_look(Relation rel, const ConsumerGroup *group, int partition,
					const InflightRules *rules, InflightHead *head,
					int64 *position, TimestampTz *due)
{
	InflightTree *tree = group_inflight_open(rel, group, partition, rules, LW_SHARED);

	if (tree == NULL)
		return false;
	if (tree->disk.mark != group_inflight_mark(tree) ||
		tree->version < tree->disk.nversions - 1)
		count_entries(tree);
	*head = tree->head;
	*position = group_inflight_position(tree);
	*due = group_inflight_due(tree);
	group_inflight_close(tree);
	return true;
}

bool
group_inflight_each(Relation rel, const ConsumerGroup *group, int partition,
					const InflightRules *rules, InflightTotals *totals,
					void (*func) (const InflightEntry *entry, void *arg), void *arg)
{
	InflightKey key = inflight_least_key;
	InflightEntry *entries = NULL;
	bool		more;

	do
	{
		InflightTree *tree = group_inflight_open(rel, group, partition, rules, LW_SHARED);
		InflightNode *leaf;
		int			n;

		if (tree == NULL)
			return entries != NULL;
		if (entries == NULL && totals != NULL)
			*totals = (InflightTotals)
		{
			tree->disk.dead_lettered, tree->disk.redelivered
		};
		group_inflight_descend(tree, key);
		leaf = group_inflight_leaf(tree);
		/* loading the leaf has counted what is settled by now */
		if (totals != NULL)
		{
			totals->dead_lettered += tree->head.dead_lettered - tree->disk.dead_lettered;
			totals->redelivered += tree->head.redelivered - tree->disk.redelivered;
		}
		if (entries == NULL)
			entries = palloc(lengthof(leaf->u.entries) * sizeof(InflightEntry));
		n = leaf->n - tree->next;
		memcpy(entries, &leaf->u.entries[tree->next], n * sizeof(InflightEntry));
		more = leaf->bounded;
		key = leaf->high;
		group_inflight_close(tree);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			func(&entries[i], arg);
	} while (more);
	pfree(entries);
	return true;
}

/* ---- progress ---- */

/* what became of a transaction as a snapshot sees it */
static InflightOutcome
seen_outcome(TransactionId xid, void *arg)
{
	if (TransactionIdIsCurrentTransactionId(xid) || XidInMVCCSnapshot(xid, (Snapshot) arg))
		return INFLIGHT_RUNNING;
	return TransactionIdDidCommit(xid) ? INFLIGHT_COMMITTED : INFLIGHT_ABORTED;
}

static bool
is_seen(TransactionId xid, Snapshot snapshot)
{
	/* this includes all older ones */
	return !TransactionIdIsValid(xid) || TransactionIdPrecedes(xid, snapshot->xmin);
}

static int
compare_ranges(const void *a, const void *b)
{
	int64		x = ((const GroupRange *) a)->from;
	int64		y = ((const GroupRange *) b)->from;

	return x < y ? -1 : x > y;
}

/* the progress, given what is not done; the ranges are sorted in place */
static void
make_progress(GroupRange *undone, int n, int64 frontier, GroupProgress *progress)
{
	int64		off;

	qsort(undone, n, sizeof(GroupRange), compare_ranges);
	progress->position = n > 0 ? undone[0].from : frontier;
	progress->ndone = 0;
	progress->done = NULL;
	if (n == 0)
		return;
	progress->done = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(GroupRange));
	off = undone[0].to;
	for (int i = 1; i <= n; i++)
	{
		int64		to = i < n ? undone[i].from : frontier;

		if (off < to)
		{
			progress->done[progress->ndone].from = off;
			progress->done[progress->ndone++].to = to;
		}
		if (i < n)
			off = undone[i].to;
	}
}

/* the newest step of the trail that a snapshot sees */
static void
follow_trail(Relation rel, int partition, const InflightDiskHead *disk, Snapshot snapshot,
			 GroupProgress *progress)
{
	progress->ndone = 0;
	progress->done = NULL;
	for (int i = disk->nsteps - 1; i >= 0; i--)
	{
		if (is_seen(disk->steps[i].xid, snapshot))
		{
			progress->position = disk->steps[i].position;
			return;
		}
	}
	progress->position = log_first_offset(rel, partition);
}

bool
group_inflight_progress(Relation rel, const ConsumerGroup *group, int partition,
						const InflightRules *rules, Snapshot snapshot,
						GroupProgress *progress)
{
	InflightTree *tree = group_inflight_begin(rel, group, partition, rules, LW_SHARED, false);
	const InflightEntry *entry;
	InflightDiskHead disk;
	GroupRange *undone;
	int64		frontier;
	int			max = 256;
	int			n = 0;

	if (tree == NULL)
		return false;
	tree->judge = seen_outcome;
	tree->judge_arg = snapshot;
	disk = tree->disk;
	group_inflight_load_head(tree);

	/* a standby may find pages of different times */
	if (!is_seen(disk.settled_xid, snapshot) ||
		(tree->height > 0 && RecoveryInProgress()))
	{
		group_inflight_close(tree);
		follow_trail(rel, partition, &disk, snapshot, progress);
		return true;
	}

	/*
	 * keep the lock, so that nothing is settled that the snapshot does not
	 * see
	 */
	undone = palloc(max * sizeof(GroupRange));
	while ((entry = group_inflight_next(tree)) != NULL)
	{
		if (entry->nlevels == 1 && entry->levels[0].kind == INFLIGHT_DONE)
			continue;
		if (n == max)
		{
			max *= 2;
			undone = repalloc_huge(undone, max * sizeof(GroupRange));
		}
		undone[n].from = entry->from;
		undone[n++].to = entry->from + entry->count;
	}
	frontier = tree->head.frontier;
	group_inflight_close(tree);
	make_progress(undone, n, frontier, progress);
	pfree(undone);
	return true;
}
