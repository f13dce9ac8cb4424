/*
 * ordered_version.c
 *	  Versions of a group's state on its page, which make the state
 *	  transactional.
 *
 * The bytes, oldest version first:
 *
 *		format (1 byte), number of versions (1 byte), length of the trail
 *			(1 byte), xid that settled the settled version (4 bytes)
 *		for each version: xid (4 bytes), length (2 bytes), encoded state
 *		for each step of the trail, oldest first: xid (4 bytes),
 *			position (8 bytes)
 *
 * A version without an xid (InvalidTransactionId) is settled: it is valid for
 * everybody.  As soon as a later writer or VACUUM finds a transaction decided,
 * its xid is removed, so no xid becomes too old.
 *
 * A dump has an old snapshot, and needs the position as of that snapshot.
 * This is what the trail is for: each step is a position and the transaction
 * that committed it.  Of the steps that every snapshot sees, only the last one
 * is kept, so usually there is one step.  A step without an xid is valid for
 * everybody.  A snapshot that sees the transaction that made the settled
 * version uses that version.
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/xact.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "group/ordered_state.h"
#include "group/ordered_version.h"
#include "log/state_page.h"

#define VERSION_FORMAT		3
#define VERSION_HEADER		7	/* of the page's bytes */
#define VERSION_PREFIX		6	/* of each version */
#define VERSIONS_MAX		255
#define TRAIL_STEP			12
#define TRAIL_MAX			4

StaticAssertDecl(VERSION_HEADER + 3 * (VERSION_PREFIX + ORDERED_BLOB_MAX) +
				 TRAIL_MAX * TRAIL_STEP <= LOG_STATE_MAX,
				 "a group page must have room for three states");

typedef struct Version
{
	TransactionId xid;
	int			len;
	const char *blob;
} Version;

typedef struct Step
{
	TransactionId xid;
	int64		position;
} Step;

typedef struct Trail
{
	int			n;
	Step		steps[TRAIL_MAX];
	TransactionId settled;		/* writer of the settled version, if a
								 * snapshot may not see it */
} Trail;

static void
report_corrupt(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("invalid versions of a consumer group's state")));
}

/* is the xid in the range that the commit log knows? */
static bool
is_possible(TransactionId xid)
{
	return TransactionIdIsNormal(xid) &&
		!TransactionIdPrecedes(xid, COMPAT_OLDEST_XID()) &&
		TransactionIdPrecedes(xid, ReadNextTransactionId());
}

/*
 * parse the bytes of a page, return the number of versions; trail may be NULL
 */
static int
parse_versions(const char *data, int len, Version *versions, Trail *trail)
{
	const char *ptr = data + VERSION_HEADER;
	const char *end = data + len;
	int			n;

	if (len < VERSION_HEADER || data[0] != VERSION_FORMAT)
		report_corrupt();
	n = (uint8) data[1];
	for (int i = 0; i < n; i++)
	{
		uint32		xid;
		uint16		bloblen;

		if (end - ptr < VERSION_PREFIX)
			report_corrupt();
		memcpy(&xid, ptr, sizeof(xid));
		memcpy(&bloblen, ptr + sizeof(xid), sizeof(bloblen));
		ptr += VERSION_PREFIX;
		if (bloblen > end - ptr || (TransactionIdIsValid(xid) && !is_possible(xid)))
			report_corrupt();
		versions[i].xid = xid;
		versions[i].len = bloblen;
		versions[i].blob = ptr;
		ptr += bloblen;
	}
	if ((uint8) data[2] > TRAIL_MAX || end - ptr != (uint8) data[2] * TRAIL_STEP)
		report_corrupt();
	if (trail != NULL)
	{
		memcpy(&trail->settled, data + 3, sizeof(TransactionId));
		if (TransactionIdIsValid(trail->settled) && !is_possible(trail->settled))
			report_corrupt();
		trail->n = (uint8) data[2];
		for (int i = 0; i < trail->n; i++)
		{
			memcpy(&trail->steps[i].xid, ptr, sizeof(TransactionId));
			memcpy(&trail->steps[i].position, ptr + sizeof(TransactionId), sizeof(int64));
			ptr += TRAIL_STEP;
		}
	}
	return n;
}

/* returns the length, or -1 if too long; result must not overlap the blobs */
static int
format_versions(const Version *versions, int n, const Trail *trail, char *result)
{
	char	   *ptr = result + VERSION_HEADER;

	if (n > VERSIONS_MAX)
		return -1;
	result[0] = VERSION_FORMAT;
	result[1] = (char) n;
	result[2] = (char) trail->n;
	memcpy(result + 3, &trail->settled, sizeof(TransactionId));
	for (int i = 0; i < n; i++)
	{
		uint32		xid = versions[i].xid;
		uint16		bloblen = (uint16) versions[i].len;

		if (result + LOG_STATE_MAX - TRAIL_MAX * TRAIL_STEP - ptr <
			VERSION_PREFIX + versions[i].len)
			return -1;
		memcpy(ptr, &xid, sizeof(xid));
		memcpy(ptr + sizeof(xid), &bloblen, sizeof(bloblen));
		memcpy(ptr + VERSION_PREFIX, versions[i].blob, bloblen);
		ptr += VERSION_PREFIX + bloblen;
	}
	for (int i = 0; i < trail->n; i++)
	{
		memcpy(ptr, &trail->steps[i].xid, sizeof(TransactionId));
		memcpy(ptr + sizeof(TransactionId), &trail->steps[i].position, sizeof(int64));
		ptr += TRAIL_STEP;
	}
	return ptr - result;
}

/* add the position of a version that is about to lose its xid to the trail */
static void
trail_add(Trail *trail, const Version *version)
{
	OrderedState state;
	Step	   *step;

	trail->settled = version->xid;
	group_ordered_decode(&state, version->blob, version->len);
	if (state.done)
		pfree(state.done);

	/* if the group was moved back, messages done before do not count */
	for (int i = 0; i < trail->n; i++)
		trail->steps[i].position = Min(trail->steps[i].position, state.position);

	if (trail->n > 0 && trail->steps[trail->n - 1].position == state.position)
		return;

	/* of the steps that everybody sees, keep the last */
	for (int i = trail->n - 1; i > 0; i--)
	{
		if (!TransactionIdIsValid(trail->steps[i].xid) ||
			GlobalVisCheckRemovableXid(NULL, trail->steps[i].xid))
		{
			trail->n -= i;
			memmove(&trail->steps[0], &trail->steps[i], trail->n * sizeof(Step));
			break;
		}
	}

	/*
	 * If the trail is full, keep the oldest step, because a snapshot may need
	 * it.  Of the two steps that are closest in age, remove the later one.
	 */
	if (trail->n == TRAIL_MAX)
	{
		int			victim = 1;
		double		least = 0;

		for (int i = 1; i < TRAIL_MAX; i++)
		{
			double		age = (int32) (version->xid - trail->steps[i].xid);
			double		before = (int32) (version->xid - trail->steps[i - 1].xid);
			double		ratio = before / Max(age, 1);

			if (i == 1 || ratio < least)
			{
				least = ratio;
				victim = i;
			}
		}
		trail->n--;
		memmove(&trail->steps[victim], &trail->steps[victim + 1],
				(trail->n - victim) * sizeof(Step));
	}
	step = &trail->steps[trail->n++];
	step->xid = version->xid;
	step->position = state.position;
}

static bool
is_settled(TransactionId xid)
{
	return !TransactionIdIsValid(xid) ||
		(!TransactionIdIsCurrentTransactionId(xid) &&
		 TransactionIdDidCommit(xid));
}

/* index of the newest valid version, -1 if there is none */
static int
find_version(const Version *versions, int n)
{
	while (--n >= 0)
		if (is_settled(versions[n].xid) ||
			TransactionIdIsCurrentTransactionId(versions[n].xid))
			break;
	return n;
}

bool
group_ordered_version_find(const char *data, int len, const char **blob, int *bloblen)
{
	Version		versions[VERSIONS_MAX];
	int			i = find_version(versions, parse_versions(data, len, versions, NULL));

	if (i < 0)
		return false;
	*blob = versions[i].blob;
	*bloblen = versions[i].len;
	return true;
}

TransactionId
group_ordered_version_xid(const char *data, int len)
{
	Version		versions[VERSIONS_MAX];
	int			i = find_version(versions, parse_versions(data, len, versions, NULL));

	return i < 0 ? InvalidTransactionId : versions[i].xid;
}

bool
group_ordered_version_is_pending(const char *data, int len)
{
	Version		versions[VERSIONS_MAX];
	int			n = parse_versions(data, len, versions, NULL);

	while (--n >= 0)
		if (TransactionIdIsValid(versions[n].xid) &&
			TransactionIdIsCurrentTransactionId(versions[n].xid))
			return true;
	return false;
}

static bool
is_seen(TransactionId xid, Snapshot snapshot)
{
	if (!TransactionIdIsValid(xid))
		return true;
	return !TransactionIdIsCurrentTransactionId(xid) &&
		!XidInMVCCSnapshot(xid, snapshot) && TransactionIdDidCommit(xid);
}

bool
group_ordered_version_seen(const char *data, int len, Snapshot snapshot, OrderedState *state)
{
	Version		versions[VERSIONS_MAX];
	Trail		trail;
	int			n = parse_versions(data, len, versions, &trail);

	while (--n >= 0 && TransactionIdIsValid(versions[n].xid))
	{
		if (is_seen(versions[n].xid, snapshot))
		{
			group_ordered_decode(state, versions[n].blob, versions[n].len);
			return true;
		}
	}

	/* the settled version, if the snapshot sees its writer */
	if (n >= 0 && is_seen(trail.settled, snapshot))
	{
		group_ordered_decode(state, versions[n].blob, versions[n].len);
		return true;
	}
	for (int i = trail.n - 1; i >= 0; i--)
	{
		if (is_seen(trail.steps[i].xid, snapshot))
		{
			group_ordered_init(state, trail.steps[i].position);
			return true;
		}
	}
	return false;
}

/* is xid current, or an open (sub)transaction around it? */
static bool
is_open(TransactionId xid, TransactionId current)
{
	while (TransactionIdIsValid(current))
	{
		if (TransactionIdEquals(xid, current))
			return true;
		current = SubTransGetParent(current);
	}
	return false;
}

/*
 * The innermost open (sub)transaction to which a version of this transaction
 * belongs: its end decides the version.  All open ones above the current one
 * have xids, because a parent gets its xid before its children.
 */
static TransactionId
find_owner(TransactionId xid, TransactionId current)
{
	while (!is_open(xid, current))
	{
		xid = SubTransGetParent(xid);
		if (!TransactionIdIsValid(xid))
			elog(ERROR, "subtransaction is not part of this transaction");
	}
	return xid;
}

int
group_ordered_version_push(const char *data, int len, const char *blob, int bloblen,
						   char *result)
{
	TransactionId current = GetCurrentTransactionId();
	Version		versions[VERSIONS_MAX + 1];
	Version		kept[VERSIONS_MAX + 1];
	Trail		trail = {0};
	int			n = 0;
	int			nkept = 0;
	int			resultlen;

	if (len > 0)
		n = parse_versions(data, len, versions, &trail);

	/*
	 * Of versions decided by the same (sub)transaction only the newest can
	 * become valid: keep only that one.  Otherwise a loop of savepoints that
	 * are released one by one would pile up versions.
	 */
	for (int i = 0; i < n; i++)
	{
		TransactionId xid = versions[i].xid;

		if (is_settled(xid))
		{
			if (TransactionIdIsValid(xid))
				trail_add(&trail, &versions[i]);
			nkept = 0;
			xid = InvalidTransactionId;
		}
		else if (TransactionIdIsCurrentTransactionId(xid))
		{
			xid = find_owner(xid, current);
			if (nkept > 0 && TransactionIdEquals(kept[nkept - 1].xid, xid))
				nkept--;
		}
		else
			continue;			/* aborted */
		kept[nkept] = versions[i];
		kept[nkept++].xid = xid;
	}
	if (nkept > 0 && TransactionIdEquals(kept[nkept - 1].xid, current))
		nkept--;
	kept[nkept].xid = current;
	kept[nkept].len = bloblen;
	kept[nkept++].blob = blob;

	resultlen = format_versions(kept, nkept, &trail, result);
	if (resultlen < 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many nested savepoints change the same consumer group"),
				 errhint("Release savepoints, or acknowledge messages in fewer nested blocks.")));
	return resultlen;
}

int
group_ordered_version_make_settled(TransactionId xid, const char *data, int len,
								   const char *blob, int bloblen, char *result)
{
	Version		version = {xid, bloblen, blob};
	Version		versions[VERSIONS_MAX];
	Trail		trail = {0};
	int			n = 0;

	if (len > 0)
		n = parse_versions(data, len, versions, &trail);
	for (int i = 0; i < n; i++)
		if (TransactionIdIsValid(versions[i].xid) && is_settled(versions[i].xid))
			trail_add(&trail, &versions[i]);
	return format_versions(&version, 1, &trail, result);
}

/*
 * Called by VACUUM with the page locked.  All transactions older than cutoff
 * are decided, because none of them runs any more.
 */
static TransactionId
settle_versions(const LogStateKey *key, char *data, int *len, TransactionId cutoff,
				bool *changed)
{
	Version		versions[VERSIONS_MAX];
	Version		kept[VERSIONS_MAX];
	Trail		trail;
	int			n = parse_versions(data, *len, versions, &trail);
	int			nkept = 0;
	TransactionId oldest = InvalidTransactionId;

	*changed = false;
	for (int i = 0; i < n; i++)
	{
		TransactionId xid = versions[i].xid;

		if (TransactionIdIsNormal(xid) && TransactionIdPrecedes(xid, cutoff))
		{
			*changed = true;
			if (!TransactionIdDidCommit(xid))
				continue;
			trail_add(&trail, &versions[i]);
			nkept = 0;
			xid = InvalidTransactionId;
			trail.settled = InvalidTransactionId;
		}
		else if (TransactionIdIsNormal(xid) &&
				 (!TransactionIdIsValid(oldest) ||
				  TransactionIdPrecedes(xid, oldest)))
			oldest = xid;
		kept[nkept] = versions[i];
		kept[nkept++].xid = xid;
	}
	if (TransactionIdIsNormal(trail.settled))
	{
		if (TransactionIdPrecedes(trail.settled, cutoff))
		{
			*changed = true;
			trail.settled = InvalidTransactionId;
		}
		else if (!TransactionIdIsValid(oldest) || TransactionIdPrecedes(trail.settled, oldest))
			oldest = trail.settled;
	}
	for (int i = 0; i < trail.n; i++)
	{
		Step	   *step = &trail.steps[i];

		if (TransactionIdIsNormal(step->xid) && TransactionIdPrecedes(step->xid, cutoff))
		{
			*changed = true;
			step->xid = InvalidTransactionId;
		}
		else if (TransactionIdIsNormal(step->xid) &&
				 (!TransactionIdIsValid(oldest) ||
				  TransactionIdPrecedes(step->xid, oldest)))
			oldest = step->xid;
	}

	if (*changed)
	{
		char		result[LOG_STATE_MAX];

		*len = format_versions(kept, nkept, &trail, result);
		memcpy(data, result, *len);
	}
	return oldest;
}

/*
 * Called when the stream is truncated: its partition continues at first_offset
 * in a new file.  Messages that the group had not finished are counted as
 * expired.
 */
static bool
carry_versions(const LogStateKey *key, char *data, int *len, int64 first_offset)
{
	Version		versions[VERSIONS_MAX];
	Trail		trail;
	int			n = parse_versions(data, *len, versions, &trail);
	char		result[LOG_STATE_MAX];

	for (int i = 0; i < n; i++)
	{
		char	   *blob = palloc(ORDERED_BLOB_MAX);
		OrderedState state;

		group_ordered_decode(&state, versions[i].blob, versions[i].len);
		group_ordered_expire(&state, first_offset, first_offset);
		group_ordered_move(&state, first_offset);
		versions[i].len = group_ordered_encode(&state, blob);
		versions[i].blob = blob;
	}
	*len = format_versions(versions, n, &trail, result);
	if (*len < 0)
		report_corrupt();
	memcpy(data, result, *len);
	return true;
}

/*
 * Check all versions, also those of aborted transactions: they were valid when
 * written.
 */
static const char *
verify_versions(const LogStateKey *key, const char *data, int len, int64 next_offset)
{
	Version		versions[VERSIONS_MAX];
	int			n = parse_versions(data, len, versions, NULL);

	for (int i = 0; i < n; i++)
	{
		OrderedState state;

		group_ordered_decode(&state, versions[i].blob, versions[i].len);
		if (state.done)
			pfree(state.done);
		if (state.delivered > next_offset)
			return "a consumer group was given messages past the end of the partition";
	}
	return NULL;
}

const LogStateKind group_ordered_pages = {
	.name = "a consumer group's state",
	.settle = settle_versions,
	.carry = carry_versions,
	.verify = verify_versions
};
