/*
 * delayed.c
 *	  cancel_delayed(), and messages that wait in a logical dump.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/argument.h"
#include "base/dump.h"
#include "base/loaded.h"
#include "log/log.h"
#include "log/reader.h"
#include "stream/delay.h"
#include "stream/privilege.h"
#include "stream/writer.h"

/*
 * cancel_delayed(stream regclass, delayed_id int8) returns bool
 *
 * 42501 unless the caller may produce to the stream.
 */
PG_FUNCTION_INFO_V1(streamq_cancel_delayed);
Datum
streamq_cancel_delayed(PG_FUNCTION_ARGS)
{
	Relation	rel;
	bool		found;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	if (PG_ARGISNULL(1))
		base_null_argument("delayed_id");
	PreventCommandIfReadOnly("cancel_delayed()");
	PreventCommandIfParallelMode("cancel_delayed()");
	rel = log_open_stream(PG_GETARG_OID(0), RowExclusiveLock);
	stream_check_produce(rel, STREAM_WRITE_PAYLOAD);
	found = stream_delay_cancel(rel, PG_GETARG_INT64(1));
	table_close(rel, NoLock);
	PG_RETURN_BOOL(found);
}

/*
 * count_messages(stream oid) returns int8
 *
 * As the caller's snapshot sees the stream.  0 if it is gone.
 */
PG_FUNCTION_INFO_V1(streamq_count_messages);
Datum
streamq_count_messages(PG_FUNCTION_ARGS)
{
	Relation	rel;
	int64		messages = 0;

	base_require_loaded();
	rel = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	if (rel == NULL)
		PG_RETURN_INT64(0);
	if (log_is_stream(rel) && log_is_accessible(rel))
	{
		for (int p = 0; p < log_partition_count(rel); p++)
			messages += log_count_messages(rel, p, GetActiveSnapshot());
	}
	relation_close(rel, AccessShareLock);
	PG_RETURN_INT64(messages);
}

/*
 * BEFORE INSERT trigger on streamq.delayed_dump: makes the message of a
 * restored row wait again, and keeps the row out of the table.
 */
PG_FUNCTION_INFO_V1(streamq_delayed_dump_restored);
Datum
streamq_delayed_dump_restored(PG_FUNCTION_ARGS)
{
	bool		isnull;

	(void) base_restore_row(fcinfo, "delayed_dump_restored",
							"SELECT streamq.restore_delayed($1)", &isnull);
	stream_delay_changed();
	PG_RETURN_POINTER(NULL);
}
