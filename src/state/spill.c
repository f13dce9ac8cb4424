/*
 * spill.c
 *	  Values and rows that are too large for a page.
 *
 * Large values go to the TOAST table, as in a heap table.  A row may still be
 * too large if it has hundreds of columns.  Then all of it goes there.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/toast_internals.h"
#include "utils/rel.h"

#include "compat.h"
#include "state/state_row.h"
#include "state/spill.h"

/* where the pointer of a spilled row is */
#define SPILL_POINTER(tuple)	((char *) (tuple)->t_data + (tuple)->t_data->t_hoff)

HeapTuple
state_unspill(HeapTuple spilled)
{
	struct varlena *value = detoast_attr((struct varlena *) SPILL_POINTER(spilled));
	Size		len = VARSIZE_ANY_EXHDR(value);
	HeapTuple	tuple = palloc(HEAPTUPLESIZE + len);

	tuple->t_len = len;
	tuple->t_self = spilled->t_self;
	tuple->t_tableOid = spilled->t_tableOid;
	tuple->t_data = (HeapTupleHeader) ((char *) tuple + HEAPTUPLESIZE);
	memcpy(tuple->t_data, VARDATA_ANY(value), len);
	tuple->t_data->t_choice = spilled->t_data->t_choice;
	tuple->t_data->t_ctid = spilled->t_data->t_ctid;
	tuple->t_data->t_infomask |= spilled->t_data->t_infomask & HEAP_XACT_MASK;
	pfree(value);
	return tuple;
}

/* put all of a row out of line */
static HeapTuple
spill_row(Relation rel, HeapTuple tuple)
{
	struct varlena *value = palloc(VARHDRSZ + tuple->t_len);
	Datum		compressed;
	Datum		pointer;
	Size		hoff = MAXALIGN(SizeofHeapTupleHeader);
	Size		len = hoff + TOAST_POINTER_SIZE;
	HeapTuple	spilled = palloc0(HEAPTUPLESIZE + len);

	if (!OidIsValid(rel->rd_rel->reltoastrelid) || tuple->t_len > MaxHeapTupleSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too big: size %zu, maximum size %zu",
						(Size) tuple->t_len, (Size) MaxHeapTupleSize)));
	SET_VARSIZE(value, VARHDRSZ + tuple->t_len);
	memcpy(VARDATA(value), tuple->t_data, tuple->t_len);
	compressed = toast_compress_datum(PointerGetDatum(value), TOAST_PGLZ_COMPRESSION);
	pointer = toast_save_datum(rel, DatumGetPointer(compressed) ? compressed :
							   PointerGetDatum(value), NULL, 0);

	spilled->t_len = len;
	spilled->t_data = (HeapTupleHeader) ((char *) spilled + HEAPTUPLESIZE);
	spilled->t_data->t_hoff = hoff;
	spilled->t_data->t_infomask = HEAP_HASEXTERNAL | HEAP_HASVARWIDTH;
	memcpy(SPILL_POINTER(spilled), DatumGetPointer(pointer), TOAST_POINTER_SIZE);
	return spilled;
}

HeapTuple
state_spill(Relation rel, HeapTuple tuple, HeapTuple old)
{
	HeapTuple	before = old;

	if (old && STATE_TUPLE_IS_SPILLED(old))
		before = state_unspill(old);
	if (OidIsValid(rel->rd_rel->reltoastrelid) &&
		(HeapTupleHasExternal(tuple) || tuple->t_len > TOAST_TUPLE_THRESHOLD ||
		 (before && HeapTupleHasExternal(before))))
		tuple = heap_toast_insert_or_update(rel, tuple, before, 0);
	if (before != old)
		toast_delete_datum(rel, PointerGetDatum(SPILL_POINTER(old)), false);
	return tuple->t_len > STATE_MAX_TUPLE_SIZE ? spill_row(rel, tuple) : tuple;
}

void
state_spill_delete(Relation rel, HeapTuple old)
{
	HeapTuple	before = old;

	if (STATE_TUPLE_IS_SPILLED(old))
	{
		before = state_unspill(old);
		toast_delete_datum(rel, PointerGetDatum(SPILL_POINTER(old)), false);
	}
	if (HeapTupleHasExternal(before))
		heap_toast_delete(rel, before, false);
}
