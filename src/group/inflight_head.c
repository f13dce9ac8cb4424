/*
 * inflight_head.c
 *	  The head of a tree of entries: versions, and the trail for old snapshots.
 *
 * A seek in a transaction that may roll back begins a new version with a tree
 * of its own.  The newest version whose transaction committed, or is the
 * reader's own, counts.  Only the holder of the exclusive heavyweight lock
 * adds versions.
 *
 * Acknowledgements lose their xids when they are settled, so the entries do
 * not tell what is done for an older snapshot.  The trail has earlier
 * positions of the group, each with the newest transaction whose
 * acknowledgements were settled at that time.
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/xact.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/inflight_tree.h"
#include "group/store.h"
#include "log/space.h"

/* time between two steps of the trail */
#define STEP_INTERVAL	(1 * USECS_PER_SEC)

/* ---- versions ---- */

static void
drop_version(InflightDiskHead *head)
{
	/* pages of its tree are to be freed, and the entries to be counted */
	head->garbage = (uint16) Min(head->garbage + INFLIGHT_MAX_GARBAGE, PG_UINT16_MAX);
	head->mark = 0;
}

bool
group_inflight_settle_head(InflightDiskHead *head, InflightJudge judge, void *arg)
{
	bool		changed = false;
	int			n = 0;

	for (int i = 0; i < head->nversions; i++)
	{
		InflightVersion version = head->versions[i];
		InflightOutcome outcome = INFLIGHT_RUNNING;

		if (TransactionIdIsValid(version.xid))
			outcome = judge(version.xid, arg);
		if (outcome == INFLIGHT_COMMITTED)
		{
			if (!TransactionIdIsValid(head->settled_xid) ||
				TransactionIdFollows(version.xid, head->settled_xid))
				head->settled_xid = version.xid;
			/* if the group was moved back, what was done before is not */
			for (int s = 0; s < head->nsteps; s++)
				head->steps[s].position = Min(head->steps[s].position, version.frontier);
			version.xid = InvalidTransactionId;
			n = 0;
		}
		if (outcome == INFLIGHT_COMMITTED || outcome == INFLIGHT_ABORTED)
		{
			drop_version(head);
			changed = true;
		}
		if (outcome != INFLIGHT_ABORTED)
			head->versions[n++] = version;
	}
	head->nversions = (uint8) n;
	return changed;
}

void
group_inflight_find_version(InflightTree *tree)
{
	const InflightDiskHead *disk = &tree->disk;

	for (int i = disk->nversions - 1; i >= 0; i--)
	{
		TransactionId xid = disk->versions[i].xid;

		if (!TransactionIdIsValid(xid) ||
			tree->judge(xid, tree->judge_arg) == INFLIGHT_OWN)
		{
			tree->version = i;
			return;
		}
	}
	group_inflight_report_corrupt();
}

/*
 * Remove versions of this transaction to which nobody can return, and make
 * room for one of the current (sub)transaction.  Returns its index.
 */
static int
add_version(InflightDiskHead *disk, TransactionId current)
{
	int			n = 1;

	for (int i = 1; i < disk->nversions; i++)
	{
		TransactionId owner = group_inflight_owner(disk->versions[i].xid, current);

		if (n > 1 && TransactionIdEquals(disk->versions[n - 1].xid, owner))
		{
			drop_version(disk);
			n--;
		}
		disk->versions[n] = disk->versions[i];
		disk->versions[n++].xid = owner;
	}
	if (n > 1 && TransactionIdEquals(disk->versions[n - 1].xid, current))
	{
		drop_version(disk);
		n--;
	}
	if (n == INFLIGHT_MAX_VERSIONS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many nested savepoints move the same consumer group"),
				 errhint("Release savepoints, or move the group in fewer nested blocks.")));
	disk->nversions = (uint8) (n + 1);
	return n;
}

void
group_inflight_move(InflightTree *tree, int64 off)
{
	InflightNode *root = tree->nodes[0];
	InflightVersion *version;

	group_inflight_leave(tree);
	for (int d = 0; d <= INFLIGHT_MAX_HEIGHT; d++)
		if (tree->nodes[d]->loaded && tree->nodes[d]->dirty)
			group_inflight_store(tree, tree->nodes[d]);

	tree->version = add_version(&tree->disk, GetCurrentTransactionId());
	version = &tree->disk.versions[tree->version];
	version->xid = GetCurrentTransactionId();
	version->root = INFLIGHT_NO_PAGE;
	version->frontier = off;

	for (int d = 0; d <= INFLIGHT_MAX_HEIGHT; d++)
		tree->nodes[d]->loaded = false;
	tree->height = 0;
	group_inflight_load(tree, root, INFLIGHT_NO_PAGE, 0);
	tree->begun = false;
	tree->head.frontier = off;
	tree->head.waiting = tree->head.available = tree->head.leased = tree->head.done = 0;
	tree->head.limited = false;
	tree->disk.mark = group_inflight_mark(tree);
	group_inflight_head_changed(tree);
}

/* ---- the trail ---- */

/*
 * If the trail is full, remove a step.  The oldest one stays, because a
 * snapshot may need it.  Of the two steps that are closest in age, the later
 * one goes.
 */
static void
thin_trail(InflightDiskHead *disk)
{
	int			victim = 1;
	double		least = 0;

	for (int i = 1; i < disk->nsteps; i++)
	{
		double		age = (int32) (disk->settled_xid - disk->steps[i].xid);
		double		before = (int32) (disk->settled_xid - disk->steps[i - 1].xid);
		double		ratio = before / Max(age, 1);

		/* a step without an xid is the first one */
		if (i == 1 && !TransactionIdIsValid(disk->steps[0].xid))
			ratio = age + 1;
		if (i == 1 || ratio < least)
		{
			least = ratio;
			victim = i;
		}
	}
	disk->nsteps--;
	memmove(&disk->steps[victim], &disk->steps[victim + 1],
			(disk->nsteps - victim) * sizeof(InflightStep));
}

void
group_inflight_add_step(InflightTree *tree)
{
	InflightDiskHead *disk = &tree->disk;
	InflightStep *step;
	TimestampTz due;
	int64		least;

	if (tree->version > 0 || !TransactionIdIsValid(disk->settled_xid) ||
		(disk->nsteps > 0 &&
		 (disk->steps[disk->nsteps - 1].xid == disk->settled_xid ||
		  (tree->now - disk->step_time < STEP_INTERVAL && tree->now >= disk->step_time))))
		return;

	/* of the steps that everybody sees, keep the last */
	for (int i = disk->nsteps - 1; i > 0; i--)
	{
		if (TransactionIdIsValid(disk->steps[i].xid) &&
			!GlobalVisCheckRemovableXid(NULL, disk->steps[i].xid))
			continue;
		disk->nsteps -= i;
		memmove(&disk->steps[0], &disk->steps[i], disk->nsteps * sizeof(InflightStep));
		break;
	}
	if (disk->nsteps == INFLIGHT_MAX_STEPS)
		thin_trail(disk);
	group_inflight_summarize(tree, tree->nodes[0], &due, &least);
	step = &disk->steps[disk->nsteps++];
	step->xid = disk->settled_xid;
	step->reserved = 0;
	step->position = Min(least, tree->head.frontier);
	disk->step_time = tree->now;
	tree->head_dirty = true;
}

/* ---- a new state ---- */

/* write a head with no entries; false if there is one and replace is false */
static bool
write_head(Relation rel, const ConsumerGroup *group, int partition,
		   const InflightRules *rules, int64 position, bool replace)
{
	LogStateKey key = group_store_key(rules->page_kind, group, partition, 0);
	InflightTree *tree;
	InflightDiskHead *disk;

	group_store_create_pages(rel, &key, 1);
	tree = group_inflight_begin(rel, group, partition, rules, LW_EXCLUSIVE, true);
	disk = &tree->disk;
	if (disk->format != 0 && !replace)
	{
		LWLockRelease(&tree->lock->lock);
		return false;
	}
	if (disk->format != 0)
	{
		uint32		next_number = disk->next_number;

		/* the pages of the old state are not in use */
		memset(disk, 0, sizeof(*disk));
		disk->next_number = next_number;
		disk->garbage = INFLIGHT_MAX_GARBAGE;
	}
	else
		disk->next_number = 1;
	disk->format = INFLIGHT_FORMAT;
	disk->nversions = 1;
	disk->versions[0].frontier = position;
	disk->nsteps = 1;
	disk->steps[0].position = position;
	disk->mark = group_inflight_mark(tree);
	tree->loaded = *disk;
	memset(&tree->head, 0, sizeof(tree->head));
	tree->head.frontier = position;
	tree->version = 0;
	tree->height = 0;
	tree->nodes[0]->loaded = true;
	tree->nodes[0]->dirty = true;
	tree->nodes[0]->bounded = false;
	tree->nodes[0]->low = inflight_least_key;
	tree->nodes[0]->number = 0;
	tree->nodes[0]->height = tree->nodes[0]->n = 0;
	memset(&tree->nodes[0]->counted, 0, sizeof(InflightCounts));
	group_inflight_head_changed(tree);
	group_inflight_close(tree);
	return true;
}

bool
group_inflight_create(Relation rel, const ConsumerGroup *group, int partition,
					  const InflightRules *rules, const GroupProgress *progress,
					  bool replace)
{
	InflightTree *tree;
	int64		off = progress->position;

	if (!write_head(rel, group, partition, rules, off, replace))
		return false;
	if (progress->ndone == 0)
		return true;
	tree = group_inflight_open(rel, group, partition, rules, LW_EXCLUSIVE);
	for (int i = 0; i < progress->ndone; i++)
	{
		while (off < progress->done[i].from)
		{
			InflightEntry entry;
			int64		count = Min(progress->done[i].from - off, PG_INT32_MAX);

			if (!group_inflight_has_room(tree, 2))
			{
				group_inflight_close(tree);
				group_inflight_reserve(rel, group, partition, rules, 2);
				tree = group_inflight_open(rel, group, partition, rules, LW_EXCLUSIVE);
			}
			group_inflight_init(&entry, 0, off, (int32) count);
			group_inflight_insert(tree, &entry);
			off += count;
		}
		off = progress->done[i].to;
	}
	tree->head.frontier = off;
	group_inflight_head_changed(tree);
	group_inflight_close(tree);
	return true;
}
