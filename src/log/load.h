/*
 * load.h
 *	  Dump and restore of messages.
 *
 * Offsets are not the same in a restored stream, so a dump refers to a message
 * by its number within the partition, and recognizes messages by a print,
 * which is a hash of some of them.
 */
#ifndef STREAMQ_LOG_LOAD_H
#define STREAMQ_LOG_LOAD_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "log/log.h"

/*
 * Offsets of the ns[i]-th visible messages of a partition, counted from 1; -1
 * where the partition has fewer.  The n numbers are in ascending order.
 */
extern void log_nth_rows(Relation rel, int partition, const int64 *ns, int n,
						 Snapshot snapshot, int64 *offsets);

/*
 * Can a load have ended with the first n messages of a partition?  It cannot
 * if the partition has fewer, or if one transaction wrote both the n-th
 * message and the next one.
 */
extern bool log_ends_load(Relation rel, int partition, int64 n, Snapshot snapshot);

/* Number of messages below each of n ascending offsets of a partition. */
extern void log_count_below(Relation rel, int partition, const int64 *offsets, int n,
							Snapshot snapshot, int64 *counts);

/*
 * Print of the first n messages of a partition: a hash of the messages with
 * the numbers that log_print_samples() returns.  0 if the partition has fewer
 * than n messages.
 */
#define LOG_PRINT_SAMPLES	64
extern int64 log_print(Relation rel, int partition, int64 n, Snapshot snapshot);
extern int	log_print_samples(int64 n, int64 *ns);

/* Hash of one message; a print combines those of its samples. */
extern uint64 log_hash_slot(TupleTableSlot *slot);

/*
 * What a dump says about where the messages of a stream belong.
 *
 * messages, firsts and prints have one entry per partition: the number of its
 * messages, the print of the first one, and the print of all of them.
 *
 * barriers holds triples.  (p, q, n) with q >= 0 says that the first n
 * messages of partition q must be finished before any of partition p.  (p, -k,
 * n) says that barrier k, made by a change of partition_by, follows the first
 * n messages of partition p.
 */
typedef struct LogPlan
{
	int			npartitions;
	int64		messages[LOG_MAX_PARTITIONS];
	int64		firsts[LOG_MAX_PARTITIONS];
	int64		prints[LOG_MAX_PARTITIONS];
	int			nbarriers;		/* number of triples */
	int64	   *barriers;
} LogPlan;

/* The plan of a stream, as the snapshot sees the stream. */
extern void log_plan_make(Relation rel, Snapshot snapshot, LogPlan *plan);

/*
 * Follow the plan of a dump: move the stream's messages to the partitions
 * where they belong or, if they have not been restored yet, keep the plan for
 * them.  The caller holds ShareRowExclusiveLock.  If messages move, the lock
 * becomes AccessExclusiveLock and the result is true.
 */
extern bool log_plan_follow(Relation rel, const LogPlan *plan);

/* Forget the restore of a stream that is being dropped. */
extern void log_plan_forget(Oid relid);

#endif
