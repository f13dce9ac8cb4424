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

#include "state/state.h"
#include "view/closing.h"
#include "view/result_table.h"
#include "view/sessions.h"
#include "view/state_table.h"

/* the ends of the first and the last window to which a row belongs */
static void
find_ends(const ViewQuery *vq, const ViewWindow *row, Timestamp *first, Timestamp *last)
{
	ViewSlice	slice;

	*first = row->end;
	*last = row->end;
	if (vq->sliced && vq->window.kind->find_slice(&vq->window, row->start, &slice))
	{
		*first = slice.first_end;
		*last = slice.last_end;
	}
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
 * The first end after the watermark of a window that contains a row; its last
 * window ends after the watermark.  The windows that contain the watermark
 * itself end first.
 */
static Timestamp
next_end(const ViewQuery *vq, Timestamp first, Timestamp last, Timestamp watermark)
{
	ViewSlice	slice;

	if (first > watermark)
		return first;
	if (!vq->window.kind->find_slice(&vq->window, watermark, &slice))
		return last;
	return Min(last, slice.first_end);
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
		Timestamp	first_end;
		Timestamp	last;
		Timestamp	next;

		CHECK_FOR_INTERRUPTS();
		read_window(state, tuple, &row);
		find_ends(vq, &row, &first_end, &last);
		if (last <= watermark)
			continue;
		next = next_end(vq, first_end, last, watermark);
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

/*
 * A slice also belongs to windows that stay.  Let its row not count for windows
 * that end at or before `until`.  Returns whether the row was changed.
 */
static bool
hide_windows(const ViewQuery *vq, Relation rel, StateWriter *writer, HeapTuple tuple,
			 Timestamp until)
{
	int			attno = VIEW_STATE_COUNTS_AFTER_ATTNO;
	TupleDesc	desc = RelationGetDescr(rel);
	bool		isnull;
	Timestamp	end;
	Datum		value;
	bool		null = false;
	HeapTuple	changed;

	(void) vq->window.kind->find_end(&vq->window, until, &end);
	if (DatumGetTimestamp(heap_getattr(tuple, attno, desc, &isnull)) >= end)
		return false;
	value = TimestampGetDatum(end);
	changed = heap_modify_tuple_by_cols(tuple, desc, 1, &attno, &value, &null);
	state_update(writer, &tuple->t_self, changed);
	heap_freetuple(changed);
	return true;
}

/*
 * Remove rows of windows that end at or before `until`; at most max rows are
 * changed.  Of a table with chunks, given by their column, these are removed,
 * or all others.
 */
static int64
remove_rows(const ViewQuery *vq, Relation rel, Oid index, bool is_state, Timestamp until,
			AttrNumber chunk, bool chunks, int64 max)
{
	int64		removed = 0;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	StateWriter *writer = state_is_table(rel) ? state_begin_write(rel) : NULL;

	ScanKeyInit(&key, WINDOW_START_ATTNO, BTLessStrategyNumber, F_TIMESTAMP_LT,
				TimestampGetDatum(until));
	scan = systable_beginscan(rel, index, true, GetActiveSnapshot(), 1, &key);
	while (removed < max && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ViewWindow	row;
		Timestamp	first;
		Timestamp	last;

		CHECK_FOR_INTERRUPTS();
		if (chunk != InvalidAttrNumber &&
			heap_attisnull(tuple, chunk, RelationGetDescr(rel)) == chunks)
			continue;
		read_window(rel, tuple, &row);
		first = last = row.end;
		if (is_state)
			find_ends(vq, &row, &first, &last);
		if (last <= until)
		{
			if (writer)
				state_delete(writer, &tuple->t_self);
			else
				CatalogTupleDelete(rel, &tuple->t_self);
			removed++;
		}
		else if (first <= until && !chunks)
			removed += hide_windows(vq, rel, writer, tuple, until) ? 1 : 0;
		else if (vq->window.kind->ends_in_order)
			break;
	}
	systable_endscan(scan);
	if (writer)
		state_end_write(writer);
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
	{
		AttrNumber	chunk = view_state_chunk_attno(vq);
		Oid			index = view_state_index(state, vq);

		/* a group needs its chunks as long as it is there */
		removed = remove_rows(vq, state, index, true, until, chunk, false,
							  VIEW_REMOVE_ROWS);
		if (chunk != InvalidAttrNumber)
			removed += remove_rows(vq, state, index, true, until, chunk, true,
								   VIEW_REMOVE_ROWS - removed);
	}
	if (OidIsValid(job->results))
	{
		ViewResultTable *results = view_result_open(job->results, vq);

		removed += remove_rows(vq, results->rel, results->index, false, until,
							   InvalidAttrNumber, false, VIEW_REMOVE_ROWS - removed);
		view_result_close(results);
	}
	return removed;
}
