/*
 * capture_trigger.c
 *	  The trigger function that writes changes to a stream.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "base/loaded.h"
#include "capture/capture_catalog.h"
#include "capture/capture_dependency.h"
#include "capture/capture_writer.h"
#include "compat.h"

/* a cursor on a transition table */
typedef struct Transition
{
	Tuplestorestate *rows;
	TupleTableSlot *slot;
} Transition;

static void
transition_begin(Transition *transition, Relation rel, Tuplestorestate *rows)
{
	transition->rows = rows;
	transition->slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsMinimalTuple);
	tuplestore_select_read_pointer(rows, 0);
	tuplestore_rescan(rows);
}

static bool
transition_next(Transition *transition)
{
	return tuplestore_gettupleslot(transition->rows, true, false, transition->slot);
}

static void
transition_end(Transition *transition)
{
	ExecDropSingleTupleTableSlot(transition->slot);
}

/* write the rows of one transition table */
static void
write_rows(CaptureWriter *writer, Relation rel, Tuplestorestate *rows, CaptureOp op)
{
	Transition	transition;

	transition_begin(&transition, rel, rows);
	while (transition_next(&transition))
	{
		CHECK_FOR_INTERRUPTS();
		if (op == CAPTURE_DELETE)
			capture_writer_add(writer, op, transition.slot, NULL);
		else
			capture_writer_add(writer, op, NULL, transition.slot);
	}
	transition_end(&transition);
}

/*
 * Write updated rows.  Both tables have the rows in the same order.  There is
 * one exception: if an UPDATE moves a row to another partition, and a trigger
 * of that partition leaves the row out, only its old version is there.  Then
 * nobody can tell which versions belong together.
 */
static void
write_updates(CaptureWriter *writer, Relation rel, Tuplestorestate *old_rows,
			  Tuplestorestate *new_rows)
{
	Transition	before;
	Transition	after;

	if (tuplestore_tuple_count(old_rows) != tuplestore_tuple_count(new_rows))
	{
		write_rows(writer, rel, old_rows, CAPTURE_DELETE);
		write_rows(writer, rel, new_rows, CAPTURE_INSERT);
		return;
	}
	transition_begin(&before, rel, old_rows);
	transition_begin(&after, rel, new_rows);
	while (transition_next(&before) && transition_next(&after))
	{
		CHECK_FOR_INTERRUPTS();
		capture_writer_update(writer, before.slot, after.slot);
	}
	transition_end(&before);
	transition_end(&after);
}

/* write a row that logical replication has changed */
static void
write_row(CaptureWriter *writer, TriggerData *data)
{
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		capture_writer_add(writer, CAPTURE_INSERT, NULL, data->tg_trigslot);
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		capture_writer_add(writer, CAPTURE_DELETE, data->tg_trigslot, NULL);
	else
		capture_writer_update(writer, data->tg_trigslot, data->tg_newslot);
}

/* ---- TRUNCATE ---- */

/* the last table that was truncated */
static struct
{
	Oid			relid;
	int32		number;
	LocalTransactionId lxid;
	CommandId	cid;
}			last_truncated;

/*
 * TRUNCATE of a table also truncates its descendants, after it.  Their
 * triggers fire, too, but the message about the table is enough.  Returns true
 * if the same command has truncated an ancestor.
 */
static bool
is_part_of_truncate(Oid relid, int32 number)
{
	return last_truncated.number == number && last_truncated.relid != relid &&
		last_truncated.lxid == COMPAT_MY_LXID &&
		last_truncated.cid == GetCurrentCommandId(false) &&
		list_member_oid(capture_lineage(relid), last_truncated.relid);
}

static void
write_truncate(Relation rel, int32 number)
{
	CaptureWriter *writer;

	if (is_part_of_truncate(RelationGetRelid(rel), number))
		return;
	last_truncated.relid = RelationGetRelid(rel);
	last_truncated.number = number;
	last_truncated.lxid = COMPAT_MY_LXID;
	last_truncated.cid = GetCurrentCommandId(false);
	writer = capture_writer_begin(rel, number, 1);
	capture_writer_truncate(writer, RelationGetRelid(rel));
	capture_writer_end(writer);
}

/* ---- the function ---- */

static double
count_rows(const TriggerData *data)
{
	if (TRIGGER_FIRED_FOR_ROW(data->tg_event))
		return 1;
	return tuplestore_tuple_count(data->tg_oldtable != NULL ? data->tg_oldtable :
								  data->tg_newtable);
}

/* do the tables that the trigger names belong to what has fired it? */
static bool
is_complete(const TriggerData *data)
{
	bool		is_insert = TRIGGER_FIRED_BY_INSERT(data->tg_event);
	bool		is_delete = TRIGGER_FIRED_BY_DELETE(data->tg_event);

	if (!TRIGGER_FIRED_AFTER(data->tg_event))
		return false;
	if (TRIGGER_FIRED_FOR_ROW(data->tg_event) || TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		return true;
	return (is_insert || data->tg_oldtable != NULL) && (is_delete || data->tg_newtable != NULL);
}

/*
 * Row triggers are for sessions that replicate, and statement triggers for all
 * others, however somebody has enabled them.
 */
static bool
is_responsible(const TriggerData *data)
{
	bool		for_row = TRIGGER_FIRED_FOR_ROW(data->tg_event) != 0;

	return for_row == (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA);
}

/*
 * capture_change() returns trigger
 *
 * 39P01 unless called by a trigger as capture() makes them; 55000 if there is
 * no such capture; errors of the condition and of the stream.
 */
PG_FUNCTION_INFO_V1(streamq_capture_change);
Datum
streamq_capture_change(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	CaptureWriter *writer;
	int32		number;

	base_require_loaded();
	if (!CALLED_AS_TRIGGER(fcinfo) || !is_complete(data) ||
		(number = capture_trigger_number(data->tg_trigger->tgnargs,
										 data->tg_trigger->tgargs)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called by a trigger that streamq.capture() has created",
						"capture_change")));
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
	{
		write_truncate(data->tg_relation, number);
		return PointerGetDatum(NULL);
	}
	if (count_rows(data) == 0 || !is_responsible(data))
		return PointerGetDatum(NULL);

	writer = capture_writer_begin(data->tg_relation, number, count_rows(data));
	if (TRIGGER_FIRED_FOR_ROW(data->tg_event))
		write_row(writer, data);
	else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		write_updates(writer, data->tg_relation, data->tg_oldtable, data->tg_newtable);
	else if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		write_rows(writer, data->tg_relation, data->tg_newtable, CAPTURE_INSERT);
	else
		write_rows(writer, data->tg_relation, data->tg_oldtable, CAPTURE_DELETE);
	capture_writer_end(writer);
	return PointerGetDatum(NULL);
}
