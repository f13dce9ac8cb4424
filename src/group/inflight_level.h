/*
 * inflight_level.h
 *	  Levels of entries: what the ends of transactions make of them.
 */
#ifndef STREAMQ_GROUP_INFLIGHT_LEVEL_H
#define STREAMQ_GROUP_INFLIGHT_LEVEL_H

#include "postgres.h"

#include "group/inflight_entry.h"

typedef enum InflightOutcome
{
	INFLIGHT_OWN,				/* of this transaction, and not rolled back */
	INFLIGHT_RUNNING,
	INFLIGHT_COMMITTED,
	INFLIGHT_ABORTED
} InflightOutcome;

/* tells what became of a transaction */
typedef InflightOutcome (*InflightJudge) (TransactionId xid, void *arg);

/* the outcome now */
extern InflightOutcome group_inflight_outcome(TransactionId xid, void *arg);

/* what settling entries has brought */
typedef struct InflightSettled
{
	bool		changed;
	int64		acked;
	int64		dead_lettered;
	int64		redelivered;
	TransactionId newest;		/* that made something done */
} InflightSettled;

/*
 * Remove decided levels from an entry.  Returns false if it is done and
 * counted: then the entry is to be removed.
 */
extern bool group_inflight_settle(InflightEntry *entry, InflightJudge judge, void *arg,
								  InflightSettled *settled);

/* as above, for VACUUM: what is done is not counted yet */
extern void group_inflight_settle_old(InflightEntry *entry, InflightJudge judge, void *arg,
									  InflightSettled *settled);

/* is an entry done, as this transaction sees it? */
static inline bool
group_inflight_is_done(const InflightEntry *entry)
{
	return group_inflight_top(entry)->kind == INFLIGHT_DONE &&
		!group_inflight_is_foreign(entry);
}

/*
 * The innermost open (sub)transaction whose end decides a change of this
 * transaction; `current` is the current one.
 */
extern TransactionId group_inflight_owner(TransactionId xid, TransactionId current);

#endif
