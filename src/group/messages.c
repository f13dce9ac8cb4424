/*
 * messages.c
 *	  Messages that were consumed, on their way to the caller.
 *
 * They are copied as they are in the log while the group's state is changed, and
 * become rows of streamq.message, or of the stream's own type, one by one when they are
 * asked for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/group.h"
#include "group/messages.h"
#include "log/log.h"
#include "log/reader.h"
#include "stream/message.h"

struct GroupMessages
{
	MemoryContext context;
	bool		typed;
	uint32		wanted;			/* columns, unless typed */
	ErrorData  *error;			/* of the first that cannot be returned */
	LogRowStore *store;			/* NULL: none */
	MessageFormat *format;		/* unless typed */
	int			count;
};

Snapshot
group_message_snapshot(void)
{
	return RegisterSnapshot(IsolationIsSerializable() ? GetTransactionSnapshot() :
							GetLatestSnapshot());
}

GroupMessages *
group_messages_create(bool typed, uint32 wanted)
{
	GroupMessages *messages = palloc0(sizeof(GroupMessages));

	messages->context = CurrentMemoryContext;
	messages->typed = typed;
	messages->wanted = wanted;
	return messages;
}

/*
 * Form the message and forget it.  What functions of a user's types do meanwhile is
 * undone: they are called again for the caller.
 */
static bool
can_form(GroupMessages *messages, TupleTableSlot *slot, const LogKeptRow *row)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(old, "streamq message to be tried",
												  ALLOCSET_DEFAULT_SIZES);
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		Datum		values[MESSAGE_NATTS];
		bool		nulls[MESSAGE_NATTS];

		MemoryContextSwitchTo(context);
		stream_message_form(messages->format, slot, LOG_MSG_PARTITION(row->msg_id),
							LOG_MSG_OFFSET(row->msg_id), row->produced_at, row->note,
							messages->wanted, values, nulls);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(messages->context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
	MemoryContextDelete(context);
	if (error == NULL)
		return true;
	if (!stream_message_is_own_error(error->sqlerrcode))
		ReThrowError(error);
	if (messages->error == NULL)
		messages->error = error;
	return false;
}

bool
group_messages_try(GroupMessages *messages, Relation rel, TupleTableSlot *slot,
				   const LogKeptRow *row)
{
	if (messages->typed)
		return true;
	if (messages->format == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(messages->context);

		messages->format = stream_message_format_create(rel);
		MemoryContextSwitchTo(old);
	}
	return stream_message_is_sure(messages->format, slot, messages->wanted) ||
		can_form(messages, slot, row);
}

void
group_messages_throw(GroupMessages *messages)
{
	/* the last warning of this session: one for each message will do */
	static char *last = NULL;
	ErrorData  *error = messages->error;

	if (error == NULL)
		return;
	if (messages->count == 0)
		ReThrowError(error);
	if (last == NULL || strcmp(last, error->message) != 0)
	{
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg_internal("%s", error->message),
				 errdetail_internal("%s", error->detail),
				 errhint("%s", error->hint)));
		if (last)
			pfree(last);
		last = MemoryContextStrdup(TopMemoryContext, error->message);
	}
}

void
group_messages_add(GroupMessages *messages, Relation rel, TupleTableSlot *slot,
				   const LogKeptRow *row)
{
	if (messages->store == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(messages->context);

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
		stream_message_form(messages->format, slot, partition, off, row.produced_at, row.note,
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
