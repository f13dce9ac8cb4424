/*
 * group_shmem.c
 *	  Shared memory of consumer groups: LWLocks of their states.
 *
 * The locks are a fixed array.  Two partitions may share a lock: that costs
 * some waiting and nothing else, because a lock is held for a short time and a
 * session holds one at a time.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "group/group.h"
#include "group/group_shmem.h"

#define STATE_LOCKS		256

/* one cache line each, so that busy groups do not slow each other down */
typedef union PaddedStateLock
{
	GroupStateLock lock;
	char		pad[PG_CACHE_LINE_SIZE];
} PaddedStateLock;

typedef struct GroupControl
{
	int			tranche;
	uint64		incarnation;
	PaddedStateLock locks[STATE_LOCKS];
} GroupControl;

static GroupControl *control = NULL;

void
group_state_shmem_request(void)
{
	RequestAddinShmemSpace(sizeof(GroupControl) + PG_CACHE_LINE_SIZE);
}

void
group_state_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	control = ShmemInitStruct("streamq group states", sizeof(GroupControl), &found);
	if (!found)
	{
		control->tranche = LWLockNewTrancheId();
		control->incarnation = (uint64) GetCurrentTimestamp();
		for (int i = 0; i < STATE_LOCKS; i++)
		{
			GroupStateLock *lock = &control->locks[i].lock;

			LWLockInitialize(&lock->lock, control->tranche);
			lock->changing = false;
			lock->interrupted = 0;
		}
	}
	LWLockRegisterTranche(control->tranche, "StreamqGroup");
	LWLockRelease(AddinShmemInitLock);
}

GroupStateLock *
group_state_lock(int32 group_id, int partition)
{
	uint32		hash = hash_combine(murmurhash32(MyDatabaseId),
									murmurhash32((uint32) group_id ^ ((uint32) partition << 24)));

	return &control->locks[hash % STATE_LOCKS].lock;
}

uint64
group_shmem_incarnation(void)
{
	return control->incarnation;
}
