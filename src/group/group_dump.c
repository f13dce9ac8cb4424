/*
 * restore.c
 *	  Consumer groups in a logical dump.
 *
 * pg_dump reads tables, and a group's positions are in the pages of its stream.
 * So streamq.group_dump is a table that is always empty: what pg_dump reads there
 * is computed at that moment (its condition appends the rows of a function), and rows
 * that a restore writes there become groups.
 *
 * Offsets are not the same in a restored stream.  A dump tells for each
 * partition how many messages it had, how many from the first on the group had done, as
 * the dump's snapshot sees it, which others behind them (islands: acknowledged out of
 * order), and a print of all.
 * The messages may be restored later than the groups, so this is kept in
 * streamq.restored_group and looked at when the group has no state yet.  Where the
 * messages cannot be recognized, the group begins at the first one.
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

#include "base/catalog.h"
#include "base/dump.h"
#include "base/loaded.h"
#include "compat.h"
#include "group/group_dump.h"
#include "group/ordered.h"
#include "group/version.h"
#include "log/load.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/space.h"
#include "log/state_page.h"

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

/* an island: from the first to the second of these numbers of messages */
typedef struct Islands
{
	int			n;				/* numbers, of which three are an island */
	int			max;
	int64	   *numbers;		/* partition, done before it, done with it */
} Islands;

static void
add_island(Islands *islands, int partition, int64 from, int64 to)
{
	if (islands->n + 3 > islands->max)
	{
		islands->max = Max(96, islands->max * 2);
		islands->numbers = islands->numbers == NULL ?
			palloc(islands->max * sizeof(int64)) :
			repalloc_huge(islands->numbers, islands->max * sizeof(int64));
	}
	islands->numbers[islands->n++] = partition;
	islands->numbers[islands->n++] = from;
	islands->numbers[islands->n++] = to;
}

/* messages that are done, from the first one on; adds the islands behind them */
static int64
count_done(Relation rel, int partition, const PartitionState *state, Snapshot snapshot,
		   Islands *islands)
{
	int			n = 1 + 2 * state->ndone;
	int64	   *offsets = palloc(n * sizeof(int64));
	int64	   *counts = palloc(n * sizeof(int64));
	int64		done;

	offsets[0] = state->position;
	for (int i = 0; i < state->ndone; i++)
	{
		offsets[1 + 2 * i] = state->done[i].from;
		offsets[2 + 2 * i] = state->done[i].to;
	}
	log_count_below(rel, partition, offsets, n, snapshot, counts);
	done = counts[0];
	for (int i = 0; i < state->ndone; i++)
	{
		int64		from = counts[1 + 2 * i];
		int64		to = counts[2 + 2 * i];

		if (from >= to)
			continue;			/* no messages */
		if (from == done)
			done = to;
		else
			add_island(islands, partition, from, to);
	}
	pfree(offsets);
	pfree(counts);
	return done;
}

/*
 * group_progress(relid oid, group_id int4): messages, done, prints by partition, islands
 */
PG_FUNCTION_INFO_V1(streamq_group_progress);
Datum
streamq_group_progress(PG_FUNCTION_ARGS)
{
	int32		group_id = PG_GETARG_INT32(1);
	Snapshot	snapshot = GetActiveSnapshot();
	Relation	rel;
	int64		messages[LOG_MAX_PARTITIONS];
	int64		done[LOG_MAX_PARTITIONS];
	int64		prints[LOG_MAX_PARTITIONS];
	Islands		islands = {0};
	int			npartitions;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {0};

	base_require_loaded();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rel = log_open_stream(PG_GETARG_OID(0), AccessShareLock);
	npartitions = log_partition_count(rel);
	for (int p = 0; p < npartitions; p++)
	{
		char		data[LOG_STATE_MAX];
		int			len;
		int64		first = log_first_offset(rel, p);
		PartitionState state;

		CHECK_FOR_INTERRUPTS();
		if (!log_state_read(rel, (uint32) group_id, p, data, &len))
			group_restored_state(rel, group_id, p, &state);
		else if (!group_version_seen(data, len, snapshot, &state))
			group_state_init(&state, first);
		messages[p] = log_count_rows(rel, p, first, PG_INT64_MAX, snapshot);
		done[p] = count_done(rel, p, &state, snapshot, &islands);
		prints[p] = log_print(rel, p, messages[p], snapshot);
		if (state.done)
			pfree(state.done);
	}
	table_close(rel, AccessShareLock);

	values[0] = base_make_numbers(messages, npartitions);
	values[1] = base_make_numbers(done, npartitions);
	values[2] = base_make_numbers(prints, npartitions);
	values[3] = base_make_numbers(islands.numbers, islands.n);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* ---- restore ---- */

/*
 * BEFORE INSERT on streamq.group_dump: makes the group, and keeps the row out
 * of the table.
 */
PG_FUNCTION_INFO_V1(streamq_group_dump_restored);
Datum
streamq_group_dump_restored(PG_FUNCTION_ARGS)
{
	bool		isnull;

	(void) base_restore_row(fcinfo, "group_dump_restored",
							"SELECT streamq.restore_group($1)", &isnull);
	PG_RETURN_POINTER(NULL);
}

/* find the group's row; both are to be closed by the caller if it is there */
static HeapTuple
find_restored(Relation catalog, int32 group_id, SysScanDesc *scan)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_restored_group_id, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(group_id));
	*scan = systable_beginscan(catalog, COMPAT_PRIMARY_KEY_INDEX(catalog), true, NULL,
							   1, &key);
	return systable_getnext(*scan);
}

/* what a dump said about one partition */
typedef struct Restored
{
	int64		messages;
	int64		done;
	int64		print;
	int			nislands;
	int64	   *ends;			/* of islands, two each */
	bool		all;			/* of all partitions: everything was done */
	int64		total;
} Restored;

/* false if the dump did not have the partition */
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

/* the messages are those of the dump: where are those that were done? */
static void
find_done(Relation rel, int partition, const Restored *r, Snapshot snapshot,
		  PartitionState *state)
{
	int			n = 1 + 2 * r->nislands;
	int64	   *ns = palloc(n * sizeof(int64));
	int64	   *offsets = palloc(n * sizeof(int64));
	int64		undone = -r->done;

	/* before an island there is a message that is not done */
	ns[0] = r->nislands > 0 ? r->done + 1 : r->done;
	for (int i = 0; i < r->nislands; i++)
	{
		ns[1 + 2 * i] = r->ends[2 * i] + 1;
		ns[2 + 2 * i] = r->ends[2 * i + 1];
	}
	log_nth_rows(rel, partition, ns, n, snapshot, offsets);
	if (r->nislands == 0)
		group_state_init(state, offsets[0] + 1);
	else
	{
		group_state_init(state, offsets[0]);
		for (int i = 0; i < r->nislands; i++)
		{
			group_state_append_done(state, offsets[1 + 2 * i], offsets[2 + 2 * i] + 1);
			undone += r->ends[2 * i] - (i > 0 ? r->ends[2 * i - 1] : 0);
		}
		/* the others before them are like new */
		state->delivered = offsets[n - 1] + 1;
		state->ndeliveries = 1;
		state->deliveries[0].to = state->delivered;
		state->deliveries[0].token = 0;
		state->deliveries[0].deliveries = 0;

		/* what does not count as done there must be a message */
		if (group_state_count_undone(state, state->delivered) != undone)
			group_state_move(state, state->position);
	}
	pfree(ns);
	pfree(offsets);
}

/* does the stream hold as many messages as the dump had? */
static bool
same_number(Relation rel, int64 total, Snapshot snapshot)
{
	int			npartitions = log_partition_count(rel);

	for (int p = 0; p < npartitions; p++)
		total -= log_count_messages(rel, p, snapshot);
	return total == 0;
}

void
group_restored_state(Relation rel, int32 group_id, int partition, PartitionState *state)
{
	Relation	catalog = base_catalog_open(RESTORED_CATALOG, Natts_restored, AccessShareLock, false);
	SysScanDesc scan;
	HeapTuple	tuple = find_restored(catalog, group_id, &scan);

	/*
	 * a partition without a state was added after the group: all of it is to
	 * come
	 */
	group_state_init(state, log_origin_offset(rel, partition));

	if (HeapTupleIsValid(tuple))
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		Restored	r;
		bool		had = read_restored(catalog, tuple, partition, &r);

		if (had && (r.done > 0 || r.nislands > 0) &&
			log_ends_load(rel, partition, r.messages, snapshot) &&
			log_print(rel, partition, r.messages, snapshot) == r.print)
			find_done(rel, partition, &r, snapshot, state);
		/* wherever they are now */
		else if (r.all && r.total > 0 && same_number(rel, r.total, snapshot))
			group_state_init(state, log_next_offset(rel, partition));
		UnregisterSnapshot(snapshot);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

void
group_forget_restored(int32 group_id)
{
	Relation	catalog = base_catalog_open(RESTORED_CATALOG, Natts_restored, RowExclusiveLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;

	if (catalog == NULL)
		return;
	tuple = find_restored(catalog, group_id, &scan);
	if (HeapTupleIsValid(tuple))
		base_catalog_delete(catalog, tuple);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}
