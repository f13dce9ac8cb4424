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

/* the same for windows that merge: "due" is not after the end of an open one */
static bool
find_open_session(ViewStateTable *table, Timestamp watermark, Timestamp *end)
{
	TupleDesc	desc = RelationGetDescr(table->rel);
	bool		found = false;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, VIEW_STATE_DUE_ATTNO, BTLessStrategyNumber, F_TIMESTAMP_LT,
				TimestampGetDatum(DT_NOEND));
	scan = systable_beginscan(table->rel, table->due_index, true, GetActiveSnapshot(), 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		ViewWindow	row;

		CHECK_FOR_INTERRUPTS();
		if (found &&
			DatumGetTimestamp(heap_getattr(tuple, VIEW_STATE_DUE_ATTNO, desc, &isnull)) >= *end)
			break;
		read_window(table->rel, tuple, &row);
		if (row.end > watermark && (!found || row.end < *end))
		{
			*end = row.end;
			found = true;
		}
	}
	systable_endscan(scan);
	return found;
}

bool
view_find_open_window(ViewQuery *vq, Relation state, Timestamp watermark, Timestamp *end)
{
	ViewStateTable *table = view_state_open(state, vq, NULL);
	Timestamp	first = DT_NOBEGIN;
	bool		found = false;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (table->merging)
		return find_open_session(table, watermark, end);
	if (watermark > MIN_TIMESTAMP)
		(void) vq->window.kind->may_close(&vq->window, watermark, watermark, &first);
	ScanKeyInit(&key, WINDOW_START_ATTNO, BTGreaterEqualStrategyNumber, F_TIMESTAMP_GE,
				TimestampGetDatum(first));
	scan = systable_beginscan(state, table->index, true, GetActiveSnapshot(), 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ViewWindow	row;
		Timestamp	last;

		CHECK_FOR_INTERRUPTS();
		read_window(state, tuple, &row);
		last = last_end(&vq->window, &row);
		if (last <= watermark)
			continue;
		*end = next_end(&row, last, watermark);
		found = true;

		/* windows end in the order of their starts */
		break;
	}
	systable_endscan(scan);
	return found;
}

/*
 * Remove rows of windows that end at or before `until`; at most max.  index is
 * the index on the start of the window, in whose order windows end.  Without
 * an index, everything is read.
 */
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
	scan = systable_beginscan(rel, index, OidIsValid(index), GetActiveSnapshot(), 1, &key);
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
		else if (OidIsValid(index))
			break;
	}
	systable_endscan(scan);
	return removed;
}

/*
 * Sessions have no index by which old ones can be found.  So they are looked
 * for only when the watermark has moved by a part of the retention.
 */
static bool
is_time_for_sessions(int64 retention, Timestamp before, Timestamp watermark)
{
	int64		step = Max(retention / 8, USECS_PER_SEC);

	return TIMESTAMP_IS_NOBEGIN(before) || watermark / step != before / step;
}

int64
view_remove_windows(const JobRow *job, ViewQuery *vq, Relation state, Timestamp before,
					Timestamp watermark)
{
	ViewStateTable *table;
	bool		merging = view_is_merging(vq);
	int64		retention = job->event_time.retention;
	int64		removed;
	Timestamp	until;

	if (watermark < MIN_TIMESTAMP + retention)
		return 0;
	if (merging && !is_time_for_sessions(retention, before, watermark))
		return 0;
	until = watermark - retention;
	table = view_state_open(state, vq, NULL);
	removed = remove_rows(&vq->window, state, merging ? InvalidOid : table->index, !merging, until,
						  merging ? PG_INT64_MAX : VIEW_REMOVE_ROWS);
	if (OidIsValid(job->results))
	{
		ViewResultTable *results = view_result_open(job->results, vq);

		removed += remove_rows(&vq->window, results->rel, merging ? InvalidOid : results->index,
							   false, until,
							   merging ? PG_INT64_MAX : VIEW_REMOVE_ROWS - removed);
		view_result_close(results);
	}
	return merging ? 0 : removed;
}
