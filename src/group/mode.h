/*
 * mode.h
 *	  The interface between consumer groups and the modes in which they hand out
 *	  messages.
 *
 * A mode decides which messages a consumer gets and what an acknowledgement
 * does.  It alone knows the bytes of its state pages, and it alone knows which
 * locks protect them: a mode may lock a partition to the end of the
 * transaction, or change single entries under a buffer lock.  Functions of a
 * mode therefore lock what they need themselves, and the callers hold no lock
 * of a group.
 *
 * The parts around the modes are the same for all of them: arguments and
 * privileges (ack.c, seek.c), the choice of partitions, waiting (consume.c,
 * consume_pass.c), collected messages (messages.c), what a session was given
 * (memory.c), doorbells at the end of a transaction (group_ring.c), pages
 * (store.c).
 */
#ifndef STREAMQ_GROUP_MODE_H
#define STREAMQ_GROUP_MODE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "group/group_catalog.h"
#include "group/messages.h"
#include "log/state_page.h"

#define GROUP_CONSUMER_MAX	63	/* bytes of a consumer's name */

typedef struct GroupRange
{
	int64		from;
	int64		to;				/* exclusive */
} GroupRange;

/* one call of consume(), in all partitions */
typedef struct GroupConsumer
{
	Relation	rel;
	const ConsumerGroup *group;
	const char *name;			/* who holds the leases */
	const Interval *lease;
	bool		auto_ack;		/* messages are acknowledged as they are taken */
	int			max_messages;
	GroupMessages *messages;	/* taken so far, of all partitions */
	TupleTableSlot *slot;		/* for reading the log */
} GroupConsumer;

static inline bool
group_wants_more(const GroupConsumer *consumer)
{
	return group_messages_count(consumer->messages) < consumer->max_messages;
}

/* what one partition has for a consumer */
typedef enum GroupPromise
{
	GROUP_PROMISES_NOTHING,
	GROUP_PROMISES_MESSAGES,
	GROUP_PROMISES_OWN			/* messages, of a partition that the consumer
								 * holds: taken first */
} GroupPromise;

typedef struct GroupOutlook
{
	GroupPromise promise;
	int64		position;		/* everything below it is done */
	int64		next;			/* the first offset to hand out, if any */
	TimestampTz wake_at;		/* something may change by itself then, or
								 * DT_NOEND */
} GroupOutlook;

typedef struct GroupTaken
{
	int64		position;		/* everything below it is done now */
	bool		busy;			/* somebody else has it: look again soon */
	bool		limited;		/* the limit kept messages back */
	TimestampTz wake_at;		/* as above */
} GroupTaken;

/*
 * How far a group is in one partition, in a form that all modes know: in a
 * dump, when a group is created, when it is restored.  All offsets below
 * position are done, and those in the ranges.  The ranges are sorted, and do not
 * touch each other or position.
 */
typedef struct GroupProgress
{
	int64		position;
	int			ndone;
	GroupRange *done;			/* NULL if there are none */
} GroupProgress;

/* a place to move a group to (seek.h): its offset may depend on the time */
typedef struct GroupPlace GroupPlace;

/* figures of one partition, for streamq.consumer_groups */
typedef struct GroupFigures
{
	int64		position;		/* everything below it is done */
	int64		fresh;			/* nothing was handed out from here on */
	int64		undone;			/* messages below fresh that are not done, and
								 * still in the stream */
	int64		oldest;			/* the first of them, -1 if there is none */
	int64		in_flight;		/* messages under a lease */
	int64		redelivered;
	int64		dead_lettered;
	int64		expired;		/* lost to retention */
	TimestampTz last_consumed_at;	/* 0: never */
} GroupFigures;

/* for streamq.leases: messages of one lease with the same number of deliveries */
typedef struct GroupLease
{
	int64		first;			/* offsets */
	int64		last;
	const char *consumer;
	TimestampTz expires_at;
	int32		deliveries;
} GroupLease;

typedef void (*GroupLeaseCallback) (const GroupLease *lease, void *arg);

/*
 * A mode.  Offsets in arrays are sorted, without duplicates, and of one
 * partition that the stream has.  Functions that count return how many messages
 * they changed.  Memory is allocated in the current context, which the caller
 * resets.
 *
 * A function that has to wait for another transaction calls
 * group_check_exists() after that: the transaction may have dropped the group.
 */
typedef struct GroupMode
{
	const char *name;
	int32		max_in_flight;	/* the most that a group may set */

	/*
	 * The kind of its state pages, a number on disk (log/state_page.h), and
	 * what the log does with them.
	 */
	uint8		page_kind;
	const LogStateKind *pages;

	/* ---- the life of a group ---- */

	/* this transaction created the group: write down how far it is */
	void		(*start) (Relation rel, const ConsumerGroup *group, int partition,
						  const GroupProgress *progress);

	/*
	 * Forget what is outstanding, and go on at a place.  group_find_place()
	 * is to be called once nobody else changes the group any more.
	 */
	void		(*move) (Relation rel, const ConsumerGroup *group, int partition,
						 const GroupPlace *place);

	/*
	 * The group is being dropped: wait for consumers and acknowledgements in
	 * progress, and keep others away to the end of the transaction.
	 */
	void		(*close) (Relation rel, const ConsumerGroup *group);

	/* ---- consuming ---- */

	/*
	 * A first, cheap look that neither waits nor changes anything.  A promise
	 * may turn out to be wrong.
	 */
	void		(*look) (const GroupConsumer *consumer, int partition, TimestampTz now,
						 GroupOutlook *outlook);

	/*
	 * Hand out messages below limit, as many as the consumer wants and the
	 * group allows, and add them to the consumer's messages.  Never waits for
	 * another transaction.  What retention took before it was handed out is
	 * counted here.
	 */
	void		(*take) (const GroupConsumer *consumer, int partition, int64 limit,
						 GroupTaken *taken);

	/* ---- what consumers say about messages ---- */

	/* these messages, unless somebody else has them by now */
	int64		(*acknowledge) (Relation rel, const ConsumerGroup *group, int partition,
								const int64 *offsets, int n);

	/* this message, and all that were handed out before it */
	int64		(*acknowledge_through) (Relation rel, const ConsumerGroup *group,
										int partition, int64 off);

	/* hand out again, not before retry_at (0: at once) */
	int64		(*give_back) (Relation rel, const ConsumerGroup *group, int partition,
							  const int64 *offsets, int n, TimestampTz retry_at);

	/* the leases of these messages last until then, at least */
	int64		(*extend) (Relation rel, const ConsumerGroup *group, int partition,
						   const int64 *offsets, int n, TimestampTz until);

	/* ---- looking at a group, without locks ---- */

	/* the least offset that the group still needs */
	int64		(*needed_offset) (Relation rel, const ConsumerGroup *group, int partition);

	void		(*figures) (Relation rel, const ConsumerGroup *group, int partition,
							TimestampTz now, GroupFigures *figures);

	/* call add for each lease that has not run out */
	void		(*leases) (Relation rel, const ConsumerGroup *group, int partition,
						   TimestampTz now, GroupLeaseCallback add, void *arg);

	/* the progress that a snapshot sees, perhaps an old one */
	void		(*progress) (Relation rel, const ConsumerGroup *group, int partition,
							 Snapshot snapshot, GroupProgress *progress);
} GroupMode;

/* the default, and all of them, ended by NULL */
#define GROUP_DEFAULT_MODE	"ordered"
extern const GroupMode *const group_modes[];

/* NULL if there is no such mode */
extern const GroupMode *group_mode_find(const char *name);

/* the names of all modes, in double quotes: "a", "b" or "c" */
extern char *group_mode_list(void);

#endif
