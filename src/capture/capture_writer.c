/*
 * capture_writer.c
 *	  Writing changes of a captured table to its stream.
 *
 * A stream with a column "payload" gets a change as one jsonb.  It is written
 * directly into a buffer, because that costs less than to build it of parts.
 * Everything that is the same in all messages of a statement comes first and
 * is written once.
 *
 * Any other stream gets the parts of a change in columns of their names.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/command.h"
#include "capture/capture_count.h"
#include "capture/capture_format.h"
#include "capture/capture_writer.h"
#include "compat.h"
#include "log/log.h"
#include "stream/by_name.h"
#include "stream/message.h"
#include "stream/privilege.h"
#include "stream/writer.h"

/* messages that are written together, by number and size */
#define FLUSH_MESSAGES	16384
#define FLUSH_BYTES		(4 * 1024 * 1024)

static const char *const op_names[] = {"insert", "update", "delete", "truncate", "snapshot"};

/* the parts of a change, as keys of an object, in their order */
static const char *const part_names[] = {"at", "op", "txid", "after", "before", "source"};

/* columns of a change for streams without a payload */
enum
{
	COLUMN_OP,
	COLUMN_BEFORE,
	COLUMN_AFTER,
	COLUMN_SOURCE,
	COLUMN_TXID,
	COLUMN_AT,
	COLUMN_KEY,
	NCOLUMNS
};

struct CaptureWriter
{
	MemoryContext context;		/* of this struct */
	MemoryContext row_context;	/* of the values of one message */
	CaptureFormat *format;
	Relation	stream;
	BaseIdentity identity;
	char	   *source_name;
	uint64		txid;

	ExprState  *condition;
	ExprContext *econtext;

	StreamWriter *messages;		/* NULL: the stream has no payload */
	bool		has_key;		/* the stream has a column for the key */
	CaptureBuffer buffer;
	CaptureBuffer prefix;		/* the first parts of a change of this kind */
	CaptureOpenObject prefix_object;
	int			prefix_op;		/* -1: none yet */
	CaptureObject change;

	StreamByName *rows;
	TupleTableSlot *row;		/* NCOLUMNS columns */

	int			npending;		/* since the last flush */
	Size		pending_bytes;
	int64		nwritten;
};

/* ---- beginning ---- */

static TupleDesc
make_change_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(NCOLUMNS);

	TupleDescInitEntry(desc, COLUMN_OP + 1, "op", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, COLUMN_BEFORE + 1, "before", JSONBOID, -1, 0);
	TupleDescInitEntry(desc, COLUMN_AFTER + 1, "after", JSONBOID, -1, 0);
	TupleDescInitEntry(desc, COLUMN_SOURCE + 1, "source", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, COLUMN_TXID + 1, "txid", INT8OID, -1, 0);
	TupleDescInitEntry(desc, COLUMN_AT + 1, "at", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, COLUMN_KEY + 1, "key", TEXTOID, -1, 0);
	return desc;
}

static bool
has_column(Relation stream, const char *name)
{
	return AttributeNumberIsValid(get_attnum(RelationGetRelid(stream), name));
}

static bool
takes_messages(Relation stream)
{
	AttrNumber	payload = get_attnum(RelationGetRelid(stream), "payload");

	return AttributeNumberIsValid(payload) &&
		stream_is_payload_type(TupleDescAttr(RelationGetDescr(stream), payload - 1)->atttypid);
}

static int
message_columns(Relation stream)
{
	return STREAM_WRITE_PAYLOAD | (has_column(stream, "key") ? STREAM_WRITE_KEY : 0);
}

void
capture_check_stream(Relation stream, Relation source)
{
	if (takes_messages(stream))
		stream_check_produce(stream, message_columns(stream));
	else
	{
		StreamRowSource row = {"capture", make_change_desc(), 0, InvalidAttrNumber};

		stream_by_name_check(stream, &row);
	}
}

/* open the stream; the triggers of a dump may be there without it */
static Relation
open_stream(Relation rel, const Capture *capture)
{
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(capture->stream)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the stream into which table \"%s\" is captured does not exist",
						RelationGetRelationName(rel)),
				 errhint("Drop the triggers of the table whose names begin with \"streamq_capture_%d_\".",
						 capture->number)));
	return log_open_stream(capture->stream, RowExclusiveLock);
}

static void
begin_output(CaptureWriter *writer, double nrows)
{
	Relation	stream = writer->stream;
	int			expected = Max(Min(nrows, FLUSH_MESSAGES), 1);

	if (takes_messages(stream))
	{
		int			columns = message_columns(stream);

		stream_check_produce(stream, columns);
		writer->has_key = (columns & STREAM_WRITE_KEY) != 0;
		writer->messages = stream_writer_begin(stream, expected, STREAM_ANY_PARTITION, columns);
		capture_buffer_init(&writer->buffer);
		capture_buffer_init(&writer->prefix);
		capture_object_prepare(&writer->change, part_names, lengthof(part_names));
		writer->prefix_op = -1;
	}
	else
	{
		StreamRowSource row = {"capture", make_change_desc(), 0, InvalidAttrNumber};

		writer->rows = stream_by_name_begin(stream, &row, expected);
		writer->row = MakeSingleTupleTableSlot(row.desc, &TTSOpsVirtual);
		writer->has_key = has_column(stream, "key");
		capture_buffer_init(&writer->buffer);
	}
}

static char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

CaptureWriter *
capture_writer_begin(Relation rel, int32 number, double nrows)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq capture",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CaptureWriter *writer = palloc0(sizeof(CaptureWriter));
	const Capture *capture;

	writer->context = context;
	writer->format = capture_format_get(rel, number);
	capture = writer->format->capture;
	writer->row_context = AllocSetContextCreate(context, "streamq captured row",
												ALLOCSET_DEFAULT_SIZES);
	writer->source_name = qualified_name(capture->source);
	base_become_role(relation_owner(capture->source), &writer->identity);
	writer->txid = U64FromFullTransactionId(GetTopFullTransactionId());
	writer->stream = open_stream(rel, capture);
	if (writer->format->condition != NULL)
	{
		writer->econtext = CreateStandaloneExprContext();
		writer->condition = ExecInitExpr(writer->format->condition, NULL);
	}
	begin_output(writer, nrows);
	MemoryContextSwitchTo(old);
	return writer;
}

/* ---- flushing ---- */

static void
flush(CaptureWriter *writer)
{
	const int64 *msg_ids;

	if (writer->npending == 0)
		return;
	if (writer->messages != NULL)
		writer->nwritten += stream_writer_flush(writer->messages, &msg_ids);
	else
		writer->nwritten += stream_by_name_flush(writer->rows);
	writer->npending = 0;
	writer->pending_bytes = 0;
}

/* a message of so many bytes was added */
static inline void
note_pending(CaptureWriter *writer, Size bytes)
{
	writer->npending++;
	writer->pending_bytes += bytes;
	if (writer->npending >= FLUSH_MESSAGES || writer->pending_bytes >= FLUSH_BYTES)
		flush(writer);
}

void
capture_writer_end(CaptureWriter *writer)
{
	const Capture *capture = writer->format->capture;

	flush(writer);
	if (writer->messages != NULL)
		stream_writer_end(writer->messages);
	else
	{
		stream_by_name_end(writer->rows);
		ExecDropSingleTupleTableSlot(writer->row);
	}
	if (writer->econtext != NULL)
		FreeExprContext(writer->econtext, true);
	table_close(writer->stream, NoLock);
	base_become_caller(&writer->identity);
	capture_count_add(capture->source, capture->number, writer->nwritten);
	MemoryContextDelete(writer->context);
}

/* ---- the key ---- */

/* the text of the key; NULL if the table has none */
static text *
make_key(CaptureWriter *writer, TupleTableSlot *slot)
{
	CaptureKey *key = &writer->format->key;
	JsonbParseState *state = NULL;
	JsonbValue *array;
	char	   *string;

	if (key->ncolumns == 0)
		return NULL;
	if (key->ncolumns == 1)
	{
		int			i = key->columns[0].attnum - 1;
		Datum		value = slot->tts_values[i];
		char		number[MAXINT8LEN + 1];

		if (slot->tts_isnull[i])
			return NULL;
		switch (key->columns[0].basetype)
		{
			case INT4OID:
				return cstring_to_text_with_len(number, pg_ltoa(DatumGetInt32(value), number));
			case INT8OID:
				return cstring_to_text_with_len(number, pg_lltoa(DatumGetInt64(value), number));
			case TEXTOID:
				return DatumGetTextPP(value);
			default:
				return cstring_to_text(OutputFunctionCall(&key->output, value));
		}
	}

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < key->ncolumns; i++)
	{
		StreamJsonColumn *column = &key->columns[i];
		JsonbValue	element = {.type = jbvNull};

		if (!slot->tts_isnull[column->attnum - 1])
			stream_json_element(column, slot->tts_values[column->attnum - 1], &element);
		(void) pushJsonbValue(&state, WJB_ELEM, &element);
	}
	array = pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	string = JsonbToCString(NULL, &JsonbValueToJsonb(array)->root, 0);
	return cstring_to_text(string);
}

/* do two rows have different keys? */
static bool
keys_differ(CaptureWriter *writer, TupleTableSlot *before, TupleTableSlot *after)
{
	const CaptureKey *key = &writer->format->key;

	for (int i = 0; i < key->ncolumns; i++)
	{
		AttrNumber	attnum = key->columns[i].attnum;
		Form_pg_attribute att = TupleDescAttr(before->tts_tupleDescriptor, attnum - 1);

		if (before->tts_isnull[attnum - 1] != after->tts_isnull[attnum - 1])
			return true;
		if (!before->tts_isnull[attnum - 1] &&
			!datum_image_eq(before->tts_values[attnum - 1], after->tts_values[attnum - 1],
							att->attbyval, att->attlen))
			return true;
	}
	return false;
}

/* ---- messages ---- */

static JEntry
write_string(CaptureBuffer *buffer, const char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	return capture_write_value(buffer, &value);
}

/* write the parts of a change that do not depend on the row */
static void
make_prefix(CaptureWriter *writer, CaptureOp op)
{
	CaptureBuffer *buffer = &writer->prefix;
	CaptureOpenObject *object = &writer->prefix_object;
	char		at[MAXDATELEN + 1];
	JsonbValue	txid;

	JsonEncodeDateTime(at, TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
					   TIMESTAMPTZOID, NULL);
	txid.type = jbvNumeric;
	txid.val.numeric = int64_to_numeric((int64) writer->txid);
	capture_buffer_reset(buffer);
	capture_object_open(buffer, &writer->change, object);
	capture_object_add(buffer, object, write_string(buffer, at));
	capture_object_add(buffer, object, write_string(buffer, op_names[op]));
	capture_object_add(buffer, object, capture_write_value(buffer, &txid));
	writer->prefix_op = op;
}

static void
add_row(CaptureWriter *writer, CaptureOpenObject *object, TupleTableSlot *slot)
{
	JEntry		entry = slot == NULL ? JENTRY_ISNULL :
		capture_write_row(&writer->buffer, &writer->format->row, slot);

	capture_object_add(&writer->buffer, object, entry);
}

/* hand the message in the buffer over */
static void
add_message(CaptureWriter *writer, TupleTableSlot *key_row)
{
	StreamMessage message;
	text	   *key = writer->has_key && key_row != NULL ? make_key(writer, key_row) : NULL;

	message.payload.type = JSONBOID;
	message.payload.isnull = false;
	message.payload.value = capture_buffer_finish(&writer->buffer);
	message.key.type = TEXTOID;
	message.key.isnull = key == NULL;
	message.key.value = PointerGetDatum(key);
	message.headers.type = JSONBOID;
	message.headers.isnull = true;
	message.headers.value = (Datum) 0;
	stream_writer_add(writer->messages, &message);
	note_pending(writer, writer->buffer.len);
}

static void
write_message(CaptureWriter *writer, CaptureOp op, TupleTableSlot *before, TupleTableSlot *after)
{
	CaptureOpenObject object;

	if (writer->prefix_op != op)
		make_prefix(writer, op);
	capture_buffer_copy(&writer->buffer, &writer->prefix);
	object = writer->prefix_object;
	add_row(writer, &object, after);
	add_row(writer, &object, before);
	capture_object_add(&writer->buffer, &object,
					   write_string(&writer->buffer, writer->source_name));
	add_message(writer, before != NULL ? before : after);
}

/* ---- rows of a stream without a payload ---- */

static void
set_row(CaptureWriter *writer, int column, TupleTableSlot *slot)
{
	Size		len;
	char	   *copy;

	writer->row->tts_isnull[column] = slot == NULL;
	if (slot == NULL)
		return;
	capture_buffer_reset(&writer->buffer);
	(void) capture_write_row(&writer->buffer, &writer->format->row, slot);
	(void) capture_buffer_finish(&writer->buffer);
	len = writer->buffer.len;
	copy = palloc(len);
	memcpy(copy, writer->buffer.data, len);
	writer->row->tts_values[column] = PointerGetDatum(copy);
	writer->pending_bytes += len;
}

static void
write_columns(CaptureWriter *writer, CaptureOp op, TupleTableSlot *before, TupleTableSlot *after)
{
	TupleTableSlot *row = writer->row;
	TupleTableSlot *key_row = before != NULL ? before : after;
	text	   *key = writer->has_key && key_row != NULL ? make_key(writer, key_row) : NULL;

	ExecClearTuple(row);
	memset(row->tts_isnull, false, NCOLUMNS * sizeof(bool));
	row->tts_values[COLUMN_OP] = CStringGetTextDatum(op_names[op]);
	set_row(writer, COLUMN_BEFORE, before);
	set_row(writer, COLUMN_AFTER, after);
	row->tts_values[COLUMN_SOURCE] = CStringGetTextDatum(writer->source_name);
	row->tts_values[COLUMN_TXID] = Int64GetDatum((int64) writer->txid);
	row->tts_values[COLUMN_AT] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	row->tts_values[COLUMN_KEY] = PointerGetDatum(key);
	row->tts_isnull[COLUMN_KEY] = key == NULL;
	ExecStoreVirtualTuple(row);
	stream_by_name_add(writer->rows, row);
	note_pending(writer, 0);
}

/* ---- changes ---- */

static bool
matches(CaptureWriter *writer, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		result;

	if (slot == NULL)
		return false;
	writer->econtext->ecxt_scantuple = slot;
	result = ExecEvalExprSwitchContext(writer->condition, writer->econtext, &isnull);
	ResetExprContext(writer->econtext);
	return !isnull && DatumGetBool(result);
}

static void
write_change(CaptureWriter *writer, CaptureOp op, TupleTableSlot *before, TupleTableSlot *after)
{
	MemoryContext old = MemoryContextSwitchTo(writer->row_context);

	if (writer->messages != NULL)
		write_message(writer, op, before, after);
	else
		write_columns(writer, op, before, after);
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->row_context);
}

/* get the values of both rows, and check the condition */
static bool
is_wanted(CaptureWriter *writer, TupleTableSlot *before, TupleTableSlot *after)
{
	if (before != NULL)
		slot_getallattrs(before);
	if (after != NULL)
		slot_getallattrs(after);
	return writer->condition == NULL || matches(writer, after) || matches(writer, before);
}

void
capture_writer_add(CaptureWriter *writer, CaptureOp op, TupleTableSlot *before,
				   TupleTableSlot *after)
{
	if (is_wanted(writer, before, after))
		write_change(writer, op, before, after);
}

void
capture_writer_update(CaptureWriter *writer, TupleTableSlot *before, TupleTableSlot *after)
{
	if (!is_wanted(writer, before, after))
		return;
	if (keys_differ(writer, before, after))
	{
		write_change(writer, CAPTURE_DELETE, before, NULL);
		write_change(writer, CAPTURE_INSERT, NULL, after);
	}
	else
		write_change(writer, CAPTURE_UPDATE, before, after);
}

void
capture_writer_truncate(CaptureWriter *writer, Oid relid)
{
	writer->source_name = qualified_name(relid);
	write_change(writer, CAPTURE_TRUNCATE, NULL, NULL);
}
