/*
 * result_table.h
 *	  The result table of a continuous view: what it has emitted, one row for
 *	  each window and group.
 */
#ifndef STREAMQ_VIEW_RESULT_TABLE_H
#define STREAMQ_VIEW_RESULT_TABLE_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "catalog/indexing.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "view/analyze.h"

/* name of a result table, with the job's id */
#define VIEW_RESULT_TABLE_NAME	"view_result_%d"

/*
 * columns: window_start, window_end, group_hash, key_n …, out_n …, revision,
 * deleted; all but the last two are those of view_make_window_query()
 */
#define VIEW_RESULT_FIRST_KEY	3	/* counted from 0 */

/* an open result table */
typedef struct ViewResultTable
{
	Relation	rel;
	Oid			index;
	int			nkeys;
	FmgrInfo   *eq;				/* for each key */
	int			nouts;
	CatalogIndexState indexes;
} ViewResultTable;

/* a row, with the values of all columns */
typedef struct ViewResultRow
{
	HeapTuple	tuple;			/* NULL: not in the table */
	Datum	   *values;
	bool	   *nulls;
} ViewResultRow;

/* create streamq.view_result_<job_id>; returns its OID */
extern Oid	view_result_create(ViewQuery *vq, int32 job_id);

/* open and close; the caller holds RowExclusiveLock */
extern ViewResultTable *view_result_open(Oid relid, ViewQuery *vq);
extern void view_result_close(ViewResultTable *results);

/* columns of a row, counted from 0 */
static inline int
view_result_first_out(const ViewResultTable *results)
{
	return VIEW_RESULT_FIRST_KEY + results->nkeys;
}

static inline int
view_result_revision(const ViewResultTable *results)
{
	return view_result_first_out(results) + results->nouts;
}

static inline int
view_result_deleted(const ViewResultTable *results)
{
	return view_result_revision(results) + 1;
}

/*
 * Find the row of the window and group in the given values; row->tuple is NULL
 * if there is none.  Everything is allocated in the current memory context.
 */
extern void view_result_find(ViewResultTable *results, const Datum *values, const bool *nulls,
							 ViewResultRow *row);

/* list the rows (ViewResultRow) of a window with this hash of the keys */
extern List *view_result_list(ViewResultTable *results, Timestamp window_start, int64 hash);

/* are the outputs of a row the same? */
extern bool view_result_is_same(ViewResultTable *results, const ViewResultRow *row,
								const Datum *values, const bool *nulls);

/*
 * Insert a row, or update the one that *row was found at.  The new values
 * include revision and deleted.
 */
extern void view_result_store(ViewResultTable *results, const ViewResultRow *row,
							  Datum *values, bool *nulls);

#endif
