/*
 * group_dump.c
 *	  Consumer groups in a logical dump.
 *
 * pg_dump copies tables, but the positions of a group are in pages of the
 * stream.  Therefore streamq.group_dump is a table that is always empty.  Its
 * dump condition appends the rows of a function, which computes the positions
 * with pg_dump's snapshot.  A row that a restore inserts into the table
 * creates a group.
 *
 * A restored stream has other offsets, so the dump counts messages instead:
 * for each partition, the number of its messages, how many of them the group
 * had done from the first one on, the islands (messages done out of order),
 * and a fingerprint of all messages.  group_restored.c finds the messages
 * again.
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

#include "base/dump.h"
#include "base/loaded.h"
#include "compat.h"
#include "group/group_catalog.h"
#include "group/mode.h"
#include "log/load.h"
#include "log/log.h"
#include "log/reader.h"

/*
 * Islands as a flat array of numbers.  An island is three numbers: the
 * partition, the number of messages before it, and the number with it.
 */
typedef struct Islands
{
	int			n;				/* length of the array */
	int			max;
	int64	   *numbers;
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

/* count the messages done from the first one on; add the islands after them */
static int64
count_done(Relation rel, int partition, const GroupProgress *progress, Snapshot snapshot,
		   Islands *islands)
{
	int			n = 1 + 2 * progress->ndone;
	int64	   *offsets = palloc(n * sizeof(int64));
	int64	   *counts = palloc(n * sizeof(int64));
	int64		done;

	offsets[0] = progress->position;
	for (int i = 0; i < progress->ndone; i++)
	{
		offsets[1 + 2 * i] = progress->done[i].from;
		offsets[2 + 2 * i] = progress->done[i].to;
	}
	log_count_below(rel, partition, offsets, n, snapshot, counts);
	done = counts[0];
	for (int i = 0; i < progress->ndone; i++)
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
 * group_progress(stream oid, group_id int4)
 *	returns (messages int8[], done int8[], prints int8[], islands int8[])
 *
 * The progress of a group for a dump.  The first three arrays have an element
 * for each partition.  42704 if the snapshot does not see the group.
 */
PG_FUNCTION_INFO_V1(streamq_group_progress);
Datum
streamq_group_progress(PG_FUNCTION_ARGS)
{
	int32		group_id = PG_GETARG_INT32(1);
	Snapshot	snapshot = GetActiveSnapshot();
	Relation	rel;
	ConsumerGroup group;
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
	if (!group_find_by_id(rel, group_id, snapshot, &group))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("stream \"%s\" has no consumer group with number %d",
						RelationGetRelationName(rel), group_id)));
	npartitions = log_partition_count(rel);
	for (int p = 0; p < npartitions; p++)
	{
		int64		first = log_first_offset(rel, p);
		GroupProgress progress;

		CHECK_FOR_INTERRUPTS();
		group.mode->progress(rel, &group, p, snapshot, &progress);
		messages[p] = log_count_rows(rel, p, first, PG_INT64_MAX, snapshot);
		done[p] = count_done(rel, p, &progress, snapshot, &islands);
		prints[p] = log_print(rel, p, messages[p], snapshot);
		if (progress.done)
			pfree(progress.done);
	}
	table_close(rel, AccessShareLock);

	values[0] = base_make_numbers(messages, npartitions);
	values[1] = base_make_numbers(done, npartitions);
	values[2] = base_make_numbers(prints, npartitions);
	values[3] = base_make_numbers(islands.numbers, islands.n);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * BEFORE INSERT trigger on streamq.group_dump: creates the group that the row
 * describes, and keeps the row out of the table.
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
