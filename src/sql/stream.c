/*
 * stream.c
 *	  create_stream(), alter_stream() and drop_stream().
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/evtcache.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

#include "base/argument.h"
#include "base/catalog.h"
#include "base/command.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job.h"
#include "log/log.h"
#include "log/options.h"
#include "stream/flow.h"

#define ENVELOPE_COLUMNS \
	"key pg_catalog.text, payload pg_catalog.jsonb NOT NULL, headers pg_catalog.jsonb"

static void
check_partitions(int npartitions)
{
	if (npartitions < 1 || npartitions > LOG_MAX_PARTITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid number of partitions: %d", npartitions),
				 errhint("A stream has 1 to %d partitions.", LOG_MAX_PARTITIONS)));
}

static void
refuse_negative(const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"%s\" must not be negative", argument),
			 errhint("Zero removes the limit.")));
}

/*
 * Read a limit on age.  Infinite means no limit, and so does an interval of
 * zero such as '1 month -30 days'.  Returns false if it is not given.
 */
static bool
get_age_limit(FunctionCallInfo fcinfo, int arg, const char *name, Interval *limit)
{
	Interval	zero = {0};
	Interval   *interval;
	int			sign;

	if (PG_ARGISNULL(arg))
		return false;
	interval = PG_GETARG_INTERVAL_P(arg);
	sign = DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(interval),
											 IntervalPGetDatum(&zero)));
	if (sign < 0)
		refuse_negative(name);
	*limit = sign == 0 || INTERVAL_NOT_FINITE(interval) ? zero : *interval;
	return true;
}

/* read a limit on a number; false if it is not given */
static bool
get_number_limit(FunctionCallInfo fcinfo, int arg, const char *name, int64 *limit)
{
	if (PG_ARGISNULL(arg))
		return false;
	if (PG_GETARG_INT64(arg) < 0)
		refuse_negative(name);
	*limit = PG_GETARG_INT64(arg);
	return true;
}

/*
 * Read the arguments backlog_messages, backlog_policy and max_rate; false if
 * none is given.
 */
static bool
get_flow(FunctionCallInfo fcinfo, int first, LogFlowOptions *flow)
{
	bool		given = get_number_limit(fcinfo, first, "backlog_messages",
										 &flow->backlog_messages);

	if (!PG_ARGISNULL(first + 1))
	{
		char	   *policy = text_to_cstring(PG_GETARG_TEXT_PP(first + 1));

		if (!log_options_find_policy(policy, &flow->backlog_policy))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid backlog policy: \"%s\"", policy),
					 errhint("Valid policies are \"none\", \"reject\", \"block\" and \"evict\".")));
		given = true;
	}
	if (!PG_ARGISNULL(first + 2))
	{
		double		rate = PG_GETARG_FLOAT8(first + 2);

		if (isnan(rate) || isinf(rate))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" must be a finite number", "max_rate"),
					 errhint("Zero removes the limit.")));
		if (rate < 0)
			refuse_negative("max_rate");
		flow->max_rate = rate;
		given = true;
	}
	return given;
}

/* read the argument dedup_window; false if it is not given */
static bool
get_dedup_window(FunctionCallInfo fcinfo, int arg, StreamOptions *options)
{
	Interval	zero = {0};
	Interval   *window;

	if (PG_ARGISNULL(arg))
		return false;
	window = PG_GETARG_INTERVAL_P(arg);
	if (DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(window),
										  IntervalPGetDatum(&zero))) <= 0 ||
		INTERVAL_NOT_FINITE(window))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be positive and finite", "dedup_window")));
	options->dedup_window = *window;
	return true;
}

static Form_pg_attribute
find_key_column(Relation rel, const char *name)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of stream \"%s\" does not exist",
					name, RelationGetRelationName(rel)),
			 errhint("partition_by is a list of column names, separated by commas.")));
}

/* parse the columns in partition_by; an empty list spreads all rows */
static void
parse_partition_by(Relation rel, const char *list, StreamOptions *options)
{
	List	   *names;
	ListCell   *lc;

	if (!SplitIdentifierString(pstrdup(list), ',', &names))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("invalid list of columns in partition_by: \"%s\"", list),
				 errhint("partition_by is a list of column names, separated by commas.")));
	base_note_truncation(list, ',');
	if (list_length(names) > LOG_OPTIONS_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("cannot partition a stream by more than %d columns",
						LOG_OPTIONS_MAX_KEYS)));

	options->nkeys = 0;
	foreach(lc, names)
	{
		Form_pg_attribute att = find_key_column(rel, lfirst(lc));
		TypeCacheEntry *type;

		for (int i = 0; i < options->nkeys; i++)
			if (options->keys[i] == att->attnum)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" appears twice in partition_by",
								NameStr(att->attname))));
		if (COMPAT_IS_VIRTUAL_COLUMN(att))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot partition stream \"%s\" by virtual generated column \"%s\"",
							RelationGetRelationName(rel), NameStr(att->attname))));
		type = lookup_type_cache(att->atttypid, TYPECACHE_HASH_EXTENDED_PROC);
		if (!OidIsValid(type->hash_extended_proc))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("could not identify a hash function for type %s",
							format_type_be(att->atttypid)),
					 errdetail("Column \"%s\" of stream \"%s\" cannot be used in partition_by.",
							   NameStr(att->attname), RelationGetRelationName(rel))));
		options->keys[options->nkeys++] = att->attnum;
	}
}

/* an error position refers to our statement; the caller did not write it */
static void
definition_error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

static void
refuse_definition(const char *columns)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("invalid column definitions for a stream: \"%s\"", columns),
			 errdetail("Only column definitions and constraints may be given."),
			 errhint("Use CREATE TABLE ... USING streamq for anything else.")));
}

/*
 * Parse CREATE TABLE namespace.relname (columns) USING streamq.  The caller of
 * the SQL function wrote columns, so they must not end the statement or add
 * other clauses to it.
 */
static CreateStmt *
parse_definition(const char *sql, const char *columns,
				 const char *namespace, const char *relname)
{
	List	   *statements = pg_parse_query(sql);
	CreateStmt *create;
	ListCell   *lc;

	if (list_length(statements) != 1 ||
		!IsA(linitial_node(RawStmt, statements)->stmt, CreateStmt))
		refuse_definition(columns);
	create = castNode(CreateStmt, linitial_node(RawStmt, statements)->stmt);
	if (create->relation->schemaname == NULL ||
		strcmp(create->relation->schemaname, namespace) != 0 ||
		strcmp(create->relation->relname, relname) != 0 ||
		create->inhRelations != NIL ||
		create->partbound != NULL ||
		create->partspec != NULL ||
		create->ofTypename != NULL ||
		create->options != NIL ||
		create->oncommit != ONCOMMIT_NOOP ||
		create->tablespacename != NULL ||
		create->accessMethod == NULL ||
		strcmp(create->accessMethod, "streamq") != 0 ||
		create->if_not_exists)
		refuse_definition(columns);
	foreach(lc, create->tableElts)
	{
		if (!IsA(lfirst(lc), ColumnDef) && !IsA(lfirst(lc), Constraint))
			refuse_definition(columns);
	}
	return create;
}

static void
create_table(const char *namespace, const char *relname, const char *columns)
{
	ErrorContextCallback callback;
	StringInfoData sql;
	CreateStmt *create;

	/* the line break ends a comment that may be at the end of columns */
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (%s\n) USING streamq",
					 quote_qualified_identifier(namespace, relname), columns);

	callback.callback = definition_error_callback;
	callback.arg = sql.data;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	create = parse_definition(sql.data, columns, namespace, relname);
	base_run_utility((Node *) create, sql.data);

	error_context_stack = callback.previous;
}

/*
 * create_stream(name text, columns text, partitions int4, partition_by text,
 *			  retention interval, max_bytes int8, if_not_exists bool)
 *	returns regclass
 *
 * 42P07 if the relation exists and if_not_exists is false, 42601 for invalid
 * columns, 22023 for invalid options, and the errors of CREATE TABLE.
 */
PG_FUNCTION_INFO_V1(streamq_create_stream);
Datum
streamq_create_stream(PG_FUNCTION_ARGS)
{
	RangeVar   *name;
	Oid			namespaceid;
	Oid			relid;
	Relation	rel;
	StreamOptions options = {0};
	int			npartitions;
	bool		limited;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("name");
	if (PG_ARGISNULL(2))
		base_null_argument("partitions");
	if (PG_ARGISNULL(6))
		base_null_argument("if_not_exists");
	PreventCommandIfReadOnly("create_stream()");
	npartitions = PG_GETARG_INT32(2);
	check_partitions(npartitions);
	(void) get_age_limit(fcinfo, 4, "retention", &options.retention);
	(void) get_number_limit(fcinfo, 5, "max_bytes", &options.max_bytes);

	name = makeRangeVarFromNameList(base_qualified_name(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	if (strlen(name->relname) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("stream name must not be empty")));
	namespaceid = RangeVarGetCreationNamespace(name);

	relid = get_relname_relid(name->relname, namespaceid);
	if (OidIsValid(relid) && PG_GETARG_BOOL(6))
	{
		rel = log_open_stream(relid, AccessShareLock);
		ereport(NOTICE,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("stream \"%s\" already exists, skipping",
						RelationGetRelationName(rel))));
		table_close(rel, NoLock);
		PG_RETURN_OID(relid);
	}

	create_table(get_namespace_name(namespaceid), name->relname,
				 PG_ARGISNULL(1) ? ENVELOPE_COLUMNS : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	relid = get_relname_relid(name->relname, namespaceid);

	rel = log_open_stream(relid, AccessExclusiveLock);
	log_options_get(rel, &options);
	limited = get_age_limit(fcinfo, 4, "retention", &options.retention);
	limited |= get_number_limit(fcinfo, 5, "max_bytes", &options.max_bytes);
	if (npartitions != options.npartitions || !PG_ARGISNULL(3) || limited)
	{
		/* nothing was written yet, so the history has one entry only */
		options.npartitions = npartitions;
		options.nhistory = 1;
		options.history[0] = npartitions;
		if (!PG_ARGISNULL(3))
			parse_partition_by(rel, text_to_cstring(PG_GETARG_TEXT_PP(3)), &options);
		log_options_set(rel, &options, !PG_ARGISNULL(3));
		if (limited)
			job_note_changed();
	}
	table_close(rel, NoLock);

	PG_RETURN_OID(relid);
}

static void
check_owner(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream with OID %u does not exist", relid)));
	if (!object_ownercheck(RelationRelationId, relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
}

/*
 * Event triggers do not see a change of a stream's options, because to
 * PostgreSQL they are not options of the table.  So run a command for them
 * that changes nothing: RESET of an option that no table has.
 */
static void
fire_alter_table(Oid relid)
{
	StringInfoData sql;

	if (EventCacheLookup(EVT_DDLCommandStart) == NIL &&
		EventCacheLookup(EVT_DDLCommandEnd) == NIL)
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TABLE %s RESET (streamq)",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
												get_rel_name(relid)));
	base_run_utility(linitial_node(RawStmt, pg_parse_query(sql.data))->stmt, sql.data);
}

/*
 * Read the arguments of alter_stream() that have nothing to do with
 * partitions.  Returns true if any is given.
 */
static bool
get_options(FunctionCallInfo fcinfo, StreamOptions *options)
{
	bool		limits;
	bool		others;

	limits = get_age_limit(fcinfo, 3, "retention", &options->retention);
	limits |= get_number_limit(fcinfo, 4, "max_bytes", &options->max_bytes);
	limits |= get_number_limit(fcinfo, 5, "max_messages", &options->max_messages);
	limits |= get_age_limit(fcinfo, 6, "message_ttl", &options->flow.message_ttl);
	others = get_dedup_window(fcinfo, 7, options);
	if (!PG_ARGISNULL(8))
	{
		options->keep_unacked = PG_GETARG_BOOL(8);
		limits = true;
	}
	others |= get_flow(fcinfo, 9, &options->flow);
	/* the background processes look at the limits of retention */
	if (limits)
		job_note_changed();
	return limits || others;
}

/*
 * alter_stream(stream regclass, partitions int4, partition_by text,
 *			 retention interval, max_bytes int8, max_messages int8,
 *			 message_ttl interval, dedup_window interval, keep_unacked bool,
 *			 backlog_messages int8, backlog_policy text, max_rate float8)
 *
 * 42501 unless the caller owns the stream, 0A000 for fewer partitions than
 * before, 22023 for invalid options.
 */
PG_FUNCTION_INFO_V1(streamq_alter_stream);
Datum
streamq_alter_stream(PG_FUNCTION_ARGS)
{
	Relation	rel;
	StreamOptions options = {0};
	bool		changed = false;
	LOCKMODE	lockmode;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	PreventCommandIfReadOnly("alter_stream()");
	check_owner(PG_GETARG_OID(0));
	if (!PG_ARGISNULL(1))
		check_partitions(PG_GETARG_INT32(1));
	/* before the stream is locked, to report invalid values */
	(void) get_options(fcinfo, &options);

	/*
	 * A new partition map must not become visible while a writer uses the old
	 * one.  ShareRowExclusiveLock waits for the transactions of writers, and
	 * blocks new ones until this transaction ends.  Limits matter only to
	 * others who change options.
	 */
	lockmode = PG_ARGISNULL(1) && PG_ARGISNULL(2) ?
		ShareUpdateExclusiveLock : ShareRowExclusiveLock;
	rel = log_open_stream(PG_GETARG_OID(0), lockmode);
	log_options_get(rel, &options);
	changed = get_options(fcinfo, &options);

	if (!PG_ARGISNULL(2))
	{
		StreamOptions before = options;

		parse_partition_by(rel, text_to_cstring(PG_GETARG_TEXT_PP(2)), &options);
		if (options.nkeys != before.nkeys ||
			memcmp(options.keys, before.keys, options.nkeys * sizeof(AttrNumber)) != 0)
			log_add_barrier(rel);
		changed = true;
	}
	if (!PG_ARGISNULL(1) && PG_GETARG_INT32(1) != options.npartitions)
	{
		int			npartitions = PG_GETARG_INT32(1);

		if (npartitions < options.npartitions)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot lower the number of partitions of stream \"%s\" from %d to %d",
							RelationGetRelationName(rel), options.npartitions, npartitions),
					 errhint("Create a new stream and copy the messages into it.")));
		log_add_partitions(rel, npartitions);
		options.npartitions = npartitions;
		Assert(options.nhistory < LOG_MAX_PARTITIONS);
		options.history[options.nhistory++] = npartitions;
		changed = true;
	}
	if (changed)
	{
		log_options_set(rel, &options, !PG_ARGISNULL(2));
		stream_flow_change_mark(RelationGetRelid(rel));
	}
	table_close(rel, NoLock);
	if (changed)
		fire_alter_table(PG_GETARG_OID(0));
	PG_RETURN_VOID();
}

/*
 * drop_stream(stream regclass)
 *
 * 42501 unless the caller owns the stream, and the errors of DROP TABLE.
 */
PG_FUNCTION_INFO_V1(streamq_drop_stream);
Datum
streamq_drop_stream(PG_FUNCTION_ARGS)
{
	Oid			relid;
	Relation	rel;
	char	   *namespace;
	char	   *relname;
	DropStmt   *drop;
	StringInfoData sql;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	PreventCommandIfReadOnly("drop_stream()");
	relid = PG_GETARG_OID(0);
	check_owner(relid);

	/* after locking, the name cannot change */
	rel = log_open_stream(relid, AccessExclusiveLock);
	namespace = get_namespace_name(RelationGetNamespace(rel));
	relname = pstrdup(RelationGetRelationName(rel));
	table_close(rel, NoLock);

	drop = makeNode(DropStmt);
	drop->removeType = OBJECT_TABLE;
	drop->objects = list_make1(list_make2(makeString(namespace), makeString(relname)));
	drop->behavior = DROP_RESTRICT;
	initStringInfo(&sql);
	appendStringInfo(&sql, "DROP TABLE %s", quote_qualified_identifier(namespace, relname));
	base_run_utility((Node *) drop, sql.data);
	PG_RETURN_VOID();
}

/*
 * stream_options_restored() returns trigger
 *
 * BEFORE INSERT OR UPDATE trigger on streamq.stream_options.  Rows are written
 * by SQL when a dump is restored.  The trigger does for them what
 * alter_stream() does for the stream.
 */
PG_FUNCTION_INFO_V1(streamq_stream_options_restored);
Datum
streamq_stream_options_restored(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	HeapTuple	tuple;
	TupleDesc	desc;
	Datum		relid;
	Datum		npartitions;
	bool		isnull[2];

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		RelationGetRelid(trigdata->tg_relation) != base_catalog_oid("stream_options", true))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" can only be called as a trigger of table \"%s\"",
						"stream_options_restored", "streamq.stream_options")));

	base_require_loaded();
	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	desc = RelationGetDescr(trigdata->tg_relation);
	relid = heap_getattr(tuple, 1, desc, &isnull[0]);
	npartitions = heap_getattr(tuple, 2, desc, &isnull[1]);
	/* constraints refuse nulls */
	if (!isnull[0] && !isnull[1])
	{
		Relation	rel = log_open_stream(DatumGetObjectId(relid), ShareRowExclusiveLock);

		check_partitions(DatumGetInt32(npartitions));
		log_add_partitions(rel, DatumGetInt32(npartitions));
		CacheInvalidateRelcache(rel);
		table_close(rel, NoLock);
	}
	return PointerGetDatum(tuple);
}
