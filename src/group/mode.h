/*
 * mode.h
 *	  The interface between consumer groups and their modes, the ways to
 *	  hand out messages.
 *
 * A mode decides which messages a consumer gets and what an acknowledgement
 * does.  Only the mode knows the bytes of its state pages, and which locks
 * protect them: one mode may lock a partition until the end of the
 * transaction, another may change single entries under a buffer lock.  So the
 * functions of a mode take the locks they need, and their callers hold no lock
 * of a group.
 *
 * Everything around the modes is common to them: arguments and privileges
 * (ack.c, seek.c), the choice of partitions and waiting (consume.c,
 * consume_pass.c), collecting messages (messages.c), what a session was given
 * (memory.c), ringing doorbells at the end of a transaction (group_ring.c),
 * the fate of single messages (judge.c, dead_letter.c), and access to the
 * pages (store.c).
 */
#ifndef STREAMQ_GROUP_MODE_H
#define STREAMQ_GROUP_MODE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "group/consumer.h"
#include "group/group_catalog.h"
#include "log/state_page.h"

/* a range of offsets */
typedef struct GroupRange
{
	int64		from;
	int64		to;				/* exclusive */
} GroupRange;

/* what one partition has for a consumer */
typedef enum GroupPromise
{
	GROUP_PROMISES_NOTHING,
	GROUP_PROMISES_MESSAGES,
	GROUP_PROMISES_OWN			/* messages of a partition that the consumer
								 * has leased already: taken first */
} GroupPromise;

/* result of GroupMode.look */
typedef struct GroupOutlook
{
	GroupPromise promise;
	int64		position;		/* everything below it is done */
	int64		next;			/* no offset before it will be handed out */
	TimestampTz wake_at;		/* something may change without a ring at this
								 * time; DT_NOEND if not */
} GroupOutlook;

/* result of GroupMode.take */
typedef struct GroupTaken
{
	int64		position;		/* everything below it is done now */
	bool		busy;			/* another transaction has the partition: try
								 * again soon */
	bool		limited;		/* the limit kept messages back */
	TimestampTz wake_at;		/* as above */
} GroupTaken;

/*
 * Progress of a group in one partition, in a form common to all modes.  It is
 * used to create, dump and restore groups.
 *
 * All offsets below position are done, and so are those in the ranges.  The
 * ranges are sorted, and touch neither each other nor position.
 */
typedef struct GroupProgress
{
	int64		position;
	int			ndone;
	GroupRange *done;			/* NULL if there are none */
} GroupProgress;

/* a place to move a group to (seek.h); its offset may depend on the time */
typedef struct GroupPlace GroupPlace;

/* figures of one partition, for streamq.consumer_groups */
typedef struct GroupFigures
{
	int64		position;		/* everything below it is done */
	int64		fresh;			/* no offset from here on was handed out */
	int64		undone;			/* messages below fresh that are not done and
								 * still in the stream */
	int64		oldest;			/* the first of these messages, or -1 */
	int64		in_flight;		/* messages under a lease */
	int64		redelivered;
	int64		dead_lettered;
	int64		expired;		/* dropped by retention before they were done */
	TimestampTz last_consumed_at;	/* 0: never */
} GroupFigures;

/* a row of streamq.leases: messages of one lease with equal delivery counts */
typedef struct GroupLease
{
	int64		first;			/* offsets */
	int64		last;
	int64		count;			/* messages; less than the offsets if some of
								 * them are done */
	const char *consumer;
	TimestampTz expires_at;
	int32		deliveries;
} GroupLease;

typedef void (*GroupLeaseCallback) (const GroupLease *lease, void *arg);

/*
 * The functions of a mode.  Arrays of offsets are sorted, have no duplicates,
 * and belong to one existing partition.  Functions that return a count return
 * how many messages they changed.  Memory is allocated in the current context,
 * which the caller resets.
 *
 * A function that waited for another transaction must call
 * group_check_exists(), because that transaction may have dropped the group.
 */
typedef struct GroupMode
{
	const char *name;
	int32		max_in_flight;	/* upper limit of a group's max_in_flight */

	/*
	 * Kind of the mode's state pages, a number stored on disk
	 * (log/state_page.h), and the callbacks of the log for them.
	 */
	uint8		page_kind;
	const LogStateKind *pages;

	/* ---- the life of a group ---- */

	/* write the initial progress of a group created in this transaction */
	void		(*start) (Relation rel, const ConsumerGroup *group, int partition,
						  const GroupProgress *progress);

	/*
	 * Forget all leases and acknowledgements, and continue at a place.  Calls
	 * group_find_place() only after it has locked out other changes of the
	 * group.
	 */
	void		(*move) (Relation rel, const ConsumerGroup *group, int partition,
						 const GroupPlace *place);

	/*
	 * Called before the group is dropped or changes its mode: wait for
	 * consumers and acknowledgements in progress, and block new ones until
	 * the end of the transaction.
	 */
	void		(*close) (Relation rel, const ConsumerGroup *group);

	/* ---- consuming ---- */

	/*
	 * A first, cheap look without waiting or changing anything.  Its result
	 * may be out of date when messages are taken.
	 */
	void		(*look) (const GroupConsumer *consumer, int partition, TimestampTz now,
						 GroupOutlook *outlook);

	/*
	 * Hand out messages below limit, as many as the consumer wants and the
	 * group allows, and add them to consumer->messages.  Never waits for
	 * another transaction.  Messages that retention dropped before they were
	 * handed out are counted as expired here.
	 */
	void		(*take) (const GroupConsumer *consumer, int partition, int64 limit,
						 GroupTaken *taken);

	/* ---- what consumers say about messages ---- */

	/* acknowledge messages, except those that another consumer has now */
	int64		(*acknowledge) (Relation rel, const ConsumerGroup *group, int partition,
								const int64 *offsets, int n);

	/* acknowledge a message and all that were handed out before it */
	int64		(*acknowledge_through) (Relation rel, const ConsumerGroup *group,
										int partition, int64 off);

	/*
	 * Hand out again messages that the caller holds.  Messages that were
	 * delivered max_deliveries times are not given back.  They stay held, and
	 * are reported in exhausted (room for n, not counted in the result).  If
	 * exhausted is NULL, all are given back.
	 */
	int64		(*give_back) (Relation rel, const ConsumerGroup *group, int partition,
							  const int64 *offsets, int n, const GroupRetry *retry,
							  GroupBurial *exhausted, int *nexhausted);

	/*
	 * Mark messages as done that the caller may acknowledge, count them as
	 * dead-lettered, and report them in buried (room for n).
	 */
	int64		(*bury) (Relation rel, const ConsumerGroup *group, int partition,
						 const int64 *offsets, int n, GroupBurial *buried);

	/*
	 * Hand out again messages that are done, counted from 1.  Returns how
	 * many of the offsets, from the first one on, were accepted: the state
	 * may have no room for all.
	 */
	int			(*redeliver) (Relation rel, const ConsumerGroup *group, int partition,
							  const int64 *offsets, int n);

	/* extend the leases of messages to `until`, if they end earlier */
	int64		(*extend) (Relation rel, const ConsumerGroup *group, int partition,
						   const int64 *offsets, int n, TimestampTz until);

	/* ---- looking at a group, without locks ---- */

	/*
	 * Is nothing outstanding, and nothing waiting?  Only then another mode
	 * can take over.  The caller has closed the group.
	 */
	bool		(*is_idle) (Relation rel, const ConsumerGroup *group, int partition);

	/* the least offset that the group still needs */
	int64		(*needed_offset) (Relation rel, const ConsumerGroup *group, int partition);

	void		(*figures) (Relation rel, const ConsumerGroup *group, int partition,
							TimestampTz now, GroupFigures *figures);

	/* call add for each lease that has not expired */
	void		(*leases) (Relation rel, const ConsumerGroup *group, int partition,
						   TimestampTz now, GroupLeaseCallback add, void *arg);

	/* the progress as seen by a snapshot, which may be old */
	void		(*progress) (Relation rel, const ConsumerGroup *group, int partition,
							 Snapshot snapshot, GroupProgress *progress);
} GroupMode;

/* the default mode, and a list of all modes that ends with NULL */
#define GROUP_DEFAULT_MODE	"ordered"
extern const GroupMode *const group_modes[];

/* NULL if there is no such mode */
extern const GroupMode *group_mode_find(const char *name);

/* the names of all modes, in double quotes: "a", "b" or "c" */
extern char *group_mode_list(void);

#endif
