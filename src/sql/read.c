/*
 * read.c
 *	  streamq.read(): messages without a consumer group.
 *
 * If read() is called in FROM, the planner replaces it by a scan where it can
 * (plan/message_scan.c), which returns messages one by one.  The function
 * itself has to collect them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "sql/sql.h"
#include "stream/message.h"
#include "stream/message_read.h"

/*
 * read(stream regclass, from_msg_id int8, max_messages int4)
 *	returns setof streamq.message
 *
 * 42501 if the caller may not read the stream, 22023 for negative arguments.
 */
PG_FUNCTION_INFO_V1(streamq_read);
Datum
streamq_read(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StreamRead *read = stream_read_begin(fcinfo->args, GetActiveSnapshot());
	MemoryContext row;
	MemoryContext old;
	Datum		values[MESSAGE_NATTS];
	bool		nulls[MESSAGE_NATTS];

	InitMaterializedSRF(fcinfo, 0);
	row = AllocSetContextCreate(CurrentMemoryContext, "streamq read",
								ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(row);
	while (stream_read_next(read, MESSAGE_ALL, values, nulls))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row);
	stream_read_end(read);
	return (Datum) 0;
}
