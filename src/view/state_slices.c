/*
 * state_slices.c
 *	  Counting the windows that close, in a state table with rows of slices.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/analyze.h"
#include "view/state_table.h"
#include "view/window.h"

/*
 * Find the first slice with rows that begins at or after *start, or after it if
 * not `inclusive`, and before a limit.  Sets *start to its start, and
 * *counts_after to the least of its rows.
 */
static bool
next_slice(ViewStateTable *state, Timestamp *start, bool inclusive, Timestamp limit,
		   Timestamp *counts_after)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tup;
	bool		found = false;

	ScanKeyInit(&keys[0], WINDOW_START_ATTNO, BTLessStrategyNumber, F_TIMESTAMP_LT,
				TimestampGetDatum(limit));
	ScanKeyInit(&keys[1], WINDOW_START_ATTNO,
				inclusive ? BTGreaterEqualStrategyNumber : BTGreaterStrategyNumber,
				inclusive ? F_TIMESTAMP_GE : F_TIMESTAMP_GT,
				TimestampGetDatum(*start));
	scan = systable_beginscan(state->rel, state->index, true, GetActiveSnapshot(), 2, keys);
	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		bool		isnull;
		Timestamp	row_start = DatumGetTimestamp(heap_getattr(tup, WINDOW_START_ATTNO, desc,
															   &isnull));
		Timestamp	row_after = DatumGetTimestamp(heap_getattr(tup, VIEW_STATE_COUNTS_AFTER_ATTNO,
															   desc, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (found && row_start != *start)
			break;
		*counts_after = found ? Min(*counts_after, row_after) : row_after;
		*start = row_start;
		found = true;

		/* usually the first row of a slice counts for all its windows */
		if (row_after == DT_NOBEGIN)
			break;
	}
	systable_endscan(scan);
	return found;
}

/*
 * Slices come in the order of their starts, so those that follow add windows
 * with later ends only.  This stops when all windows have been found.
 */
int64
view_state_count_sliced_windows(ViewStateTable *state, const ViewWindowSpec *spec,
								bool all, Timestamp first_start, Timestamp from, Timestamp to)
{
	Timestamp	start = all ? DT_NOBEGIN : first_start;
	Timestamp	counted = all ? DT_NOBEGIN : from;
	bool		inclusive = true;
	Timestamp	counts_after = DT_NOBEGIN;
	int64		count = 0;

	while (next_slice(state, &start, inclusive, to, &counts_after))
	{
		ViewSlice	slice;
		Timestamp	upto;
		Timestamp	after;

		inclusive = false;
		if (!spec->kind->find_slice(spec, start, &slice))
			continue;
		upto = Min(to, slice.last_end);
		after = Max(Max(counted, counts_after), slice.first_end - 1);
		if (upto <= after)
			continue;
		count += spec->kind->find_end(spec, upto, NULL) - spec->kind->find_end(spec, after, NULL);
		counted = upto;
		if (upto == to)
			break;
	}
	return count;
}
