/*
 * hop.c
 *	  Hopping windows: a window of a size begins at every slide.
 *
 * The size need not be divisible by the slide.  If the slide is longer than the
 * size, there is time that is in no window.
 *
 * The bounds of all windows cut time into slices: each slide has at most two,
 * because the ends of windows are as far apart as their starts.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/ruler.h"
#include "view/window.h"
#include "view/window_rows.h"

PG_FUNCTION_INFO_V1(streamq_hop);

/* the windows that contain a time, as marks of a ruler */
typedef struct HopWindows
{
	ViewRuler	ruler;
	int64		slide;
	int64		size;
	int64		first;			/* start of the first window */
	int64		last;			/* start of the last; < first: no window */
} HopWindows;

/* fail with 22023 unless slide and size have the same unit */
static void
check_units(const ViewWindowSize *slide, const ViewWindowSize *size)
{
	if ((slide->months > 0) != (size->months > 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("slide and size of a window must both be in months, or both in days and smaller units")));
}

static void
set_windows(HopWindows *hop, Timestamp ts, const ViewWindowSize *slide,
			const ViewWindowSize *size, Timestamp origin)
{
	int64		mark;

	hop->ruler.origin = origin;
	hop->ruler.months = size->months > 0;
	hop->slide = view_ruler_length(slide);
	hop->size = view_ruler_length(size);
	mark = view_ruler_mark(&hop->ruler, ts);
	hop->last = view_ruler_floor(mark, hop->slide);
	hop->first = view_ruler_add(view_ruler_floor(view_ruler_add(mark, -hop->size), hop->slide),
								hop->slide);
}

static void
set_window(const HopWindows *hop, int64 start, ViewWindow *window)
{
	window->start = view_ruler_time(&hop->ruler, start);
	window->end = view_ruler_time(&hop->ruler, view_ruler_add(start, hop->size));
}

/*
 * hop(ts timestamptz, slide interval, size interval, origin timestamptz)
 *	returns setof (window_start timestamptz, window_end timestamptz)
 *
 * Exists for timestamp, too, because the arithmetic is the same.  An infinite
 * ts is in no window.  22023 if slide or size is not a valid window size, if
 * they differ in their unit, or if origin is infinite; 22008 if a window is out
 * of range.
 */
Datum
streamq_hop(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	HopWindows *hop;
	ViewWindow	window;

	if (SRF_IS_FIRSTCALL())
	{
		Timestamp	ts = PG_GETARG_TIMESTAMP(0);
		ViewWindowSize slide;
		ViewWindowSize size;

		hop = view_window_rows_begin(fcinfo, sizeof(HopWindows));
		view_window_check_size(PG_GETARG_INTERVAL_P(1), "slide", &slide);
		view_window_check_size(PG_GETARG_INTERVAL_P(2), "size", &size);
		check_units(&slide, &size);
		if (TIMESTAMP_NOT_FINITE(ts))
			hop->first = 1;		/* no window */
		else
		{
			view_window_check_origin(PG_GETARG_TIMESTAMP(3));
			set_windows(hop, ts, &slide, &size, PG_GETARG_TIMESTAMP(3));
		}
	}

	context = SRF_PERCALL_SETUP();
	hop = context->user_fctx;
	if (hop->first > hop->last)
		SRF_RETURN_DONE(context);
	set_window(hop, hop->first, &window);
	hop->first += hop->slide;
	SRF_RETURN_NEXT(context, view_window_rows_form(context, &window));
}

/* ---- in continuous views ---- */

static void
take_arguments(ViewWindowSpec *spec, List *args)
{
	int64		slide;
	int64		size;

	Assert(list_length(args) == 3);
	view_window_take_size(linitial(args), "slide", &spec->step);
	view_window_take_size(lsecond(args), "size", &spec->size);
	check_units(&spec->step, &spec->size);
	spec->origin = view_window_take_origin(lthird(args));
	slide = view_ruler_length(&spec->step);
	size = view_ruler_length(&spec->size);
	spec->max_windows = size / slide + (size % slide != 0);
}

static int
assign(const ViewWindowSpec *spec, Timestamp event, ViewWindow *windows)
{
	HopWindows	hop;
	int			n = 0;

	set_windows(&hop, event, &spec->step, &spec->size, spec->origin);
	for (; hop.first <= hop.last; hop.first += hop.slide)
		set_window(&hop, hop.first, &windows[n++]);
	return n;
}

static bool
find_slice(const ViewWindowSpec *spec, Timestamp event, ViewSlice *slice)
{
	HopWindows	hop;
	ViewWindow	first;
	ViewWindow	last;

	set_windows(&hop, event, &spec->step, &spec->size, spec->origin);
	if (hop.first > hop.last)
		return false;
	set_window(&hop, hop.first, &first);
	set_window(&hop, hop.last, &last);
	slice->first_end = first.end;
	slice->last_end = last.end;

	/* the last window that ended before is one slide before the first */
	slice->range.start = last.start;
	if (hop.first - hop.slide + hop.size > hop.last)
		slice->range.start = view_ruler_time(&hop.ruler, hop.first - hop.slide + hop.size);
	slice->range.end = first.end;
	if (hop.last + hop.slide < hop.first + hop.size)
		slice->range.end = view_ruler_time(&hop.ruler, hop.last + hop.slide);
	return true;
}

static int64
find_end(const ViewWindowSpec *spec, Timestamp limit, Timestamp *end)
{
	HopWindows	hop;
	int64		start;

	/* the windows that contain the limit end after it */
	set_windows(&hop, limit, &spec->step, &spec->size, spec->origin);
	start = hop.first - hop.slide;
	if (end)
		*end = view_ruler_time(&hop.ruler, start + hop.size);
	return start / hop.slide;
}

static bool
may_close(const ViewWindowSpec *spec, Timestamp from, Timestamp to,
		  Timestamp *first_start)
{
	HopWindows	hop;
	ViewWindow	window;

	if (view_window_near_bounds(spec, from))
	{
		*first_start = DT_NOBEGIN;
		return true;
	}
	set_windows(&hop, from, &spec->step, &spec->size, spec->origin);
	set_window(&hop, hop.first, &window);
	*first_start = window.start;
	return window.end <= to;
}

const ViewWindowKind view_hop = {
	.function = "hop",
	.take_arguments = take_arguments,
	.assign = assign,
	.may_close = may_close,
	.ends_in_order = true,
	.find_slice = find_slice,
	.find_end = find_end
};
