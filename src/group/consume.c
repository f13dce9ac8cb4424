/*
 * consume.c
 *	  streamq.consume() and streamq.consume_as(): arguments, finding or
 *	  creating the group, waiting.
 *
 * An attempt finds or creates the group, and looks for messages in all
 * partitions (consume_pass.c).  If there are none, the process sleeps until
 * the stream's doorbell rings or a lease or delay ends, and tries again.
 *
 * A SERIALIZABLE transaction gets the messages that its own snapshot sees.  It
 * fails if the group's state is based on transactions that the snapshot does
 * not see.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/consume_pass.h"
#include "group/group.h"
#include "group/group_catalog.h"
#include "group/group_live.h"
#include "group/group_ring.h"
#include "group/judge.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/queue.h"
#include "group/registry.h"
#include "group/seek.h"
#include "group/session.h"
#include "log/log.h"
#include "log/reader.h"
#include "signal/doorbell.h"
#include "stream/message.h"
#include "stream/privilege.h"

/*
 * delays until the next attempt without a ring, in ms: usually, and if a
 * partition is locked
 */
#define POLL_INTERVAL		1000
#define BUSY_INTERVAL		100

/*
 * If another transaction is creating the group, wait at least this long for it
 * (ms), even if `wait` is less: two consumers that start at the same time
 * should both find the group.
 */
#define CREATE_PATIENCE		1000
#define CREATE_INTERVAL		20

typedef struct Consume
{
	/* arguments */
	char	   *group_name;
	int			max_messages;
	const Interval *lease;		/* NULL: the group's */
	char		consumer[GROUP_CONSUMER_MAX + 1];
	bool		auto_ack;
	ArrayType  *partitions;		/* NULL: all */
	uint64		token;			/* 0: the session's */
	const char *due_column;		/* NULL: none */

	GroupMessages *messages;

	bool		group_seen;		/* an earlier attempt found the group */
	int32		entered_group;	/* the consumer is registered in this group, */
	uint32		number;			/* under this number; 0: in none */

	/* this attempt */
	Relation	rel;
	ConsumerGroup group;
	TupleTableSlot *slot;
	bool		busy;			/* a partition was locked */
	bool		creating;		/* the group's name was locked */
	bool		changed;		/* the group has another mode now */
	TimestampTz wake_at;		/* something may change without a ring then */
} Consume;

/* is there a message to deliver for a group that does not exist yet? */
static bool
has_messages(Consume *c)
{
	int			npartitions = log_partition_count(c->rel);
	bool		found = false;

	for (int p = 0; p < npartitions && !found; p++)
	{
		Snapshot	snapshot;
		LogReader  *reader;

		if (log_first_offset(c->rel, p) >= log_next_offset(c->rel, p))
			continue;
		snapshot = group_message_snapshot();
		reader = log_reader_begin(c->rel, p, 0, PG_INT64_MAX, snapshot, true);
		found = log_reader_next(reader, c->slot);
		log_reader_end(reader);
		ExecClearTuple(c->slot);
		UnregisterSnapshot(snapshot);
	}
	return found;
}

/* which partitions may be taken from; NULL: all.  Fails with 22023. */
static bool *
choose_partitions(Consume *c)
{
	int			npartitions = log_partition_count(c->rel);
	bool	   *chosen;
	Datum	   *numbers;
	bool	   *nulls;
	int			n;

	if (c->partitions == NULL)
		return NULL;
	chosen = palloc0(sizeof(bool) * npartitions);
	deconstruct_array(c->partitions, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &numbers, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		int32		p = DatumGetInt32(numbers[i]);

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not contain nulls", "partitions")));
		if (p < 0 || p >= npartitions)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("stream \"%s\" has no partition %d",
							RelationGetRelationName(c->rel), p),
					 errdetail_plural("The stream has %d partition.", "The stream has %d partitions.",
									  npartitions, npartitions)));
		chosen[p] = true;
	}
	return chosen;
}

/* take messages from the partitions, as many as max_rate allows */
static void
take_messages(Consume *c)
{
	GroupConsumer consumer = {
		.rel = c->rel,
		.group = &c->group,
		.name = c->consumer,
		.number = c->number,
		.lease = c->lease ? c->lease : &c->group.lease,
		.auto_ack = c->auto_ack,
		.partitions = choose_partitions(c),
		.messages = c->messages,
		.slot = c->slot,
		.token = c->token,
		.due_column = c->due_column ?
		get_attnum(RelationGetRelid(c->rel), c->due_column) : InvalidAttrNumber
	};

	consumer.max_messages = group_live_take(&c->group, c->max_messages, &c->wake_at);
	if (consumer.max_messages == 0)
		return;
	consumer.judge = group_judge_begin(c->rel, &c->group);
	group_consume_partitions(&consumer, &c->busy, &c->wake_at);
	group_judge_end(consumer.judge);
	group_live_return(&c->group, consumer.max_messages - group_messages_count(c->messages));
}

/*
 * Enter the registry of the group's consumers, once in a call.  It must happen
 * before messages are taken, because a lease may name the consumer's number.
 */
static void
enter_registry(Consume *c)
{
	if (c->number != 0 && c->entered_group == c->group.group_id)
		return;
	c->number = group_registry_enter(c->rel, &c->group, c->consumer);
	c->entered_group = c->group.group_id;
	if (!c->auto_ack)
		group_session_note_stream(RelationGetRelid(c->rel));
}

/*
 * One attempt to consume.  A group that does not exist is created only if
 * there is a message to deliver or no time left to wait.  Creating it earlier
 * would block other consumers of the group until this transaction ends.
 */
static void
try_consume(Consume *c, bool last)
{
	bool		exists;

	c->busy = c->creating = c->changed = false;
	c->wake_at = DT_NOEND;
	c->slot = log_slot_create(c->rel);

	/* if the group was dropped while we waited, do not create it again */
	exists = group_find(c->rel, c->group_name, !c->group_seen, &c->group);
	if (!exists && (last || has_messages(c)))
	{
		GroupOptions options;
		GroupCreated created;

		group_default_options(&options);
		created = group_create(c->rel, c->group_name, &options, false, &c->group);
		if (created == GROUP_CREATED)
		{
			GroupPlace	place = {.kind = GROUP_EARLIEST};

			group_start(c->rel, &c->group, &place);
		}
		exists = created != GROUP_BUSY;
		c->creating = !exists;
	}
	if (exists)
	{
		c->group_seen = true;
		group_check_usable(c->rel, &c->group);
		if (!c->group.paused)
		{
			enter_registry(c);
			take_messages(c);
			c->changed = c->busy && !group_is_current(c->rel, &c->group);
			group_ring_note_change(RelationGetRelid(c->rel),
								   group_messages_count(c->messages) > 0);
		}
	}
	ExecDropSingleTupleTableSlot(c->slot);
}

/* milliseconds to sleep before the next attempt */
static long
sleep_time(Consume *c, TimestampTz now, TimestampTz end)
{
	TimestampTz until = Min(end, c->wake_at);
	long		timeout = c->busy ? BUSY_INTERVAL : POLL_INTERVAL;

	if (c->creating)
		timeout = CREATE_INTERVAL;
	if (until <= now)
		return 1;
	if (until - now < timeout * INT64CONST(1000))
		timeout = (long) ((until - now + 999) / 1000);
	return timeout;
}

/* open the stream again after waiting; the name is for the error message */
static void
reopen_stream(Consume *c, Oid relid, const char *name)
{
	/* wait for a transaction that is changing or dropping the stream */
	LockRelationOid(relid, AccessShareLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream \"%s\" was dropped by another session", name)));
	c->rel = log_open_stream(relid, NoLock);
}

/*
 * Consume from a stream: attempts and waits in turn, until there are messages
 * or the time to wait is over.  Each attempt has its own memory context,
 * because there may be many.
 */
static void
consume(Consume *c, Oid relid, const Interval *wait)
{
	NameData	name;
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz end = group_add_interval(start, wait, "wait", true);
	TimestampTz patience = Max(end, TimestampTzPlusMilliseconds(start, CREATE_PATIENCE));
	MemoryContext try_context;
	bool		stale = false;
	bool		waited = false;

	if (c->lease)
		(void) group_add_interval(GetCurrentTimestamp(), c->lease, "lease", false);
	try_context = AllocSetContextCreate(CurrentMemoryContext,
										"streamq attempt to consume",
										ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		last = now >= end || stale;
		uint64		seen;
		MemoryContext old;

		if (waited)
			reopen_stream(c, relid, NameStr(name));
		else
			c->rel = log_open_stream(relid, AccessShareLock);
		namestrcpy(&name, RelationGetRelationName(c->rel));
		stream_check_read(c->rel);
		seen = signal_count(relid);
		old = MemoryContextSwitchTo(try_context);
		try_consume(c, last);
		MemoryContextSwitchTo(old);
		MemoryContextReset(try_context);
		group_messages_throw(c->messages);
		if (c->changed && group_messages_count(c->messages) == 0)
		{
			table_close(c->rel, NoLock);
			CHECK_FOR_INTERRUPTS();
			continue;
		}
		if (group_messages_count(c->messages) > 0 || (last && !(c->creating && !stale && now < patience)))
		{
			table_close(c->rel, NoLock);
			break;
		}

		/*
		 * do not keep others from truncating or dropping the stream while we
		 * sleep
		 */
		table_close(c->rel, AccessShareLock);
		InvalidateCatalogSnapshot();
		signal_wait(relid, seen, sleep_time(c, now, last ? patience : end));
		waited = true;
		/* our snapshot does not see new messages: waiting longer is useless */
		stale = IsolationIsSerializable() && signal_count(relid) != seen;
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextDelete(try_context);
}

/*
 * The lease of a session ends with the session.  An application must not lose
 * its leases because it chose such a name.
 */
static void
check_reserved_name(const char *name)
{
	char		own[GROUP_CONSUMER_MAX + 1];

	if (!group_session_is_name(name))
		return;
	group_session_name(own);
	if (strcmp(name, own) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("consumer name \"%s\" is reserved", name),
				 errdetail("Names of this form belong to sessions."),
				 errhint("Choose another name, or none to consume as this session.")));
}

/* read the arguments common to consume() and consume_as() */
static void
get_arguments(FunctionCallInfo fcinfo, Consume *c)
{
	memset(c, 0, sizeof(Consume));
	c->group_name = group_get_name_arg(fcinfo);
	group_require_arg(fcinfo, 2, "max_messages");
	group_require_arg(fcinfo, 3, "wait");
	group_require_arg(fcinfo, 6, "auto_ack");
	c->max_messages = PG_GETARG_INT32(2);
	if (c->max_messages < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", "max_messages"),
				 errhint("Ask for at least one message.")));
	if (!PG_ARGISNULL(4))
		c->lease = PG_GETARG_INTERVAL_P(4);
	if (PG_ARGISNULL(5))
		group_session_name(c->consumer);
	else
	{
		text	   *name = PG_GETARG_TEXT_PP(5);

		if (VARSIZE_ANY_EXHDR(name) == 0 ||
			VARSIZE_ANY_EXHDR(name) > GROUP_CONSUMER_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_NAME),
					 errmsg("invalid consumer name \"%s\"", text_to_cstring(name)),
					 errhint("A name must be 1 to %d bytes long.", GROUP_CONSUMER_MAX)));
		text_to_cstring_buffer(name, c->consumer, sizeof(c->consumer));
		check_reserved_name(c->consumer);
	}
	c->auto_ack = PG_GETARG_BOOL(6);
	if (!PG_ARGISNULL(7))
	{
		c->partitions = PG_GETARG_ARRAYTYPE_P(7);
		if (ARR_NDIM(c->partitions) > 1)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("argument \"%s\" must be a one-dimensional array", "partitions")));
	}
}

GroupMessages *
group_consume(FunctionCallInfo fcinfo, uint32 wanted)
{
	Consume		c;

	group_begin_change("consume()");
	group_require_arg(fcinfo, 0, "stream");
	get_arguments(fcinfo, &c);
	c.messages = group_messages_create(false, wanted);
	consume(&c, PG_GETARG_OID(0), PG_GETARG_INTERVAL_P(3));
	return c.messages;
}

GroupMessages *
group_consume_as(FunctionCallInfo fcinfo, Oid row_type)
{
	Consume		c;
	Oid			relid = OidIsValid(row_type) ? get_typ_typrelid(row_type) : InvalidOid;

	group_begin_change("consume_as()");
	get_arguments(fcinfo, &c);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("argument \"%s\" must be of the row type of a stream", "row_type"),
				 errhint("Call it as streamq.consume_as(NULL::stream_name, ...).")));
	c.messages = group_messages_create(true, MESSAGE_ALL);
	consume(&c, relid, PG_GETARG_INTERVAL_P(3));
	return c.messages;
}

GroupMessages *
group_consume_queue(Oid relid, const char *group_name, int max_messages,
					const Interval *wait, const Interval *lease, bool auto_ack,
					const GroupQueue *queue)
{
	Consume		c = {
		.group_name = pstrdup(group_name),
		.max_messages = max_messages,
		.lease = lease,
		.auto_ack = auto_ack,
		.token = queue->token,
		.due_column = queue->due_column
	};

	strlcpy(c.consumer, queue->consumer, sizeof(c.consumer));
	c.messages = group_messages_create(false, MESSAGE_ALL);
	consume(&c, relid, wait);
	return c.messages;
}

/* return the messages as the result of a function call */
static void
return_messages(FunctionCallInfo fcinfo, GroupMessages *messages)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "streamq message",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row);
	Datum		values[MESSAGE_NATTS];
	bool		nulls[MESSAGE_NATTS];

	while (group_messages_next(messages, MESSAGE_ALL, values, nulls))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row);
	group_messages_end(messages);
}

/*
 * consume(stream regclass, group_name text, max_messages int4, wait interval,
 *		lease interval, consumer text, auto_ack bool, partitions int4[])
 *	returns setof streamq.message
 *
 * Creates the group if it does not exist.  42501 if the caller may not read
 * the stream or not use the group, 22023 for invalid arguments, 25006 on a
 * standby.
 */
PG_FUNCTION_INFO_V1(streamq_consume);
Datum
streamq_consume(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	return_messages(fcinfo, group_consume(fcinfo, MESSAGE_ALL));
	return (Datum) 0;
}

/*
 * consume_as(row_type anyelement, group_name text, ...)
 *
 * As consume(), but the messages are rows of the stream's own type.  The type
 * of the first argument tells the stream; its value is ignored.
 */
PG_FUNCTION_INFO_V1(streamq_consume_as);
Datum
streamq_consume_as(PG_FUNCTION_ARGS)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);

	InitMaterializedSRF(fcinfo, 0);
	return_messages(fcinfo, group_consume_as(fcinfo, type));
	return (Datum) 0;
}
