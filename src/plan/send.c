/*
 * send.c
 *	  Rows of read() and consume() on their way to the client.
 *
 * A query such as SELECT * FROM streamq.consume(...) only passes the messages
 * on.  PostgreSQL's receiver of rows, printtup(), wants values, and turns them
 * into text by their output functions.  So if the scan is the whole plan, it
 * returns slots of a kind of its own, which hold the message and form its
 * values only when somebody asks for them.  A receiver in the place of
 * printtup() finds the message in such a slot and writes it to the client
 * directly (stream/message_send.c).
 *
 * The slots are like any others for everybody else, and the receiver leaves all
 * other slots, and messages that may not be convertible, to printtup().
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/printtup.h"
#include "executor/executor.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "tcop/pquery.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "compat.h"
#include "plan/plan_internal.h"
#include "stream/message_send.h"

typedef struct MessageSlot
{
	TupleTableSlot base;		/* first */
	MessageRow	message;
	MemoryContext context;		/* for values; reset by the scan for each row */
	uint8		columns[MESSAGE_NATTS]; /* of streamq.message, for each
										 * attribute */
	uint32		wanted;			/* the same as bits */
	const int16 *formats;		/* of the client's columns; NULL: text */
	MessageTimeText time;
	StringInfoData buf;
} MessageSlot;

/* ---- the slot ---- */

static void
message_slot_init(TupleTableSlot *slot)
{
}

static void
message_slot_release(TupleTableSlot *slot)
{
}

static void
message_slot_clear(TupleTableSlot *slot)
{
	slot->tts_nvalid = 0;
	slot->tts_flags |= TTS_FLAG_EMPTY;
	ItemPointerSetInvalid(&slot->tts_tid);
}

static void
message_slot_get_attrs(TupleTableSlot *slot, int natts)
{
	MessageSlot *ms = (MessageSlot *) slot;
	MemoryContext old = MemoryContextSwitchTo(ms->context);
	Datum		values[MESSAGE_NATTS];
	bool		nulls[MESSAGE_NATTS];

	stream_message_form(&ms->message, ms->wanted, values, nulls);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		slot->tts_values[i] = values[ms->columns[i]];
		slot->tts_isnull[i] = nulls[ms->columns[i]];
	}
	slot->tts_nvalid = slot->tts_tupleDescriptor->natts;
}

static Datum
message_slot_get_sys_attr(TupleTableSlot *slot, int attnum, bool *isnull)
{
	elog(ERROR, "messages have no system columns");
	return (Datum) 0;
}

/* the values must not depend on the message, or its memory, any more */
static void
message_slot_materialize(TupleTableSlot *slot)
{
	MemoryContext old;

	slot_getallattrs(slot);
	old = MemoryContextSwitchTo(slot->tts_mcxt);
	for (int i = 0; i < slot->tts_nvalid; i++)
	{
		Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, i);

		if (!slot->tts_isnull[i])
			slot->tts_values[i] = datumCopy(slot->tts_values[i], att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
}

/* nothing copies into such a slot */
static void
message_slot_copy(TupleTableSlot *dst, TupleTableSlot *src)
{
	elog(ERROR, "cannot copy a row into the slot of a message");
}

static HeapTuple
message_slot_copy_heap_tuple(TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	return heap_form_tuple(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
}

static MinimalTuple
message_slot_copy_minimal_tuple(TupleTableSlot *slot COMPAT_MINIMAL_TUPLE_EXTRA)
{
	slot_getallattrs(slot);
	return COMPAT_FORM_MINIMAL_TUPLE(slot);
}

static const TupleTableSlotOps message_slot_ops = {
	.base_slot_size = sizeof(MessageSlot),
	.init = message_slot_init,
	.release = message_slot_release,
	.clear = message_slot_clear,
	.getsomeattrs = message_slot_get_attrs,
	.getsysattr = message_slot_get_sys_attr,
	.materialize = message_slot_materialize,
	.copyslot = message_slot_copy,
	.copy_heap_tuple = message_slot_copy_heap_tuple,
	.copy_minimal_tuple = message_slot_copy_minimal_tuple,
};

TupleTableSlot *
plan_send_slot_create(ScanState *ss, const int16 *formats)
{
	List	   *tlist = ss->ps.plan->targetlist;
	MemoryContext old;
	MessageSlot *ms;
	ListCell   *lc;
	int			n = 0;

	if (list_length(tlist) > MESSAGE_NATTS)
		return NULL;
	foreach(lc, tlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Var		   *var = (Var *) tle->expr;

		if (tle->resjunk || !IsA(var, Var) || var->varno != INDEX_VAR ||
			var->varattno < 1 || var->varattno > MESSAGE_NATTS)
			return NULL;
	}
	old = MemoryContextSwitchTo(ss->ps.state->es_query_cxt);
	ms = (MessageSlot *) ExecInitExtraTupleSlot(ss->ps.state, ExecTypeFromTL(tlist),
												&message_slot_ops);
	foreach(lc, tlist)
	{
		Var		   *var = (Var *) lfirst_node(TargetEntry, lc)->expr;

		ms->columns[n] = var->varattno - 1;
		ms->wanted |= MESSAGE_COLUMN(ms->columns[n]);
		n++;
	}
	ms->context = ss->ps.ps_ExprContext->ecxt_per_tuple_memory;
	ms->formats = formats;
	initStringInfo(&ms->buf);
	MemoryContextSwitchTo(old);
	return &ms->base;
}

TupleTableSlot *
plan_send_slot_store(TupleTableSlot *slot, const MessageRow *message)
{
	MessageSlot *ms = (MessageSlot *) slot;

	ms->message = *message;
	slot->tts_nvalid = 0;
	slot->tts_flags &= ~TTS_FLAG_EMPTY;
	return slot;
}

/* ---- the receiver ---- */

/* PostgreSQL's receiver of rows for the client */
static bool (*printtup) (TupleTableSlot *slot, DestReceiver *self) = NULL;

static ExecutorRun_hook_type prev_executor_run = NULL;

/* write a row to the client; DataRow is the message 'D' of the protocol */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	MessageSlot *ms = (MessageSlot *) slot;
	MemoryContext old;
	bool		done;
	int			natts;

	if (slot->tts_ops != &message_slot_ops || slot->tts_nvalid > 0 ||
		pg_get_client_encoding() != GetDatabaseEncoding())
		return printtup(slot, self);

	natts = slot->tts_tupleDescriptor->natts;
	old = MemoryContextSwitchTo(ms->context);
	pq_beginmessage_reuse(&ms->buf, 'D');
	pq_sendint16(&ms->buf, natts);
	done = stream_message_send(&ms->message, natts, ms->columns, ms->formats, &ms->time, &ms->buf);
	if (done)
		pq_endmessage_reuse(&ms->buf);
	MemoryContextSwitchTo(old);
	return done || printtup(slot, self);
}

/* does the receiver send rows to the client by printtup()? */
static bool
sends_rows(const DestReceiver *dest)
{
	if (dest->mydest != DestRemote && dest->mydest != DestRemoteExecute)
		return false;
	if (printtup == NULL)
	{
		DestReceiver *example = printtup_create_DR(DestRemote);

		printtup = example->receiveSlot;
		example->rDestroy(example);
	}
	return dest->receiveSlot == printtup;
}

/*
 * Let rows of a message scan go to the client directly, if the scan is the
 * whole plan.  Only the portal knows the formats of the columns.
 */
static void
plan_executor_run(QueryDesc *query, ScanDirection direction, uint64 count
				  COMPAT_EXECUTOR_RUN_EXTRA)
{
	DestReceiver *dest = query->dest;
	bool		direct = query->operation == CMD_SELECT && dest != NULL &&
		ActivePortal != NULL && ActivePortal->queryDesc == query &&
		query->estate->es_junkFilter == NULL &&
		IsA(query->planstate, CustomScanState) && sends_rows(dest) &&
		plan_message_scan_send((CustomScanState *) query->planstate, ActivePortal->formats);

	if (direct)
		dest->receiveSlot = receive_row;
	if (prev_executor_run)
		prev_executor_run(query, direction, count COMPAT_EXECUTOR_RUN_ARG);
	else
		standard_ExecutorRun(query, direction, count COMPAT_EXECUTOR_RUN_ARG);
	/* after an error, nobody uses the receiver or the scan any more */
	if (direct)
	{
		dest->receiveSlot = printtup;
		plan_message_scan_stop_sending((CustomScanState *) query->planstate);
	}
}

void
plan_send_init(void)
{
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = plan_executor_run;
}
