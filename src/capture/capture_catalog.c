/*
 * capture_catalog.c
 *	  The table streamq.capture.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type_d.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "capture/capture_catalog.h"
#include "capture/capture_count.h"

#define CAPTURE_RELNAME "capture"

enum
{
	Anum_capture_source = 1,
	Anum_capture_capture_id,
	Anum_capture_stream,
	Anum_capture_columns,
	Anum_capture_condition,
	Anum_capture_since,
	Natts_capture = Anum_capture_since
};

static Capture *
read_row(TupleDesc desc, HeapTuple tuple)
{
	Capture    *capture = palloc0(sizeof(Capture));
	Datum		values[Natts_capture];
	bool		nulls[Natts_capture];

	heap_deform_tuple(tuple, desc, values, nulls);
	capture->source = DatumGetObjectId(values[Anum_capture_source - 1]);
	capture->number = DatumGetInt32(values[Anum_capture_capture_id - 1]);
	capture->stream = DatumGetObjectId(values[Anum_capture_stream - 1]);
	capture->ncolumns = -1;
	if (!nulls[Anum_capture_columns - 1])
	{
		ArrayType  *array = DatumGetArrayTypePCopy(values[Anum_capture_columns - 1]);

		capture->ncolumns = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		capture->columns = (AttrNumber *) ARR_DATA_PTR(array);
	}
	if (!nulls[Anum_capture_condition - 1])
		capture->condition = TextDatumGetCString(values[Anum_capture_condition - 1]);
	return capture;
}

/* a number that no capture has; the table is locked against other writers */
static int32
next_number(Relation catalog)
{
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	int32		last = 0;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		last = Max(last, read_row(RelationGetDescr(catalog), tuple)->number);
	systable_endscan(scan);
	return last + 1;
}

static Datum
make_columns(const Capture *capture)
{
	Datum	   *numbers = palloc(sizeof(Datum) * capture->ncolumns);

	for (int i = 0; i < capture->ncolumns; i++)
		numbers[i] = Int16GetDatum(capture->columns[i]);
	return PointerGetDatum(construct_array(numbers, capture->ncolumns, INT2OID, sizeof(int16),
										   true, TYPALIGN_SHORT));
}

void
capture_insert(Capture *capture)
{
	Relation	catalog = base_catalog_open(CAPTURE_RELNAME, Natts_capture,
											ShareRowExclusiveLock, false);
	Datum		values[Natts_capture] = {0};
	bool		nulls[Natts_capture] = {false};

	capture->number = next_number(catalog);
	values[Anum_capture_source - 1] = ObjectIdGetDatum(capture->source);
	values[Anum_capture_capture_id - 1] = Int32GetDatum(capture->number);
	values[Anum_capture_stream - 1] = ObjectIdGetDatum(capture->stream);
	if (capture->ncolumns >= 0)
		values[Anum_capture_columns - 1] = make_columns(capture);
	else
		nulls[Anum_capture_columns - 1] = true;
	if (capture->condition != NULL)
		values[Anum_capture_condition - 1] = CStringGetTextDatum(capture->condition);
	else
		nulls[Anum_capture_condition - 1] = true;
	values[Anum_capture_since - 1] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	base_catalog_insert(catalog, values, nulls);
	table_close(catalog, NoLock);
}

/* call a function for the rows of a source; it returns false to stop */
static void
scan_source(Oid source, LOCKMODE lockmode,
			bool (*function) (Relation catalog, HeapTuple tuple, void *arg), void *arg)
{
	Relation	catalog = base_catalog_open(CAPTURE_RELNAME, Natts_capture, lockmode, true);
	SysScanDesc scan;
	HeapTuple	tuple;

	if (catalog == NULL)
		return;
	scan = base_catalog_scan(catalog, InvalidOid, Anum_capture_source,
							 ObjectIdGetDatum(source), NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		if (!function(catalog, tuple, arg))
			break;
	systable_endscan(scan);
	table_close(catalog, NoLock);
}

static bool
delete_row(Relation catalog, HeapTuple tuple, void *arg)
{
	if (read_row(RelationGetDescr(catalog), tuple)->number != *(int32 *) arg)
		return true;
	base_catalog_delete(catalog, tuple);
	return false;
}

void
capture_delete(Oid source, int32 number)
{
	scan_source(source, RowExclusiveLock, delete_row, &number);
	capture_count_delete(source, number);
}

static bool
list_row(Relation catalog, HeapTuple tuple, void *arg)
{
	List	  **list = arg;

	*list = lappend(*list, read_row(RelationGetDescr(catalog), tuple));
	return true;
}

List *
capture_list(Oid source)
{
	List	   *list = NIL;

	scan_source(source, AccessShareLock, list_row, &list);
	return list;
}

List *
capture_lineage(Oid relid)
{
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	List	   *lineage = list_make1_oid(relid);

	/* the list grows while it is read */
	for (int i = 0; i < list_length(lineage); i++)
	{
		SysScanDesc scan = base_catalog_scan(inherits, InheritsRelidSeqnoIndexId,
											 Anum_pg_inherits_inhrelid,
											 ObjectIdGetDatum(list_nth_oid(lineage, i)), NULL);
		HeapTuple	tuple;

		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
			lineage = list_append_unique_oid(lineage,
											 ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
		systable_endscan(scan);
	}
	table_close(inherits, AccessShareLock);
	return lineage;
}

Capture *
capture_find(Oid relid, int32 number)
{
	ListCell   *lc;
	ListCell   *row;

	foreach(lc, capture_lineage(relid))
	{
		foreach(row, capture_list(lfirst_oid(lc)))
		{
			Capture    *capture = lfirst(row);

			if (capture->number == number)
				return capture;
		}
	}
	return NULL;
}
