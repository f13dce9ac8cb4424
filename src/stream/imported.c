/*
 * imported.c
 *	  Rows of streamq.imported.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "utils/builtins.h"

#include "base/catalog.h"
#include "stream/imported.h"

/* columns of streamq.imported */
#define Anum_imported_stream	1
#define Anum_imported_source	2
#define Anum_imported_last_id	3
#define Anum_imported_snapshot	4
#define Anum_imported_txid		5
#define Natts_imported			5

static Relation
open_table(LOCKMODE lockmode, bool missing_ok)
{
	return base_catalog_open("imported", Natts_imported, lockmode, missing_ok);
}

void
stream_imported_lock(void)
{
	table_close(open_table(ShareRowExclusiveLock, false), NoLock);
}

/* a copy of the row, or NULL */
static HeapTuple
find_row(Relation table, Oid stream, Oid source)
{
	SysScanDesc scan = base_catalog_scan(table, InvalidOid, Anum_imported_stream,
										 ObjectIdGetDatum(stream), NULL);
	HeapTuple	row;

	while (HeapTupleIsValid(row = systable_getnext(scan)))
	{
		bool		isnull;

		if (DatumGetObjectId(heap_getattr(row, Anum_imported_source, RelationGetDescr(table),
										  &isnull)) == source)
			break;
	}
	if (HeapTupleIsValid(row))
		row = heap_copytuple(row);
	systable_endscan(scan);
	return row;
}

bool
stream_imported_find(Oid stream, Oid source, StreamImported *done)
{
	Relation	table = open_table(AccessShareLock, false);
	HeapTuple	row = find_row(table, stream, source);
	Datum		values[Natts_imported];
	bool		nulls[Natts_imported];

	memset(done, 0, sizeof(StreamImported));
	if (row != NULL)
	{
		heap_deform_tuple(row, RelationGetDescr(table), values, nulls);
		done->last_id = DatumGetInt64(values[Anum_imported_last_id - 1]);
		if (!nulls[Anum_imported_snapshot - 1])
			done->snapshot = TextDatumGetCString(values[Anum_imported_snapshot - 1]);
		if (!nulls[Anum_imported_txid - 1])
			done->txid = DatumGetInt64(values[Anum_imported_txid - 1]);
	}
	table_close(table, NoLock);
	return row != NULL;
}

void
stream_imported_store(Oid stream, Oid source, const StreamImported *done)
{
	Relation	table = open_table(RowExclusiveLock, false);
	HeapTuple	row = find_row(table, stream, source);
	Datum		values[Natts_imported] = {0};
	bool		nulls[Natts_imported] = {0};
	bool		replaces[Natts_imported] = {false, false, true, true, true};

	values[Anum_imported_stream - 1] = ObjectIdGetDatum(stream);
	values[Anum_imported_source - 1] = ObjectIdGetDatum(source);
	values[Anum_imported_last_id - 1] = Int64GetDatum(done->last_id);
	nulls[Anum_imported_snapshot - 1] = nulls[Anum_imported_txid - 1] = done->snapshot == NULL;
	if (done->snapshot != NULL)
	{
		values[Anum_imported_snapshot - 1] = CStringGetTextDatum(done->snapshot);
		values[Anum_imported_txid - 1] = Int64GetDatum(done->txid);
	}
	if (row == NULL)
		base_catalog_insert(table, values, nulls);
	else
		base_catalog_update(table, row, values, nulls, replaces);
	table_close(table, NoLock);
}

void
stream_imported_forget(Oid stream)
{
	Relation	table = open_table(RowExclusiveLock, true);

	if (table == NULL)
		return;
	base_catalog_delete_by_key(table, InvalidOid, Anum_imported_stream, ObjectIdGetDatum(stream));
	table_close(table, NoLock);
}
