/*
 * expire.h
 *	  Expiry of the oldest messages.
 */
#ifndef STREAMQ_LOG_WRITE_EXPIRE_H
#define STREAMQ_LOG_WRITE_EXPIRE_H

#include "postgres.h"

#include "utils/rel.h"

/* Free the extents at the head that hold only dead rows. */
extern void log_expire_dead(Relation rel, int partition);

#endif
