/*
 * produce.c
 *	  produce() and produce_batch() for all types of payloads: arguments,
 *	  privileges, results.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "log/log.h"
#include "stream/dedup.h"
#include "stream/delay.h"
#include "stream/privilege.h"
#include "stream/writer.h"

/* arguments of a call, as arrays */
typedef struct ProduceRows
{
	int			n;
	Oid			payload_type;	/* text, jsonb, json or bytea */
	Datum	   *payloads;
	bool	   *payload_nulls;
	Datum	   *keys;			/* text; NULL if not given */
	bool	   *key_nulls;
	Datum	   *headers;		/* jsonb; NULL if not given */
	bool	   *header_nulls;
	Datum	   *dedup_ids;		/* text; NULL if not given */
	bool	   *dedup_id_nulls;
	int			partition;
} ProduceRows;

/* a call between begin_produce and end_produce */
typedef struct Produce
{
	Relation	rel;
	StreamWriter *writer;
	int			nwritten;
	const int64 *msg_ids;		/* an id for each row; negative: none */
} Produce;

/* add the rows that are new; dedup is NULL if all of them are */
static void
add_rows(StreamWriter *writer, const ProduceRows *rows, const StreamDedup *dedup)
{
	StreamMessage message = {{rows->payload_type}, {TEXTOID, true}, {JSONBOID, true}};

	for (int i = 0; i < rows->n; i++)
	{
		if (dedup != NULL && !stream_dedup_is_new(dedup, i))
			continue;
		message.payload.value = rows->payloads[i];
		message.payload.isnull = rows->payload_nulls[i];
		if (rows->keys)
		{
			message.key.value = rows->keys[i];
			message.key.isnull = rows->key_nulls[i];
		}
		if (rows->headers)
		{
			message.headers.value = rows->headers[i];
			message.headers.isnull = rows->header_nulls[i];
		}
		stream_writer_add(writer, &message);
	}
}

/*
 * Make the array of msg_ids of all rows.  The msg_ids of new rows are known,
 * and are remembered; those of duplicates are looked up.
 */
static void
end_dedup(Produce *produce, const ProduceRows *rows, StreamDedup *dedup)
{
	int64	   *msg_ids = palloc(Max(rows->n, 1) * sizeof(int64));
	int			next = 0;

	for (int i = 0; i < rows->n; i++)
		msg_ids[i] = stream_dedup_is_new(dedup, i) ? produce->msg_ids[next++] : STREAM_NOT_WRITTEN;
	stream_dedup_end(dedup, msg_ids);

	produce->msg_ids = msg_ids;
	produce->nwritten = 0;
	for (int i = 0; i < rows->n; i++)
	{
		if (msg_ids[i] >= 0)
			produce->nwritten++;
	}
}

static int
given_columns(const ProduceRows *rows)
{
	int			columns = STREAM_WRITE_PAYLOAD;

	if (rows->keys)
		columns |= STREAM_WRITE_KEY;
	if (rows->headers)
		columns |= STREAM_WRITE_HEADERS;
	return columns;
}

/*
 * Open the stream, the first argument, to write these columns. 42501 if the
 * caller may not produce, 25006 on a standby.
 */
static Relation
open_target(FunctionCallInfo fcinfo, const char *funcname, const ProduceRows *rows)
{
	Relation	rel;

	base_require_loaded();
	PreventCommandIfReadOnly(funcname);
	PreventCommandIfParallelMode(funcname);
	rel = log_open_stream(PG_GETARG_OID(0), RowExclusiveLock);
	stream_check_produce(rel, given_columns(rows));
	return rel;
}

/*
 * Append the rows to the stream.  Fails like open_target() and
 * stream_writer_begin().
 */
static void
begin_produce(Produce *produce, FunctionCallInfo fcinfo, const char *funcname,
			  const ProduceRows *rows)
{
	StreamDedup *dedup = NULL;
	int			n = rows->n;

	produce->rel = open_target(fcinfo, funcname, rows);
	if (rows->dedup_ids)
	{
		dedup = stream_dedup_begin(produce->rel, rows->dedup_ids, rows->dedup_id_nulls, n, true);
		n = stream_dedup_count_new(dedup);
	}
	produce->writer = stream_writer_begin(produce->rel, n, rows->partition, given_columns(rows));
	add_rows(produce->writer, rows, dedup);
	produce->nwritten = stream_writer_flush(produce->writer, &produce->msg_ids);
	if (dedup != NULL)
		end_dedup(produce, rows, dedup);
}

static void
end_produce(Produce *produce)
{
	stream_writer_end(produce->writer);
	table_close(produce->rel, NoLock);
}

/* ---- one message ---- */

/*
 * Keep a message until it is due.  It has no id yet: the result is null, or the
 * id of an earlier message with the same dedup_id.
 */
static Datum
produce_later(FunctionCallInfo fcinfo, const ProduceRows *rows, TimestampTz deliver_at)
{
	StreamDelayed delayed = {
		.message = {
			.payload = {rows->payload_type, rows->payload_nulls[0], rows->payloads[0]},
			.key = {TEXTOID, rows->keys == NULL, rows->keys ? rows->keys[0] : 0},
			.headers = {JSONBOID, rows->headers == NULL, rows->headers ? rows->headers[0] : 0}
		},
		.columns = given_columns(rows),
		.partition = rows->partition,
		.has_dedup_id = rows->dedup_ids != NULL,
		.dedup_id = rows->dedup_ids ? rows->dedup_ids[0] : 0,
		.deliver_at = deliver_at
	};
	Relation	rel = open_target(fcinfo, "produce()", rows);
	StreamDedup *dedup = NULL;
	int64		msg_id = STREAM_WAITING;

	if (rows->dedup_ids)
		dedup = stream_dedup_begin(rel, rows->dedup_ids, rows->dedup_id_nulls, 1, false);
	if (dedup == NULL || stream_dedup_is_new(dedup, 0))
		stream_delay_add(rel, &delayed);
	if (dedup != NULL)
		stream_dedup_end(dedup, &msg_id);
	table_close(rel, NoLock);
	if (msg_id < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(msg_id);
}

/*
 * produce(stream regclass, payload jsonb | json | text | bytea, key text,
 *		headers jsonb, dedup_id text, deliver_at timestamptz, partition int4)
 *	returns int8
 *
 * Appends a message and returns its id, or null if a trigger suppressed it or
 * it waits for deliver_at.  22023 if that is infinity.
 */
static Datum
produce_one(FunctionCallInfo fcinfo, Oid payload_type)
{
	ProduceRows rows = {0};
	TimestampTz deliver_at = DT_NOBEGIN;
	Produce		produce;
	int64		msg_id;

	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	rows.n = 1;
	rows.payload_type = payload_type;
	rows.payloads = &fcinfo->args[1].value;
	rows.payload_nulls = &fcinfo->args[1].isnull;
	if (!PG_ARGISNULL(2))
	{
		rows.keys = &fcinfo->args[2].value;
		rows.key_nulls = &fcinfo->args[2].isnull;
	}
	if (!PG_ARGISNULL(3))
	{
		rows.headers = &fcinfo->args[3].value;
		rows.header_nulls = &fcinfo->args[3].isnull;
	}
	if (!PG_ARGISNULL(4))
	{
		rows.dedup_ids = &fcinfo->args[4].value;
		rows.dedup_id_nulls = &fcinfo->args[4].isnull;
	}
	rows.partition = PG_ARGISNULL(6) ? STREAM_ANY_PARTITION : PG_GETARG_INT32(6);
	if (!PG_ARGISNULL(5))
		deliver_at = PG_GETARG_TIMESTAMPTZ(5);
	if (deliver_at == DT_NOEND)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be infinity", "deliver_at")));
	if (deliver_at > GetCurrentTimestamp())
		return produce_later(fcinfo, &rows, deliver_at);
	begin_produce(&produce, fcinfo, "produce()", &rows);
	msg_id = produce.msg_ids[0];
	end_produce(&produce);
	if (msg_id < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(msg_id);
}

PG_FUNCTION_INFO_V1(streamq_produce_jsonb);
Datum
streamq_produce_jsonb(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, JSONBOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_json);
Datum
streamq_produce_json(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, JSONOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_text);
Datum
streamq_produce_text(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, TEXTOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_bytea);
Datum
streamq_produce_bytea(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, BYTEAOID);
}

/* ---- many messages ---- */

/* read a one-dimensional array; all types here have the same alignment */
static int
array_elements(ArrayType *array, const char *name, Oid type, Datum **values, bool **nulls)
{
	int			n;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("argument \"%s\" must be a one-dimensional array", name)));
	deconstruct_array(array, type, -1, false, TYPALIGN_INT, values, nulls, &n);
	return n;
}

static void
optional_elements(FunctionCallInfo fcinfo, int arg, const char *name, Oid type,
				  int n, Datum **values, bool **nulls)
{
	int			have;

	if (PG_ARGISNULL(arg))
		return;
	have = array_elements(PG_GETARG_ARRAYTYPE_P(arg), name, type, values, nulls);
	if (have != n)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arguments \"payloads\" and \"%s\" have different lengths", name),
				 errdetail("There are %d payloads and %d %s.", n, have, name)));
}

/*
 * return the message ids as an array, with null for rows suppressed by a
 * trigger, and for duplicates of messages that wait
 */
static ArrayType *
make_result(const int64 *msg_ids, int nwritten, int n)
{
	Datum	   *elems;
	bool	   *nulls;
	int			lower = 1;

	if (n == 0)
		return construct_empty_array(INT8OID);
	if (nwritten == n)
	{
		Size		size = ARR_OVERHEAD_NONULLS(1) + n * sizeof(int64);
		ArrayType  *array = palloc(size);

		/* without nulls, the elements are the ids as they are in memory */
		SET_VARSIZE(array, size);
		array->ndim = 1;
		array->dataoffset = 0;
		array->elemtype = INT8OID;
		ARR_DIMS(array)[0] = n;
		ARR_LBOUND(array)[0] = lower;
		memcpy(ARR_DATA_PTR(array), msg_ids, n * sizeof(int64));
		return array;
	}
	elems = palloc(n * sizeof(Datum));
	nulls = palloc(n * sizeof(bool));
	for (int i = 0; i < n; i++)
	{
		elems[i] = Int64GetDatum(msg_ids[i]);
		nulls[i] = msg_ids[i] < 0;
	}
	return construct_md_array(elems, nulls, 1, &n, &lower, INT8OID,
							  sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

/*
 * produce_batch(stream regclass, payloads text[], keys text[],
 *			  headers jsonb[], dedup_ids text[], partition int4) returns int8[]
 * produce_batch_jsonb(stream regclass, payloads jsonb[], ...) returns int8[]
 * produce_batch_bytea(stream regclass, payloads bytea[], ...) returns int8[]
 *
 * Appends messages and returns their ids, with null for rows suppressed by a
 * trigger.  2202E unless all arrays have one dimension and the same length.
 */
static Datum
produce_many(FunctionCallInfo fcinfo, const char *funcname, Oid payload_type)
{
	ProduceRows rows = {0};
	Produce		produce;
	ArrayType  *result;

	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	if (PG_ARGISNULL(1))
		base_null_argument("payloads");
	rows.payload_type = payload_type;
	rows.n = array_elements(PG_GETARG_ARRAYTYPE_P(1), "payloads", payload_type,
							&rows.payloads, &rows.payload_nulls);
	optional_elements(fcinfo, 2, "keys", TEXTOID, rows.n, &rows.keys, &rows.key_nulls);
	optional_elements(fcinfo, 3, "headers", JSONBOID, rows.n,
					  &rows.headers, &rows.header_nulls);
	optional_elements(fcinfo, 4, "dedup_ids", TEXTOID, rows.n,
					  &rows.dedup_ids, &rows.dedup_id_nulls);
	rows.partition = PG_ARGISNULL(5) ? STREAM_ANY_PARTITION : PG_GETARG_INT32(5);

	begin_produce(&produce, fcinfo, funcname, &rows);
	result = make_result(produce.msg_ids, produce.nwritten, rows.n);
	end_produce(&produce);
	PG_RETURN_ARRAYTYPE_P(result);
}

PG_FUNCTION_INFO_V1(streamq_produce_batch_text);
Datum
streamq_produce_batch_text(PG_FUNCTION_ARGS)
{
	return produce_many(fcinfo, "produce_batch()", TEXTOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_batch_jsonb);
Datum
streamq_produce_batch_jsonb(PG_FUNCTION_ARGS)
{
	return produce_many(fcinfo, "produce_batch_jsonb()", JSONBOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_batch_bytea);
Datum
streamq_produce_batch_bytea(PG_FUNCTION_ARGS)
{
	return produce_many(fcinfo, "produce_batch_bytea()", BYTEAOID);
}
