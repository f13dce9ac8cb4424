/*
 * joined_rows.c
 *	  The messages of a round that are joined with tables, and the rows of the
 *	  join.
 *
 * The planner chooses in which order the join returns its rows.  Whether a row
 * is late, and what a session is, depends on the rows before it.  So they are
 * sorted by the place of their message in the round.
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/tuplesort.h"

#include "log/log.h"
#include "view/joined.h"

struct ViewJoinRows
{
	ViewJoin   *join;
	QueryRows  *rows;
	MemoryContext context;		/* of the round */
	HTAB	   *messages;		/* of ViewMessage, by id */
	ViewMessage **by_number;
	int64		nmessages;
	int64		max_messages;

	/* rows of the join */
	TupleDesc	desc;
	Tuplesortstate *sort;
	TupleTableSlot *numbered;	/* the first column is the message's number */
};

typedef struct JoinReceiver
{
	DestReceiver dest;
	ViewJoinRows *rows;
} JoinReceiver;

ViewJoinRows *
view_join_begin(ViewJoin *join, Relation stream, int npartitions)
{
	ViewJoinRows *rows = palloc0(sizeof(ViewJoinRows));
	HASHCTL		ctl = {
		.keysize = sizeof(int64),
		.entrysize = sizeof(ViewMessage),
		.hcxt = CurrentMemoryContext
	};

	rows->join = join;
	rows->rows = query_rows_create(stream, npartitions);
	rows->context = CurrentMemoryContext;
	rows->messages = hash_create("streamq joined messages", 1024, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	rows->max_messages = 1024;
	rows->by_number = palloc(sizeof(ViewMessage *) * rows->max_messages);
	return rows;
}

ViewMessage *
view_join_add(ViewJoinRows *rows, JobInput *input)
{
	int64		msg_id = LOG_MSG_ID(input->partition, input->off);
	ViewMessage *message;
	MemoryContext old;
	bool		found;

	old = MemoryContextSwitchTo(rows->context);
	query_rows_add(rows->rows, input);
	MemoryContextSwitchTo(old);
	message = hash_search(rows->messages, &msg_id, HASH_ENTER, &found);
	Assert(!found);
	memset(message, 0, sizeof(ViewMessage));
	message->msg_id = msg_id;
	message->number = rows->nmessages;
	if (rows->nmessages == rows->max_messages)
	{
		rows->max_messages *= 2;
		rows->by_number = repalloc_huge(rows->by_number,
										sizeof(ViewMessage *) * rows->max_messages);
	}
	rows->by_number[rows->nmessages++] = message;
	return message;
}

static ViewMessage *
find_message(ViewJoinRows *rows, int64 msg_id)
{
	ViewMessage *message = hash_search(rows->messages, &msg_id, HASH_FIND, NULL);

	if (message == NULL)
		elog(ERROR, "message " INT64_FORMAT " is not in the round", msg_id);
	return message;
}

/* ---- receiving the rows of the join ---- */

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	ViewJoinRows *rows = ((JoinReceiver *) self)->rows;
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	AttrNumber	column = 1;
	Oid			operator = Int8LessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;

	/* the executor's memory goes before the rows are processed */
	rows->desc = CreateTupleDescCopy(typeinfo);
	rows->numbered = MakeSingleTupleTableSlot(rows->desc, &TTSOpsVirtual);
	rows->sort = tuplesort_begin_heap(rows->desc, 1, &column, &operator, &collation,
									  &nulls_first, work_mem, NULL, TUPLESORT_NONE);
	MemoryContextSwitchTo(old);
}

static bool
receiver_receive(TupleTableSlot *slot, DestReceiver *self)
{
	ViewJoinRows *rows = ((JoinReceiver *) self)->rows;
	TupleTableSlot *numbered = rows->numbered;
	int			natts = rows->desc->natts;

	slot_getallattrs(slot);
	ExecClearTuple(numbered);
	memcpy(numbered->tts_values, slot->tts_values, sizeof(Datum) * natts);
	memcpy(numbered->tts_isnull, slot->tts_isnull, sizeof(bool) * natts);
	numbered->tts_values[0] =
		Int64GetDatum(find_message(rows, DatumGetInt64(slot->tts_values[0]))->number);
	ExecStoreVirtualTuple(numbered);
	tuplesort_puttupleslot(rows->sort, numbered);
	ExecClearTuple(numbered);
	return true;
}

static void
receiver_do_nothing(DestReceiver *self)
{
}

void
view_join_run(ViewJoinRows *rows, ViewJoinCallback callback, void *arg)
{
	JoinReceiver receiver = {
		.dest = {
			.receiveSlot = receiver_receive,
			.rStartup = receiver_startup,
			.rShutdown = receiver_do_nothing,
			.rDestroy = receiver_do_nothing,
			.mydest = DestNone
		},
		.rows = rows
	};
	TupleTableSlot *slot;

	if (rows->nmessages == 0)
		return;
	view_join_execute(rows->join, rows->rows, &receiver.dest);
	tuplesort_performsort(rows->sort);
	slot = MakeSingleTupleTableSlot(rows->desc, &TTSOpsMinimalTuple);
	while (tuplesort_gettupleslot(rows->sort, true, false, slot, NULL))
	{
		bool		isnull;
		int64		number = DatumGetInt64(slot_getattr(slot, 1, &isnull));

		CHECK_FOR_INTERRUPTS();
		callback(rows->by_number[number], slot, arg);
	}
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(rows->numbered);
	tuplesort_end(rows->sort);
}

void
view_join_each_message(ViewJoinRows *rows, ViewJoinCallback callback, void *arg)
{
	QueryRowsScan scan = {0};
	TupleTableSlot *slot;
	int64		msg_id;

	while ((slot = query_rows_next(rows->rows, &scan, &msg_id)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		callback(find_message(rows, msg_id), slot, arg);
	}
}

void
view_join_end(ViewJoinRows *rows)
{
	query_rows_end(rows->rows);
}
