/*
 * shared_mode.h
 *	  The modes in which several consumers work on a partition side by side.
 *
 * In shared mode any consumer gets any message.  In key_shared mode the
 * messages of a key are handed out in order, and never to two consumers at a
 * time.
 *
 * A claim or an acknowledgement is a level of an entry in a tree
 * (inflight.h).  No lock is held to the end of the transaction except the
 * heavyweight lock of (group, partition) in share mode, which conflicts only
 * with moving, dropping or changing the group.
 */
#ifndef STREAMQ_GROUP_SHARED_MODE_H
#define STREAMQ_GROUP_SHARED_MODE_H

#include "postgres.h"

#include "group/group_lock.h"
#include "group/inflight.h"
#include "group/mode.h"

#define SHARED_MAX_IN_FLIGHT	1000000

extern const GroupMode group_shared_mode;
extern const GroupMode group_key_shared_mode;

/* ---- shared_state.c ---- */

/* the rules of the group's tree */
extern const InflightRules *group_shared_rules(const ConsumerGroup *group);

static inline bool
group_shared_has_keys(const ConsumerGroup *group)
{
	return group->mode == &group_key_shared_mode;
}

/*
 * Lock a partition in share mode, waiting if another transaction moves or
 * drops the group.  Fails with 42704 if it dropped the group.
 */
extern GroupLock group_shared_lock(Relation rel, const ConsumerGroup *group, int partition);

/* create the state of a partition; nothing happens if it exists, unless `replace` */
extern void group_shared_create(Relation rel, const ConsumerGroup *group, int partition,
								const GroupProgress *progress, bool replace);

/*
 * Open the state for changes.  If there is none, it is created: the partition
 * is new, or the group was restored from a dump.
 */
extern InflightTree *group_shared_open(Relation rel, const ConsumerGroup *group, int partition);

/*
 * Make sure that n more entries fit.  False if the tree had to be closed for
 * that; then *tree is open again, and what was found in it is out of date.
 */
extern bool group_shared_make_room(InflightTree **tree, Relation rel, const ConsumerGroup *group,
								   int partition, int n);

/*
 * May the messages of an entry be handed out now, as far as the entry tells?
 * If only the time is missing, *at is lowered to that time.
 */
extern bool group_shared_is_free(const ConsumerGroup *group, const InflightEntry *entry,
								 TimestampTz now, TimestampTz *at);

/*
 * A range of offsets and where to find its entries: in key_shared mode, one
 * message with the hash of its key.
 */
typedef struct SharedSpot
{
	uint32		hash;
	int64		from;
	int64		to;				/* exclusive */
} SharedSpot;

/*
 * The places of sorted offsets, in the order of the tree, palloc'd.  In
 * key_shared mode this reads the log, so no tree may be open.  With `recall`,
 * messages that this session was given have the hashes that they had then.
 */
extern SharedSpot *group_shared_find(Relation rel, const ConsumerGroup *group, int partition,
									 const int64 *offsets, int n, bool recall, int *nspots);

/* ---- shared_take.c ---- */

extern void group_shared_look(const GroupConsumer *consumer, int partition, TimestampTz now,
							  GroupOutlook *outlook);
extern void group_shared_take(const GroupConsumer *consumer, int partition, int64 limit,
							  GroupTaken *taken);

/* ---- shared_ack.c ---- */

extern int64 group_shared_acknowledge(Relation rel, const ConsumerGroup *group, int partition,
									  const int64 *offsets, int n);
extern int64 group_shared_acknowledge_through(Relation rel, const ConsumerGroup *group,
											  int partition, int64 off);
extern int64 group_shared_give_back(Relation rel, const ConsumerGroup *group, int partition,
									const int64 *offsets, int n, const GroupRetry *retry,
									GroupBurial *exhausted, int *nexhausted);
extern int64 group_shared_bury(Relation rel, const ConsumerGroup *group, int partition,
							   const int64 *offsets, int n, GroupBurial *buried);
extern int	group_shared_redeliver(Relation rel, const ConsumerGroup *group, int partition,
								   const int64 *offsets, int n);
extern int64 group_shared_extend(Relation rel, const ConsumerGroup *group, int partition,
								 const int64 *offsets, int n, TimestampTz until);

/*
 * Change messages that the caller chose by their offsets, whoever has them, and
 * also if nobody has had them yet.  Shared mode only.  Messages that are done,
 * or that a transaction in progress is changing, are left out.
 */
typedef enum GroupPickKind
{
	GROUP_PICK_TAKE,			/* lease, if they may be handed out now */
	GROUP_PICK_POSTPONE,		/* hand out again, but not before a time */
	GROUP_PICK_FINISH			/* done */
} GroupPickKind;

typedef struct GroupPick
{
	GroupPickKind kind;
	TimestampTz time;			/* end of the lease, or not before */
	uint64		token;
	uint32		consumer;
} GroupPick;

typedef struct GroupPicked
{
	int64		off;
	int32		deliveries;		/* after the change */
	TimestampTz time;			/* before the change: of the level */
	uint64		token;			/* after the change */
} GroupPicked;

/* offsets are sorted; picked has room for n; returns how many were changed */
extern int	group_shared_pick(Relation rel, const ConsumerGroup *group, int partition,
							  const int64 *offsets, int n, const GroupPick *pick,
							  GroupPicked *picked);

#endif
