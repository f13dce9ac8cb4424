/*
 * closing.c
 *	  Windows in the state table that are open, and those that are so old that
 *	  they are removed.
 *
 * Both are found by the index on the start of the window.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "view/closing.h"
#include "view/result_table.h"
#include "view/sessions.h"
#include "view/state_table.h"

/* the end of the last window to which a row belongs */
static Timestamp
last_end(const ViewWindowSpec *spec, const ViewWindow *row)
{
	return spec->kind->last_end ? spec->kind->last_end(spec, row->start, row->end) : row->end;
}

static void
read_window(Relation rel, HeapTuple tuple, ViewWindow *window)
{
	bool		isnull;

	window->start = DatumGetTimestamp(heap_getattr(tuple, WINDOW_START_ATTNO,
												   RelationGetDescr(rel), &isnull));
	window->end = DatumGetTimestamp(heap_getattr(tuple, WINDOW_END_ATTNO,
												 RelationGetDescr(rel), &isnull));
}

/*
 * The first end of a window after the watermark, for a row that belongs to
 * windows up to last.  If there are several, they end a multiple of the row's
 * length apart.
 */
static Timestamp
next_end(const ViewWindow *row, Timestamp last, Timestamp watermark)
{
	int64		length = row->end - row->start;

	if (row->end > watermark || length <= 0)
		return row->end;
	return Min(last, row->end + ((watermark - row->end) / length + 1) * length);
}

bool
view_find_open_window(ViewQuery *vq, Relation state, Timestamp watermark, Timestamp *end)
{
	Oid			index;
	Timestamp	first = DT_NOBEGIN;
	bool		found = false;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (view_is_merging(vq))
		return view_sessions_next_end(view_state_open(state, vq, NULL), watermark, end);
	index = view_state_index(state, vq);
	if (watermark > MIN_TIMESTAMP)
		(void) vq->window.kind->may_close(&vq->window, watermark, watermark, &first);
	ScanKeyInit(&key, WINDOW_START_ATTNO, BTGreaterEqualStrategyNumber, F_TIMESTAMP_GE,
				TimestampGetDatum(first));
	scan = systable_beginscan(state, index, true, GetActiveSnapshot(), 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ViewWindow	row;
		Timestamp	last;
		Timestamp	next;

		CHECK_FOR_INTERRUPTS();
		read_window(state, tuple, &row);
		last = last_end(&vq->window, &row);
		if (last <= watermark)
			continue;
		next = next_end(&row, last, watermark);
		if (!found || next < *end)
			*end = next;
		found = true;

		/* can a later row belong to a window that ends earlier? */
		if (vq->window.kind->ends_in_order || row.start >= *end)
			break;
	}
	systable_endscan(scan);
	return found;
}

/* remove rows of windows that end at or before `until`; at most max */
static int64
remove_rows(const ViewWindowSpec *spec, Relation rel, Oid index, bool sliced, Timestamp until,
			int64 max)
{
	int64		removed = 0;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, WINDOW_START_ATTNO, BTLessStrategyNumber, F_TIMESTAMP_LT,
				TimestampGetDatum(until));
	scan = systable_beginscan(rel, index, true, GetActiveSnapshot(), 1, &key);
	while (removed < max && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ViewWindow	row;

		CHECK_FOR_INTERRUPTS();
		read_window(rel, tuple, &row);
		if ((sliced ? last_end(spec, &row) : row.end) <= until)
		{
			CatalogTupleDelete(rel, &tuple->t_self);
			removed++;
		}
		else if (spec->kind->ends_in_order)
			break;
	}
	systable_endscan(scan);
	return removed;
}

int64
view_remove_windows(const JobRow *job, ViewQuery *vq, Relation state, Timestamp watermark)
{
	int64		retention = job->event_time.retention;
	int64		removed = 0;
	Timestamp	until;

	if (watermark < MIN_TIMESTAMP + retention)
		return 0;
	until = watermark - retention;
	/* sessions are removed where they are closed (sessions.c) */
	if (!view_is_merging(vq))
		removed = remove_rows(&vq->window, state, view_state_index(state, vq), true, until,
							  VIEW_REMOVE_ROWS);
	if (OidIsValid(job->results))
	{
		ViewResultTable *results = view_result_open(job->results, vq);

		removed += remove_rows(&vq->window, results->rel, results->index, false, until,
							   VIEW_REMOVE_ROWS - removed);
		view_result_close(results);
	}
	return removed;
}
