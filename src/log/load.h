/*
 * load.h
 *	  Dump and restore: messages by their number, what they are recognized by,
 *	  and how they get into the partitions they came from.
 */
#ifndef STREAMQ_LOG_LOAD_H
#define STREAMQ_LOG_LOAD_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "log/log.h"

/*
 * Offsets of the ns[i]-th visible messages of a partition (1 is the first), -1
 * where there are fewer.  The n numbers ascend.
 */
extern void log_nth_rows(Relation rel, int partition, const int64 *ns, int n,
						 Snapshot snapshot, int64 *offsets);

/*
 * Can a load have ended with the first n messages of a partition?  Not if there are
 * less, or if one transaction wrote the n-th and the next one.
 */
extern bool log_ends_load(Relation rel, int partition, int64 n, Snapshot snapshot);

/* messages below each of n ascending offsets of a partition */
extern void log_count_below(Relation rel, int partition, const int64 *offsets, int n,
							Snapshot snapshot, int64 *counts);

/*
 * A print of the first n messages of a partition: of what is in some of them,
 * which stand at these numbers.  0 if there are not so many.
 */
#define LOG_PRINT_SAMPLES	64
extern int64 log_print(Relation rel, int partition, int64 n, Snapshot snapshot);
extern int	log_print_samples(int64 n, int64 *ns);

/* what a print is combined from: what is in one message */
extern uint64 log_hash_slot(TupleTableSlot *slot);

/*
 * What a dump says about the places of a stream's messages, each an array of
 * int8.  For each partition: how many messages it had, a print of the first one and of
 * all.  And what was to be finished before a partition's messages: triples of the
 * partition, a parent, and how many messages of the parent; for barriers of a changed
 * partition_by of the partition, the negative number of the barrier, and how many
 * messages were before it.
 */
typedef struct LogPlan
{
	int			npartitions;
	int64		messages[LOG_MAX_PARTITIONS];
	int64		firsts[LOG_MAX_PARTITIONS];
	int64		prints[LOG_MAX_PARTITIONS];
	int			nbarriers;		/* triples */
	int64	   *barriers;
} LogPlan;

/* of a stream, as the snapshot sees it */
extern void log_plan_make(Relation rel, Snapshot snapshot, LogPlan *plan);

/*
 * The stream comes from a dump: bring its messages into their places, or see to it that
 * they get there when they come.  The caller holds ShareRowExclusiveLock, which becomes
 * AccessExclusiveLock if messages move: then true is returned.
 */
extern bool log_plan_follow(Relation rel, const LogPlan *plan);

/* the stream is dropped: what is known of its restore goes */
extern void log_plan_forget(Oid relid);

#endif
