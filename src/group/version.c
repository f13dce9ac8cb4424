/*
 * version.c
 *	  The versions of a group's state on a group page.
 *
 * The bytes, oldest version first:
 *
 *		format (1 byte), number of versions (1 byte)
 *		for each version: xid (4 bytes), length (2 bytes), encoded state
 *
 * A version without an xid (InvalidTransactionId) is settled: it counts for
 * everybody.  Xids are taken out as soon as a later writer, or vacuum, finds
 * the transaction decided, so none gets old.
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/xact.h"

#include "compat.h"
#include "group/state.h"
#include "group/version.h"
#include "log/log.h"

#define VERSION_FORMAT		1
#define VERSION_HEADER		2	/* of the page's bytes */
#define VERSION_PREFIX		6	/* of each version */
#define VERSIONS_MAX		255

StaticAssertDecl(VERSION_HEADER + 3 * (VERSION_PREFIX + STATE_BLOB_MAX) <= LOG_STATE_MAX,
				 "a group page must have room for three states");

typedef struct Version
{
	TransactionId xid;
	int			len;
	const char *blob;
} Version;

static void
report_corrupt(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("invalid versions of a consumer group's state")));
}

/* the commit log knows nothing about an id that never was, or is long gone */
static bool
is_possible(TransactionId xid)
{
	return TransactionIdIsNormal(xid) &&
		!TransactionIdPrecedes(xid, COMPAT_OLDEST_XID()) &&
		TransactionIdPrecedes(xid, ReadNextTransactionId());
}

/* returns the number of versions */
static int
parse_versions(const char *data, int len, Version *versions)
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
	if (ptr != end)
		report_corrupt();
	return n;
}

/* returns the length, or -1 if it does not fit; result must not overlap the blobs */
static int
format_versions(const Version *versions, int n, char *result)
{
	char	   *ptr = result + VERSION_HEADER;

	if (n > VERSIONS_MAX)
		return -1;
	result[0] = VERSION_FORMAT;
	result[1] = (char) n;
	for (int i = 0; i < n; i++)
	{
		uint32		xid = versions[i].xid;
		uint16		bloblen = (uint16) versions[i].len;

		if (result + LOG_STATE_MAX - ptr < VERSION_PREFIX + versions[i].len)
			return -1;
		memcpy(ptr, &xid, sizeof(xid));
		memcpy(ptr + sizeof(xid), &bloblen, sizeof(bloblen));
		memcpy(ptr + VERSION_PREFIX, versions[i].blob, bloblen);
		ptr += VERSION_PREFIX + bloblen;
	}
	return ptr - result;
}

static bool
is_settled(TransactionId xid)
{
	return !TransactionIdIsValid(xid) ||
		(!TransactionIdIsCurrentTransactionId(xid) &&
		 TransactionIdDidCommit(xid));
}

bool
group_version_find(const char *data, int len, const char **blob, int *bloblen)
{
	Version		versions[VERSIONS_MAX];
	int			n = parse_versions(data, len, versions);

	while (--n >= 0)
	{
		if (is_settled(versions[n].xid) ||
			TransactionIdIsCurrentTransactionId(versions[n].xid))
		{
			*blob = versions[n].blob;
			*bloblen = versions[n].len;
			return true;
		}
	}
	return false;
}

bool
group_version_is_pending(const char *data, int len)
{
	Version		versions[VERSIONS_MAX];
	int			n = parse_versions(data, len, versions);

	while (--n >= 0)
		if (TransactionIdIsValid(versions[n].xid) &&
			TransactionIdIsCurrentTransactionId(versions[n].xid))
			return true;
	return false;
}

/* is xid one of the open (sub)transactions around, or the same as, current? */
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
 * The innermost open (sub)transaction that a version of this transaction is part
 * of: when it ends the version's fate is decided.  All open ones above the
 * current one have xids, because parents get theirs before their children.
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
group_version_push(const char *data, int len, const char *blob, int bloblen,
				   char *result)
{
	TransactionId current = GetCurrentTransactionId();
	Version		versions[VERSIONS_MAX + 1];
	Version		kept[VERSIONS_MAX + 1];
	int			n = 0;
	int			nkept = 0;
	int			resultlen;

	if (len > 0)
		n = parse_versions(data, len, versions);

	/*
	 * Of versions whose fate is the same only the newest can count again: a
	 * loop of savepoints that are released one by one does not pile them up.
	 */
	for (int i = 0; i < n; i++)
	{
		TransactionId xid = versions[i].xid;

		if (is_settled(xid))
		{
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

	resultlen = format_versions(kept, nkept, result);
	if (resultlen < 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many nested savepoints change the same consumer group"),
				 errhint("Release savepoints, or acknowledge messages in fewer nested blocks.")));
	return resultlen;
}

int
group_version_make_settled(const char *blob, int bloblen, char *result)
{
	Version		version = {InvalidTransactionId, bloblen, blob};

	return format_versions(&version, 1, result);
}

/*
 * Called by vacuum with the page locked.  Transactions older than cutoff are
 * decided: none of them runs any more.
 */
TransactionId
group_version_settle(char *data, int *len, TransactionId cutoff, bool *changed)
{
	Version		versions[VERSIONS_MAX];
	Version		kept[VERSIONS_MAX];
	int			n = parse_versions(data, *len, versions);
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
			nkept = 0;
			xid = InvalidTransactionId;
		}
		else if (TransactionIdIsNormal(xid) &&
				 (!TransactionIdIsValid(oldest) ||
				  TransactionIdPrecedes(xid, oldest)))
			oldest = xid;
		kept[nkept] = versions[i];
		kept[nkept++].xid = xid;
	}

	if (*changed)
	{
		char		result[LOG_STATE_MAX];

		*len = format_versions(kept, nkept, result);
		memcpy(data, result, *len);
	}
	return oldest;
}

/*
 * The stream was truncated: its partition goes on at first_offset in a new
 * file.  What the group had not finished is lost, and counted.
 */
void
group_version_carry(char *data, int *len, int64 first_offset)
{
	Version		versions[VERSIONS_MAX];
	int			n = parse_versions(data, *len, versions);
	char		result[LOG_STATE_MAX];

	for (int i = 0; i < n; i++)
	{
		char	   *blob = palloc(STATE_BLOB_MAX);
		PartitionState state;

		group_state_decode(&state, versions[i].blob, versions[i].len);
		group_state_expire(&state, first_offset, first_offset);
		group_state_move(&state, first_offset);
		versions[i].len = group_state_encode(&state, blob);
		versions[i].blob = blob;
	}
	*len = format_versions(versions, n, result);
	if (*len < 0)
		report_corrupt();
	memcpy(data, result, *len);
}

/* Versions of aborted transactions count, too: they were sound when written. */
const char *
group_version_verify(const char *data, int len, int64 next_offset)
{
	Version		versions[VERSIONS_MAX];
	int			n = parse_versions(data, len, versions);

	for (int i = 0; i < n; i++)
	{
		PartitionState state;

		group_state_decode(&state, versions[i].blob, versions[i].len);
		if (state.done)
			pfree(state.done);
		if (state.delivered > next_offset)
			return "a consumer group was given messages behind the end of the partition";
	}
	return NULL;
}
