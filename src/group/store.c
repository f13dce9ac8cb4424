/*
 * store.c
 *	  A group's states: locks, reading and writing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "group/group_dump.h"
#include "group/ordered.h"
#include "group/store.h"
#include "group/version.h"
#include "log/state_page.h"
#include "signal/doorbell.h"

/*
 * Heavyweight locks are those of a database object: class is the catalog table
 * of groups, object the group and sub-object the partition.  Of a stream, sub-objects
 * are its set of groups and the names they may have, by hash.
 */
#define LOCK_SUBID_GROUPS	0xffff
#define LOCK_SUBID_NAME		0x8000
#define LOCK_NAME_MASK		0x3fff

/* streams whose doorbell is to be rung at the end of the transaction */
#define RINGS_MAX	16

typedef struct Ring
{
	Oid			relid;
	bool		on_commit;
} Ring;

static Ring rings[RINGS_MAX];
static int	nrings = 0;
static bool rings_lost = false; /* there were more than that */

static void
set_locktag(LOCKTAG *tag, uint32 objid, uint16 subid)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId,
					   base_catalog_oid("consumer_group", false),
					   objid, subid);
}

StoreLock
group_lock_state(int32 group_id, int partition, bool wait)
{
	LOCKTAG		tag;

	set_locktag(&tag, (uint32) group_id, (uint16) partition);
	switch (LockAcquire(&tag, ExclusiveLock, false, !wait))
	{
		case LOCKACQUIRE_NOT_AVAIL:
			return STORE_LOCK_BUSY;
		case LOCKACQUIRE_OK:
			return STORE_LOCK_TAKEN;
		default:
			return STORE_LOCK_HELD;
	}
}

void
group_unlock_state(int32 group_id, int partition)
{
	LOCKTAG		tag;

	set_locktag(&tag, (uint32) group_id, (uint16) partition);
	LockRelease(&tag, ExclusiveLock, false);
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
	 * nobody keeps it in a mode that conflicts for longer than free_pages()
	 * takes
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

void
group_read_state(Relation rel, int32 group_id, int partition,
				 PartitionState *state)
{
	char		data[LOG_STATE_MAX];
	int			len;
	const char *blob;
	int			bloblen;

	if (log_state_read(rel, (uint32) group_id, partition, data, &len) &&
		group_version_find(data, len, &blob, &bloblen))
		group_state_decode(state, blob, bloblen);
	else
		group_restored_state(rel, group_id, partition, state);
}

void
group_check_serializable(Relation rel, int32 group_id, int partition)
{
	char		data[LOG_STATE_MAX];
	int			len;
	TransactionId xid;

	if (!IsolationIsSerializable() ||
		!log_state_read(rel, (uint32) group_id, partition, data, &len))
		return;
	xid = group_version_xid(data, len);
	if (TransactionIdIsValid(xid) && !TransactionIdIsCurrentTransactionId(xid) &&
		XidInMVCCSnapshot(xid, GetTransactionSnapshot()))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent use of the consumer group"),
				 errhint("The transaction might succeed if retried.")));
}

void
group_write_state(Relation rel, int32 group_id, int partition,
				  const PartitionState *state)
{
	char		data[LOG_STATE_MAX];
	char		result[LOG_STATE_MAX];
	char		blob[STATE_BLOB_MAX];
	int			bloblen = group_state_encode(state, blob);
	int			len;

	if (!log_state_read(rel, (uint32) group_id, partition, data, &len))
		len = 0;
	len = group_version_push(data, len, blob, bloblen, result);
	log_state_write(rel, (uint32) group_id, partition, result, len);
}

void
group_write_settled(Relation rel, int32 group_id, int partition,
					const PartitionState *state)
{
	char		data[LOG_STATE_MAX];
	char		result[LOG_STATE_MAX];
	char		blob[STATE_BLOB_MAX];
	TransactionId xid = InvalidTransactionId;
	int			bloblen;
	int			len;

	/* facts on top of what this transaction did are pending with it */
	if (!log_state_read(rel, (uint32) group_id, partition, data, &len))
		len = 0;
	else if (group_version_is_pending(data, len))
	{
		group_write_state(rel, group_id, partition, state);
		return;
	}
	else
		xid = group_version_xid(data, len);
	bloblen = group_state_encode(state, blob);
	len = group_version_make_settled(xid, data, len, blob, bloblen, result);
	log_state_write(rel, (uint32) group_id, partition, result, len);
}

void
group_ring_at_end(Oid relid, bool on_commit)
{
	for (int i = 0; i < nrings; i++)
	{
		if (rings[i].relid == relid)
		{
			rings[i].on_commit |= on_commit;
			return;
		}
	}
	if (nrings < RINGS_MAX)
	{
		rings[nrings].relid = relid;
		rings[nrings++].on_commit = on_commit;
	}
	else
		rings_lost = true;
}

/*
 * Called for every resource owner; the locks of the transaction go with the
 * top-level one.  A ring from a transaction callback would come before that,
 * and who wakes up would find the partition still locked.
 */
static void
store_release_callback(ResourceReleasePhase phase, bool isCommit,
					   bool isTopLevel, void *arg)
{
	if (nrings == 0 || !isTopLevel || phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	for (int i = 0; i < nrings; i++)
		if (rings[i].on_commit || !isCommit)
			signal_ring(rings[i].relid);
	if (rings_lost)
		signal_ring_all();
	nrings = 0;
	rings_lost = false;
}

void
group_store_init(void)
{
	RegisterResourceReleaseCallback(store_release_callback, NULL);
}
