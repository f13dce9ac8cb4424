/*
 * group_shmem.h
 *	  Shared memory of consumer groups: LWLocks of their states.
 */
#ifndef STREAMQ_GROUP_SHMEM_H
#define STREAMQ_GROUP_SHMEM_H

#include "postgres.h"

#include "storage/lwlock.h"

/*
 * A lock for the states of some partitions of groups, which are assigned to it
 * by hash.
 */
typedef struct GroupStateLock
{
	LWLock		lock;
	bool		changing;		/* the holder is writing pages that belong
								 * together */
	uint64		interrupted;	/* how often an error ended that */
} GroupStateLock;

extern void group_state_shmem_request(void);
extern void group_state_shmem_startup(void);

extern GroupStateLock *group_state_lock(int32 group_id, int partition);

/* a number that is different each time shared memory is created */
extern uint64 group_shmem_incarnation(void);

#endif
