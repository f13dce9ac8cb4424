/*
 * state_visibility.c
 *	  Which version of a row does a snapshot see?
 *
 * There are no hint bits.  The rows of a table were written by few
 * transactions, so a scan remembers the answers.
 *
 * A command does not only see what was written before it began, but all that
 * its own transaction has written: jobs read their own rows with the same
 * snapshot again.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "state/state_visibility.h"

void
state_eye_init(StateEye *eye, Snapshot snapshot)
{
	memset(eye, 0, sizeof(*eye));
	eye->snapshot = snapshot;
}

/* the answer for a snapshot that changes while one looks */
static bool
is_live(Snapshot snapshot, TransactionId xid)
{
	if (TransactionIdIsInProgress(xid))
		return snapshot->snapshot_type != SNAPSHOT_SELF;
	return TransactionIdDidCommit(xid);
}

bool
state_eye_sees(StateEye *eye, TransactionId xid)
{
	int			i = xid % STATE_EYE_CACHE;
	bool		seen;

	if (!TransactionIdIsNormal(xid))
		return TransactionIdIsValid(xid);
	if (eye->xids[i] == xid)
		return eye->seen[i];
	if (TransactionIdIsCurrentTransactionId(xid))
		return true;
	if (!IsMVCCSnapshot(eye->snapshot))
		return is_live(eye->snapshot, xid);

	/* in this order, as in HeapTupleSatisfiesMVCC */
	seen = !XidInMVCCSnapshot(xid, eye->snapshot) && TransactionIdDidCommit(xid);
	eye->xids[i] = xid;
	eye->seen[i] = seen;
	return seen;
}

/*
 * For a check of uniqueness: the newest version, even if its transaction is
 * running, which the snapshot tells then.
 */
static StateVersion *
dirty_version(Snapshot snapshot, StateRow *row)
{
	StateVersion *v = STATE_FIRST_VERSION(row);

	snapshot->xmin = snapshot->xmax = InvalidTransactionId;
	snapshot->speculativeToken = 0;
	for (int i = 0; i < row->nversions; i++, v = STATE_NEXT_VERSION(v))
	{
		if (TransactionIdIsNormal(v->xmin) && !TransactionIdIsCurrentTransactionId(v->xmin))
		{
			if (TransactionIdIsInProgress(v->xmin))
			{
				snapshot->xmin = v->xmin;
				return v;
			}
			if (!TransactionIdDidCommit(v->xmin))
				continue;
		}
		if (!TransactionIdIsValid(v->xmax))
			return v;
		if (TransactionIdIsCurrentTransactionId(v->xmax))
			continue;
		if (TransactionIdIsInProgress(v->xmax))
		{
			snapshot->xmax = v->xmax;
			return v;
		}
		if (!TransactionIdDidCommit(v->xmax))
			return v;
	}
	return NULL;
}

StateVersion *
state_visible_version(Relation rel, StateEye *eye, StateRow *row)
{
	StateVersion *v = STATE_FIRST_VERSION(row);

	Assert(!(row->flags & STATE_ROW_FORWARD));
	if (eye->snapshot->snapshot_type == SNAPSHOT_DIRTY)
		return dirty_version(eye->snapshot, row);
	for (int i = 0; i < row->nversions; i++, v = STATE_NEXT_VERSION(v))
	{
		if (!state_eye_sees(eye, v->xmin))
			continue;
		if (!TransactionIdIsValid(v->xmax) || !state_eye_sees(eye, v->xmax))
			return v;
		if (STATE_VERSION_IS_DELETED(v))
			return eye->snapshot->snapshot_type == SNAPSHOT_ANY ? v : NULL;
	}
	if (state_eye_sees(eye, row->born))
		ereport(ERROR,
				(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
				 errmsg("snapshot too old"),
				 errdetail("Rows of \"%s\" that the snapshot sees have been replaced.",
						   RelationGetRelationName(rel)),
				 errhint("Repeat the statement, in a transaction block the whole transaction.")));
	return NULL;
}
