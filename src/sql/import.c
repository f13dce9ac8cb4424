/*
 * import.c
 *	  Copying the queues of pgmq and PgQ into streams.
 *
 * A message is copied once, however often the queue is imported.  A row of
 * streamq.imported says what was copied from a table of the queue into a
 * stream, and is written in the transaction that copied it.
 *
 * A message with a lower id may be committed after one with a higher id.  A
 * queue of pgmq is locked, so no transaction that has written to it is in
 * progress.  An event of PgQ has the id of its transaction.  So the snapshot
 * of an import tells which events it has seen, and PgQ's tables need no lock.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"

#include "base/argument.h"
#include "base/catalog.h"
#include "base/loaded.h"
#include "base/try.h"
#include "log/log.h"
#include "stream/imported.h"

#include "compat.h"

typedef struct Import
{
	char	   *queue;			/* as the caller gave it */
	const char *system;			/* as users write it */
	const char *schema;			/* of its objects */
	Oid			source;			/* the relation with its messages */
	Oid			stream;
	StreamImported done;		/* what was copied before */

	/* columns of the stream */
	bool		has_key;
	bool		has_headers;
	bool		as_jsonb;		/* the payload is not text or bytea */
} Import;

/* ---- the queue and the stream ---- */

static void
pg_attribute_noreturn()
queue_not_found(const Import *import)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("queue \"%s\" of %s does not exist", import->queue, import->system)));
}

/* read the argument, and see whether the other extension is there at all */
static void
begin_import(FunctionCallInfo fcinfo, Import *import, const char *function)
{
	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("queue");
	PreventCommandIfReadOnly(function);
	import->queue = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!OidIsValid(get_namespace_oid(import->schema, true)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s is not installed in this database", import->system),
				 errdetail("There is no schema \"%s\".", import->schema)));
}

/* is this a relation with rows that has these columns? */
static void
check_source(const Import *import, const char *const *columns, int n)
{
	char		relkind = get_rel_relkind(import->source);
	AclResult	result;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE &&
		relkind != RELKIND_VIEW)
		queue_not_found(import);
	for (int i = 0; i < n; i++)
		if (get_attnum(import->source, columns[i]) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("relation \"%s\" is not a queue of %s",
							get_rel_name(import->source), import->system),
					 errdetail("It has no column \"%s\".", columns[i])));
	result = pg_class_aclcheck(import->source, GetUserId(), ACL_SELECT);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(relkind), get_rel_name(import->source));
}

/* create the stream, or find the one that an earlier import has created */
static Oid
make_stream(const Import *import)
{
	const char *name = quote_identifier(import->queue);
	Oid			argtype = TEXTOID;
	Datum		arg = CStringGetTextDatum(name);
	RangeVar   *relation = makeRangeVar(NULL, import->queue, -1);
	Oid			relid = get_relname_relid(import->queue, RangeVarGetCreationNamespace(relation));
	StreamImported done;
	bool		isnull;

	if (OidIsValid(relid) && stream_imported_find(relid, import->source, &done))
		return relid;
	if (SPI_execute_with_args("SELECT streamq.create_stream($1)", 1, &argtype, &arg, NULL,
							  false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not create a stream for queue \"%s\"", import->queue);
	return DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Find the stream and what was copied to it before.  Imports into the same
 * database wait for each other.
 */
static void
open_stream(FunctionCallInfo fcinfo, Import *import)
{
	Relation	rel;
	AttrNumber	payload;
	Oid			type;

	stream_imported_lock();
	import->stream = PG_ARGISNULL(1) ? make_stream(import) : PG_GETARG_OID(1);
	rel = log_open_stream(import->stream, RowExclusiveLock);
	import->has_key = get_attnum(import->stream, "key") != InvalidAttrNumber;
	import->has_headers = get_attnum(import->stream, "headers") != InvalidAttrNumber;
	payload = get_attnum(import->stream, "payload");
	type = payload == InvalidAttrNumber ? InvalidOid :
		getBaseType(get_atttype(import->stream, payload));
	import->as_jsonb = type != TEXTOID && type != BYTEAOID;
	table_close(rel, NoLock);
	if (!stream_imported_find(import->stream, import->source, &import->done))
		import->done.last_id = PG_INT64_MIN;
}

/* the qualified name of the queue's relation */
static char *
source_name(const Import *import)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(import->source)),
									  get_rel_name(import->source));
}

/*
 * Copy the messages.  The query appends them, and returns their number, the
 * greatest id, and the snapshot.  It has the stream, the last id, the snapshot
 * and the transaction of the last import as parameters.  It sees what was
 * committed before the queue was locked, even in a REPEATABLE READ
 * transaction.
 */
static int64
copy_messages(Import *import, const char *query)
{
	Oid			argtypes[4] = {REGCLASSOID, INT8OID, TEXTOID, INT8OID};
	Datum		args[4];
	char		argnulls[4] = {' ', ' ', ' ', ' '};
	SPIPlanPtr	plan;
	HeapTuple	row;
	TupleDesc	desc;
	int64		count;
	bool		isnull;

	args[0] = ObjectIdGetDatum(import->stream);
	args[1] = Int64GetDatum(import->done.last_id);
	args[2] = import->done.snapshot == NULL ? (Datum) 0 : CStringGetTextDatum(import->done.snapshot);
	args[3] = Int64GetDatum(import->done.txid);
	if (import->done.snapshot == NULL)
		argnulls[2] = 'n';
	plan = SPI_prepare(query, 4, argtypes);
	if (plan == NULL ||
		SPI_execute_snapshot(plan, args, argnulls, GetLatestSnapshot(), InvalidSnapshot,
							 false, true, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not copy queue \"%s\"", import->queue);
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	count = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	if (count > 0)
	{
		int64		id = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));

		import->done.last_id = Max(import->done.last_id, id);
	}
	import->done.snapshot = SPI_getvalue(row, desc, 3);
	import->done.txid = import->done.snapshot == NULL ? 0 :
		(int64) U64FromFullTransactionId(GetTopFullTransactionId());
	stream_imported_store(import->stream, import->source, &import->done);
	return count;
}

/* ---- pgmq ---- */

/*
 * Nobody may write to the queue until the end of the transaction.  A queue
 * that is a view is one of streamq_pgmq.
 */
static void
lock_source(const Import *import)
{
	if (get_rel_relkind(import->source) == RELKIND_VIEW)
	{
		char	   *command = psprintf("LOCK TABLE %s IN SHARE MODE", source_name(import));

		if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not lock queue \"%s\"", import->queue);
	}
	else
		LockRelationOid(import->source, ShareLock);
}

/*
 * import_pgmq(queue text, into_stream regclass) returns int8
 *
 * Copies the messages of a queue of pgmq, in the order of their ids.  A
 * message that pgmq was to deliver later is delivered later.  42704 if pgmq or
 * the queue does not exist.
 */
PG_FUNCTION_INFO_V1(streamq_import_pgmq);
Datum
streamq_import_pgmq(PG_FUNCTION_ARGS)
{
	static const char *const columns[] = {"msg_id", "read_ct", "vt", "message"};
	Import		import = {.system = "pgmq", .schema = "pgmq"};
	bool		headers;
	StringInfoData query;
	char	   *relname;
	int64		count;

	begin_import(fcinfo, &import, "import_pgmq()");
	relname = psprintf("q_%s", import.queue);
	relname = str_tolower(relname, strlen(relname), DEFAULT_COLLATION_OID);
	import.source = get_relname_relid(relname, get_namespace_oid("pgmq", false));
	if (!OidIsValid(import.source))
		queue_not_found(&import);
	check_source(&import, columns, lengthof(columns));
	headers = get_attnum(import.source, "headers") != InvalidAttrNumber;

	SPI_connect();
	open_stream(fcinfo, &import);
	lock_source(&import);
	initStringInfo(&query);
	appendStringInfoString(&query,
						   "SELECT pg_catalog.count(*), pg_catalog.max(m.msg_id), NULL, pg_catalog.count(m.id) FROM ("
						   "SELECT q.msg_id, streamq.produce($1, ");
	appendStringInfoString(&query, import.as_jsonb ? "COALESCE(q.message, 'null')" : "q.message");
	if (headers && import.has_key)
		appendStringInfoString(&query,
							   ", key => q.headers OPERATOR(pg_catalog.->>) 'x-pgmq-group'::pg_catalog.text");
	if (headers && import.has_headers)
		appendStringInfoString(&query, ", headers => q.headers");
	appendStringInfo(&query,
					 ", deliver_at => CASE WHEN q.read_ct OPERATOR(pg_catalog.=) 0"
					 " AND q.vt OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp() THEN q.vt END) AS id"
					 " FROM (SELECT * FROM %s WHERE msg_id OPERATOR(pg_catalog.>) $2"
					 " ORDER BY msg_id) q) m", source_name(&import));
	count = copy_messages(&import, query.data);
	SPI_finish();
	PG_RETURN_INT64(count);
}

/* ---- PgQ ---- */

/* the parent of the tables that have the events of a queue */
static Oid
find_events(const Import *import)
{
	Oid			argtype = TEXTOID;
	Datum		arg = CStringGetTextDatum(import->queue);
	char	   *name;

	if (!OidIsValid(get_relname_relid("queue", get_namespace_oid("pgq", false))))
		queue_not_found(import);
	if (SPI_execute_with_args("SELECT queue_data_pfx FROM pgq.queue"
							  " WHERE queue_name::pg_catalog.text OPERATOR(pg_catalog.=) $1",
							  1, &argtype, &arg, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the queues of PgQ");
	if (SPI_processed == 0)
		queue_not_found(import);
	name = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return RangeVarGetRelid(makeRangeVarFromNameList(base_qualified_name(name)), NoLock, false);
}

/*
 * import_pgq(queue text, into_stream regclass) returns int8
 *
 * Copies the events of a queue of PgQ, in the order of their ids, as far as
 * PgQ has them.  Their other columns become headers.  42704 if PgQ or the
 * queue does not exist.
 */
PG_FUNCTION_INFO_V1(streamq_import_pgq);
Datum
streamq_import_pgq(PG_FUNCTION_ARGS)
{
	static const char *const columns[] = {
		"ev_id", "ev_time", "ev_txid", "ev_type", "ev_data",
		"ev_extra1", "ev_extra2", "ev_extra3", "ev_extra4"
	};
	Import		import = {.system = "PgQ", .schema = "pgq"};
	StringInfoData query;
	int64		count;

	begin_import(fcinfo, &import, "import_pgq()");
	SPI_connect();
	import.source = find_events(&import);
	check_source(&import, columns, lengthof(columns));
	open_stream(fcinfo, &import);

	initStringInfo(&query);
	appendStringInfo(&query,
					 "SELECT pg_catalog.count(*), pg_catalog.max(m.ev_id),"
					 " pg_catalog.pg_current_snapshot()::pg_catalog.text, pg_catalog.count(m.id) FROM ("
					 "SELECT e.ev_id, streamq.produce($1, %s",
					 import.as_jsonb ? "streamq.event_payload(e.ev_data)" : "e.ev_data");
	if (import.has_headers)
		appendStringInfoString(&query,
							   ", headers => pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object("
							   "'ev_id', e.ev_id, 'ev_time', e.ev_time, 'ev_type', e.ev_type,"
							   " 'ev_extra1', e.ev_extra1, 'ev_extra2', e.ev_extra2,"
							   " 'ev_extra3', e.ev_extra3, 'ev_extra4', e.ev_extra4))");
	appendStringInfo(&query,
					 ") AS id FROM (SELECT * FROM %s WHERE $3 IS NULL"
					 " OR ev_id OPERATOR(pg_catalog.>) $2"
					 " OR NOT (ev_txid OPERATOR(pg_catalog.=) $4"
					 " OR pg_catalog.pg_visible_in_snapshot(ev_txid::pg_catalog.text::pg_catalog.xid8,"
					 " $3::pg_catalog.pg_snapshot))"
					 " ORDER BY ev_id) e) m", source_name(&import));
	count = copy_messages(&import, query.data);
	SPI_finish();
	PG_RETURN_INT64(count);
}

/* ---- payloads ---- */

typedef struct Parse
{
	char	   *data;
	Jsonb	   *result;
} Parse;

static void
parse(void *arg)
{
	Parse	   *p = arg;

	p->result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(p->data)));
}

static bool
is_bad_value(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION ||
		error->sqlerrcode == ERRCODE_UNTRANSLATABLE_CHARACTER ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
}

/*
 * event_payload(data text) returns jsonb
 *
 * A text that is a JSON object or array becomes that.  Any other text becomes
 * a string, also one like "true" or "12": numbers and strings of the same
 * source should not have different types.  NULL becomes a JSON null.
 */
PG_FUNCTION_INFO_V1(streamq_event_payload);
Datum
streamq_event_payload(PG_FUNCTION_ARGS)
{
	Parse		p;
	const char *start;
	JsonbValue	string;

	base_require_loaded();
	p.data = PG_ARGISNULL(0) ? pstrdup("null") : text_to_cstring(PG_GETARG_TEXT_PP(0));
	start = p.data + strspn(p.data, " \t\r\n");
	if ((PG_ARGISNULL(0) || *start == '{' || *start == '[') &&
		base_try(parse, &p, BASE_TRY_KEEP, is_bad_value) == NULL)
		PG_RETURN_JSONB_P(p.result);
	string.type = jbvString;
	string.val.string.val = p.data;
	string.val.string.len = strlen(p.data);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(&string));
}
