/*
 * expire.h
 *	  Dropping the oldest messages.
 */
#ifndef STREAMQ_LOG_WRITE_EXPIRE_H
#define STREAMQ_LOG_WRITE_EXPIRE_H

#include "postgres.h"

#include "utils/rel.h"

/* drop the extents at the head in which nothing but dead rows is left */
extern void log_expire_dead(Relation rel, int partition);

#endif
