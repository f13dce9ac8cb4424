/*
 * group_restored.c
 *	  Positions of groups that were restored from a logical dump.
 *
 * The messages may be restored after the groups.  Therefore the numbers of the
 * dump are kept in streamq.restored_group, and used as long as the group has
 * no state in a partition.  If the messages differ from those of the dump, the
 * group begins at the first message.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "base/dump.h"
#include "compat.h"
#include "group/group_catalog.h"
#include "group/group_restored.h"
#include "group/mode.h"
#include "log/load.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/space.h"

#define RESTORED_CATALOG	"restored_group"

enum
{
	Anum_restored_group_id = 1,
	Anum_restored_messages,
	Anum_restored_done,
	Anum_restored_prints,
	Anum_restored_islands,
	Natts_restored = Anum_restored_islands
};

/* what the dump says about one partition */
typedef struct Restored
{
	int64		messages;
	int64		done;
	int64		print;
	int			nislands;
	int64	   *ends;			/* islands, two numbers each */
	bool		all;			/* everything in all partitions was done */
	int64		total;
} Restored;

/* read what the dump says about a partition; false if it did not have it */
static bool
read_restored(Relation catalog, HeapTuple tuple, int partition, Restored *r)
{
	Datum		values[Natts_restored];
	bool		nulls[Natts_restored];
	int64		messages[LOG_MAX_PARTITIONS];
	int64		done[LOG_MAX_PARTITIONS];
	int64		prints[LOG_MAX_PARTITIONS];
	int64	   *numbers;
	int			n;
	int			nnumbers;

	memset(r, 0, sizeof(*r));
	heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
	n = base_read_numbers(values[Anum_restored_messages - 1], LOG_MAX_PARTITIONS, messages);
	if (base_read_numbers(values[Anum_restored_done - 1], LOG_MAX_PARTITIONS, done) != n ||
		base_read_numbers(values[Anum_restored_prints - 1], LOG_MAX_PARTITIONS, prints) != n)
		return false;
	r->all = true;
	for (int p = 0; p < n; p++)
	{
		r->all &= done[p] == messages[p];
		r->total += messages[p];
	}
	if (partition >= n)
		return false;
	r->messages = messages[partition];
	r->done = Max(done[partition], 0);
	r->print = prints[partition];

	nnumbers = base_count_numbers(values[Anum_restored_islands - 1]);
	numbers = palloc(Max(nnumbers, 1) * sizeof(int64));
	(void) base_read_numbers(values[Anum_restored_islands - 1], nnumbers, numbers);
	r->ends = palloc(Max(nnumbers, 1) * sizeof(int64));
	for (int i = 0; i + 2 < nnumbers; i += 3)
	{
		int64		before = r->nislands > 0 ? r->ends[2 * r->nislands - 1] : r->done;

		if (numbers[i] != partition || numbers[i + 1] <= before || numbers[i + 2] <= numbers[i + 1])
			continue;
		r->ends[2 * r->nislands] = numbers[i + 1];
		r->ends[2 * r->nislands + 1] = numbers[i + 2];
		r->nislands++;
	}
	pfree(numbers);
	return true;
}

/*
 * Find the offsets of the messages that were done.  The stream has the same
 * messages as the dump.
 */
static void
find_done(Relation rel, int partition, const Restored *r, Snapshot snapshot,
		  GroupProgress *progress)
{
	int			n = 1 + 2 * r->nislands;
	int64	   *ns = palloc(n * sizeof(int64));
	int64	   *offsets = palloc(n * sizeof(int64));
	int64		undone = -r->done;

	/*
	 * with islands, the message after the first r->done ones is not done: the
	 * group's position is its offset
	 */
	ns[0] = r->nislands > 0 ? r->done + 1 : r->done;
	for (int i = 0; i < r->nislands; i++)
	{
		ns[1 + 2 * i] = r->ends[2 * i] + 1;
		ns[2 + 2 * i] = r->ends[2 * i + 1];
	}
	log_nth_rows(rel, partition, ns, n, snapshot, offsets);
	if (r->nislands == 0)
		progress->position = offsets[0] + 1;
	else
	{
		int64		before = offsets[0];
		bool		valid = true;

		progress->position = offsets[0];
		progress->done = palloc(r->nislands * sizeof(GroupRange));
		for (int i = 0; i < r->nislands; i++)
		{
			progress->done[i].from = offsets[1 + 2 * i];
			progress->done[i].to = offsets[2 + 2 * i] + 1;
			undone += r->ends[2 * i] - (i > 0 ? r->ends[2 * i - 1] : 0);
			undone -= progress->done[i].from - before;
			valid &= before < progress->done[i].from &&
				progress->done[i].from < progress->done[i].to;
			before = progress->done[i].to;
		}

		/*
		 * in a progress, all undone offsets before the last range must be
		 * messages
		 */
		if (valid && undone == 0)
			progress->ndone = r->nislands;
	}
	pfree(ns);
	pfree(offsets);
}

/* does the stream have as many messages as the dump? */
static bool
same_number(Relation rel, int64 total, Snapshot snapshot)
{
	int			npartitions = log_partition_count(rel);

	for (int p = 0; p < npartitions; p++)
		total -= log_count_messages(rel, p, snapshot);
	return total == 0;
}

void
group_restored_progress(Relation rel, const ConsumerGroup *group, int partition,
						GroupProgress *progress)
{
	Relation	catalog = base_catalog_open(RESTORED_CATALOG, Natts_restored, AccessShareLock, false);
	HeapTuple	tuple = base_catalog_fetch(catalog, Anum_restored_group_id,
										   Int32GetDatum(group->group_id));

	/*
	 * if the dump does not have the partition, it was added after the group
	 * was created: all its messages are to be delivered
	 */
	memset(progress, 0, sizeof(GroupProgress));
	progress->position = log_origin_offset(rel, partition);

	if (HeapTupleIsValid(tuple))
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		Restored	r;
		bool		had = read_restored(catalog, tuple, partition, &r);

		if (had && (r.done > 0 || r.nislands > 0) &&
			log_ends_load(rel, partition, r.messages, snapshot) &&
			log_print(rel, partition, r.messages, snapshot) == r.print)
			find_done(rel, partition, &r, snapshot, progress);

		/*
		 * everything was done, even if the messages are in other partitions
		 * now
		 */
		else if (r.all && r.total > 0 && same_number(rel, r.total, snapshot))
			progress->position = log_next_offset(rel, partition);
		UnregisterSnapshot(snapshot);
	}
	table_close(catalog, AccessShareLock);
}

bool
group_is_being_restored(Relation rel, const ConsumerGroup *group)
{
	Relation	catalog = base_catalog_open(RESTORED_CATALOG, Natts_restored, AccessShareLock, false);
	HeapTuple	tuple = base_catalog_fetch(catalog, Anum_restored_group_id,
										   Int32GetDatum(group->group_id));
	int			npartitions = log_partition_count(rel);
	TimestampTz now = GetCurrentTimestamp();

	table_close(catalog, AccessShareLock);
	if (!HeapTupleIsValid(tuple))
		return false;
	for (int p = 0; p < npartitions; p++)
	{
		GroupFigures figures;

		group->mode->figures(rel, group, p, now, &figures);
		if (figures.last_consumed_at != 0)
			return false;
	}
	return true;
}

void
group_forget_restored(int32 group_id)
{
	Relation	catalog = base_catalog_open(RESTORED_CATALOG, Natts_restored, RowExclusiveLock, true);

	if (catalog == NULL)
		return;
	base_catalog_delete_by_key(catalog, InvalidOid, Anum_restored_group_id,
							   Int32GetDatum(group_id));
	table_close(catalog, RowExclusiveLock);
}
