/*
 * inflight_level.c
 *	  Levels of entries: what the ends of transactions make of them.
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/xact.h"
#include "storage/procarray.h"

#include "group/inflight_level.h"

InflightOutcome
group_inflight_outcome(TransactionId xid, void *arg)
{
	if (TransactionIdIsCurrentTransactionId(xid))
		return INFLIGHT_OWN;
	/* in this order, because a commit leaves the list of running ones last */
	if (TransactionIdIsInProgress(xid))
		return INFLIGHT_RUNNING;
	return TransactionIdDidCommit(xid) ? INFLIGHT_COMMITTED : INFLIGHT_ABORTED;
}

static int64
count_redelivered(const InflightEntry *entry, const InflightLevel *level)
{
	int32		before = Max(entry->levels[0].deliveries, 1);

	return level->deliveries > before ?
		(int64) (level->deliveries - before) * entry->count : 0;
}

int64
group_inflight_redelivered(const InflightEntry *entry)
{
	return count_redelivered(entry, group_inflight_top(entry));
}

void
group_inflight_settle_old(InflightEntry *entry, InflightJudge judge, void *arg,
						  InflightSettled *settled)
{
	int			n = 1;

	for (int i = 1; i < entry->nlevels; i++)
	{
		InflightLevel *level = &entry->levels[i];

		switch (judge(level->xid, arg))
		{
			case INFLIGHT_OWN:
			case INFLIGHT_RUNNING:
				entry->levels[n++] = *level;
				continue;
			case INFLIGHT_COMMITTED:
				if (level->kind == INFLIGHT_DONE &&
					(!TransactionIdIsValid(settled->newest) ||
					 TransactionIdFollows(level->xid, settled->newest)))
					settled->newest = level->xid;
				settled->redelivered += count_redelivered(entry, level);
				entry->levels[0] = *level;
				entry->levels[0].xid = InvalidTransactionId;
				entry->levels[0].uncounted = level->kind == INFLIGHT_DONE;
				n = 1;
				break;
			case INFLIGHT_ABORTED:
				break;
		}
		settled->changed = true;
	}
	entry->nlevels = n;
}

bool
group_inflight_settle(InflightEntry *entry, InflightJudge judge, void *arg,
					  InflightSettled *settled)
{
	InflightLevel *base = &entry->levels[0];

	group_inflight_settle_old(entry, judge, arg, settled);
	if (base->kind != INFLIGHT_DONE)
		return true;
	if (base->uncounted)
	{
		if (base->buried)
			settled->dead_lettered += entry->count;
		else
			settled->acked += entry->count;
		base->uncounted = false;
		settled->changed = true;
	}
	if (entry->nlevels > 1)
		return true;
	settled->changed = true;
	return false;
}

bool
group_inflight_is_foreign(const InflightEntry *entry)
{
	return entry->nlevels > 1 &&
		!TransactionIdIsCurrentTransactionId(group_inflight_top(entry)->xid);
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

TransactionId
group_inflight_owner(TransactionId xid, TransactionId current)
{
	/* all open ones have xids, because a parent gets its xid first */
	while (!is_open(xid, current))
	{
		xid = SubTransGetParent(xid);
		if (!TransactionIdIsValid(xid))
			elog(ERROR, "subtransaction is not part of this transaction");
	}
	return xid;
}

void
group_inflight_push(InflightEntry *entry, const InflightLevel *level)
{
	TransactionId current = GetCurrentTransactionId();
	int			n = 1;

	Assert(!group_inflight_is_foreign(entry));

	/*
	 * Of levels decided by the same (sub)transaction only the newest can
	 * become valid.
	 */
	for (int i = 1; i < entry->nlevels; i++)
	{
		TransactionId owner = entry->levels[i].xid;

		if (!TransactionIdEquals(owner, current))
			owner = group_inflight_owner(owner, current);
		if (n > 1 && TransactionIdEquals(entry->levels[n - 1].xid, owner))
			n--;
		entry->levels[n] = entry->levels[i];
		entry->levels[n++].xid = owner;
	}
	if (n > 1 && TransactionIdEquals(entry->levels[n - 1].xid, current))
		n--;
	if (n == INFLIGHT_MAX_LEVELS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many nested savepoints change the same message of a consumer group"),
				 errhint("Release savepoints, or acknowledge messages in fewer nested blocks.")));
	entry->levels[n] = *level;
	entry->levels[n].xid = current;
	entry->levels[n].uncounted = false;
	entry->nlevels = n + 1;
}

void
group_inflight_settle_to(InflightEntry *entry, const InflightLevel *level)
{
	entry->nlevels = 1;
	entry->levels[0] = *level;
	entry->levels[0].xid = InvalidTransactionId;
	entry->levels[0].uncounted = false;
}

void
group_inflight_init(InflightEntry *entry, uint32 hash, int64 from, int32 count)
{
	memset(entry, 0, sizeof(*entry));
	entry->hash = hash;
	entry->from = from;
	entry->count = count;
	entry->nlevels = 1;
	entry->levels[0].kind = INFLIGHT_AVAILABLE;
	entry->slot = -1;
}

/* append the part of the entry from `from` to `to` */
static void
add_part(const InflightEntry *entry, int64 from, int64 to, InflightEntry *parts, int *n)
{
	if (from >= to)
		return;
	parts[*n] = *entry;
	parts[*n].from = from;
	parts[*n].count = (int32) (to - from);
	(*n)++;
}

int
group_inflight_cut(const InflightEntry *entry, int64 from, int64 to,
				   InflightEntry *parts, int *middle)
{
	int64		end = entry->from + entry->count;
	int			n = 0;

	from = Max(from, entry->from);
	to = Min(to, end);
	if (from >= to)
	{
		parts[0] = *entry;
		*middle = -1;
		return 1;
	}
	add_part(entry, entry->from, from, parts, &n);
	*middle = n;
	add_part(entry, from, to, parts, &n);
	add_part(entry, to, end, parts, &n);
	return n;
}
