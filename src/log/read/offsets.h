/*
 * offsets.h
 *	  Questions about the offsets of a partition.
 */
#ifndef STREAMQ_LOG_READ_OFFSETS_H
#define STREAMQ_LOG_READ_OFFSETS_H

#include "postgres.h"

#include "utils/rel.h"

/* rows of runs marked dead in [from, to) */
extern int64 log_count_dead(Relation rel, int partition, int64 from, int64 to);

#endif
