/*
 * delay.c
 *	  Messages that wait for their deliver_at: adding and removing them.
 *
 * They are rows of an ordinary table, streamq.delayed_message, so that
 * consumers of the stream never meet them.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "compat.h"
#include "stream/dedup.h"
#include "stream/delay.h"
#include "stream/delay_table.h"
#include "stream/target.h"

/* the earliest time at which messages that this transaction touched are due */
static TimestampTz noted_due = DT_NOEND;

static void (*waker) (TimestampTz due) = NULL;

static Relation
open_table(LOCKMODE lockmode, bool missing_ok)
{
	return base_catalog_open("delayed_message", Natts_delayed, lockmode, missing_ok);
}

/* ---- telling the process that appends them ---- */

/*
 * The process is also woken after an abort, because it may have skipped a
 * message whose removal was rolled back.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	TimestampTz due = noted_due;

	if (due == DT_NOEND)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
			noted_due = DT_NOEND;
			if (waker != NULL)
				waker(due);
			break;
		case XACT_EVENT_PREPARE:
			noted_due = DT_NOEND;
			break;
		default:
			break;
	}
}

static void
note_due(TimestampTz due)
{
	noted_due = Min(noted_due, due);
}

void
stream_delay_changed(void)
{
	note_due(DT_NOBEGIN);
}

void
stream_register_delay_waker(void (*function) (TimestampTz due))
{
	waker = function;
}

void
stream_delay_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
}

/* ---- adding ---- */

/*
 * The text form of a value as the column would store it.  Fails now rather
 * than when the message is due if the value is not one for the column.
 */
static Datum
column_text(StreamTargetColumn *column, const StreamValue *value)
{
	Datum		stored = stream_target_convert(column, value->type, value->value, value->isnull);
	Oid			output;
	bool		isvarlena;

	if (value->isnull)
		return (Datum) 0;
	getTypeOutputInfo(column->type, &output, &isvarlena);
	return CStringGetTextDatum(OidOutputFunctionCall(output, stored));
}

static const char *
payload_type(const StreamTargetColumn *column)
{
	switch (column->basetype)
	{
		case JSONOID:
		case JSONBOID:
			return "jsonb";
		case BYTEAOID:
			return "bytea";
		default:
			return "text";
	}
}

void
stream_delay_add(Relation rel, const StreamDelayed *delayed)
{
	StreamTarget *target = stream_target_get(rel);
	const StreamMessage *message = &delayed->message;
	Relation	table;
	Datum		values[Natts_delayed] = {0};
	bool		nulls[Natts_delayed];

	stream_target_check(target, rel, delayed->partition, delayed->columns);
	memset(nulls, true, sizeof(nulls));
#define SET_COLUMN(column, value) \
	(values[(column) - 1] = (value), nulls[(column) - 1] = false)
	SET_COLUMN(Anum_delayed_stream, ObjectIdGetDatum(RelationGetRelid(rel)));
	SET_COLUMN(Anum_delayed_id,
			   Int64GetDatum(nextval_internal(base_catalog_oid("delayed_message_id", false), false)));
	SET_COLUMN(Anum_delayed_due_at, TimestampTzGetDatum(delayed->deliver_at));
	SET_COLUMN(Anum_delayed_deliver_at, TimestampTzGetDatum(delayed->deliver_at));
	if (delayed->partition != STREAM_ANY_PARTITION)
		SET_COLUMN(Anum_delayed_partition, Int32GetDatum(delayed->partition));
	if (!message->key.isnull)
	{
		(void) column_text(&target->key, &message->key);
		SET_COLUMN(Anum_delayed_key, message->key.value);
	}
	SET_COLUMN(Anum_delayed_payload, column_text(&target->payload, &message->payload));
	nulls[Anum_delayed_payload - 1] = message->payload.isnull;
	SET_COLUMN(Anum_delayed_payload_type, CStringGetTextDatum(payload_type(&target->payload)));
	if (!message->headers.isnull)
	{
		(void) column_text(&target->headers, &message->headers);
		SET_COLUMN(Anum_delayed_headers, message->headers.value);
	}
	if (delayed->has_dedup_id)
		SET_COLUMN(Anum_delayed_dedup_id, delayed->dedup_id);
	SET_COLUMN(Anum_delayed_attempts, Int32GetDatum(0));
#undef SET_COLUMN

	table = open_table(RowExclusiveLock, false);
	base_catalog_insert(table, values, nulls);
	table_close(table, NoLock);
	note_due(delayed->deliver_at);
}

/* ---- removing ---- */

/* delete the row, as the owner of the table; false if there is none */
static bool
delete_message(Oid relid, int64 delayed_id, TimestampTz *due, Datum *dedup_id, bool *isnull)
{
	Oid			types[2] = {OIDOID, INT8OID};
	Datum		args[2] = {ObjectIdGetDatum(relid), Int64GetDatum(delayed_id)};
	MemoryContext context = CurrentMemoryContext;
	bool		found;

	SPI_connect();
	if (SPI_execute_with_args("DELETE FROM streamq.delayed_message "
							  "WHERE stream OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass "
							  "AND delayed_id OPERATOR(pg_catalog.=) $2 "
							  "RETURNING due_at, dedup_id",
							  2, types, args, NULL, false, 0) != SPI_OK_DELETE_RETURNING)
		elog(ERROR, "could not delete from table \"%s\"", "delayed_message");
	found = SPI_processed > 0;
	if (found)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Datum		value = SPI_getbinval(row, desc, 1, isnull);

		*due = DatumGetTimestampTz(value);
		value = SPI_getbinval(row, desc, 2, isnull);
		if (!*isnull)
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			*dedup_id = PointerGetDatum(DatumGetTextPCopy(value));
			MemoryContextSwitchTo(old);
		}
	}
	SPI_finish();
	return found;
}

bool
stream_delay_cancel(Relation rel, int64 delayed_id)
{
	Relation	table = open_table(RowExclusiveLock, false);
	Oid			save_user;
	int			save_context;
	TimestampTz due;
	Datum		dedup_id = (Datum) 0;
	bool		isnull = true;
	bool		found;

	/* after an error, the end of the (sub)transaction restores the user */
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(table->rd_rel->relowner,
						   save_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	found = delete_message(RelationGetRelid(rel), delayed_id, &due, &dedup_id, &isnull);
	SetUserIdAndSecContext(save_user, save_context);
	table_close(table, NoLock);
	if (!found)
		return false;
	note_due(due);
	if (!isnull)
		stream_dedup_settle(rel, dedup_id, STREAM_NOT_WRITTEN);
	return true;
}

void
stream_delay_forget(Oid relid)
{
	Relation	table = open_table(RowExclusiveLock, true);

	if (table == NULL)
		return;
	base_catalog_delete_by_key(table, InvalidOid, Anum_delayed_stream, ObjectIdGetDatum(relid));
	table_close(table, NoLock);
}

bool
stream_delay_is_used(void)
{
	Relation	table = open_table(AccessShareLock, true);
	bool		used;

	if (table == NULL)
		return false;
	used = RelationGetNumberOfBlocks(table) > 0;
	table_close(table, AccessShareLock);
	return used;
}
