/*
 * read.c
 *	  read(): messages without a group.
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "api/api.h"
#include "log/log.h"
#include "log/options.h"
#include "streamq.h"

/* one partition from an offset on, at most max messages; how many there were */
static int
read_partition(ReturnSetInfo *rsinfo, Relation rel, MessageFormat *format,
			   TupleTableSlot *slot, int partition, int64 from, int max)
{
	LogReader  *reader = log_reader_begin(rel, partition, from, PG_INT64_MAX,
										  GetActiveSnapshot(), true);
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "streamq read",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row);
	int			n = 0;

	while (n < max && log_reader_next(reader, slot))
	{
		Datum		values[MESSAGE_NATTS];
		bool		nulls[MESSAGE_NATTS];

		CHECK_FOR_INTERRUPTS();
		message_form(format, slot, partition, log_reader_offset(reader),
					 log_reader_produced_at(reader), 0, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(row);
		n++;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row);
	log_reader_end(reader);
	return n;
}

PG_FUNCTION_INFO_V1(streamq_read);
Datum
streamq_read(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		from;
	int			max;
	Relation	rel;
	MessageFormat *format;
	TupleTableSlot *slot;
	int			npartitions;
	int64		off;

	streamq_require_loaded();
	if (PG_ARGISNULL(0))
		api_null_argument("stream");
	if (PG_ARGISNULL(1))
		api_null_argument("from_msg_id");
	if (PG_ARGISNULL(2))
		api_null_argument("max_messages");
	from = PG_GETARG_INT64(1);
	max = PG_GETARG_INT32(2);
	if (from < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", "from_msg_id"),
				 errhint("The first message of a stream has the id 0.")));
	if (max < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", "max_messages"),
				 errhint("Ask for at least one message.")));

	rel = log_open_stream(PG_GETARG_OID(0), AccessShareLock);
	api_check_read(rel);
	InitMaterializedSRF(fcinfo, 0);
	format = message_format_create(rel);
	slot = log_slot_create(rel);

	npartitions = log_partition_count(rel);
	off = LOG_MSG_OFFSET(from);
	for (int64 p = LOG_MSG_PARTITION(from); p < npartitions && max > 0; p++)
	{
		max -= read_partition(rsinfo, rel, format, slot, (int) p, off, max);
		off = 0;
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return (Datum) 0;
}
