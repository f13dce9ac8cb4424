/*
 * stream_dump.c
 *	  Options of streams and partitions of their messages in a logical dump:
 *	  what pg_dump reads, and what a restore does.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/dump.h"
#include "base/loaded.h"
#include "job/job.h"
#include "log/load.h"
#include "log/log.h"
#include "log/options.h"

/*
 * stream_progress(stream oid)
 *	returns (messages int8[], firsts int8[], prints int8[], barriers int8[])
 *
 * As the caller's snapshot sees the stream: for each partition the number of
 * messages, a fingerprint of the first one, and one of all; and the barriers.
 * 42809 if it is not a stream.
 */
PG_FUNCTION_INFO_V1(streamq_stream_progress);
Datum
streamq_stream_progress(PG_FUNCTION_ARGS)
{
	Relation	rel;
	LogPlan		plan;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {0};

	base_require_loaded();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	/* log_open_stream() would fail for an unlogged stream on a standby */
	rel = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream with OID %u does not exist", PG_GETARG_OID(0))));
	if (!log_is_stream(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream", RelationGetRelationName(rel))));
	log_plan_make(rel, GetActiveSnapshot(), &plan);
	relation_close(rel, AccessShareLock);

	values[0] = base_make_numbers(plan.messages, plan.npartitions);
	values[1] = base_make_numbers(plan.firsts, plan.npartitions);
	values[2] = base_make_numbers(plan.prints, plan.npartitions);
	values[3] = base_make_numbers(plan.barriers, plan.nbarriers * 3);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * make continuous views start over, because they counted messages that moved
 */
static void
reset_jobs(Oid relid)
{
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(relid);

	SPI_connect();
	SPI_execute_with_args("UPDATE streamq.job SET format = 0 "
						  "WHERE source::pg_catalog.oid OPERATOR(pg_catalog.=) $1",
						  1, &type, &value, NULL, false, 0);
	SPI_finish();
}

/*
 * place_messages(stream oid, messages int8[], firsts int8[], prints int8[],
 *			   barriers int8[])
 *
 * Moves the messages of a dump into their partitions, now or when they are
 * restored.  The stream must have the options of the dump already.
 */
PG_FUNCTION_INFO_V1(streamq_place_messages);
Datum
streamq_place_messages(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel;
	StreamOptions options;
	LogPlan		plan;
	int			nbarriers = base_count_numbers(PG_GETARG_DATUM(4));

	base_require_loaded();
	memset(&plan, 0, sizeof(plan));
	plan.npartitions = base_read_numbers(PG_GETARG_DATUM(1), LOG_MAX_PARTITIONS, plan.messages);
	plan.barriers = palloc(sizeof(int64) * Max(nbarriers, 1));
	plan.nbarriers = base_read_numbers(PG_GETARG_DATUM(4), nbarriers, plan.barriers) / 3;

	/* this waits for writers and blocks new ones */
	rel = log_open_stream(relid, ShareRowExclusiveLock);
	log_options_get(rel, &options);
	if (plan.npartitions == options.npartitions && plan.npartitions > 1 &&
		base_read_numbers(PG_GETARG_DATUM(2), LOG_MAX_PARTITIONS, plan.firsts) == plan.npartitions &&
		base_read_numbers(PG_GETARG_DATUM(3), LOG_MAX_PARTITIONS, plan.prints) == plan.npartitions &&
		log_plan_follow(rel, &plan))
		reset_jobs(relid);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

/*
 * BEFORE INSERT trigger on streamq.stream_dump: sets the options of the stream
 * and the partitions of its messages, and keeps the row out of the table.
 */
PG_FUNCTION_INFO_V1(streamq_stream_dump_restored);
Datum
streamq_stream_dump_restored(PG_FUNCTION_ARGS)
{
	bool		isnull;

	(void) base_restore_row(fcinfo, "stream_dump_restored",
							"SELECT streamq.restore_stream($1)", &isnull);
	job_note_changed();
	PG_RETURN_POINTER(NULL);
}
