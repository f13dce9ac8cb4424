/*
 * capture_define.c
 *	  Beginning and ending a capture.
 *
 * The triggers are created under a lock that waits for writers and keeps them
 * out until the transaction ends.  A snapshot that is taken after that sees
 * everything that writers have committed before, and the triggers see
 * everything that comes later.  It is not the snapshot of the transaction,
 * which may be older.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/argument.h"
#include "base/command.h"
#include "base/loaded.h"
#include "capture/capture_catalog.h"
#include "capture/capture_condition.h"
#include "capture/capture_dependency.h"
#include "capture/capture_tree.h"
#include "capture/capture_writer.h"
#include "compat.h"
#include "log/log.h"

PG_FUNCTION_INFO_V1(streamq_capture);
PG_FUNCTION_INFO_V1(streamq_stop_capture);

/* ---- arguments ---- */

enum
{
	ARG_SOURCE,
	ARG_INTO_STREAM,
	ARG_SNAPSHOT,
	ARG_COLUMNS,
	ARG_CONDITION
};

static Oid
relation_arg(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		base_null_argument(name);
	return PG_GETARG_OID(arg);
}

static void
check_owner(Relation rel)
{
	if (!object_ownercheck(RelationRelationId, RelationGetRelid(rel), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));
}

/* open the table that is to be captured; its writers are kept out */
static Relation
open_source(Oid relid)
{
	Relation	rel = table_open(relid, ShareRowExclusiveLock);

	if (log_is_stream(rel) || (rel->rd_rel->relkind != RELKIND_RELATION &&
							   rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot capture \"%s\"", RelationGetRelationName(rel)),
				 log_is_stream(rel) ?
				 errdetail("It is a stream; changes of ordinary tables are captured.") :
				 errdetail("Changes of ordinary and partitioned tables are captured."),
				 log_is_stream(rel) ?
				 errhint("Use a pipe to write messages of a stream into another one.") : 0));
	if (RelationGetNamespace(rel) == get_namespace_oid(STREAMQ_SCHEMA, true))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot capture \"%s\"", RelationGetRelationName(rel)),
				 errdetail("Tables in schema \"%s\" belong to the extension.", STREAMQ_SCHEMA)));
	if (IsSystemRelation(rel))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot capture system catalog \"%s\"", RelationGetRelationName(rel))));
	if (rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot capture unlogged or temporary table \"%s\"",
						RelationGetRelationName(rel))));
	check_owner(rel);
	return rel;
}

static Relation
open_stream(Oid relid, Relation source)
{
	Relation	stream = log_open_stream(relid, RowExclusiveLock);
	BaseIdentity identity;

	/* an unlogged stream would lose changes in a crash */
	if (stream->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot capture into unlogged or temporary stream \"%s\"",
						RelationGetRelationName(stream))));
	capture_check_stream(stream, source);
	/* the triggers write as the owner of the table */
	base_become_role(source->rd_rel->relowner, &identity);
	capture_check_stream(stream, source);
	base_become_caller(&identity);
	return stream;
}

/* find the columns by their names, and store their numbers */
static void
read_columns(Capture *capture, Relation source, ArrayType *array)
{
	Datum	   *names;
	bool	   *nulls;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls,
					  &capture->ncolumns);
	if (capture->ncolumns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("columns must not be empty")));
	capture->columns = palloc(sizeof(AttrNumber) * capture->ncolumns);
	for (int i = 0; i < capture->ncolumns; i++)
	{
		char	   *name;
		AttrNumber	attnum;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("columns must not contain null")));
		name = TextDatumGetCString(names[i]);
		attnum = get_attnum(RelationGetRelid(source), name);
		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of table \"%s\" does not exist", name,
							RelationGetRelationName(source))));
		if (COMPAT_IS_VIRTUAL_COLUMN(TupleDescAttr(RelationGetDescr(source), attnum - 1)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot capture virtual generated column \"%s\"", name)));
		for (int j = 0; j < i; j++)
			if (capture->columns[j] == attnum)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" is named twice", name)));
		capture->columns[i] = attnum;
	}
}

static Capture *
find_by_stream(Oid source, Oid stream)
{
	ListCell   *lc;

	foreach(lc, capture_list(source))
	{
		Capture    *capture = lfirst(lc);

		if (capture->stream == stream)
			return capture;
	}
	return NULL;
}

/* ---- the snapshot ---- */

static void
write_snapshot(Oid relid, int32 number, Snapshot snapshot)
{
	Relation	rel = table_open(relid, NoLock);
	TableScanDesc scan;
	TupleTableSlot *slot;
	CaptureWriter *writer;

	if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
	{
		writer = capture_writer_begin(rel, number, rel->rd_rel->reltuples);
		slot = table_slot_create(rel, NULL);
		scan = table_beginscan(rel, snapshot, 0, NULL);
		while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			CHECK_FOR_INTERRUPTS();
			capture_writer_add(writer, CAPTURE_SNAPSHOT, NULL, slot);
		}
		table_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
		capture_writer_end(writer);
	}
	table_close(rel, NoLock);
}

/* ---- SQL functions ---- */

/*
 * capture(source regclass, into_stream regclass, snapshot bool,
 *		   columns text[], condition text)
 *
 * 42710 if the table is captured into the stream already, 42809 if one of them
 * is of another kind, 42501 unless the caller owns the table and both the
 * caller and the owner may write to the stream, 42703 for columns that do not
 * exist, errors of the condition.
 */
Datum
streamq_capture(PG_FUNCTION_ARGS)
{
	Capture		capture = {.ncolumns = -1};
	Relation	source;
	Relation	stream;
	List	   *relids;
	ListCell   *lc;

	base_require_loaded();
	PreventCommandIfReadOnly("capture()");
	capture.source = relation_arg(fcinfo, ARG_SOURCE, "source");
	capture.stream = relation_arg(fcinfo, ARG_INTO_STREAM, "into_stream");
	if (PG_ARGISNULL(ARG_SNAPSHOT))
		base_null_argument("snapshot");

	source = open_source(capture.source);
	stream = open_stream(capture.stream, source);
	if (find_by_stream(capture.source, capture.stream) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" is already captured into stream \"%s\"",
						RelationGetRelationName(source), RelationGetRelationName(stream))));
	if (!PG_ARGISNULL(ARG_COLUMNS))
		read_columns(&capture, source, PG_GETARG_ARRAYTYPE_P(ARG_COLUMNS));
	if (!PG_ARGISNULL(ARG_CONDITION))
		capture.condition =
			capture_condition_check(source, text_to_cstring(PG_GETARG_TEXT_PP(ARG_CONDITION)));

	/* a dump may have brought triggers without their capture */
	relids = find_all_inheritors(capture.source, ShareRowExclusiveLock, NULL);
	foreach(lc, relids)
		capture_follow(lfirst_oid(lc));
	capture_insert(&capture);
	foreach(lc, relids)
		capture_follow(lfirst_oid(lc));
	CommandCounterIncrement();
	capture_tie(source, &capture);
	if (PG_GETARG_BOOL(ARG_SNAPSHOT))
	{
		PushActiveSnapshot(GetLatestSnapshot());
		foreach(lc, relids)
			write_snapshot(lfirst_oid(lc), capture.number, GetActiveSnapshot());
		PopActiveSnapshot();
	}
	table_close(stream, NoLock);
	table_close(source, NoLock);
	PG_RETURN_VOID();
}

/*
 * stop_capture(source regclass, into_stream regclass): 42704 if the table is
 * not captured into the stream, 42501 unless the caller owns the table
 */
Datum
streamq_stop_capture(PG_FUNCTION_ARGS)
{
	Oid			sourceid;
	Oid			streamid;
	Relation	source;
	Capture    *capture;
	ListCell   *lc;

	base_require_loaded();
	PreventCommandIfReadOnly("stop_capture()");
	sourceid = relation_arg(fcinfo, ARG_SOURCE, "source");
	streamid = relation_arg(fcinfo, ARG_INTO_STREAM, "into_stream");
	source = relation_open(sourceid, AccessShareLock);
	check_owner(source);
	relation_close(source, NoLock);
	/* dropping triggers needs this lock anyway */
	LockRelationOid(sourceid, AccessExclusiveLock);
	capture = find_by_stream(sourceid, streamid);
	if (capture == NULL)
	{
		const char *stream = get_rel_name(streamid);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" is not captured into stream \"%s\"",
						get_rel_name(sourceid),
						stream != NULL ? stream : psprintf("%u", streamid))));
	}
	foreach(lc, find_all_inheritors(sourceid, AccessExclusiveLock, NULL))
		capture_drop_triggers(lfirst_oid(lc), capture->number);
	/* somebody may have dropped all triggers before */
	capture_delete(sourceid, capture->number);
	PG_RETURN_VOID();
}
