/*
 * tumble.c
 *	  Tumbling windows: each event time is in exactly one window.
 *
 * streamq.tumble() is an SQL function around the two functions here, so that
 * the planner can inline it.  Then a query over a stream costs the same as
 * with date_bin().
 *
 * Calendar windows (sizes in months) of timestamptz are computed in UTC,
 * because immutable functions must not use the session's time zone.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/ruler.h"
#include "view/window.h"

PG_FUNCTION_INFO_V1(streamq_tumble_start);
PG_FUNCTION_INFO_V1(streamq_tumble_end);

/* find the window that contains ts, aligned to origin; both are finite */
static void
tumble(Timestamp ts, const ViewWindowSize *size, Timestamp origin,
	   ViewWindow *window)
{
	ViewRuler	ruler = {origin, size->months > 0};
	int64		length = view_ruler_length(size);
	int64		start = view_ruler_floor(view_ruler_mark(&ruler, ts), length);

	window->start = view_ruler_time(&ruler, start);
	window->end = view_ruler_time(&ruler, view_ruler_add(start, length));
}

/* ---- the SQL functions ---- */

/*
 * tumble_start(ts timestamptz, size interval, origin timestamptz)
 *	returns timestamptz
 * tumble_end(ts timestamptz, size interval, origin timestamptz)
 *	returns timestamptz
 *
 * Both exist for timestamp, too, because the arithmetic is the same.  An
 * infinite ts has no window, so the result is NULL.  22023 if size is not a
 * valid window size or origin is infinite, 22008 if the window is out of
 * range.
 */
static Datum
tumble_bound(FunctionCallInfo fcinfo, bool want_end)
{
	Timestamp	ts = PG_GETARG_TIMESTAMP(0);
	ViewWindowSize size;
	ViewWindow	window;

	view_window_check_size(PG_GETARG_INTERVAL_P(1), "size", &size);
	if (TIMESTAMP_NOT_FINITE(ts))
		PG_RETURN_NULL();
	view_window_check_origin(PG_GETARG_TIMESTAMP(2));
	tumble(ts, &size, PG_GETARG_TIMESTAMP(2), &window);
	PG_RETURN_TIMESTAMP(want_end ? window.end : window.start);
}

Datum
streamq_tumble_start(PG_FUNCTION_ARGS)
{
	return tumble_bound(fcinfo, false);
}

Datum
streamq_tumble_end(PG_FUNCTION_ARGS)
{
	return tumble_bound(fcinfo, true);
}

/* ---- in continuous views ---- */

static void
take_arguments(ViewWindowSpec *spec, List *args)
{
	Assert(list_length(args) == 2);
	view_window_take_size(linitial(args), "size", &spec->size);
	spec->origin = view_window_take_origin(lsecond(args));
	spec->max_windows = 1;
}

static int
assign(const ViewWindowSpec *spec, Timestamp event, ViewWindow *windows)
{
	tumble(event, &spec->size, spec->origin, windows);
	return 1;
}

/* usually the watermark stays within one window */
static bool
may_close(const ViewWindowSpec *spec, Timestamp from, Timestamp to,
		  Timestamp *first_start)
{
	ViewWindow	window;

	if (view_window_near_bounds(spec, from))
	{
		*first_start = DT_NOBEGIN;
		return true;
	}
	tumble(from, &spec->size, spec->origin, &window);
	*first_start = window.start;
	return window.end <= to;
}

const ViewWindowKind view_tumble = {
	.function = "tumble",
	.take_arguments = take_arguments,
	.assign = assign,
	.ends_in_order = true,
	.may_close = may_close
};
