/*
 * result_table.c
 *	  The result table of a continuous view: what it has emitted, one row for
 *	  each window and group.
 *
 * A correction is emitted if a result differs from the row here, and it has
 * the next revision.  Only the job writes the table, in the transaction that
 * emits the rows.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_index.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "view/result_table.h"

/* the index on window_start and group_hash */
static Oid
find_index(Relation rel)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		bool		fits = form->indisvalid && index->rd_rel->relam == BTREE_AM_OID &&
			form->indnkeyatts == 2 && form->indkey.values[0] == 1 && form->indkey.values[1] == 3;

		index_close(index, AccessShareLock);
		if (fits)
			return lfirst_oid(lc);
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("index of result table \"%s\" is missing", RelationGetRelationName(rel)),
			 errhint("Drop the continuous view and create it again.")));
}

ViewResultTable *
view_result_open(Oid relid, ViewQuery *vq)
{
	ViewResultTable *results = palloc0(sizeof(ViewResultTable));
	ListCell   *lc;

	results->rel = table_open(relid, NoLock);
	results->index = find_index(results->rel);
	results->nkeys = list_length(vq->keys);
	results->nouts = RelationGetDescr(results->rel)->natts - VIEW_RESULT_FIRST_KEY -
		results->nkeys - 2;
	results->eq = palloc(sizeof(FmgrInfo) * Max(1, results->nkeys));
	foreach(lc, vq->keys)
		fmgr_info(get_opcode(((ViewKey *) lfirst(lc))->clause->eqop),
				  &results->eq[foreach_current_index(lc)]);
	results->indexes = CatalogOpenIndexes(results->rel);
	return results;
}

void
view_result_close(ViewResultTable *results)
{
	CatalogCloseIndexes(results->indexes);
	table_close(results->rel, NoLock);
}

List *
view_result_list(ViewResultTable *results, Timestamp window_start, int64 hash)
{
	TupleDesc	desc = RelationGetDescr(results->rel);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *list = NIL;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_TIMESTAMP_EQ,
				TimestampGetDatum(window_start));
	ScanKeyInit(&keys[1], 3, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(hash));
	scan = systable_beginscan(results->rel, results->index, true, GetActiveSnapshot(), 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ViewResultRow *row = palloc(sizeof(ViewResultRow));

		row->tuple = heap_copytuple(tuple);
		row->values = palloc(sizeof(Datum) * desc->natts);
		row->nulls = palloc(sizeof(bool) * desc->natts);
		heap_deform_tuple(row->tuple, desc, row->values, row->nulls);
		list = lappend(list, row);
	}
	systable_endscan(scan);
	return list;
}

static bool
has_keys(ViewResultTable *results, const ViewResultRow *row, const Datum *values,
		 const bool *nulls)
{
	for (int i = 0; i < results->nkeys; i++)
	{
		int			att = VIEW_RESULT_FIRST_KEY + i;
		Form_pg_attribute form = TupleDescAttr(RelationGetDescr(results->rel), att);

		if (row->nulls[att] != nulls[att])
			return false;
		if (!nulls[att] &&
			!DatumGetBool(FunctionCall2Coll(&results->eq[i], form->attcollation,
											row->values[att], values[att])))
			return false;
	}
	return true;
}

void
view_result_find(ViewResultTable *results, const Datum *values, const bool *nulls,
				 ViewResultRow *row)
{
	ListCell   *lc;

	row->tuple = NULL;
	foreach(lc, view_result_list(results, DatumGetTimestamp(values[0]), DatumGetInt64(values[2])))
	{
		ViewResultRow *other = lfirst(lc);

		/* cumulating windows and sessions may have the same start */
		if (DatumGetTimestamp(other->values[1]) == DatumGetTimestamp(values[1]) &&
			has_keys(results, other, values, nulls))
		{
			*row = *other;
			return;
		}
	}
}

bool
view_result_is_same(ViewResultTable *results, const ViewResultRow *row, const Datum *values,
					const bool *nulls)
{
	for (int i = view_result_first_out(results); i < view_result_revision(results); i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(results->rel), i);

		if (row->nulls[i] != nulls[i])
			return false;
		if (!nulls[i] &&
			!datum_image_eq(row->values[i], values[i], att->attbyval, att->attlen))
			return false;
	}
	return true;
}

void
view_result_store(ViewResultTable *results, const ViewResultRow *row, Datum *values, bool *nulls)
{
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(results->rel), values, nulls);

	if (row->tuple != NULL)
		CatalogTupleUpdateWithInfo(results->rel, &row->tuple->t_self, tuple, results->indexes);
	else
		CatalogTupleInsertWithInfo(results->rel, tuple, results->indexes);
}
