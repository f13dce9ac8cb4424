/*
 * messages.c
 *	  Consumed messages on their way to the caller.
 *
 * Messages are copied as they are in the log, while the group's state is
 * changed. They are converted into rows of streamq.message, or of the stream's
 * own type, one by one when the caller fetches them.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/memutils.h"
#include "access/xact.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/try.h"
#include "group/group.h"
#include "group/messages.h"
#include "log/log.h"
#include "log/reader.h"
#include "stream/message.h"

struct GroupMessages
{
	MemoryContext context;
	bool		typed;
	uint32		wanted;			/* wanted columns, unless typed */
	ErrorData  *error;			/* of the first message that cannot be
								 * returned */
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

/* a message that is formed to see whether that fails */
typedef struct Trial
{
	GroupMessages *messages;
	TupleTableSlot *slot;
	const LogKeptRow *row;
	MemoryContext context;
} Trial;

static void
form_on_trial(void *arg)
{
	Trial	   *trial = arg;
	MessageRow	row = {
		.format = trial->messages->format,
		.slot = trial->slot,
		.msg_id = trial->row->msg_id,
		.produced_at = trial->row->produced_at,
		.deliveries = trial->row->note
	};
	Datum		values[MESSAGE_NATTS];
	bool		nulls[MESSAGE_NATTS];

	MemoryContextSwitchTo(trial->context);
	stream_message_form(&row, trial->messages->wanted, values, nulls);
}

static bool
is_own_error(const ErrorData *error)
{
	return stream_message_is_own_error(error->sqlerrcode);
}

/*
 * Form the message, and throw the result away.  Effects of functions of
 * user-defined types are rolled back, because these functions are called again
 * when the caller fetches the message.
 */
static bool
can_form(GroupMessages *messages, TupleTableSlot *slot, const LogKeptRow *row)
{
	MemoryContext context = AllocSetContextCreate(messages->context,
												  "streamq message to be tried",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(messages->context);
	Trial		trial = {messages, slot, row, context};
	ErrorData  *error = base_try(form_on_trial, &trial, BASE_TRY_UNDO, is_own_error);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (error != NULL && messages->error == NULL)
		messages->error = error;
	return error == NULL;
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
	/* last warning of this session: each message is reported once */
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
group_messages_fetch(GroupMessages *messages, MessageRow *row)
{
	LogKeptRow	kept;

	if (messages->store == NULL ||
		(row->slot = log_row_store_next(messages->store, &kept)) == NULL)
		return false;
	row->format = messages->format;
	row->msg_id = kept.msg_id;
	row->produced_at = kept.produced_at;
	row->deliveries = kept.note;
	return true;
}

bool
group_messages_next(GroupMessages *messages, uint32 wanted, Datum *values, bool *nulls)
{
	MessageRow	row;

	if (!group_messages_fetch(messages, &row))
		return false;
	if (!messages->typed)
	{
		stream_message_form(&row, wanted, values, nulls);
		return true;
	}
	memset(nulls, 0, GROUP_TYPED_NATTS * sizeof(bool));
	values[0] = Int64GetDatum(row.msg_id);
	values[1] = Int32GetDatum(LOG_MSG_PARTITION(row.msg_id));
	values[2] = Int64GetDatum(LOG_MSG_OFFSET(row.msg_id));
	values[3] = TimestampTzGetDatum(row.produced_at);
	values[4] = Int32GetDatum(row.deliveries);
	nulls[5] = !(wanted & MESSAGE_COLUMN(5));
	if (!nulls[5])
		values[5] = ExecFetchSlotHeapTupleDatum(row.slot);
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
