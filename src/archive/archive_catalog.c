/*
 * archive_catalog.c
 *	  The tables streamq.archive and streamq.archive_progress.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "archive/archive_catalog.h"
#include "base/catalog.h"

/* columns of streamq.archive */
#define Anum_archive_stream		1
#define Anum_archive_destination	2
#define Anum_archive_format		3
#define Anum_archive_compression	4
#define Anum_archive_command	5
#define Anum_archive_owner		6
#define Anum_archive_prefix		7
#define Anum_archive_identity	8
#define Anum_archive_started_at 9
#define Anum_archive_restored	10
#define Anum_archive_last_error 11
#define Natts_archive			11

/* columns of streamq.archive_progress */
#define Anum_progress_stream	1
#define Anum_progress_partition 2
#define Anum_progress_next_offset	3
#define Anum_progress_pending_from	4
#define Anum_progress_pending_to	5
#define Anum_progress_files		6
#define Anum_progress_bytes		7
#define Natts_progress			7

static const char *const format_names[] = {
	[ARCHIVE_JSONL] = "jsonl",
	[ARCHIVE_CSV] = "csv",
	[ARCHIVE_BINARY] = "binary"
};

static const char *const compression_names[] = {
	[ARCHIVE_NONE] = "none",
	[ARCHIVE_GZIP] = "gzip",
	[ARCHIVE_LZ4] = "lz4",
	[ARCHIVE_ZSTD] = "zstd"
};

bool
archive_find_format(const char *name, ArchiveFormat *format)
{
	for (int i = 0; i < lengthof(format_names); i++)
	{
		if (strcmp(format_names[i], name) == 0)
		{
			*format = i;
			return true;
		}
	}
	return false;
}

bool
archive_find_compression(const char *name, ArchiveCompression *compression)
{
	for (int i = 0; i < lengthof(compression_names); i++)
	{
		if (strcmp(compression_names[i], name) == 0)
		{
			*compression = i;
			return true;
		}
	}
	return false;
}

const char *
archive_format_name(ArchiveFormat format)
{
	return format_names[format];
}

const char *
archive_compression_name(ArchiveCompression compression)
{
	return compression_names[compression];
}

static Relation
open_archive(LOCKMODE lockmode, bool missing_ok)
{
	return base_catalog_open("archive", Natts_archive, lockmode, missing_ok);
}

static Relation
open_progress(LOCKMODE lockmode, bool missing_ok)
{
	return base_catalog_open("archive_progress", Natts_progress, lockmode, missing_ok);
}

bool
archive_lock(Oid stream, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, base_catalog_oid("archive", false), stream, 0);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

static void
read_row(ArchiveRow *row, const Datum *values, const bool *nulls)
{
	char	   *format = TextDatumGetCString(values[Anum_archive_format - 1]);
	char	   *compression = TextDatumGetCString(values[Anum_archive_compression - 1]);

	row->stream = DatumGetObjectId(values[Anum_archive_stream - 1]);
	row->destination = TextDatumGetCString(values[Anum_archive_destination - 1]);
	if (!archive_find_format(format, &row->format) ||
		!archive_find_compression(compression, &row->compression))
		elog(ERROR, "unknown format of an archive: %s, %s", format, compression);
	row->command = nulls[Anum_archive_command - 1] ? NULL :
		TextDatumGetCString(values[Anum_archive_command - 1]);
	row->owner = DatumGetObjectId(values[Anum_archive_owner - 1]);
	row->prefix = TextDatumGetCString(values[Anum_archive_prefix - 1]);
	row->identity = TextDatumGetCString(values[Anum_archive_identity - 1]);
	row->started_at = DatumGetTimestampTz(values[Anum_archive_started_at - 1]);
	row->restored = DatumGetBool(values[Anum_archive_restored - 1]);
}

bool
archive_get(Oid stream, ArchiveRow *row)
{
	Relation	catalog = open_archive(AccessShareLock, true);
	HeapTuple	tuple;

	if (catalog == NULL)
		return false;
	tuple = base_catalog_fetch(catalog, Anum_archive_stream, ObjectIdGetDatum(stream));
	if (HeapTupleIsValid(tuple))
	{
		Datum		values[Natts_archive];
		bool		nulls[Natts_archive];

		heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
		read_row(row, values, nulls);
	}
	table_close(catalog, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

void
archive_add(const ArchiveRow *row)
{
	Relation	catalog = open_archive(RowExclusiveLock, false);
	Datum		values[Natts_archive] = {0};
	bool		nulls[Natts_archive] = {false};

	values[Anum_archive_stream - 1] = ObjectIdGetDatum(row->stream);
	values[Anum_archive_destination - 1] = CStringGetTextDatum(row->destination);
	values[Anum_archive_format - 1] = CStringGetTextDatum(format_names[row->format]);
	values[Anum_archive_compression - 1] =
		CStringGetTextDatum(compression_names[row->compression]);
	if (row->command != NULL)
		values[Anum_archive_command - 1] = CStringGetTextDatum(row->command);
	else
		nulls[Anum_archive_command - 1] = true;
	values[Anum_archive_owner - 1] = ObjectIdGetDatum(row->owner);
	values[Anum_archive_prefix - 1] = CStringGetTextDatum(row->prefix);
	values[Anum_archive_identity - 1] = CStringGetTextDatum(row->identity);
	values[Anum_archive_started_at - 1] = TimestampTzGetDatum(row->started_at);
	values[Anum_archive_restored - 1] = BoolGetDatum(row->restored);
	nulls[Anum_archive_last_error - 1] = true;
	base_catalog_insert(catalog, values, nulls);
	table_close(catalog, RowExclusiveLock);
}

bool
archive_delete(Oid stream)
{
	Relation	catalog = open_archive(RowExclusiveLock, true);
	HeapTuple	tuple;

	if (catalog == NULL)
		return false;
	tuple = base_catalog_fetch(catalog, Anum_archive_stream, ObjectIdGetDatum(stream));
	if (HeapTupleIsValid(tuple))
	{
		Relation	progress = open_progress(RowExclusiveLock, false);

		base_catalog_delete(catalog, tuple);
		base_catalog_delete_by_key(progress, InvalidOid, Anum_progress_stream,
								   ObjectIdGetDatum(stream));
		table_close(progress, RowExclusiveLock);
	}
	table_close(catalog, RowExclusiveLock);
	return HeapTupleIsValid(tuple);
}

List *
archive_list(void)
{
	Relation	catalog = open_archive(AccessShareLock, true);
	List	   *result = NIL;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (catalog == NULL)
		return NIL;
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		values[Natts_archive];
		bool		nulls[Natts_archive];

		heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
		if (!DatumGetBool(values[Anum_archive_restored - 1]))
		{
			ArchiveKey *key = palloc(sizeof(ArchiveKey));

			key->stream = DatumGetObjectId(values[Anum_archive_stream - 1]);
			key->started_at = DatumGetTimestampTz(values[Anum_archive_started_at - 1]);
			result = lappend(result, key);
		}
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

bool
archive_is_used(void)
{
	return archive_list() != NIL;
}

/* a copy of the row of a partition; NULL if there is none */
static HeapTuple
fetch_progress(Relation catalog, Oid stream, int partition)
{
	SysScanDesc scan = base_catalog_scan(catalog, InvalidOid, Anum_progress_stream,
										 ObjectIdGetDatum(stream), NULL);
	HeapTuple	tuple;
	HeapTuple	result = NULL;
	bool		isnull;

	while (result == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (DatumGetInt32(heap_getattr(tuple, Anum_progress_partition,
									   RelationGetDescr(catalog), &isnull)) == partition)
			result = heap_copytuple(tuple);
	}
	systable_endscan(scan);
	return result;
}

static int64
read_offset(HeapTuple tuple, Relation catalog, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, RelationGetDescr(catalog), &isnull);

	return isnull ? -1 : DatumGetInt64(value);
}

void
archive_get_progress(Oid stream, int partition, ArchiveProgress *progress)
{
	Relation	catalog = open_progress(AccessShareLock, false);
	HeapTuple	tuple = fetch_progress(catalog, stream, partition);

	progress->next_offset = progress->pending_from = progress->pending_to = -1;
	progress->files = progress->bytes = 0;
	if (HeapTupleIsValid(tuple))
	{
		progress->next_offset = read_offset(tuple, catalog, Anum_progress_next_offset);
		progress->pending_from = read_offset(tuple, catalog, Anum_progress_pending_from);
		progress->pending_to = read_offset(tuple, catalog, Anum_progress_pending_to);
		progress->files = read_offset(tuple, catalog, Anum_progress_files);
		progress->bytes = read_offset(tuple, catalog, Anum_progress_bytes);
	}
	table_close(catalog, AccessShareLock);
}

static void
set_offset(Datum *values, bool *nulls, int column, int64 value)
{
	values[column - 1] = Int64GetDatum(value);
	nulls[column - 1] = value < 0;
}

void
archive_set_progress(Oid stream, int partition, const ArchiveProgress *progress)
{
	Relation	catalog = open_progress(RowExclusiveLock, false);
	HeapTuple	old = fetch_progress(catalog, stream, partition);
	Datum		values[Natts_progress] = {0};
	bool		nulls[Natts_progress] = {false};
	bool		replaces[Natts_progress];

	memset(replaces, true, sizeof(replaces));
	values[Anum_progress_stream - 1] = ObjectIdGetDatum(stream);
	values[Anum_progress_partition - 1] = Int32GetDatum(partition);
	set_offset(values, nulls, Anum_progress_next_offset, progress->next_offset);
	set_offset(values, nulls, Anum_progress_pending_from, progress->pending_from);
	set_offset(values, nulls, Anum_progress_pending_to, progress->pending_to);
	set_offset(values, nulls, Anum_progress_files, progress->files);
	set_offset(values, nulls, Anum_progress_bytes, progress->bytes);
	if (HeapTupleIsValid(old))
		base_catalog_update(catalog, old, values, nulls, replaces);
	else
		base_catalog_insert(catalog, values, nulls);
	table_close(catalog, RowExclusiveLock);
}

void
archive_get_positions(Oid stream, int npartitions, int64 *positions)
{
	Relation	catalog = open_progress(AccessShareLock, false);
	SysScanDesc scan = base_catalog_scan(catalog, InvalidOid, Anum_progress_stream,
										 ObjectIdGetDatum(stream), NULL);
	HeapTuple	tuple;

	memset(positions, 0, npartitions * sizeof(int64));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		int64		partition = 0;
		bool		isnull;

		partition = DatumGetInt32(heap_getattr(tuple, Anum_progress_partition,
											   RelationGetDescr(catalog), &isnull));
		if (partition >= 0 && partition < npartitions)
			positions[partition] =
				Max(read_offset(tuple, catalog, Anum_progress_next_offset), 0);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

bool
archive_set_error(Oid stream, const char *error)
{
	Relation	catalog = open_archive(RowExclusiveLock, true);
	HeapTuple	tuple;
	bool		changed = false;

	if (catalog == NULL)
		return false;
	tuple = base_catalog_fetch(catalog, Anum_archive_stream, ObjectIdGetDatum(stream));
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		old = heap_getattr(tuple, Anum_archive_last_error,
									   RelationGetDescr(catalog), &isnull);

		changed = isnull ? error != NULL :
			error == NULL || strcmp(TextDatumGetCString(old), error) != 0;
		if (changed)
		{
			Datum		values[Natts_archive] = {0};
			bool		nulls[Natts_archive] = {false};
			bool		replaces[Natts_archive] = {false};

			if (error != NULL)
				values[Anum_archive_last_error - 1] = CStringGetTextDatum(error);
			nulls[Anum_archive_last_error - 1] = error == NULL;
			replaces[Anum_archive_last_error - 1] = true;
			base_catalog_update(catalog, tuple, values, nulls, replaces);
		}
	}
	table_close(catalog, RowExclusiveLock);
	return changed;
}
