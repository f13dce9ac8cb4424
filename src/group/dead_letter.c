/*
 * dead_letter.c
 *	  Writing dead letters.
 *
 * A dead letter that has the columns of the stream gets the row itself.  Any
 * other one has a payload, like the streams that produce() writes to.  If it
 * has a column "headers", the headers say where the message comes from.
 *
 * The consumer runs as any role that the group was granted to, but the group's
 * owner has chosen the dead letter.  So the letter is written with the owner's
 * privileges.  Triggers of the dead letter run with them, too.  They must not
 * be misled by the consumer's settings, so search_path is safe there.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "base/try.h"
#include "group/dead_letter.h"
#include "group/group_live.h"
#include "group/as_owner.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/redrive.h"
#include "log/log.h"
#include "stream/message.h"
#include "stream/privilege.h"
#include "stream/writer.h"

/* after so many equal errors in a batch, the other letters are not tried */
#define MAX_EQUAL_ERRORS	8

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
group_check_dead_letter(Relation rel, Oid dead_letter)
{
	Relation	target;
	LetterPlan	plan;

	if (dead_letter == RelationGetRelid(rel))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stream \"%s\" cannot be its own dead letter",
						RelationGetRelationName(rel))));
	target = log_open_stream(dead_letter, AccessShareLock);
	make_plan(&plan, rel, target);
	stream_check_produce(target, plan.privileges);
	table_close(target, NoLock);
}

/* ---- letters ---- */

/* messages whose letters are written together */
typedef struct Letters
{
	Relation	rel;
	const ConsumerGroup *group;
	const char *reason;			/* NULL: the number of deliveries */

	/* either one row */
	TupleTableSlot *slot;
	const LogKeptRow *row;

	/* or messages of a partition that are marked as done, too */
	int			partition;
	const int64 *offsets;
	int			n;

	int32		deliveries;		/* of the row */
	GroupBurial *buried;
	int64		nburied;
} Letters;

/* what writing needs, apart from the messages */
typedef struct LetterWriter
{
	const Letters *letters;
	LetterPlan	plan;
	StreamWriter *writer;
	MessageFormat *format;
	MemoryContext context;		/* reset after each message */
	Datum	   *values;			/* LETTER_ROW */
	bool	   *nulls;
} LetterWriter;

static const char *
get_reason(const Letters *letters, int32 deliveries)
{
	return letters->reason ? letters->reason : psprintf("delivered %d times", deliveries);
}

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
make_headers(const LetterWriter *w, const LogKeptRow *row, int32 deliveries,
			 Datum headers, bool isnull)
{
	Relation	rel = w->letters->rel;
	JsonbParseState *state = NULL;
	JsonbValue *object;
	Datum		own;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "streamq_stream",
			  quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
										 RelationGetRelationName(rel)));
	push_text(&state, "streamq_group", w->letters->group->name);
	push_number(&state, "streamq_msg_id", row->msg_id);
	push_number(&state, "streamq_deliveries", deliveries);
	push_text(&state, "streamq_reason", get_reason(w->letters, deliveries));
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
add_row(LetterWriter *w, TupleTableSlot *slot, const LogKeptRow *row, int32 deliveries)
{
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
		headers = make_headers(w, row, deliveries, headers, w->nulls[at]);
		if (!is_jsonb)
			headers = CStringGetTextDatum(DatumGetCString(DirectFunctionCall1(jsonb_out, headers)));
		w->values[at] = headers;
		w->nulls[at] = false;
	}
	stream_writer_add_row(w->writer, w->values, w->nulls);
}

/* add a message with the payload, key and headers that consumers get */
static void
add_message(LetterWriter *w, TupleTableSlot *slot, const LogKeptRow *row, int32 deliveries)
{
	const LetterPlan *plan = &w->plan;
	StreamMessage message = {0};
	MessageRow	formed = {w->format, slot, row->msg_id, row->produced_at, deliveries};
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
		message.headers.value = make_headers(w, row, deliveries, values[7], nulls[7]);
	stream_writer_add(w->writer, &message);
}

static void
add_letter(LetterWriter *w, TupleTableSlot *slot, const LogKeptRow *row, int32 deliveries)
{
	MemoryContext old = MemoryContextSwitchTo(w->context);

	if (w->plan.form == LETTER_ROW)
		add_row(w, slot, row, deliveries);
	else
		add_message(w, slot, row, deliveries);
	MemoryContextSwitchTo(old);
	MemoryContextReset(w->context);
}

/* read the buried messages, as far as retention has left them */
static void
add_buried(LetterWriter *w)
{
	const Letters *letters = w->letters;
	Snapshot	snapshot = group_message_snapshot();
	TupleTableSlot *slot = log_slot_create(letters->rel);
	const GroupBurial *buried = letters->buried;

	for (int64 i = 0, next; i < letters->nburied; i = next)
	{
		LogReader  *reader;

		for (next = i + 1; next < letters->nburied; next++)
			if (buried[next].off != buried[i].off + (next - i))
				break;
		reader = log_reader_begin(letters->rel, letters->partition, buried[i].off,
								  buried[next - 1].off + 1, snapshot, false);
		while (log_reader_next(reader, slot))
		{
			int64		off = log_reader_offset(reader);
			LogKeptRow	row;

			row.msg_id = LOG_MSG_ID(letters->partition, off);
			row.produced_at = log_reader_produced_at(reader);
			row.note = 0;
			add_letter(w, slot, &row, buried[i + (off - buried[i].off)].deliveries);
		}
		log_reader_end(reader);
	}
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
}

/* open the dead letter as the owner of the group may write to it */
static Relation
open_dead_letter(const Letters *letters)
{
	const ConsumerGroup *group = letters->group;
	Relation	target = try_table_open(group->dead_letter, RowExclusiveLock);

	if (target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the dead letter of consumer group \"%s\" of stream \"%s\" was dropped",
						group->name, RelationGetRelationName(letters->rel))));
	if (!log_is_stream(target))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream", RelationGetRelationName(target))));
	return target;
}

static void
write_as_owner(Letters *letters)
{
	LetterWriter w = {.letters = letters};
	Relation	target = open_dead_letter(letters);
	const int64 *msg_ids;

	make_plan(&w.plan, letters->rel, target);
	stream_check_produce(target, w.plan.privileges);
	w.context = AllocSetContextCreate(CurrentMemoryContext, "streamq dead letter",
									  ALLOCSET_DEFAULT_SIZES);
	if (w.plan.form == LETTER_ROW)
	{
		w.values = palloc(sizeof(Datum) * RelationGetDescr(target)->natts);
		w.nulls = palloc(sizeof(bool) * RelationGetDescr(target)->natts);
	}
	else
		w.format = stream_message_format_create(letters->rel);
	w.writer = stream_writer_begin(target, letters->slot ? 1 : letters->nburied,
								   STREAM_ANY_PARTITION, w.plan.columns);
	if (letters->slot != NULL)
		add_letter(&w, letters->slot, letters->row, letters->deliveries);
	else
		add_buried(&w);
	(void) stream_writer_flush(w.writer, &msg_ids);
	stream_writer_end(w.writer);
	table_close(target, NoLock);
	MemoryContextDelete(w.context);
}

static void
record_letters(const Letters *letters)
{
	if (letters->slot != NULL)
		group_remember_buried(letters->group, letters->row->msg_id, letters->deliveries,
							  get_reason(letters, letters->deliveries));
	for (int64 i = 0; i < letters->nburied; i++)
		group_remember_buried(letters->group,
							  LOG_MSG_ID(letters->partition, letters->buried[i].off),
							  letters->buried[i].deliveries,
							  get_reason(letters, letters->buried[i].deliveries));
}

/* mark messages as done, if asked for, and write the letters */
static void
write_letters(void *arg)
{
	Letters    *letters = arg;
	const ConsumerGroup *group = letters->group;

	if (letters->slot == NULL)
	{
		letters->nburied = group->mode->bury(letters->rel, group, letters->partition,
											 letters->offsets, letters->n, letters->buried);
		if (letters->nburied == 0)
			return;
	}
	if (group->has_dead_letter)
	{
		GroupIdentity identity;

		group_become_owner(group, &identity);
		PushActiveSnapshot(GetTransactionSnapshot());
		write_as_owner(letters);
		PopActiveSnapshot();
		group_become_caller(&identity);
	}
	record_letters(letters);
}

/*
 * Is it an error of the dead letter?  Others, such as a cancelled query, end
 * the consumer's transaction.
 */
static bool
is_letter_error(const ErrorData *error)
{
	return stream_message_is_own_error(error->sqlerrcode) ||
		error->sqlerrcode == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;	/* backlog_policy */
}

/*
 * Report that letters could not be written.  An error that lasts is reported
 * once, not for each message; streamq.consumer_groups shows it.
 */
static void
report_error(const Letters *letters, const ErrorData *error)
{
	if (group_live_set_error(letters->group->group_id, error->message))
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not write a dead letter of consumer group \"%s\" of stream \"%s\"",
						letters->group->name, RelationGetRelationName(letters->rel)),
				 errdetail("%s", error->message),
				 errhint("The message stays in the group.")));
}

static ErrorData *
try_letters(Letters *letters)
{
	MemoryContext context;
	MemoryContext old;
	ErrorData  *error;

	if (!letters->group->has_dead_letter)
	{
		write_letters(letters);
		return NULL;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "streamq dead letters",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	error = base_try(write_letters, letters, BASE_TRY_KEEP, is_letter_error);
	MemoryContextSwitchTo(old);
	if (error == NULL)
	{
		group_live_clear_error(letters->group->group_id);
		MemoryContextDelete(context);
	}
	return error;
}

bool
group_write_letter(Relation rel, const ConsumerGroup *group, TupleTableSlot *slot,
				   const LogKeptRow *row, int32 deliveries, const char *reason)
{
	Letters		letters = {
		.rel = rel,
		.group = group,
		.reason = reason,
		.slot = slot,
		.row = row,
		.deliveries = deliveries
	};
	ErrorData  *error = try_letters(&letters);

	if (error != NULL)
		report_error(&letters, error);
	return error == NULL;
}

int64
group_bury(Relation rel, const ConsumerGroup *group, int partition,
		   const int64 *offsets, int n, const char *reason,
		   int64 *failed, int *nfailed)
{
	Letters		letters = {
		.rel = rel,
		.group = group,
		.reason = reason,
		.partition = partition,
		.offsets = offsets,
		.n = n,
		.buried = palloc(sizeof(GroupBurial) * Max(n, 1))
	};
	int64		count = 0;
	int			nequal = 0;
	ErrorData  *last;

	*nfailed = 0;
	last = try_letters(&letters);
	if (last == NULL)
		return letters.nburied;

	/* one bad message must not keep the others */
	letters.n = 1;
	for (int i = 0; i < n; i++)
	{
		letters.offsets = offsets + i;
		if (n > 1 && nequal < MAX_EQUAL_ERRORS)
		{
			ErrorData  *error = try_letters(&letters);

			if (error == NULL)
			{
				count += letters.nburied;
				nequal = 0;
				continue;
			}
			nequal = strcmp(error->message, last->message) == 0 ? nequal + 1 : 0;
			last = error;
		}
		failed[(*nfailed)++] = offsets[i];
	}

	/* after the others, because writing a letter clears the error */
	report_error(&letters, last);
	return count;
}
