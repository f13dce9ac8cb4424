/*
 * redrive.c
 *	  The messages that groups have dead-lettered, and streamq.redrive().
 *
 * Rows are deleted only under a lock of the table that conflicts with itself,
 * so no row is deleted twice.  Adding rows does not conflict with it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "group/args.h"
#include "group/floor.h"
#include "group/group_catalog.h"
#include "group/group_ring.h"
#include "group/mode.h"
#include "group/redrive.h"
#include "log/log.h"
#include "log/space.h"
#include "stream/flow.h"

#define BURIED_CATALOG		"dead_lettered"

enum
{
	Anum_buried_group_id = 1,
	Anum_buried_msg_id,
	Anum_buried_deliveries,
	Anum_buried_reason,
	Anum_buried_at,
	Natts_buried = Anum_buried_at
};

/* the lock under which rows are deleted */
#define DELETE_LOCK			ShareUpdateExclusiveLock

void
group_remember_buried(const ConsumerGroup *group, int64 msg_id, int32 deliveries,
					  const char *reason)
{
	Relation	catalog = base_catalog_open(BURIED_CATALOG, Natts_buried, RowExclusiveLock, false);
	Datum		values[Natts_buried];
	bool		nulls[Natts_buried] = {0};

	values[Anum_buried_group_id - 1] = Int32GetDatum(group->group_id);
	values[Anum_buried_msg_id - 1] = Int64GetDatum(msg_id);
	values[Anum_buried_deliveries - 1] = Int32GetDatum(deliveries);
	values[Anum_buried_reason - 1] = CStringGetTextDatum(reason);
	values[Anum_buried_at - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	base_catalog_insert(catalog, values, nulls);
	table_close(catalog, RowExclusiveLock);
}

/* scan the rows of a group whose messages are in [from, to) */
static SysScanDesc
begin_scan(Relation catalog, int32 group_id, int64 from, int64 to)
{
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], Anum_buried_group_id, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(group_id));
	ScanKeyInit(&keys[1], Anum_buried_msg_id, BTGreaterEqualStrategyNumber, F_INT8GE,
				Int64GetDatum(from));
	ScanKeyInit(&keys[2], Anum_buried_msg_id, BTLessStrategyNumber, F_INT8LT,
				Int64GetDatum(to));
	return systable_beginscan(catalog,
							  base_catalog_index(catalog, "dead_lettered_group_id_msg_id_idx"),
							  true, NULL, 3, keys);
}

static void
delete_range(Relation catalog, int32 group_id, int64 from, int64 to)
{
	SysScanDesc scan = begin_scan(catalog, group_id, from, to);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		CatalogTupleDelete(catalog, &tuple->t_self);
	systable_endscan(scan);
	CommandCounterIncrement();
}

static bool
has_rows(Relation catalog, int32 group_id)
{
	SysScanDesc scan = begin_scan(catalog, group_id, 0, PG_INT64_MAX);
	bool		found = HeapTupleIsValid(systable_getnext(scan));

	systable_endscan(scan);
	return found;
}

void
group_forget_buried(int32 group_id)
{
	Relation	catalog = base_catalog_open(BURIED_CATALOG, Natts_buried, AccessShareLock, true);

	if (catalog == NULL)
		return;

	/* usually there are none, and others need not be blocked */
	if (has_rows(catalog, group_id))
	{
		LockRelation(catalog, DELETE_LOCK);
		delete_range(catalog, group_id, 0, PG_INT64_MAX);
	}
	table_close(catalog, NoLock);
}

/*
 * The sum of the first offsets of a stream's partitions when this process
 * looked last.  Offsets never go back, so the sum tells whether one has
 * changed.
 */
typedef struct Pruned
{
	Oid			relid;			/* key */
	int64		first;
} Pruned;

static int64
sum_first_offsets(Relation rel, int npartitions)
{
	int64		sum = 0;

	for (int p = 0; p < npartitions; p++)
		sum += log_first_offset(rel, p);
	return sum;
}

static Pruned *
find_pruned(Oid relid)
{
	static HTAB *all = NULL;
	Pruned	   *pruned;
	bool		found;

	if (all == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(Pruned);
		ctl.hcxt = TopMemoryContext;
		all = hash_create("streamq dead letters that were looked for", 64, &ctl,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	pruned = hash_search(all, &relid, HASH_ENTER, &found);
	if (!found)
		pruned->first = 0;
	return pruned;
}

void
group_forget_expired(Relation rel)
{
	Oid			relid = base_catalog_oid(BURIED_CATALOG, true);
	int			npartitions = log_partition_count(rel);
	int64		first = sum_first_offsets(rel, npartitions);
	Pruned	   *pruned = find_pruned(RelationGetRelid(rel));
	Relation	catalog;
	ListCell   *lc;

	if (pruned->first == first || !OidIsValid(relid) ||
		!ConditionalLockRelationOid(relid, DELETE_LOCK))
		return;
	catalog = base_catalog_open(BURIED_CATALOG, Natts_buried, NoLock, true);
	if (catalog == NULL)
		return;
	foreach(lc, group_list(rel))
	{
		const ConsumerGroup *group = lfirst(lc);

		for (int p = 0; p < npartitions && has_rows(catalog, group->group_id); p++)
			delete_range(catalog, group->group_id, LOG_MSG_ID(p, 0),
						 LOG_MSG_ID(p, log_first_offset(rel, p)));
	}
	table_close(catalog, NoLock);
	pruned->first = first;
}

/* ---- redrive ---- */

/* a row of the table */
typedef struct Buried
{
	int64		msg_id;
	ItemPointerData tid;
} Buried;

static int
compare_buried(const void *a, const void *b)
{
	int64		x = ((const Buried *) a)->msg_id;
	int64		y = ((const Buried *) b)->msg_id;

	return (x > y) - (x < y);
}

static bool
is_asked_for(const int64 *ids, int nids, int64 msg_id)
{
	int			low = 0;
	int			high = nids;

	if (ids == NULL)
		return true;
	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (ids[mid] < msg_id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < nids && ids[low] == msg_id;
}

/*
 * The rows of the group for these messages (ids NULL: all), by message.  There
 * may be more than one for a message that was dead-lettered again after a
 * seek().
 */
static Buried *
find_buried(Relation catalog, int32 group_id, const int64 *ids, int nids, int *n)
{
	SysScanDesc scan = begin_scan(catalog, group_id, 0, PG_INT64_MAX);
	HeapTuple	tuple;
	int			max = 64;
	Buried	   *buried = palloc(sizeof(Buried) * max);

	*n = 0;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int64		msg_id = DatumGetInt64(heap_getattr(tuple, Anum_buried_msg_id,
														RelationGetDescr(catalog), &isnull));

		if (!is_asked_for(ids, nids, msg_id))
			continue;
		if (*n == max)
		{
			max *= 2;
			buried = repalloc_huge(buried, sizeof(Buried) * max);
		}
		buried[*n].msg_id = msg_id;
		buried[(*n)++].tid = tuple->t_self;
	}
	systable_endscan(scan);
	qsort(buried, *n, sizeof(Buried), compare_buried);
	return buried;
}

/*
 * Redrive the messages of one partition, and delete the rows of those that
 * were accepted, and of those that retention has dropped.
 */
static int
redrive_partition(Relation rel, const ConsumerGroup *group, Relation catalog, int partition,
				  const Buried *buried, int n)
{
	int64		first = group_first_offset(rel, group, partition);
	int64	   *offsets = palloc(sizeof(int64) * n);
	int			noffsets = 0;
	int			accepted = 0;

	for (int i = 0; i < n; i++)
	{
		int64		off = LOG_MSG_OFFSET(buried[i].msg_id);

		if (off >= first && (noffsets == 0 || offsets[noffsets - 1] != off))
			offsets[noffsets++] = off;
	}
	if (noffsets > 0)
		accepted = group->mode->redeliver(rel, group, partition, offsets, noffsets);
	for (int i = 0; i < n; i++)
	{
		ItemPointerData tid = buried[i].tid;

		if (accepted == noffsets || LOG_MSG_OFFSET(buried[i].msg_id) < offsets[accepted])
			CatalogTupleDelete(catalog, &tid);
	}
	pfree(offsets);
	return accepted;
}

/*
 * redrive(stream regclass, group_name text, msg_ids int8[]) returns int8
 *
 * Delivers messages again that the group has dead-lettered.  Returns how many.
 */
PG_FUNCTION_INFO_V1(streamq_redrive);
Datum
streamq_redrive(PG_FUNCTION_ARGS)
{
	ConsumerGroup group;
	Relation	rel;
	Relation	catalog;
	int64	   *ids = NULL;
	int			nids = 0;
	Buried	   *buried;
	int			n;
	int			npartitions;
	int64		count = 0;

	group_begin_change("redrive()");
	rel = group_open(fcinfo, &group);
	if (!PG_ARGISNULL(2))
		ids = group_get_msg_ids_arg(fcinfo, 2, &nids);
	npartitions = log_partition_count(rel);

	catalog = base_catalog_open(BURIED_CATALOG, Natts_buried, DELETE_LOCK, false);
	buried = find_buried(catalog, group.group_id, ids, nids, &n);
	for (int i = 0, next; i < n; i = next)
	{
		int			partition = LOG_MSG_PARTITION(buried[i].msg_id);

		for (next = i + 1; next < n; next++)
			if (LOG_MSG_PARTITION(buried[next].msg_id) != partition)
				break;
		if (partition < npartitions)
			count += redrive_partition(rel, &group, catalog, partition, buried + i, next - i);
	}
	CommandCounterIncrement();
	table_close(catalog, NoLock);
	if (count > 0)
	{
		stream_flow_change_mark(RelationGetRelid(rel));
		group_ring_at_end(RelationGetRelid(rel), true);
	}
	table_close(rel, NoLock);
	PG_RETURN_INT64(count);
}
