/*
 * group_lock.h
 *	  Heavyweight locks of consumer groups.
 */
#ifndef STREAMQ_GROUP_LOCK_H
#define STREAMQ_GROUP_LOCK_H

#include "postgres.h"

typedef enum GroupLock
{
	GROUP_LOCK_BUSY,			/* somebody else's, and not waited for */
	GROUP_LOCK_TAKEN,
	GROUP_LOCK_HELD				/* this transaction has had it before */
} GroupLock;

/*
 * One partition of a group, to the end of the transaction.  What it protects is up
 * to the group's mode.
 */
extern GroupLock group_lock_partition(int32 group_id, int partition, bool wait);

/* early, after GROUP_LOCK_TAKEN, if nothing was written that a rollback undoes */
extern void group_unlock_partition(int32 group_id, int partition);

/*
 * A name among the groups of a stream, to the end of the transaction: for
 * creating, changing and dropping a group.  False if it is somebody else's and
 * not to be waited for.
 */
extern bool group_lock_name(Oid relid, const char *name, bool wait);

/*
 * The set of groups of a stream, for a moment, by a holder of one of its names.
 * False if somebody else holds a name.
 */
extern bool group_lock_set(Oid relid);
extern void group_unlock_set(Oid relid);

#endif
