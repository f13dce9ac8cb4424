/*
 * capture_format.c
 *	  How the rows of a captured table become messages.
 *
 * The columns, the key and the condition are those of the captured table.  A
 * partition or a child may have its columns in another order.
 */
#include "postgres.h"

#include "access/attmap.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_index.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/command.h"
#include "base/condition.h"
#include "base/try.h"
#include "capture/capture_condition.h"
#include "capture/capture_dependency.h"
#include "capture/capture_format.h"
#include "compat.h"

/* ---- the key ---- */

/* the columns of an index; NIL if it has expressions */
static List *
index_columns(Oid indexid)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid));
	Form_pg_index index;
	List	   *columns = NIL;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	index = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < index->indnkeyatts; i++)
		columns = lappend_int(columns, index->indkey.values[i]);
	ReleaseSysCache(tuple);
	return list_member_int(columns, 0) ? NIL : columns;
}

static bool
is_primary(Oid indexid)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid));
	bool		result = HeapTupleIsValid(tuple) &&
		((Form_pg_index) GETSTRUCT(tuple))->indisprimary;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

List *
capture_key_columns(Relation rel)
{
	ListCell   *lc;
	Oid			identity;

	/* a deferrable primary key counts, too */
	foreach(lc, RelationGetIndexList(rel))
		if (is_primary(lfirst_oid(lc)))
		return index_columns(lfirst_oid(lc));
	identity = RelationGetReplicaIndex(rel);
	return OidIsValid(identity) ? index_columns(identity) : NIL;
}

static void
make_key(CaptureKey *key, Relation source, TupleDesc desc, const AttrMap *map)
{
	List	   *columns = capture_key_columns(source);
	ListCell   *lc;

	key->ncolumns = 0;
	key->columns = palloc0(sizeof(StreamJsonColumn) * Max(list_length(columns), 1));
	foreach(lc, columns)
	{
		AttrNumber	attnum = map != NULL ? map->attnums[lfirst_int(lc) - 1] : lfirst_int(lc);

		stream_json_column_init(&key->columns[key->ncolumns++], TupleDescAttr(desc, attnum - 1));
	}
	if (key->ncolumns == 1)
	{
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(TupleDescAttr(desc, key->columns[0].attnum - 1)->atttypid, &output,
						  &is_varlena);
		fmgr_info(output, &key->output);
	}
}

/* ---- the columns ---- */

static bool
is_captured(const Capture *capture, Form_pg_attribute att)
{
	/* values of virtual columns are not in the rows that a trigger sees */
	if (att->attisdropped || COMPAT_IS_VIRTUAL_COLUMN(att))
		return false;
	if (capture->ncolumns < 0)
		return true;
	for (int i = 0; i < capture->ncolumns; i++)
		if (capture->columns[i] == att->attnum)
			return true;
	return false;
}

static int
compare_columns(const void *a, const void *b)
{
	return capture_compare_keys(((const StreamJsonColumn *) a)->name,
								((const StreamJsonColumn *) b)->name);
}

static void
make_row(CaptureRow *row, const Capture *capture, TupleDesc source, TupleDesc desc,
		 const AttrMap *map)
{
	const char **names = palloc(sizeof(char *) * Max(source->natts, 1));
	int			n = 0;

	row->columns = palloc0(sizeof(StreamJsonColumn) * Max(source->natts, 1));
	for (int i = 0; i < source->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(source, i);

		if (is_captured(capture, att))
			stream_json_column_init(&row->columns[n++],
									TupleDescAttr(desc, map != NULL ? map->attnums[i] - 1 : i));
	}
	qsort(row->columns, n, sizeof(StreamJsonColumn), compare_columns);
	for (int i = 0; i < n; i++)
		names[i] = row->columns[i].name;
	capture_object_prepare(&row->object, names, n);
	pfree(names);
}

/* ---- making a format ---- */

/*
 * Make a format in the current memory context.  Triggers that come from a dump
 * get their dependencies here.
 */
static CaptureFormat *
make_format(Relation rel, Capture *capture)
{
	CaptureFormat *format = palloc0(sizeof(CaptureFormat));
	Relation	source = rel;
	AttrMap    *map = NULL;

	if (capture->source != RelationGetRelid(rel))
	{
		source = table_open(capture->source, AccessShareLock);
		map = COMPAT_BUILD_ATTRMAP(RelationGetDescr(rel), RelationGetDescr(source));
	}
	format->relid = RelationGetRelid(rel);
	format->capture = capture;
	make_row(&format->row, capture, RelationGetDescr(source), RelationGetDescr(rel), map);
	make_key(&format->key, source, RelationGetDescr(rel), map);
	if (capture->condition != NULL)
	{
		Node	   *condition = capture_condition_parse(source, capture);

		capture_record_dependencies(rel, capture, source, condition);
		if (map != NULL)
		{
			bool		whole_row;

			condition = map_variable_attnos(condition, 1, 0, map, rel->rd_rel->reltype,
											&whole_row);
		}
		format->condition = expression_planner((Expr *) condition);
	}
	else
		capture_record_dependencies(rel, capture, source, NULL);
	if (source != rel)
		table_close(source, AccessShareLock);
	return format;
}

/* ---- the cache ---- */

typedef struct FormatKey
{
	Oid			relid;
	int32		number;
} FormatKey;

typedef struct CachedFormat
{
	FormatKey	key;
	CaptureFormat *format;
} CachedFormat;

static HTAB *cache = NULL;

static void
relcache_callback(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CachedFormat *cached;

	hash_seq_init(&status, cache);
	while ((cached = hash_seq_search(&status)) != NULL)
		if (cached->format != NULL &&
			(!OidIsValid(relid) || cached->format->relid == relid ||
			 cached->format->capture->source == relid))
			cached->format->valid = false;
}

static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	relcache_callback(arg, InvalidOid);
}

static void
create_cache(void)
{
	HASHCTL		ctl;

	ctl.keysize = sizeof(FormatKey);
	ctl.entrysize = sizeof(CachedFormat);
	ctl.hcxt = TopMemoryContext;
	cache = hash_create("streamq formats of captures", 16, &ctl,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);

	/* functions of a condition may be inlined, and constants folded */
	CacheRegisterSyscacheCallback(PROCOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(OPEROID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, syscache_callback, (Datum) 0);
}

static void
release_format(void *arg)
{
	CaptureFormat *format = arg;

	if (--format->users == 0)
		MemoryContextDelete(format->context);
}

static void
use_format(CaptureFormat *format)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = release_format;
	callback->arg = format;
	format->users++;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
}

static void
refuse_orphan(Relation rel, int32 number)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("capture %d of table \"%s\" does not exist", number,
					RelationGetRelationName(rel)),
			 errdetail("The table has its triggers, but changes cannot be captured."),
			 errhint("Drop the triggers whose names begin with \"streamq_capture_%d_\", or call streamq.capture() again.",
					 number)));
}

CaptureFormat *
capture_format_get(Relation rel, int32 number)
{
	FormatKey	key = {RelationGetRelid(rel), number};
	CachedFormat *cached;
	CaptureFormat *format;
	MemoryContext context;
	MemoryContext old;
	Capture    *capture;
	bool		found;

	if (cache == NULL)
		create_cache();
	cached = hash_search(cache, &key, HASH_FIND, NULL);
	if (cached != NULL && cached->format != NULL)
	{
		format = cached->format;
		if (format->valid)
		{
			use_format(format);
			return format;
		}
		cached->format = NULL;
		release_format(format);
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "streamq capture format",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	capture = capture_find(RelationGetRelid(rel), number);
	if (capture == NULL)
		refuse_orphan(rel, number);
	format = make_format(rel, capture);
	format->context = context;
	format->users = 1;
	format->valid = true;
	MemoryContextSwitchTo(old);

	cached = hash_search(cache, &key, HASH_ENTER, &found);
	if (found && cached->format != NULL)
		release_format(cached->format);
	MemoryContextSetParent(context, TopMemoryContext);
	cached->format = format;
	use_format(format);
	return format;
}
