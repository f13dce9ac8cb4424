/*
 * letter.c
 *	  Writing dead letters: messages that their reader gave up.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "stream/letter.h"
#include "stream/message.h"
#include "stream/privilege.h"
#include "stream/writer.h"

/* how a letter is made */
typedef enum LetterForm
{
	LETTER_ROW,					/* the row itself */
	LETTER_PAYLOAD,				/* the payload as it is stored */
	LETTER_BYTES,				/* the bytes of a text payload */
	LETTER_JSON,				/* the payload that consumers get */
	LETTER_STRING				/* the same, which is a JSON string, as text */
} LetterForm;

/* how messages of a stream become messages of the dead letter */
typedef struct LetterPlan
{
	Relation	target;
	LetterForm	form;
	int			columns;		/* STREAM_WRITE_* */
	int			privileges;		/* the same, for stream_check_produce() */
	AttrNumber	payload;		/* of the source */
	Oid			payload_type;	/* without domains, and text for varchar */
	AttrNumber	headers;		/* of the target: LETTER_ROW only */
	Oid			headers_type;
	AttrNumber *sources;		/* LETTER_ROW: column of the source for each
								 * of the target */
} LetterPlan;

/* ---- the columns ---- */

static Form_pg_attribute
find_column(Relation rel, const char *name)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att;
	}
	return NULL;
}

static bool
is_json(Oid type)
{
	type = getBaseType(type);
	return type == JSONBOID || type == JSONOID;
}

static Oid
payload_type(Form_pg_attribute att)
{
	Oid			type = getBaseType(att->atttypid);

	return type == VARCHAROID ? TEXTOID : type;
}

/*
 * Does the target have the columns of the source, and no others except
 * headers?  Then its columns are set in the plan.
 */
static bool
plan_row(LetterPlan *plan, Relation source)
{
	TupleDesc	desc = RelationGetDescr(plan->target);
	int			nsource = 0;
	int			nmatched = 0;

	for (int i = 0; i < RelationGetDescr(source)->natts; i++)
		if (!TupleDescAttr(RelationGetDescr(source), i)->attisdropped)
			nsource++;

	plan->sources = palloc0(sizeof(AttrNumber) * desc->natts);
	plan->headers = InvalidAttrNumber;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Form_pg_attribute from;

		if (att->attisdropped)
			continue;
		from = find_column(source, NameStr(att->attname));
		if (strcmp(NameStr(att->attname), "headers") == 0 && is_json(att->atttypid))
		{
			plan->headers = att->attnum;
			plan->headers_type = att->atttypid;
			if (from == NULL)
				continue;
		}
		if (from == NULL || from->atttypid != att->atttypid)
			return false;
		plan->sources[i] = from->attnum;
		nmatched++;
	}
	return nmatched == nsource;
}

/* plan to write the payload; false if the target has no suitable column */
static bool
plan_payload(LetterPlan *plan, Relation source)
{
	Form_pg_attribute from = find_column(source, "payload");
	Form_pg_attribute to = find_column(plan->target, "payload");
	Form_pg_attribute headers = find_column(plan->target, "headers");
	Oid			totype;

	if (to == NULL || !stream_is_payload_type(to->atttypid))
		return false;
	plan->columns = STREAM_WRITE_PAYLOAD;
	if (find_column(plan->target, "key") != NULL)
		plan->columns |= STREAM_WRITE_KEY;
	if (headers != NULL && is_json(headers->atttypid))
		plan->columns |= STREAM_WRITE_HEADERS;

	plan->form = LETTER_JSON;
	if (from == NULL || !stream_is_payload_type(from->atttypid))
		return true;
	plan->payload = from->attnum;
	plan->payload_type = payload_type(from);
	totype = payload_type(to);
	if (plan->payload_type == totype || is_json(plan->payload_type))
		plan->form = LETTER_PAYLOAD;
	else if (plan->payload_type == TEXTOID && totype == BYTEAOID)
		plan->form = LETTER_BYTES;
	else if (plan->payload_type == BYTEAOID && totype == TEXTOID)
		plan->form = LETTER_STRING;
	return true;
}

/* the columns of a stream, if it has only those that produce() can set */
static int
find_message_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			columns = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (strcmp(NameStr(att->attname), "payload") == 0)
			columns |= STREAM_WRITE_PAYLOAD;
		else if (strcmp(NameStr(att->attname), "key") == 0)
			columns |= STREAM_WRITE_KEY;
		else if (strcmp(NameStr(att->attname), "headers") == 0)
			columns |= STREAM_WRITE_HEADERS;
		else
			return STREAM_WRITE_ROW;
	}
	return columns & STREAM_WRITE_PAYLOAD ? columns : STREAM_WRITE_ROW;
}

static void
make_plan(LetterPlan *plan, Relation source, Relation target)
{
	memset(plan, 0, sizeof(LetterPlan));
	plan->target = target;
	if (plan_row(plan, source))
	{
		plan->form = LETTER_ROW;
		plan->columns = STREAM_WRITE_ROW;
		plan->privileges = find_message_columns(target);
		return;
	}
	if (!plan_payload(plan, source))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("stream \"%s\" cannot be the dead letter of stream \"%s\"",
						RelationGetRelationName(target), RelationGetRelationName(source)),
				 errdetail("It has neither a column \"payload\" of type jsonb, text or bytea, nor the columns of stream \"%s\".",
						   RelationGetRelationName(source))));
	plan->privileges = plan->columns;
}

void
stream_letter_check(Relation source, Relation target)
{
	LetterPlan	plan;

	make_plan(&plan, source, target);
	stream_check_produce(target, plan.privileges);
}

/* ---- letters ---- */

struct StreamLetterWriter
{
	MemoryContext context;		/* of this struct */
	MemoryContext scratch;		/* reset after each message */
	Relation	source;
	const char *reader;			/* who gave the messages up */
	LetterPlan	plan;
	StreamWriter *writer;
	MessageFormat *format;
	Datum	   *values;			/* LETTER_ROW */
	bool	   *nulls;
};

/* a message that was given up */
typedef struct Letter
{
	TupleTableSlot *slot;
	int64		msg_id;
	TimestampTz produced_at;
	int32		deliveries;
	const char *reason;
} Letter;

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	json;

	json.type = jbvString;
	json.val.string.val = unconstify(char *, key);
	json.val.string.len = strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &json);
}

static void
push_text(JsonbParseState **state, const char *key, const char *value)
{
	JsonbValue	json;

	push_key(state, key);
	json.type = jbvString;
	json.val.string.val = unconstify(char *, value);
	json.val.string.len = strlen(value);
	(void) pushJsonbValue(state, WJB_VALUE, &json);
}

static void
push_number(JsonbParseState **state, const char *key, int64 value)
{
	JsonbValue	json;

	push_key(state, key);
	json.type = jbvNumeric;
	json.val.numeric = int64_to_numeric(value);
	(void) pushJsonbValue(state, WJB_VALUE, &json);
}

/*
 * The headers of the letter: the headers of the message, and elements that say
 * where the message comes from.  If the headers of the message are not an
 * object, they become the element "headers".
 */
static Datum
make_headers(const StreamLetterWriter *w, const Letter *letter, Datum headers, bool isnull)
{
	Relation	rel = w->source;
	JsonbParseState *state = NULL;
	JsonbValue *object;
	Datum		own;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "streamq_stream",
			  quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
										 RelationGetRelationName(rel)));
	push_text(&state, "streamq_group", w->reader);
	push_number(&state, "streamq_msg_id", letter->msg_id);
	push_number(&state, "streamq_deliveries", letter->deliveries);
	push_text(&state, "streamq_reason", letter->reason);
	if (!isnull && !JB_ROOT_IS_OBJECT(DatumGetJsonbP(headers)))
	{
		JsonbValue	json;

		push_key(&state, "headers");
		if (!JsonbExtractScalar(&DatumGetJsonbP(headers)->root, &json))
		{
			json.type = jbvBinary;
			json.val.binary.data = &DatumGetJsonbP(headers)->root;
			json.val.binary.len = VARSIZE(DatumGetJsonbP(headers)) - VARHDRSZ;
		}
		(void) pushJsonbValue(&state, WJB_VALUE, &json);
		isnull = true;
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	own = JsonbPGetDatum(JsonbValueToJsonb(object));
	return isnull ? own : DirectFunctionCall2(jsonb_concat, headers, own);
}

/* add the row itself */
static void
add_row(StreamLetterWriter *w, const Letter *letter)
{
	TupleTableSlot *slot = letter->slot;
	const LetterPlan *plan = &w->plan;
	int			natts = RelationGetDescr(plan->target)->natts;

	slot_getallattrs(slot);
	for (int i = 0; i < natts; i++)
	{
		AttrNumber	from = plan->sources[i];

		w->nulls[i] = from == InvalidAttrNumber || slot->tts_isnull[from - 1];
		w->values[i] = w->nulls[i] ? (Datum) 0 : slot->tts_values[from - 1];
	}
	if (plan->headers != InvalidAttrNumber)
	{
		int			at = plan->headers - 1;
		Datum		headers = w->values[at];
		bool		is_jsonb = getBaseType(plan->headers_type) == JSONBOID;

		if (!w->nulls[at] && !is_jsonb)
			headers = DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(headers)));
		headers = make_headers(w, letter, headers, w->nulls[at]);
		if (!is_jsonb)
			headers = CStringGetTextDatum(DatumGetCString(DirectFunctionCall1(jsonb_out, headers)));
		w->values[at] = headers;
		w->nulls[at] = false;
	}
	stream_writer_add_row(w->writer, w->values, w->nulls);
}

/* add a message with the payload, key and headers that consumers get */
static void
add_message(StreamLetterWriter *w, const Letter *letter)
{
	TupleTableSlot *slot = letter->slot;
	const LetterPlan *plan = &w->plan;
	StreamMessage message = {0};
	MessageRow	formed = {w->format, slot, letter->msg_id, letter->produced_at, letter->deliveries};
	uint32		wanted = MESSAGE_COLUMN(5) | MESSAGE_COLUMN(7);
	Datum		values[MESSAGE_NATTS];
	bool		nulls[MESSAGE_NATTS];

	if (plan->form == LETTER_JSON || plan->form == LETTER_STRING)
		wanted |= MESSAGE_COLUMN(6);
	stream_message_form(&formed, wanted, values, nulls);
	switch (plan->form)
	{
		case LETTER_PAYLOAD:
		case LETTER_BYTES:
			message.payload.type = plan->form == LETTER_BYTES ? BYTEAOID : plan->payload_type;
			message.payload.value = slot_getattr(slot, plan->payload, &message.payload.isnull);
			break;
		default:
			message.payload.type = JSONBOID;
			message.payload.value = values[6];
			message.payload.isnull = nulls[6];
			break;
	}
	if (plan->form == LETTER_STRING && !message.payload.isnull)
	{
		JsonbValue	json;

		(void) JsonbExtractScalar(&DatumGetJsonbP(values[6])->root, &json);
		message.payload.type = TEXTOID;
		message.payload.value = PointerGetDatum(cstring_to_text_with_len(json.val.string.val,
																		 json.val.string.len));
	}
	message.key.type = TEXTOID;
	message.key.value = values[5];
	message.key.isnull = nulls[5] || !(plan->columns & STREAM_WRITE_KEY);
	message.headers.type = JSONBOID;
	message.headers.isnull = !(plan->columns & STREAM_WRITE_HEADERS);
	if (!message.headers.isnull)
		message.headers.value = make_headers(w, letter, values[7], nulls[7]);
	stream_writer_add(w->writer, &message);
}

StreamLetterWriter *
stream_letter_begin(Relation source, Relation target, const char *reader, int nletters)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq letters",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	StreamLetterWriter *w = palloc0(sizeof(StreamLetterWriter));

	w->context = context;
	w->source = source;
	w->reader = reader;
	make_plan(&w->plan, source, target);
	stream_check_produce(target, w->plan.privileges);
	w->scratch = AllocSetContextCreate(context, "streamq letter", ALLOCSET_DEFAULT_SIZES);
	if (w->plan.form == LETTER_ROW)
	{
		w->values = palloc(sizeof(Datum) * RelationGetDescr(target)->natts);
		w->nulls = palloc(sizeof(bool) * RelationGetDescr(target)->natts);
	}
	else
		w->format = stream_message_format_create(source);
	w->writer = stream_writer_begin(target, nletters, STREAM_ANY_PARTITION, w->plan.columns);
	MemoryContextSwitchTo(old);
	return w;
}

void
stream_letter_add(StreamLetterWriter *w, TupleTableSlot *slot, int64 msg_id,
				  TimestampTz produced_at, int32 deliveries, const char *reason)
{
	Letter		letter = {slot, msg_id, produced_at, deliveries, reason};
	MemoryContext old = MemoryContextSwitchTo(w->scratch);

	if (w->plan.form == LETTER_ROW)
		add_row(w, &letter);
	else
		add_message(w, &letter);
	MemoryContextSwitchTo(old);
	MemoryContextReset(w->scratch);
}

void
stream_letter_end(StreamLetterWriter *w)
{
	const int64 *msg_ids;

	(void) stream_writer_flush(w->writer, &msg_ids);
	stream_writer_end(w->writer);
	MemoryContextDelete(w->context);
}
