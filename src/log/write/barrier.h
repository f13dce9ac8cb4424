/*
 * barrier.h
 *	  Barriers on their way through a dump.
 */
#ifndef STREAMQ_LOG_WRITE_BARRIER_H
#define STREAMQ_LOG_WRITE_BARRIER_H

#include "postgres.h"

#include "utils/rel.h"

/*
 * All barriers of a stream, the first one first: offsets[i * npartitions + p].  Room is
 * for LOG_MAX_BARRIERS times npartitions.
 */
extern int	log_get_barriers(Relation rel, int npartitions, int64 *offsets);
extern void log_set_barriers(Relation rel, int npartitions, int n, const int64 *offsets);

#endif
