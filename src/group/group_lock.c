/*
 * group_lock.c
 *	  Heavyweight locks of consumer groups.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "base/catalog.h"
#include "group/group_lock.h"
#include "log/log.h"

/*
 * These are locks on database objects, with the catalog table of groups as the
 * class.  Sub-objects of a group's id are its partitions, and its registry of
 * consumers.  Sub-objects of a stream's OID are the names of its groups (by
 * hash), the set of its groups, and its producers.
 */
#define LOCK_SUBID_REGISTRY	0x0100
#define LOCK_SUBID_PRODUCERS 0xfff0
#define LOCK_SUBID_GROUPS	0xffff
#define LOCK_SUBID_NAME		0x8000
#define LOCK_NAME_MASK		0x3fff

static void
set_locktag(LOCKTAG *tag, uint32 objid, uint16 subid)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId,
					   base_catalog_oid("consumer_group", false),
					   objid, subid);
}

static inline LOCKMODE
partition_lockmode(GroupLockMode mode)
{
	return mode == GROUP_LOCK_SHARE ? ShareLock : ExclusiveLock;
}

GroupLock
group_lock_partition(int32 group_id, int partition, GroupLockMode mode, bool wait)
{
	LOCKTAG		tag;

	set_locktag(&tag, (uint32) group_id, (uint16) partition);
	switch (LockAcquire(&tag, partition_lockmode(mode), false, !wait))
	{
		case LOCKACQUIRE_NOT_AVAIL:
			return GROUP_LOCK_BUSY;
		case LOCKACQUIRE_OK:
			return GROUP_LOCK_TAKEN;
		default:
			return GROUP_LOCK_HELD;
	}
}

void
group_unlock_partition(int32 group_id, int partition, GroupLockMode mode)
{
	LOCKTAG		tag;

	set_locktag(&tag, (uint32) group_id, (uint16) partition);
	LockRelease(&tag, partition_lockmode(mode), false);
}

void
group_lock_registry(int32 group_id)
{
	LOCKTAG		tag;

	set_locktag(&tag, (uint32) group_id, LOCK_SUBID_REGISTRY);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
group_unlock_registry(int32 group_id)
{
	LOCKTAG		tag;

	set_locktag(&tag, (uint32) group_id, LOCK_SUBID_REGISTRY);
	LockRelease(&tag, ExclusiveLock, false);
}

GroupLock
group_lock_producer(Oid relid, GroupProducerLock which, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;

	set_locktag(&tag, relid, LOCK_SUBID_PRODUCERS + which);
	switch (LockAcquire(&tag, mode, false, !wait))
	{
		case LOCKACQUIRE_NOT_AVAIL:
			return GROUP_LOCK_BUSY;
		case LOCKACQUIRE_OK:
			return GROUP_LOCK_TAKEN;
		default:
			return GROUP_LOCK_HELD;
	}
}

void
group_unlock_producer(Oid relid, GroupProducerLock which, LOCKMODE mode)
{
	LOCKTAG		tag;

	set_locktag(&tag, relid, LOCK_SUBID_PRODUCERS + which);
	LockRelease(&tag, mode, false);
}

/* does the process wait for this one?  `seen` has those that were asked */
static bool
waits_for_me(int pid, List **seen)
{
	ArrayType  *array;
	int			n;

	check_stack_depth();
	if (pid == MyProcPid)
		return true;
	if (pid == 0 || list_member_int(*seen, pid))
		return false;
	*seen = lappend_int(*seen, pid);
	array = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	for (int i = 0; i < n; i++)
		if (waits_for_me(((int32 *) ARR_DATA_PTR(array))[i], seen))
			return true;
	return false;
}

bool
group_lock_holder_waits(Oid relid, int32 group_id)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq locks",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LockData   *data = GetLockStatusData();
	List	   *seen = NIL;
	LOCKTAG		partition;
	LOCKTAG		producer;
	bool		found = false;

	set_locktag(&partition, (uint32) group_id, 0);
	set_locktag(&producer, relid, LOCK_SUBID_PRODUCERS + GROUP_PRODUCER_XACT);
	for (int i = 0; i < data->nelements && !found; i++)
	{
		LockInstanceData *instance = &data->locks[i];
		LOCKTAG		tag = instance->locktag;

		if (instance->holdMask == 0 || instance->pid == MyProcPid)
			continue;
		if (memcmp(&tag, &producer, sizeof(LOCKTAG)) != 0)
		{
			if (tag.locktag_field4 >= LOG_MAX_PARTITIONS)
				continue;
			tag.locktag_field4 = 0;
			if (memcmp(&tag, &partition, sizeof(LOCKTAG)) != 0)
				continue;
		}
		found = waits_for_me(instance->leaderPid, &seen);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return found;
}

bool
group_lock_name(Oid relid, const char *name, bool wait)
{
	LOCKTAG		tag;
	uint32		hash = DatumGetUInt32(hash_any((const unsigned char *) name, strlen(name)));

	set_locktag(&tag, relid, LOCK_SUBID_NAME | (hash & LOCK_NAME_MASK));
	if (LockAcquire(&tag, ExclusiveLock, false, !wait) == LOCKACQUIRE_NOT_AVAIL)
		return false;

	/*
	 * Waiting here is short: only freeing pages locks the set in a
	 * conflicting mode.
	 */
	set_locktag(&tag, relid, LOCK_SUBID_GROUPS);
	(void) LockAcquire(&tag, RowExclusiveLock, false, false);
	return true;
}

bool
group_lock_set(Oid relid)
{
	LOCKTAG		tag;

	set_locktag(&tag, relid, LOCK_SUBID_GROUPS);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
group_unlock_set(Oid relid)
{
	LOCKTAG		tag;

	set_locktag(&tag, relid, LOCK_SUBID_GROUPS);
	LockRelease(&tag, ExclusiveLock, false);
}
