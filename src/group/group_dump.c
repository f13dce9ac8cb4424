/*
 * group_dump.c
 *	  Consumer groups in a logical dump.
 *
 * pg_dump reads tables, and a group's positions are in the pages of its stream.
 * So streamq.group_dump is a table that is always empty.  Its dump condition
 * appends the rows of a function, which computes them in pg_dump's snapshot, and
 * rows that a restore writes there become groups.
 *
 * Offsets are not the same in a restored stream, so a dump has numbers of
 * messages: for each partition how many messages it had, how many of them from
 * the first one on the group had done, which others it had done (islands:
 * acknowledged out of order), and a print of all.  group_restored.c finds the
 * messages again.
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
 * group_progress(relid oid, group_id int4): messages, done, prints by partition, islands
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
