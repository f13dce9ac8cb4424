/*
 * retention.h
 *	  The limits of streams put into effect.
 */
#ifndef STREAMQ_RETENTION_H
#define STREAMQ_RETENTION_H

#include "postgres.h"

#include "utils/rel.h"

typedef enum RetentionResult
{
	RETENTION_NONE,				/* nothing to drop, or the stream is locked or
								 * gone */
	RETENTION_SOME,
	RETENTION_MUCH				/* it grows fast: look again soon */
} RetentionResult;

/*
 * Drop from a stream what its limits say.  In a transaction, without a snapshot;
 * takes AccessShareLock if it is to be had at once, and gives it back.
 */
extern RetentionResult retention_apply(Oid relid);

/*
 * Make room in a stream for so many bytes to come, for who is about to append to
 * it: its limit on bytes holds whatever the background process is at.
 */
extern void retention_make_room(Relation rel, int64 bytes);

#endif
