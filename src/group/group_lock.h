/*
 * group_lock.h
 *	  Heavyweight locks of consumer groups.
 */
#ifndef STREAMQ_GROUP_LOCK_H
#define STREAMQ_GROUP_LOCK_H

#include "postgres.h"

#include "storage/lockdefs.h"

/* result of locking a partition */
typedef enum GroupLock
{
	GROUP_LOCK_BUSY,			/* another transaction has it, and the caller
								 * did not want to wait */
	GROUP_LOCK_TAKEN,
	GROUP_LOCK_HELD				/* this transaction had it already */
} GroupLock;

typedef enum GroupLockMode
{
	GROUP_LOCK_SHARE,			/* conflicts with the other mode only */
	GROUP_LOCK_EXCLUSIVE
} GroupLockMode;

/*
 * Lock one partition of a group until the end of the transaction.  What the
 * lock protects is up to the group's mode.
 */
extern GroupLock group_lock_partition(int32 group_id, int partition, GroupLockMode mode,
									  bool wait);

/*
 * Release it early.  Allowed after GROUP_LOCK_TAKEN only, and only if nothing
 * was written that a rollback would undo.
 */
extern void group_unlock_partition(int32 group_id, int partition, GroupLockMode mode);

/*
 * Lock the registry of a group's consumers for a short time, to add one or to
 * remove some.
 */
extern void group_lock_registry(int32 group_id);
extern void group_unlock_registry(int32 group_id);

/*
 * Locks of producers of a stream with a backlog policy (backlog.h): one for
 * transactions that append, held until the end of the transaction, and one that
 * is held while rows are appended or the room for them is counted.
 */
typedef enum GroupProducerLock
{
	GROUP_PRODUCER_XACT,
	GROUP_PRODUCER_APPEND
} GroupProducerLock;

/*
 * Returns GROUP_LOCK_HELD if the transaction has it in this mode already, and
 * GROUP_LOCK_BUSY if another transaction has it and `wait` is false.
 */
extern GroupLock group_lock_producer(Oid relid, GroupProducerLock which, LOCKMODE mode,
									 bool wait);

/*
 * Does a transaction wait for this process, directly or through others, that
 * has appended to the stream, or has locked a partition of the group?
 */
extern bool group_lock_holder_waits(Oid relid, int32 group_id);
extern void group_unlock_producer(Oid relid, GroupProducerLock which, LOCKMODE mode);

/*
 * Lock a name among the groups of a stream until the end of the transaction:
 * required for creating, changing and dropping the group.  Returns false if
 * another transaction has the lock and `wait` is false.
 */
extern bool group_lock_name(Oid relid, const char *name, bool wait);

/*
 * Lock the set of groups of a stream for a short time.  The caller holds the
 * lock of one name.  Returns false if another transaction holds the lock of
 * any name of the stream.
 */
extern bool group_lock_set(Oid relid);
extern void group_unlock_set(Oid relid);

#endif
