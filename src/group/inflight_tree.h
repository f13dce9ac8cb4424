/*
 * inflight_tree.h
 *	  An open tree of entries: internals for the inflight files.
 *
 * inflight_tree.c opens, closes, loads and stores trees; inflight_cursor.c
 * finds and changes entries; inflight_shape.c splits and removes nodes, and
 * makes room; inflight_head.c has the versions and the trail;
 * inflight_repair.c counts entries again after a crash.
 */
#ifndef STREAMQ_GROUP_INFLIGHT_TREE_H
#define STREAMQ_GROUP_INFLIGHT_TREE_H

#include "postgres.h"

#include "group/group_shmem.h"
#include "group/inflight.h"
#include "group/inflight_level.h"
#include "group/inflight_page.h"

#define INFLIGHT_OUTCOMES	16	/* power of 2 */

/* empty leaves may be kept below a root with so many children */
#define INFLIGHT_MAX_KEPT	32

/* a page with its bytes aligned */
typedef union InflightPageBytes
{
	char		data[LOG_STATE_MAX];
	int64		align;
} InflightPageBytes;

struct InflightTree
{
	Relation	rel;
	const ConsumerGroup *group;
	int			partition;
	const InflightRules *rules;
	GroupStateLock *lock;
	bool		exclusive;
	bool		storing;		/* pages were stored */
	bool		changed;		/* by the caller; settling does not count */
	bool		refills;		/* leaves that become empty may be kept */
	bool		kept;			/* some were */
	TimestampTz now;
	InflightJudge judge;		/* what became of transactions */
	void	   *judge_arg;

	/* page 0; its bytes are valid until something is stored */
	InflightPageBytes page0;
	int			page0_len;
	InflightDiskHead disk;		/* except the fields in head */
	InflightDiskHead loaded;	/* as it was when the tree was opened */
	InflightHead head;
	bool		head_dirty;
	bool		entries_stored; /* so the new frontier may be stored */
	int			version;		/* of disk.versions, the one that counts */

	/* path from the root to the current leaf */
	int			height;
	InflightNode *nodes[INFLIGHT_MAX_HEIGHT + 1];
	InflightNode *others[INFLIGHT_MAX_HEIGHT + 1];	/* off the path */

	/* cursor in the current leaf, if that is loaded */
	int			next;			/* entry to return next */
	int			current;		/* entry returned last, or -1 */
	bool		due_leaf;		/* found by group_inflight_next_due() */
	bool		begun;

	/* what became of some transactions, by the low bits of their ids */
	TransactionId xids[INFLIGHT_OUTCOMES];
	InflightOutcome outcomes[INFLIGHT_OUTCOMES];
};

static const InflightKey inflight_least_key = {0, PG_INT64_MIN};

static inline InflightNode *
group_inflight_leaf(const InflightTree *tree)
{
	return tree->nodes[tree->height];
}

static inline InflightKey
group_inflight_key(const InflightEntry *entry)
{
	InflightKey key = {entry->hash, entry->from};

	return key;
}

/* ---- inflight_tree.c ---- */

/*
 * Take the lock and read page 0.  If there is no state, NULL and no lock, or
 * with `empty` a tree with format 0.
 */
extern InflightTree *group_inflight_begin(Relation rel, const ConsumerGroup *group, int partition,
										  const InflightRules *rules, LWLockMode mode,
										  bool empty);

/* decide which version counts, and load its root */
extern void group_inflight_load_head(InflightTree *tree);

/* load a node; its bounds are set.  Entries that are decided are settled. */
extern void group_inflight_load(InflightTree *tree, InflightNode *node, uint32 number, int height);

extern void group_inflight_store(InflightTree *tree, InflightNode *node);
extern void group_inflight_store_head(InflightTree *tree);

/* what a parent knows about a node */
extern void group_inflight_summarize(const InflightTree *tree, const InflightNode *node,
									 TimestampTz *due, int64 *least);

/*
 * Lower what the path above the node at this depth says, and store it, before
 * the node is stored.
 */
extern void group_inflight_lower(InflightTree *tree, int depth, TimestampTz due, int64 least);

/* ---- inflight_cursor.c ---- */

/* the child for a key */
extern int	group_inflight_find_child(const InflightNode *node, InflightKey key);

/* set the bounds of the child at node->at and load it, unless it is there */
extern void group_inflight_enter(InflightTree *tree, int depth);

/* make the leaf for the key the current one */
extern void group_inflight_descend(InflightTree *tree, InflightKey key);

/* store the current leaf, if changed; it may be removed */
extern void group_inflight_leave(InflightTree *tree);

/* ---- inflight_shape.c ---- */

/* the current leaf has more entries than fit */
extern void group_inflight_make_fit(InflightTree *tree);

/* the current leaf is empty: remove it from the tree */
extern void group_inflight_remove_leaf(InflightTree *tree);

/* a root that has no page gets one */
extern void group_inflight_place_root(InflightTree *tree);

extern void group_inflight_add_spare(InflightTree *tree, uint32 number);

/* ---- inflight_head.c ---- */

/* decide versions that are not needed any more; returns true if something changed */
extern bool group_inflight_settle_head(InflightDiskHead *head, InflightJudge judge, void *arg);

/* find the version that counts for this transaction */
extern void group_inflight_find_version(InflightTree *tree);

/* add where the group is now to the trail */
extern void group_inflight_add_step(InflightTree *tree);

/* ---- inflight_repair.c ---- */

/* the mark of a head whose counts are exact */
extern uint64 group_inflight_mark(const InflightTree *tree);

/* count all entries, and remove what a crash has left */
extern void group_inflight_recount(InflightTree *tree);

/* the pages in use, for freeing the others after the lock is released */
typedef struct InflightPages
{
	uint32		end;			/* pages from here on are to be kept */
	uint32	   *numbers;		/* pages in use, sorted */
	uint32		n;
	uint32		max;
} InflightPages;

extern void group_inflight_collect(InflightTree *tree, InflightPages *pages);
extern void group_inflight_free_others(Relation rel, const ConsumerGroup *group, int partition,
									   uint8 page_kind, InflightPages *pages);

#endif
