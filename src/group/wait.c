/*
 * wait.c
 *	  streamq.wait_for_messages(): waiting for messages between transactions.
 *
 * A statement that waits keeps its snapshot, and VACUUM cannot remove what
 * that snapshot sees.  This procedure ends its transaction before it sleeps,
 * as COMMIT in a procedure does.  The next transaction has begun while it
 * sleeps, but has neither a snapshot nor locks on relations.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/consume_pass.h"
#include "group/group_catalog.h"
#include "group/group_live.h"
#include "group/judge.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/session.h"
#include "log/log.h"
#include "log/reader.h"
#include "signal/doorbell.h"
#include "stream/privilege.h"

/* how often to look without being woken, in ms */
#define POLL_INTERVAL	1000

typedef struct Wait
{
	Oid			relid;
	char	   *group_name;
	NameData	stream_name;	/* for an error message; empty at first */
	char		consumer[GROUP_CONSUMER_MAX + 1];
	TimestampTz end;
	TimestampTz wake_at;		/* something may change without a ring then */

	/* what was looked at in vain */
	MemoryContext context;
	int32		passed_group;	/* for this group */
	char	   *passed_filter;	/* with this filter; NULL: nothing yet */
	GroupPassed passed[LOG_MAX_PARTITIONS];
} Wait;

static void
check_can_commit(FunctionCallInfo fcinfo)
{
	CallContext *context = (CallContext *) fcinfo->context;

	if (context == NULL || !IsA(context, CallContext) || context->atomic || IsSubTransaction())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("wait_for_messages() cannot end this transaction"),
				 errdetail("It ends its transaction before it waits, and cannot do that in a transaction block, a function or a subtransaction."),
				 errhint("Use the argument \"wait\" of streamq.consume() to wait inside of a transaction.")));
}

/* would the first consume() of a group find a message? */
static bool
has_any_message(Relation rel, TupleTableSlot *slot)
{
	GroupConsumer consumer = {.rel = rel, .slot = slot};
	int			npartitions = log_partition_count(rel);

	for (int p = 0; p < npartitions; p++)
		if (group_has_message(&consumer, p, 0, PG_INT64_MAX, NULL))
			return true;
	return false;
}

/* forget what was looked at with another filter */
static void
check_passed(Wait *wait, const ConsumerGroup *group)
{
	const char *filter = group->filter ? group->filter : "";

	if (wait->passed_filter != NULL && wait->passed_group == group->group_id &&
		strcmp(wait->passed_filter, filter) == 0)
		return;
	if (wait->passed_filter != NULL)
		pfree(wait->passed_filter);
	wait->passed_group = group->group_id;
	wait->passed_filter = MemoryContextStrdup(wait->context, filter);
	memset(wait->passed, 0, sizeof(wait->passed));
}

/* look for a message that the group's filter and max_rate let through */
static bool
look_for(Wait *wait, GroupConsumer *consumer)
{
	const ConsumerGroup *group = consumer->group;
	bool		found;

	if (group_live_take(group, 1, &wait->wake_at) == 0)
		return false;
	group_live_return(group, 1);
	check_passed(wait, group);
	consumer->judge = group_judge_begin(consumer->rel, group);
	found = group_look_partitions(consumer, wait->passed, &wait->wake_at);
	group_judge_end(consumer->judge);
	return found;
}

/*
 * Look for messages once.  A group that does not exist would be created by
 * consume() at the first message, so any message counts.
 */
static bool
look(Wait *wait)
{
	Relation	rel;
	TupleTableSlot *slot;
	ConsumerGroup group;
	bool		found = false;

	LockRelationOid(wait->relid, AccessShareLock);
	if (NameStr(wait->stream_name)[0] != '\0' &&
		!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(wait->relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream \"%s\" was dropped by another session",
						NameStr(wait->stream_name))));
	rel = log_open_stream(wait->relid, NoLock);
	namestrcpy(&wait->stream_name, RelationGetRelationName(rel));
	stream_check_read(rel);

	slot = log_slot_create(rel);
	wait->wake_at = DT_NOEND;
	if (!group_find(rel, wait->group_name, true, &group))
		found = has_any_message(rel, slot);
	else
	{
		GroupConsumer consumer = {
			.rel = rel,
			.group = &group,
			.name = wait->consumer,
			.lease = &group.lease,
			.max_messages = 1,
			.slot = slot
		};

		group_check_usable(rel, &group);
		if (!group.paused)
			found = look_for(wait, &consumer);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
	return found;
}

/* milliseconds to sleep */
static long
sleep_time(const Wait *wait, TimestampTz now)
{
	TimestampTz until = Min(wait->end, wait->wake_at);

	if (until <= now)
		return 1;
	if (until - now < POLL_INTERVAL * INT64CONST(1000))
		return (long) ((until - now + 999) / 1000);
	return POLL_INTERVAL;
}

/* look and sleep in turn; true if there is a message */
static bool
wait_for_messages(Wait *wait)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq look",
												  ALLOCSET_DEFAULT_SIZES);
	bool		found;

	wait->context = CurrentMemoryContext;
	for (;;)
	{
		uint64		seen = signal_count(wait->relid);
		TimestampTz now = GetCurrentTimestamp();
		MemoryContext old = MemoryContextSwitchTo(context);

		found = look(wait);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		if (found || now >= wait->end)
			break;
		SPI_commit();
		InvalidateCatalogSnapshot();
		signal_wait(wait->relid, seen, sleep_time(wait, now));
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextDelete(context);
	return found;
}

/*
 * wait_for_messages(stream regclass, group_name text, timeout interval,
 *		INOUT found bool)
 *
 * A procedure that waits until consume() would find a message of the stream.
 * 2D000 if it cannot end the transaction, 42501 if the caller may not read the
 * stream or not use the group, 22023 for a negative timeout, 25006 on a
 * standby, 42P01 if the stream is dropped meanwhile.
 */
PG_FUNCTION_INFO_V1(streamq_wait_for_messages);
Datum
streamq_wait_for_messages(PG_FUNCTION_ARGS)
{
	Wait		wait = {0};
	TupleDesc	desc;
	Datum		value;
	bool		isnull = false;

	group_begin_change("wait_for_messages()");
	check_can_commit(fcinfo);
	group_require_arg(fcinfo, 0, "stream");
	group_require_arg(fcinfo, 1, "group_name");
	group_require_arg(fcinfo, 2, "timeout");
	wait.relid = PG_GETARG_OID(0);
	wait.group_name = group_get_name_arg(fcinfo);
	wait.end = group_add_interval(GetCurrentTimestamp(), PG_GETARG_INTERVAL_P(2), "timeout", true);
	group_session_name(wait.consumer);

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	value = BoolGetDatum(wait_for_messages(&wait));
	SPI_finish();

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &value, &isnull)));
}
