/*
 * message.c
 *	  Converting rows of a stream into rows of streamq.message.
 *
 * If the stream has a payload column, its value is the payload: jsonb as it is
 * (json is converted), text as a JSON string, bytea as a JSON string in base64
 * without line breaks.  The key and the headers are the columns of these
 * names.  Otherwise the payload is the whole row as a JSON object, like
 * to_jsonb(row).
 *
 * If there is no suitable key column, the key is the text of the partition_by
 * column.  Several columns are joined by commas, with nulls as empty strings;
 * if all are null, the key is null.  The text does not depend on formatting
 * settings of the session, because consumers compare keys.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "log/log.h"
#include "log/options.h"
#include "log/reader.h"
#include "stream/message.h"
#include "stream/message_format.h"
#include "stream/message_json.h"

/* find out how to convert a column to text independently of settings */
static void
key_init(MessageKey *key, Form_pg_attribute att)
{
	Oid			basetype = getBaseType(att->atttypid);
	Oid			outfunc;
	bool		isvarlena;

	key->attnum = att->attnum;
	key->is_text = basetype == TEXTOID || basetype == VARCHAROID;
	switch (basetype)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case OIDOID:
		case UUIDOID:
			break;
		default:
			key->has_style = get_typtype(basetype) != TYPTYPE_ENUM;
			key->may_fail = key->has_style && stream_json_may_fail(basetype);
			break;
	}
	getTypeOutputInfo(att->atttypid, &outfunc, &isvarlena);
	fmgr_info(outfunc, &key->out);
}

static Form_pg_attribute
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att;
	}
	return NULL;
}

/* types that produce() can write and consumers receive unchanged */
bool
stream_is_payload_type(Oid type)
{
	switch (getBaseType(type))
	{
		case JSONBOID:
		case JSONOID:
		case TEXTOID:
		case VARCHAROID:
		case BYTEAOID:
			return true;
		default:
			return false;
	}
}

MessageFormat *
stream_message_format_create(Relation rel)
{
	MessageFormat *format = palloc0(sizeof(MessageFormat));
	TupleDesc	desc = RelationGetDescr(rel);
	Form_pg_attribute payload = find_column(desc, "payload");
	Form_pg_attribute key = NULL;

	format->stream = pstrdup(RelationGetRelationName(rel));
	if (payload != NULL && stream_is_payload_type(payload->atttypid))
	{
		Form_pg_attribute headers = find_column(desc, "headers");

		format->ncolumns = 1;
		format->columns = palloc0(sizeof(StreamJsonColumn));
		stream_json_column_init(format->columns, payload);
		if (format->columns->basetype == BYTEAOID)
			format->columns->form = JSON_BASE64;

		if (headers != NULL)
		{
			Oid			type = getBaseType(headers->atttypid);

			if (type == JSONBOID || type == JSONOID)
			{
				format->has_headers = true;
				stream_json_column_init(&format->headers, headers);
			}
		}
		key = find_column(desc, "key");
	}
	else
	{
		format->whole_row = true;
		format->columns = palloc0(desc->natts * sizeof(StreamJsonColumn));
		for (int i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i);

			if (!att->attisdropped)
				stream_json_column_init(&format->columns[format->ncolumns++], att);
		}
	}

	if (key != NULL)
		key_init(&format->keys[format->nkeys++], key);
	else
	{
		StreamOptions options;

		log_options_get(rel, &options);
		for (int i = 0; i < options.nkeys; i++)
			key_init(&format->keys[format->nkeys++],
					 TupleDescAttr(desc, options.keys[i] - 1));
	}
	format->may_fail = format->has_headers && format->headers.may_fail;
	for (int i = 0; i < format->ncolumns; i++)
		format->may_fail |= format->columns[i].may_fail;
	for (int i = 0; i < format->nkeys; i++)
		format->may_fail |= format->keys[i].may_fail;
	return format;
}

static Datum
row_to_jsonb(MessageFormat *format, TupleTableSlot *slot)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	slot_getallattrs(slot);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < format->ncolumns; i++)
	{
		StreamJsonColumn *column = &format->columns[i];
		JsonbValue	json;

		stream_json_string(&json, column->name, column->namelen);
		pushJsonbValue(&state, WJB_KEY, &json);
		if (slot->tts_isnull[column->attnum - 1])
			json.type = jbvNull;
		else
			stream_json_element(column, slot->tts_values[column->attnum - 1], &json);
		pushJsonbValue(&state, WJB_VALUE, &json);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(object));
}

static void
set_style(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/*
 * Convert a key column to text, with the formats of pg_dump and times in UTC.
 * Settings that have the right value already are not set again.
 */
static char *
key_text(MessageKey *key, Datum value)
{
	const char *zone;
	int			nestlevel;
	char	   *text;

	if (!key->has_style)
		return OutputFunctionCall(&key->out, value);

	nestlevel = NewGUCNestLevel();
	if (DateStyle != USE_ISO_DATES)
		set_style("DateStyle", "ISO");
	if (IntervalStyle != INTSTYLE_POSTGRES)
		set_style("IntervalStyle", "postgres");
	if (extra_float_digits < 1)
		set_style("extra_float_digits", "1");
	if (bytea_output != BYTEA_OUTPUT_HEX)
		set_style("bytea_output", "hex");
	if (strcmp(GetConfigOption("lc_monetary", false, false), "C") != 0)
		set_style("lc_monetary", "C");
	if (strcmp(namespace_search_path, "pg_catalog") != 0)
		set_style("search_path", "pg_catalog");
	zone = pg_get_timezone_name(session_timezone);
	if (strcmp(zone, "UTC") != 0 && strcmp(zone, "GMT") != 0)
		set_style("TimeZone", "UTC");
	text = OutputFunctionCall(&key->out, value);

	AtEOXact_GUC(true, nestlevel);
	return text;
}

bool
stream_message_key(MessageFormat *format, TupleTableSlot *slot, Datum *result)
{
	StringInfoData joined;
	bool		any = false;

	if (format->nkeys == 0)
		return false;
	if (format->nkeys == 1)
	{
		MessageKey *key = &format->keys[0];
		bool		isnull;
		Datum		value = slot_getattr(slot, key->attnum, &isnull);

		if (isnull)
			return false;
		*result = key->is_text ? value :
			CStringGetTextDatum(key_text(key, value));
		return true;
	}

	initStringInfo(&joined);
	for (int i = 0; i < format->nkeys; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, format->keys[i].attnum, &isnull);

		if (i > 0)
			appendStringInfoChar(&joined, ',');
		if (isnull)
			continue;
		any = true;
		appendStringInfoString(&joined, key_text(&format->keys[i], value));
	}
	if (any)
		*result = PointerGetDatum(cstring_to_text_with_len(joined.data, joined.len));
	return any;
}

/* ---- messages that cannot be formed ---- */

bool
stream_message_is_sure(MessageFormat *format, TupleTableSlot *slot, uint32 wanted)
{
	Size		size = 0;

	if (!format->may_fail && log_slot_stored_size(slot) < STREAM_JSON_SURE_STORED)
		return true;
	if (wanted & MESSAGE_COLUMN(5))
		for (int i = 0; i < format->nkeys; i++)
			if (format->keys[i].may_fail)
				return false;
	if (wanted & MESSAGE_COLUMN(6))
		for (int i = 0; i < format->ncolumns; i++)
			if (!stream_json_is_sure(&format->columns[i], slot, &size))
				return false;
	return !format->has_headers || !(wanted & MESSAGE_COLUMN(7)) ||
		stream_json_is_sure(&format->headers, slot, &size);
}

/* Will the error happen again with the same message? */
bool
stream_message_is_own_error(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'):
		case MAKE_SQLSTATE('X', 'X', '0', '0', '0'):
			return false;
		default:
			return true;
	}
}

/*
 * A message that cannot be converted blocks its group.  So the error names the
 * message, and hints at what to do.
 */
static void
throw_own_error(MessageFormat *format, int64 msg_id, bool consumed)
{
	ErrorData  *edata;

	MemoryContextSwitchTo(TopTransactionContext);
	edata = CopyErrorData();
	FlushErrorState();
	edata->detail = edata->detail ?
		psprintf("%s: %s", edata->message, edata->detail) : edata->message;
	edata->message = psprintf("message %lld of stream \"%s\" cannot be returned",
							  (long long) msg_id, format->stream);
	edata->hint = consumed ?
		psprintf("Use consume_as() or SELECT, which return messages as they are, or pass over it with seek(..., to_msg_id => %lld).",
				 (long long) msg_id + 1) :
		psprintf("Use SELECT, which returns messages as they are, or read from message %lld on.",
				 (long long) msg_id + 1);
	ReThrowError(edata);
}

bool
stream_message_payload(MessageFormat *format, TupleTableSlot *slot, Datum *result)
{
	bool		isnull;

	if (format->whole_row)
	{
		*result = row_to_jsonb(format, slot);
		return true;
	}
	*result = slot_getattr(slot, format->columns->attnum, &isnull);
	if (!isnull)
		*result = stream_json_document(format->columns, *result);
	return !isnull;
}

bool
stream_message_headers(MessageFormat *format, TupleTableSlot *slot, Datum *result)
{
	bool		isnull = true;

	if (format->has_headers)
		*result = slot_getattr(slot, format->headers.attnum, &isnull);
	if (!isnull)
		*result = stream_json_document(&format->headers, *result);
	return !isnull;
}

/* stream_message_form() without naming the message in errors */
static void
form(const MessageRow *row, uint32 wanted, Datum *values, bool *nulls)
{
	MessageFormat *format = row->format;

	memset(nulls, 0, MESSAGE_NATTS * sizeof(bool));
	values[0] = Int64GetDatum(row->msg_id);
	values[1] = Int32GetDatum(LOG_MSG_PARTITION(row->msg_id));
	values[2] = Int64GetDatum(LOG_MSG_OFFSET(row->msg_id));
	values[3] = TimestampTzGetDatum(row->produced_at);
	values[4] = Int32GetDatum(row->deliveries);
	nulls[5] = !(wanted & MESSAGE_COLUMN(5)) ||
		!stream_message_key(format, row->slot, &values[5]);
	nulls[6] = !(wanted & MESSAGE_COLUMN(6)) ||
		!stream_message_payload(format, row->slot, &values[6]);
	nulls[7] = !(wanted & MESSAGE_COLUMN(7)) ||
		!stream_message_headers(format, row->slot, &values[7]);
}

void
stream_message_form(const MessageRow *row, uint32 wanted, Datum *values, bool *nulls)
{
	if (likely(stream_message_is_sure(row->format, row->slot, wanted)))
	{
		form(row, wanted, values, nulls);
		return;
	}
	PG_TRY();
	{
		form(row, wanted, values, nulls);
	}
	PG_CATCH();
	{
		if (!stream_message_is_own_error(geterrcode()))
			PG_RE_THROW();
		throw_own_error(row->format, row->msg_id, row->deliveries > 0);
	}
	PG_END_TRY();
}
