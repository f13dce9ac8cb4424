/*
 * check.h
 *	  Is a stream's file sound?
 */
#ifndef STREAMQ_LOG_CHECK_H
#define STREAMQ_LOG_CHECK_H

#include "postgres.h"

#include "storage/block.h"
#include "utils/rel.h"

/* partition -1, InvalidBlockNumber, off -1: it is about none in particular */
typedef void (*LogProblem) (void *arg, int partition, BlockNumber block, int64 off,
							const char *text);

/*
 * Read the whole file of a stream and report what is wrong with it.  The caller
 * holds AccessShareLock; writers may go on meanwhile.  Damage is no error here,
 * whatever it is.
 */
extern void log_check(Relation rel, LogProblem report, void *arg);

#endif
