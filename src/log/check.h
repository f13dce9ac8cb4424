/*
 * check.h
 *	  Checking a stream's file for damage.
 */
#ifndef STREAMQ_LOG_CHECK_H
#define STREAMQ_LOG_CHECK_H

#include "postgres.h"

#include "storage/block.h"
#include "utils/rel.h"

/*
 * Reports one problem.  A problem that belongs to no partition, block or
 * offset in particular has -1, InvalidBlockNumber and -1 there.
 */
typedef void (*LogProblem) (void *arg, int partition, BlockNumber block, int64 off,
							const char *text);

/*
 * Read the whole file of a stream and report every problem found.  The caller
 * holds AccessShareLock, and writers may go on during the check.  Damage of
 * any kind is reported and never raised as an error.
 */
extern void log_check(Relation rel, LogProblem report, void *arg);

#endif
