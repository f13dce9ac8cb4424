/*
 * messages.c
 *	  Messages that were consumed, on their way to the caller.
 *
 * They are copied as they are in the log while the group's state is changed, and
 * become rows of streamq.message, or of the stream's own type, one by one when they are
 * asked for.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/timestamp.h"

#include "api/api.h"
#include "group/messages.h"

struct GroupMessages
{
	MemoryContext context;
	bool		typed;
	LogRowStore *store;			/* NULL: none */
	MessageFormat *format;		/* unless typed */
	int			count;
};

GroupMessages *
group_messages_create(bool typed)
{
	GroupMessages *messages = palloc0(sizeof(GroupMessages));

	messages->context = CurrentMemoryContext;
	messages->typed = typed;
	return messages;
}

void
group_messages_add(GroupMessages *messages, Relation rel, TupleTableSlot *slot,
				   const LogKeptRow *row)
{
	if (messages->store == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(messages->context);

		if (!messages->typed)
			messages->format = message_format_create(rel);
		messages->store = log_row_store_create(rel);
		MemoryContextSwitchTo(old);
	}
	log_row_store_add(messages->store, slot, row);
	messages->count++;
}

int
group_messages_count(const GroupMessages *messages)
{
	return messages->count;
}

bool
group_messages_next(GroupMessages *messages, uint32 wanted, Datum *values, bool *nulls)
{
	TupleTableSlot *slot;
	LogKeptRow	row;
	int			partition;
	int64		off;

	if (messages->store == NULL ||
		(slot = log_row_store_next(messages->store, &row)) == NULL)
		return false;
	partition = LOG_MSG_PARTITION(row.msg_id);
	off = LOG_MSG_OFFSET(row.msg_id);
	if (!messages->typed)
	{
		message_form(messages->format, slot, partition, off, row.produced_at, row.note,
					 wanted, values, nulls);
		return true;
	}
	memset(nulls, 0, GROUP_TYPED_NATTS * sizeof(bool));
	values[0] = Int64GetDatum(row.msg_id);
	values[1] = Int32GetDatum(partition);
	values[2] = Int64GetDatum(off);
	values[3] = TimestampTzGetDatum(row.produced_at);
	values[4] = Int32GetDatum(row.note);
	nulls[5] = !(wanted & MESSAGE_COLUMN(5));
	if (!nulls[5])
		values[5] = ExecFetchSlotHeapTupleDatum(slot);
	return true;
}

void
group_messages_rewind(GroupMessages *messages)
{
	if (messages->store != NULL)
		log_row_store_rewind(messages->store);
}

void
group_messages_end(GroupMessages *messages)
{
	if (messages->store != NULL)
		log_row_store_end(messages->store);
	pfree(messages);
}
