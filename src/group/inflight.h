/*
 * inflight.h
 *	  The state of a group in one partition, in the modes that let several
 *	  consumers work on a partition at once: a tree of entries.
 *
 * Everything below the frontier that has no entry is done.  Everything from
 * the frontier on was never looked at.  An entry is a range of offsets that
 * are available (given back, or waiting), leased, or done by a transaction
 * that is not decided yet.
 *
 * Entries are ordered by (hash, offset) and do not overlap.
 *
 * A tree is open between group_inflight_open() and group_inflight_close().
 * The LWLock of (group, partition) is held all the time, so the caller must
 * not read the log, run user code, or wait for a lock meanwhile.  A session
 * can have one tree open.  An error releases the lock; what was stored before
 * it stays.  A transaction that opens a tree for changes holds the heavyweight
 * lock of the partition (group_lock.h), at least in share mode, until it ends.
 */
#ifndef STREAMQ_GROUP_INFLIGHT_H
#define STREAMQ_GROUP_INFLIGHT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/lwlock.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "group/group_catalog.h"
#include "group/inflight_entry.h"
#include "group/mode.h"
#include "log/state_page.h"

/*
 * What the caller may look at and, where it says so, change.  The frontier
 * must be moved after the entries below it have been inserted.  The newest
 * levels are counted.  If a transaction has aborted since, its change counts until
 * group_inflight_next_due() or another function meets the entry.
 */
typedef struct InflightHead
{
	/* changed by the caller */
	int64		frontier;
	int64		expired;
	TimestampTz last_consumed_at;	/* 0: never */
	bool		limited;		/* a consumer was refused for max_in_flight:
								 * acknowledgements ring */

	/* changed by the tree: offsets by kind, and what became of the others */
	int64		waiting;		/* available, with no delivery yet */
	int64		available;		/* available, delivered before */
	int64		leased;
	int64		done;			/* by transactions that are not decided */
	int64		acked;
	int64		dead_lettered;
	int64		redelivered;	/* deliveries of messages that had been
								 * delivered before, by committed transactions */
} InflightHead;

/* how a mode uses the tree */
typedef struct InflightRules
{
	uint8		page_kind;

	/*
	 * When can the first message of these entries, a leaf, be handed out?
	 * DT_NOBEGIN: look always, for example because the end of a transaction
	 * may change that; DT_NOEND: never by time alone.
	 */
	TimestampTz (*due) (const ConsumerGroup *group, const InflightEntry *entries, int n);
} InflightRules;

typedef struct InflightTree InflightTree;

/* ---- the whole state ---- */

/*
 * Write the state of a group that begins with this progress, without waiting
 * for the transaction's end.  Offsets that are not done below the last done
 * range become available entries with hash 0.  False if there is a state and
 * `replace` is false.
 *
 * If there are done ranges, the caller must keep others from using the group:
 * the group is new, or the partition is locked exclusively.
 */
extern bool group_inflight_create(Relation rel, const ConsumerGroup *group, int partition,
								  const InflightRules *rules, const GroupProgress *progress,
								  bool replace);

/*
 * Open the state, for changes with LW_EXCLUSIVE, for reading with LW_SHARED.
 * NULL (and no lock) if there is no state.
 */
extern InflightTree *group_inflight_open(Relation rel, const ConsumerGroup *group, int partition,
										 const InflightRules *rules, LWLockMode mode);

/* store what was changed, and release the LWLock */
extern void group_inflight_close(InflightTree *tree);

/*
 * A pointer that is valid until close; after changes call ..._head_changed().
 * The first function leaves out of the counts what was changed in the leaf of
 * the cursor and is not stored yet.  The second counts the whole leaf again.
 */
extern InflightHead *group_inflight_head(InflightTree *tree);
extern InflightHead *group_inflight_counted_head(InflightTree *tree);
extern void group_inflight_head_changed(InflightTree *tree);

/*
 * Begin again at off with no entries.  The current (sub)transaction does it: a
 * rollback restores the old entries.  The caller holds the heavyweight lock of
 * the partition exclusively.
 */
extern void group_inflight_move(InflightTree *tree, int64 off);

/* ---- room ---- */

/*
 * Do so many more entries certainly fit?  If not: close, reserve, open, and
 * look again at everything.  Ask before each change that may add entries; a
 * change that pushes a level counts as one.
 */
#define INFLIGHT_MAX_ROOM	32
extern bool group_inflight_has_room(const InflightTree *tree, int nentries);

/* make pages for so many more entries; no tree is open */
extern void group_inflight_reserve(Relation rel, const ConsumerGroup *group, int partition,
								   const InflightRules *rules, int nentries);

/*
 * Many entries will be inserted soon, in this or another opening.  Then leaves
 * that become empty are not removed at once.
 */
extern void group_inflight_expect_many(InflightTree *tree);

/* ---- finding entries ---- */

/*
 * Entries are settled when they are returned: each level above 0 belongs to a
 * transaction in progress, this one or another.  No entry is done by a
 * committed transaction.  An entry is valid until the next call of a function
 * of this section or the next one; copy it to change it.
 */

/* the first entry that ends after (hash, off); NULL if there is none */
extern const InflightEntry *group_inflight_seek(InflightTree *tree, uint32 hash, int64 off);

/* the entry after the last one returned, replaced or inserted */
extern const InflightEntry *group_inflight_next(InflightTree *tree);

/* as these two, but NULL if the entry would have another hash */
extern const InflightEntry *group_inflight_seek_key(InflightTree *tree, uint32 hash, int64 off);
extern const InflightEntry *group_inflight_next_of_key(InflightTree *tree, uint32 hash);

/*
 * As group_inflight_next(), but skips leaves with nothing due.  The entries of
 * the other leaves are all returned.  Begins at the first entry if nothing was
 * returned yet.
 */
extern const InflightEntry *group_inflight_next_due(InflightTree *tree, TimestampTz now);

/*
 * When something may be due, in the whole tree, as InflightRules.due.  Ends
 * the search.
 */
extern TimestampTz group_inflight_due(InflightTree *tree);

/*
 * The least offset that is not done as this transaction sees it; the frontier
 * if all below it are done.
 */
extern int64 group_inflight_position(InflightTree *tree);

/* ---- changing entries ---- */

/* replace the entry returned last by n others within its range (0: remove) */
extern void group_inflight_replace(InflightTree *tree, const InflightEntry *with, int n);

/*
 * Add an entry anywhere; it must not overlap another one.  group_inflight_next()
 * goes on after it.
 */
extern void group_inflight_insert(InflightTree *tree, const InflightEntry *entry);

/* ---- reading without keeping the lock ---- */

/* counts of the head, with what the head does not count yet */
typedef struct InflightTotals
{
	int64		dead_lettered;
	int64		redelivered;
} InflightTotals;

/*
 * Call func for all entries, in order.  The lock is released between leaves,
 * so changes meanwhile may be seen or not.  The totals, if not NULL, are set to
 * what committed transactions have done.  False if there is no state.
 */
extern bool group_inflight_each(Relation rel, const ConsumerGroup *group, int partition,
								const InflightRules *rules, InflightTotals *totals,
								void (*func) (const InflightEntry *entry, void *arg), void *arg);

/* a copy of the head, and the position; false if there is no state */
extern bool group_inflight_look(Relation rel, const ConsumerGroup *group, int partition,
								const InflightRules *rules, InflightHead *head,
								int64 *position, TimestampTz *due);

/*
 * The progress as an older snapshot sees it, or earlier: messages that the
 * snapshot sees as done may be missing, but never the other way round.  False
 * if there is no state.
 */
extern bool group_inflight_progress(Relation rel, const ConsumerGroup *group, int partition,
									const InflightRules *rules, Snapshot snapshot,
									GroupProgress *progress);

/* ---- pages ---- */

#define GROUP_SHARED_PAGE_KIND		2
#define GROUP_KEY_SHARED_PAGE_KIND	3
extern const LogStateKind group_inflight_pages; /* for both kinds */

#endif
