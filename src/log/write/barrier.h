/*
 * barrier.h
 *	  Barriers, for dump and restore.
 */
#ifndef STREAMQ_LOG_WRITE_BARRIER_H
#define STREAMQ_LOG_WRITE_BARRIER_H

#include "postgres.h"

#include "utils/rel.h"

/*
 * All barriers of a stream in order: offsets[i * npartitions + p].  The array
 * has room for LOG_MAX_BARRIERS * npartitions offsets.
 */
extern int	log_get_barriers(Relation rel, int npartitions, int64 *offsets);
extern void log_set_barriers(Relation rel, int npartitions, int n, const int64 *offsets);

#endif
