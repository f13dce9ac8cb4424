/*
 * options.c
 *	  A stream's options: rows of streamq.stream_options.
 *
 * The partition_by columns are stored by name, because names stay correct in a
 * restored dump.  The row follows when a column is renamed or dropped
 * (log_options_column_changed).
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/catalog.h"
#include "compat.h"
#include "log/log.h"
#include "log/options.h"

/* columns of streamq.stream_options */
#define Anum_stream_options_relid	1
#define Anum_stream_options_npartitions	2
#define Anum_stream_options_history	3
#define Anum_stream_options_partition_by	4
#define Anum_stream_options_retention	5
#define Anum_stream_options_max_bytes	6
#define Anum_stream_options_max_messages	7
#define Anum_stream_options_keep_unacked	8
#define Anum_stream_options_dedup_window	9
#define Anum_stream_options_message_ttl	10
#define Anum_stream_options_backlog_messages	11
#define Anum_stream_options_backlog_policy	12
#define Anum_stream_options_max_rate	13
#define Natts_stream_options 13

/* dedup_window of streams that have none of their own */
static const Interval default_dedup_window = {.day = 1};

static const char *const policy_names[] = {
	[LOG_BACKLOG_NONE] = "none",
	[LOG_BACKLOG_REJECT] = "reject",
	[LOG_BACKLOG_BLOCK] = "block",
	[LOG_BACKLOG_EVICT] = "evict"
};

static Relation
open_options(LOCKMODE lockmode, bool missing_ok)
{
	return base_catalog_open("stream_options", Natts_stream_options, lockmode, missing_ok);
}

/*
 * Copy of a stream's row; NULL if it has none.  It is read with the newest
 * catalog snapshot, because the caller may be loading a relcache entry.
 */
static HeapTuple
fetch_row(Relation catalog, Oid relid)
{
	return base_catalog_fetch(catalog, Anum_stream_options_relid, ObjectIdGetDatum(relid));
}

static AttrNumber
column_by_name(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att->attnum;
	}
	return InvalidAttrNumber;
}

static void
read_int2_array(Datum value, int max, int *n, int16 *result)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *elems;

	deconstruct_array(array, INT2OID, sizeof(int16), true, TYPALIGN_SHORT,
					  &elems, NULL, n);
	*n = Min(*n, max);
	for (int i = 0; i < *n; i++)
		result[i] = DatumGetInt16(elems[i]);
}

static int
read_names(Datum value, Datum **names)
{
	int			n;

	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  names, NULL, &n);
	return Min(n, LOG_OPTIONS_MAX_KEYS);
}

static void
read_keys(Relation rel, StreamOptions *options, Datum value)
{
	Datum	   *names;
	int			n = read_names(value, &names);

	for (int i = 0; i < n; i++)
	{
		AttrNumber	attnum = column_by_name(RelationGetDescr(rel),
											TextDatumGetCString(names[i]));

		if (AttributeNumberIsValid(attnum))
			options->keys[options->nkeys++] = attnum;
	}
}

/* Without a stored choice, a hashable column named "key" is the key. */
static void
default_keys(Relation rel, StreamOptions *options)
{
	AttrNumber	attnum = column_by_name(RelationGetDescr(rel), "key");
	TypeCacheEntry *type;
	Form_pg_attribute att;

	if (!AttributeNumberIsValid(attnum))
		return;
	att = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	if (COMPAT_IS_VIRTUAL_COLUMN(att))
		return;
	type = lookup_type_cache(att->atttypid, TYPECACHE_HASH_EXTENDED_PROC);
	if (!OidIsValid(type->hash_extended_proc))
		return;
	options->keys[options->nkeys++] = attnum;
}

bool
log_options_find_policy(const char *name, LogBacklogPolicy *policy)
{
	for (int i = 0; i < lengthof(policy_names); i++)
	{
		if (strcmp(policy_names[i], name) == 0)
		{
			*policy = i;
			return true;
		}
	}
	return false;
}

static void
read_flow(LogFlowOptions *flow, const Datum *values, const bool *nulls)
{
	char	   *policy;

	if (!nulls[Anum_stream_options_message_ttl - 1])
		flow->message_ttl = *DatumGetIntervalP(values[Anum_stream_options_message_ttl - 1]);
	if (!nulls[Anum_stream_options_backlog_messages - 1])
		flow->backlog_messages = DatumGetInt64(values[Anum_stream_options_backlog_messages - 1]);
	if (!nulls[Anum_stream_options_max_rate - 1])
		flow->max_rate = DatumGetFloat8(values[Anum_stream_options_max_rate - 1]);
	policy = TextDatumGetCString(values[Anum_stream_options_backlog_policy - 1]);
	if (!log_options_find_policy(policy, &flow->backlog_policy))
		elog(ERROR, "unknown backlog policy: \"%s\"", policy);
	pfree(policy);
}

static void
read_limits(StreamOptions *options, const Datum *values, const bool *nulls)
{
	if (!nulls[Anum_stream_options_retention - 1])
		options->retention = *DatumGetIntervalP(values[Anum_stream_options_retention - 1]);
	if (!nulls[Anum_stream_options_max_bytes - 1])
		options->max_bytes = DatumGetInt64(values[Anum_stream_options_max_bytes - 1]);
	if (!nulls[Anum_stream_options_max_messages - 1])
		options->max_messages = DatumGetInt64(values[Anum_stream_options_max_messages - 1]);
	options->keep_unacked = DatumGetBool(values[Anum_stream_options_keep_unacked - 1]);
	if (!nulls[Anum_stream_options_dedup_window - 1])
		options->dedup_window = *DatumGetIntervalP(values[Anum_stream_options_dedup_window - 1]);
	read_flow(&options->flow, values, nulls);
}

void
log_options_get(Relation rel, StreamOptions *options)
{
	Relation	catalog;
	HeapTuple	tuple = NULL;
	Datum		values[Natts_stream_options];
	bool		nulls[Natts_stream_options];

	memset(options, 0, sizeof(StreamOptions));
	options->npartitions = 1;
	options->nhistory = 1;
	options->history[0] = 1;
	options->dedup_window = default_dedup_window;

	/* the table is missing while the extension is being created or dropped */
	catalog = open_options(AccessShareLock, true);
	if (catalog != NULL)
	{
		tuple = fetch_row(catalog, RelationGetRelid(rel));
		if (HeapTupleIsValid(tuple))
			heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
		table_close(catalog, AccessShareLock);
	}
	if (!HeapTupleIsValid(tuple))
	{
		default_keys(rel, options);
		return;
	}

	options->npartitions = DatumGetInt32(values[Anum_stream_options_npartitions - 1]);
	read_int2_array(values[Anum_stream_options_history - 1], LOG_MAX_PARTITIONS,
					&options->nhistory, options->history);
	if (nulls[Anum_stream_options_partition_by - 1])
		default_keys(rel, options);
	else
		read_keys(rel, options, values[Anum_stream_options_partition_by - 1]);
	read_limits(options, values, nulls);
	options->stored_by = HeapTupleHeaderGetXmin(tuple->t_data);
	heap_freetuple(tuple);
}

static bool
is_set(const Interval *interval)
{
	return interval->month != 0 || interval->day != 0 || interval->time != 0;
}

bool
log_options_has_retention(const StreamOptions *options)
{
	return is_set(&options->retention);
}

bool
log_options_has_ttl(const StreamOptions *options)
{
	return is_set(&options->flow.message_ttl);
}

bool
log_options_has_limit(const StreamOptions *options)
{
	return log_options_has_retention(options) || log_options_has_ttl(options) ||
		options->max_bytes > 0 || options->max_messages > 0;
}

TimestampTz
log_options_time_before(const Interval *age)
{
	TimestampTz now = GetCurrentTimestamp();
	double		days = age->month * 31.0 + age->day + age->time / (double) USECS_PER_DAY;

	if (days >= (now - MIN_TIMESTAMP) / USECS_PER_DAY)
		return MIN_TIMESTAMP;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
												   TimestampTzGetDatum(now),
												   IntervalPGetDatum(age)));
}

List *
log_options_list_limited(void)
{
	Relation	catalog = open_options(AccessShareLock, true);
	List	   *result = NIL;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (catalog == NULL)
		return NIL;
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		values[Natts_stream_options];
		bool		nulls[Natts_stream_options];
		StreamOptions options = {0};

		heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
		read_limits(&options, values, nulls);
		if (log_options_has_limit(&options))
			result = lappend_oid(result, DatumGetObjectId(values[Anum_stream_options_relid - 1]));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

char *
log_options_partition_by(Relation rel, const StreamOptions *options)
{
	StringInfoData list;

	if (options->nkeys == 0)
		return NULL;
	initStringInfo(&list);
	for (int i = 0; i < options->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), options->keys[i] - 1);

		if (i > 0)
			appendStringInfoString(&list, ", ");
		appendStringInfoString(&list, quote_identifier(NameStr(att->attname)));
	}
	return list.data;
}

static Datum
make_int2_array(const int16 *numbers, int n)
{
	Datum	   *elems = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		elems[i] = Int16GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(elems, n, INT2OID, sizeof(int16),
										   true, TYPALIGN_SHORT));
}

void
log_options_set(Relation rel, const StreamOptions *options, bool set_keys)
{
	Relation	catalog = open_options(RowExclusiveLock, false);
	HeapTuple	old = fetch_row(catalog, RelationGetRelid(rel));
	Datum		values[Natts_stream_options] = {0};
	bool		nulls[Natts_stream_options] = {false};
	bool		replaces[Natts_stream_options] = {false};

	values[Anum_stream_options_relid - 1] = ObjectIdGetDatum(RelationGetRelid(rel));
	values[Anum_stream_options_npartitions - 1] = Int32GetDatum(options->npartitions);
	replaces[Anum_stream_options_npartitions - 1] = true;
	values[Anum_stream_options_history - 1] = make_int2_array(options->history, options->nhistory);
	replaces[Anum_stream_options_history - 1] = true;
	if (set_keys)
	{
		Datum		names[LOG_OPTIONS_MAX_KEYS];

		for (int i = 0; i < options->nkeys; i++)
			names[i] = CStringGetTextDatum(NameStr(TupleDescAttr(RelationGetDescr(rel),
																 options->keys[i] - 1)->attname));
		values[Anum_stream_options_partition_by - 1] =
			PointerGetDatum(construct_array(names, options->nkeys, TEXTOID, -1,
											false, TYPALIGN_INT));
		replaces[Anum_stream_options_partition_by - 1] = true;
	}
	else
		nulls[Anum_stream_options_partition_by - 1] = true;

	values[Anum_stream_options_retention - 1] = IntervalPGetDatum(&options->retention);
	nulls[Anum_stream_options_retention - 1] = !log_options_has_retention(options);
	values[Anum_stream_options_max_bytes - 1] = Int64GetDatum(options->max_bytes);
	nulls[Anum_stream_options_max_bytes - 1] = options->max_bytes == 0;
	values[Anum_stream_options_max_messages - 1] = Int64GetDatum(options->max_messages);
	nulls[Anum_stream_options_max_messages - 1] = options->max_messages == 0;
	values[Anum_stream_options_keep_unacked - 1] = BoolGetDatum(options->keep_unacked);
	values[Anum_stream_options_dedup_window - 1] = IntervalPGetDatum(&options->dedup_window);
	nulls[Anum_stream_options_dedup_window - 1] =
		memcmp(&options->dedup_window, &default_dedup_window, sizeof(Interval)) == 0;
	values[Anum_stream_options_message_ttl - 1] = IntervalPGetDatum(&options->flow.message_ttl);
	nulls[Anum_stream_options_message_ttl - 1] = !log_options_has_ttl(options);
	values[Anum_stream_options_backlog_messages - 1] = Int64GetDatum(options->flow.backlog_messages);
	nulls[Anum_stream_options_backlog_messages - 1] = options->flow.backlog_messages == 0;
	values[Anum_stream_options_backlog_policy - 1] =
		CStringGetTextDatum(policy_names[options->flow.backlog_policy]);
	values[Anum_stream_options_max_rate - 1] = Float8GetDatum(options->flow.max_rate);
	nulls[Anum_stream_options_max_rate - 1] = options->flow.max_rate == 0;
	for (int i = Anum_stream_options_retention; i <= Anum_stream_options_max_rate; i++)
		replaces[i - 1] = true;

	if (HeapTupleIsValid(old))
		base_catalog_update(catalog, old, values, nulls, replaces);
	else
		base_catalog_insert(catalog, values, nulls);
	table_close(catalog, NoLock);
	CacheInvalidateRelcache(rel);
}

void
log_options_delete(Oid relid)
{
	Relation	catalog = open_options(RowExclusiveLock, true);

	if (catalog == NULL)
		return;
	base_catalog_delete_by_key(catalog, InvalidOid, Anum_stream_options_relid, ObjectIdGetDatum(relid));
	table_close(catalog, NoLock);
}

/* A column as the running command leaves it. */
typedef struct ColumnNow
{
	char	   *name;			/* NULL if dropped */
	Oid			type;
	Oid			collation;
} ColumnNow;

/*
 * Read a column as the running command leaves it.  The caches do not have that
 * yet.
 */
static void
read_column(Oid relid, AttrNumber attnum, ColumnNow *column)
{
	Relation	pg_attribute = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	memset(column, 0, sizeof(ColumnNow));
	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber,
				F_INT2EQ, Int16GetDatum(attnum));
	scan = systable_beginscan(pg_attribute, AttributeRelidNumIndexId, true,
							  SnapshotSelf, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_attribute att = (Form_pg_attribute) GETSTRUCT(tuple);

		if (!att->attisdropped)
		{
			column->name = pstrdup(NameStr(att->attname));
			column->type = att->atttypid;
			column->collation = att->attcollation;
		}
	}
	systable_endscan(scan);
	table_close(pg_attribute, AccessShareLock);
}

/* Rename a column in the row of a stream, or remove it if new_name is NULL. */
static void
rename_in_row(Relation catalog, HeapTuple tuple, const char *old_name, const char *new_name)
{
	Datum		values[Natts_stream_options];
	bool		nulls[Natts_stream_options];
	bool		replaces[Natts_stream_options] = {false};
	Datum	   *names;
	int			n;
	int			kept = 0;

	heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
	n = read_names(values[Anum_stream_options_partition_by - 1], &names);
	for (int i = 0; i < n; i++)
	{
		if (strcmp(TextDatumGetCString(names[i]), old_name) != 0)
			names[kept++] = names[i];
		else
		{
			replaces[Anum_stream_options_partition_by - 1] = true;
			if (new_name != NULL)
				names[kept++] = CStringGetTextDatum(new_name);
		}
	}
	if (replaces[Anum_stream_options_partition_by - 1])
	{
		values[Anum_stream_options_partition_by - 1] =
			PointerGetDatum(construct_array(names, kept, TEXTOID, -1,
											false, TYPALIGN_INT));
		base_catalog_update(catalog, tuple, values, nulls, replaces);
	}
}

/*
 * Does the running command change the routing columns, or their hash values?
 */
static bool
routing_changes(Relation rel, AttrNumber attnum, const ColumnNow *now, bool by_default)
{
	TupleDesc	desc = RelationGetDescr(rel);
	StreamOptions options;
	bool		is_key = false;
	bool		renamed = true;
	bool		retyped = false;

	log_options_get(rel, &options);
	for (int i = 0; i < options.nkeys; i++)
		is_key |= options.keys[i] == attnum;
	if (now->name == NULL)
		return is_key;
	/* a column that is being added is not in the relation cache yet */
	if (attnum <= desc->natts)
	{
		Form_pg_attribute att = TupleDescAttr(desc, attnum - 1);

		renamed = strcmp(NameStr(att->attname), now->name) != 0;
		retyped = now->type != att->atttypid || now->collation != att->attcollation;
	}
	if (!is_key)
		return by_default && (renamed || retyped) && strcmp(now->name, "key") == 0;
	if (!retyped)
		return by_default && renamed;
	if (!by_default &&
		!OidIsValid(lookup_type_cache(now->type, TYPECACHE_HASH_EXTENDED_PROC)->hash_extended_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify a hash function for type %s",
						format_type_be(now->type)),
				 errdetail("Stream \"%s\" is partitioned by column \"%s\".",
						   RelationGetRelationName(rel), now->name),
				 errhint("Change partition_by with streamq.alter_stream() first.")));
	return true;
}

bool
log_options_column_changed(Relation rel, AttrNumber attnum, bool dropped)
{
	Oid			relid = RelationGetRelid(rel);
	Relation	catalog = open_options(RowExclusiveLock, true);
	HeapTuple	tuple;
	ColumnNow	now = {0};
	char	   *old_name;
	bool		by_default = true;
	bool		result;

	if (catalog == NULL)
		return false;
	if (!dropped)
		read_column(relid, attnum, &now);

	/*
	 * The caches still have the old name, or none if the column is being
	 * added.
	 */
	old_name = get_attname(relid, attnum, true);
	tuple = fetch_row(catalog, relid);
	if (HeapTupleIsValid(tuple))
	{
		Datum		values[Natts_stream_options];
		bool		nulls[Natts_stream_options];

		heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
		by_default = nulls[Anum_stream_options_partition_by - 1];
	}
	result = routing_changes(rel, attnum, &now, by_default);
	if (!by_default && old_name != NULL &&
		(now.name == NULL || strcmp(old_name, now.name) != 0))
		rename_in_row(catalog, tuple, old_name, now.name);
	table_close(catalog, NoLock);
	return result;
}
