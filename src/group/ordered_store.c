/*
 * ordered_store.c
 *	  Locking, reading and writing the state of a partition in ordered mode.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/snapmgr.h"

#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/group_restored.h"
#include "group/mode.h"
#include "group/ordered_state.h"
#include "group/ordered_store.h"
#include "group/ordered_version.h"
#include "group/session.h"
#include "group/store.h"
#include "log/log.h"
#include "log/state_page.h"

GroupLock
group_ordered_lock(Relation rel, const ConsumerGroup *group, int partition)
{
	GroupLock	lock = group_lock_partition(group->group_id, partition, GROUP_LOCK_EXCLUSIVE, false);

	if (lock != GROUP_LOCK_BUSY)
		return lock;
	lock = group_lock_partition(group->group_id, partition, GROUP_LOCK_EXCLUSIVE, true);
	group_check_exists(rel, group);
	return lock;
}

void
group_ordered_check_serializable(Relation rel, const ConsumerGroup *group, int partition)
{
	char		data[LOG_STATE_MAX];
	int			len;
	TransactionId xid;

	if (!IsolationIsSerializable() ||
		!group_store_read(rel, group, partition, data, &len))
		return;
	xid = group_ordered_version_xid(data, len);
	if (TransactionIdIsValid(xid) && !TransactionIdIsCurrentTransactionId(xid) &&
		XidInMVCCSnapshot(xid, GetTransactionSnapshot()))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent use of the consumer group"),
				 errhint("The transaction might succeed if retried.")));
}

/* the state of a partition that has no page yet */
static void
init_restored(Relation rel, const ConsumerGroup *group, int partition, OrderedState *state)
{
	GroupProgress progress;

	group_restored_progress(rel, group, partition, &progress);
	group_ordered_init_progress(state, &progress);
}

void
group_ordered_read(Relation rel, const ConsumerGroup *group, int partition,
				   OrderedState *state)
{
	char		data[LOG_STATE_MAX];
	int			len;
	const char *blob;
	int			bloblen;

	if (group_store_read(rel, group, partition, data, &len) &&
		group_ordered_version_find(data, len, &blob, &bloblen))
	{
		group_ordered_decode(state, blob, bloblen);

		/* a session that has ended will not acknowledge its messages */
		if (state->leased && group_session_is_gone(state->consumer))
			state->deadline = Min(state->deadline, 0);
	}
	else
		init_restored(rel, group, partition, state);
}

void
group_ordered_read_seen(Relation rel, const ConsumerGroup *group, int partition,
						Snapshot snapshot, OrderedState *state)
{
	char		data[LOG_STATE_MAX];
	int			len;

	if (!group_store_read(rel, group, partition, data, &len))
		init_restored(rel, group, partition, state);
	else if (!group_ordered_version_seen(data, len, snapshot, state))
		group_ordered_init(state, log_first_offset(rel, partition));
}

void
group_ordered_write(Relation rel, const ConsumerGroup *group, int partition,
					const OrderedState *state)
{
	char		data[LOG_STATE_MAX];
	char		result[LOG_STATE_MAX];
	char		blob[ORDERED_BLOB_MAX];
	int			bloblen = group_ordered_encode(state, blob);
	int			len;

	if (!group_store_read(rel, group, partition, data, &len))
		len = 0;
	len = group_ordered_version_push(data, len, blob, bloblen, result);
	group_store_write(rel, group, partition, result, len);
}

void
group_ordered_write_settled(Relation rel, const ConsumerGroup *group, int partition,
							const OrderedState *state)
{
	char		data[LOG_STATE_MAX];
	char		result[LOG_STATE_MAX];
	char		blob[ORDERED_BLOB_MAX];
	TransactionId xid = InvalidTransactionId;
	int			bloblen;
	int			len;

	/* a transaction's own version is not decided yet, so add to it */
	if (!group_store_read(rel, group, partition, data, &len))
		len = 0;
	else if (group_ordered_version_is_pending(data, len))
	{
		group_ordered_write(rel, group, partition, state);
		return;
	}
	else
		xid = group_ordered_version_xid(data, len);
	bloblen = group_ordered_encode(state, blob);
	len = group_ordered_version_make_settled(xid, data, len, blob, bloblen, result);
	group_store_write(rel, group, partition, result, len);
}
