/*
 * offsets.h
 *	  Questions about the offsets of a partition.
 */
#ifndef STREAMQ_LOG_READ_OFFSETS_H
#define STREAMQ_LOG_READ_OFFSETS_H

#include "postgres.h"

#include "utils/rel.h"

/* Number of rows in [from, to) whose runs are marked dead. */
extern int64 log_count_dead(Relation rel, int partition, int64 from, int64 to);

#endif
