/*
 * inflight_pages.c
 *	  What the log asks about the pages of trees: VACUUM, TRUNCATE,
 *	  check_stream().
 */
#include "postgres.h"

#include "access/transam.h"

#include "group/inflight_level.h"
#include "group/inflight_page.h"
#include "group/inflight_tree.h"

/* a page with its bytes aligned */
typedef union PageBytes
{
	char		data[LOG_STATE_MAX];
	int64		align;
} PageBytes;

/* ---- VACUUM ---- */

typedef struct OldXids
{
	TransactionId cutoff;
	TransactionId oldest;		/* that is not older than the cutoff */
} OldXids;

static void
note_xid(OldXids *xids, TransactionId xid)
{
	if (!TransactionIdIsValid(xids->oldest) || TransactionIdPrecedes(xid, xids->oldest))
		xids->oldest = xid;
}

/* all transactions older than the cutoff are decided */
static InflightOutcome
old_outcome(TransactionId xid, void *arg)
{
	OldXids    *xids = arg;

	if (TransactionIdPrecedes(xid, xids->cutoff))
		return TransactionIdDidCommit(xid) ? INFLIGHT_COMMITTED : INFLIGHT_ABORTED;
	note_xid(xids, xid);
	return INFLIGHT_RUNNING;
}

/* every snapshot sees what is older than the cutoff */
static bool
settle_trail_xid(TransactionId *xid, OldXids *xids)
{
	if (!TransactionIdIsValid(*xid))
		return false;
	if (!TransactionIdPrecedes(*xid, xids->cutoff))
	{
		note_xid(xids, *xid);
		return false;
	}
	*xid = InvalidTransactionId;
	return true;
}

static bool
settle_disk_head(char *data, int len, OldXids *xids)
{
	InflightDiskHead head;
	bool		changed;

	group_inflight_decode_head(data, len, &head);
	changed = group_inflight_settle_head(&head, old_outcome, xids);
	changed |= settle_trail_xid(&head.settled_xid, xids);
	for (int i = 0; i < head.nsteps; i++)
		changed |= settle_trail_xid(&head.steps[i].xid, xids);
	if (changed)
		memcpy(data, &head, sizeof(head));
	return changed;
}

/*
 * Remove old xids from a page.  Nobody's cursor is disturbed: entries keep
 * their slots, and those that are done stay until the next change of the
 * group finds them, which counts them.  Until then the node says what its
 * entries count as in the head.
 */
static TransactionId
settle_page(const LogStateKey *key, char *data, int *len, TransactionId cutoff, bool *changed)
{
	OldXids		xids = {cutoff, InvalidTransactionId};
	InflightSettled settled = {0};
	InflightNode node;
	PageBytes	bytes;
	int			start = 0;

	*changed = false;
	if (*len == 0)
		return InvalidTransactionId;
	memcpy(bytes.data, data, *len);
	if (key->number == 0)
	{
		start = sizeof(InflightDiskHead);
		*changed = settle_disk_head(bytes.data, *len, &xids);
	}
	group_inflight_decode_node(bytes.data + start, *len - start, &node);
	if (node.height == 0)
	{
		for (int i = 0; i < node.n; i++)
			group_inflight_settle_old(&node.u.entries[i], old_outcome, &xids, &settled);
		node.redelivered += settled.redelivered;
		if (settled.changed)
			*len = start + group_inflight_encode_node(&node, &node.counted, bytes.data + start,
													  *len - start);
	}
	*changed |= settled.changed;
	if (*changed)
		memcpy(data, bytes.data, *len);
	return xids.oldest;
}

/* ---- TRUNCATE ---- */

/*
 * The group continues at first_offset with no entries.  What was not done is
 * counted as expired.  What this transaction has done is done: if it rolls
 * back, so does the file.
 */
static bool
carry_page(const LogStateKey *key, char *data, int *len, int64 first_offset)
{
	InflightDiskHead head;
	InflightDiskHead new;

	if (key->number != 0 || *len == 0)
		return false;
	group_inflight_decode_head(data, *len, &head);
	memset(&new, 0, sizeof(new));
	new.format = INFLIGHT_FORMAT;
	new.flags = 0;
	new.last_consumed_at = head.last_consumed_at;
	new.acked = head.acked + head.done;
	new.redelivered = head.redelivered;
	new.dead_lettered = head.dead_lettered;
	new.expired = head.expired + head.waiting + head.available + head.leased +
		Max(0, first_offset - head.versions[head.nversions - 1].frontier);
	new.nversions = 1;
	new.versions[0].frontier = first_offset;
	new.nsteps = 1;
	new.steps[0].position = first_offset;
	new.next_number = 1;
	memcpy(data, &new, sizeof(new));
	*len = sizeof(new);
	return true;
}

/* ---- check_stream() ---- */

static const char *
verify_head(const char *data, int len, int64 next_offset)
{
	InflightDiskHead head;

	group_inflight_decode_head(data, len, &head);
	if (TransactionIdIsValid(head.versions[0].xid))
		return "a consumer group's state has no settled version";
	for (int i = 0; i < head.nversions; i++)
		if (head.versions[i].frontier > next_offset)
			return "a consumer group was given messages past the end of the partition";
	for (int i = 0; i < head.nspares; i++)
		if ((head.spares[i] & ~INFLIGHT_UNMADE) == 0 ||
			(head.spares[i] & ~INFLIGHT_UNMADE) >= head.next_number)
			return "a spare page of a consumer group's state has an impossible number";
	return NULL;
}

/*
 * Entries of a leaf must not overlap.  What crashes may leave behind, such as
 * entries out of a leaf's bounds, is no problem.
 */
static const char *
verify_page(const LogStateKey *key, const char *data, int len, int64 next_offset)
{
	InflightNode node;
	PageBytes	bytes;
	int			start = 0;

	if (len == 0)
		return NULL;
	if (key->number == 0)
	{
		const char *problem = verify_head(data, len, next_offset);

		if (problem != NULL)
			return problem;
		start = sizeof(InflightDiskHead);
	}
	memcpy(bytes.data, data + start, len - start);
	group_inflight_decode_node(bytes.data, len - start, &node);
	if (node.height > 0)
	{
		for (int i = 2; i < node.n; i++)
			if (group_inflight_compare(node.u.children[i - 1].key, node.u.children[i].key) >= 0)
				return "the nodes of a consumer group's state are not in order";
		return NULL;
	}
	for (int i = 0; i < node.n; i++)
	{
		const InflightEntry *entry = &node.u.entries[i];

		if (i > 0 && entry->hash == entry[-1].hash &&
			entry->from < entry[-1].from + entry[-1].count)
			return "messages have two entries in a consumer group's state";
		if (entry->from + entry->count > next_offset)
			return "a consumer group was given messages past the end of the partition";
	}
	return NULL;
}

const LogStateKind group_inflight_pages = {
	.name = "a consumer group's state",
	.settle = settle_page,
	.carry = carry_page,
	.verify = verify_page
};
