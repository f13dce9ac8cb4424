/*
 * message_read.c
 *	  Reading the messages of a stream in sequence, without a consumer
 *	  group.
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

#include "base/argument.h"
#include "base/loaded.h"
#include "log/log.h"
#include "log/reader.h"
#include "stream/message.h"
#include "stream/message_read.h"
#include "stream/privilege.h"

struct StreamRead
{
	Relation	rel;
	Snapshot	snapshot;
	MessageFormat *format;
	TupleTableSlot *slot;
	MemoryContext context;		/* context of this struct */
	int			npartitions;
	int64		partition;		/* current partition; without a reader, the
								 * next one */
	int64		from;			/* offset at which to begin in this partition */
	int32		left;			/* messages still to return */
	LogReader  *reader;
};

StreamRead *
stream_read_begin(const NullableDatum *args, Snapshot snapshot)
{
	StreamRead *read;
	int64		from;
	int32		max;

	base_require_loaded();
	if (args[0].isnull)
		base_null_argument("stream");
	if (args[1].isnull)
		base_null_argument("from_msg_id");
	if (args[2].isnull)
		base_null_argument("max_messages");
	from = DatumGetInt64(args[1].value);
	max = DatumGetInt32(args[2].value);
	if (from < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", "from_msg_id"),
				 errhint("The first message of a stream has msg_id 0.")));
	if (max < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", "max_messages")));

	read = palloc0(sizeof(StreamRead));
	read->context = CurrentMemoryContext;
	read->rel = log_open_stream(DatumGetObjectId(args[0].value), AccessShareLock);
	stream_check_read(read->rel);
	read->snapshot = snapshot;
	read->format = stream_message_format_create(read->rel);
	read->slot = log_slot_create(read->rel);
	read->npartitions = log_partition_count(read->rel);
	read->partition = LOG_MSG_PARTITION(from);
	read->from = LOG_MSG_OFFSET(from);
	read->left = max;
	return read;
}

bool
stream_read_fetch(StreamRead *read, MessageRow *row)
{
	while (read->left > 0 && read->partition < read->npartitions)
	{
		if (read->reader == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(read->context);

			read->reader = log_reader_begin(read->rel, (int) read->partition, read->from,
											PG_INT64_MAX, read->snapshot, true);
			MemoryContextSwitchTo(old);
		}
		if (log_reader_next(read->reader, read->slot))
		{
			row->format = read->format;
			row->slot = read->slot;
			row->msg_id = LOG_MSG_ID(read->partition, log_reader_offset(read->reader));
			row->produced_at = log_reader_produced_at(read->reader);
			row->deliveries = 0;
			read->left--;
			return true;
		}
		log_reader_end(read->reader);
		read->reader = NULL;
		read->partition++;
		read->from = 0;
	}
	return false;
}

bool
stream_read_next(StreamRead *read, uint32 wanted, Datum *values, bool *nulls)
{
	MessageRow	row;

	if (!stream_read_fetch(read, &row))
		return false;
	stream_message_form(&row, wanted, values, nulls);
	return true;
}

void
stream_read_end(StreamRead *read)
{
	if (read->reader != NULL)
		log_reader_end(read->reader);
	ExecDropSingleTupleTableSlot(read->slot);
	table_close(read->rel, NoLock);
	pfree(read);
}
