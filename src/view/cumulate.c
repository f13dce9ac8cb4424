/*
 * cumulate.c
 *	  Cumulating windows: windows that begin together, and of which each is
 *	  one step longer than the one before, up to a size.
 *
 * The steps are the slices.  A step of fixed length divides a calendar size if
 * it divides a day, because months have whole days.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/ruler.h"
#include "view/window.h"
#include "view/window_rows.h"

PG_FUNCTION_INFO_V1(streamq_cumulate);

/* the windows that contain a time */
typedef struct CumulateWindows
{
	ViewRuler	steps;			/* with a mark at each step */
	int64		step;
	ViewWindow	whole;			/* the longest window */
	int64		next;			/* end of the shortest window, then of longer
								 * ones */
} CumulateWindows;

/* fail with 22023 unless the step divides the size */
static void
check_units(const ViewWindowSize *step, const ViewWindowSize *size)
{
	if ((step->months > 0) == (size->months > 0))
	{
		if (view_ruler_length(size) % view_ruler_length(step) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("size of a cumulating window must be a multiple of its step")));
	}
	else if (step->months > 0 || USECS_PER_DAY % step->micros != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("size of a cumulating window must be a multiple of its step"),
				 errdetail("Windows of months have steps of months, or steps that divide a day.")));
}

static void
set_windows(CumulateWindows *cumulate, Timestamp ts, const ViewWindowSize *step,
			const ViewWindowSize *size, Timestamp origin)
{
	ViewRuler	ruler = {origin, size->months > 0};
	int64		length = view_ruler_length(size);
	int64		start = view_ruler_floor(view_ruler_mark(&ruler, ts), length);

	cumulate->whole.start = view_ruler_time(&ruler, start);
	cumulate->whole.end = view_ruler_time(&ruler, view_ruler_add(start, length));
	cumulate->steps.origin = origin;
	cumulate->steps.months = step->months > 0;
	cumulate->step = view_ruler_length(step);
	cumulate->next = view_ruler_floor(view_ruler_mark(&cumulate->steps, ts), cumulate->step) +
		cumulate->step;
}

/* set the next window; false if there is none left */
static bool
next_window(CumulateWindows *cumulate, ViewWindow *window)
{
	window->start = cumulate->whole.start;
	window->end = view_ruler_time(&cumulate->steps, cumulate->next);
	if (window->end > cumulate->whole.end)
		return false;
	cumulate->next += cumulate->step;
	return true;
}

/*
 * cumulate(ts timestamptz, step interval, size interval, origin timestamptz)
 *	returns setof (window_start timestamptz, window_end timestamptz)
 *
 * Exists for timestamp, too, because the arithmetic is the same.  An infinite
 * ts is in no window.  22023 if step or size is not a valid window size, if the
 * step does not divide the size, or if origin is infinite; 22008 if a window is
 * out of range.
 */
Datum
streamq_cumulate(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	CumulateWindows *cumulate;
	ViewWindow	window;

	if (SRF_IS_FIRSTCALL())
	{
		Timestamp	ts = PG_GETARG_TIMESTAMP(0);
		ViewWindowSize step;
		ViewWindowSize size;

		cumulate = view_window_rows_begin(fcinfo, sizeof(CumulateWindows));
		view_window_check_size(PG_GETARG_INTERVAL_P(1), "step", &step);
		view_window_check_size(PG_GETARG_INTERVAL_P(2), "size", &size);
		check_units(&step, &size);
		if (!TIMESTAMP_NOT_FINITE(ts))
		{
			view_window_check_origin(PG_GETARG_TIMESTAMP(3));
			set_windows(cumulate, ts, &step, &size, PG_GETARG_TIMESTAMP(3));
		}
	}

	context = SRF_PERCALL_SETUP();
	cumulate = context->user_fctx;
	if (cumulate->step == 0 || !next_window(cumulate, &window))
		SRF_RETURN_DONE(context);
	SRF_RETURN_NEXT(context, view_window_rows_form(context, &window));
}

/* ---- in continuous views ---- */

static void
take_arguments(ViewWindowSpec *spec, List *args)
{
	Assert(list_length(args) == 3);
	view_window_take_size(linitial(args), "step", &spec->step);
	view_window_take_size(lsecond(args), "size", &spec->size);
	check_units(&spec->step, &spec->size);
	spec->origin = view_window_take_origin(lthird(args));
	if ((spec->step.months > 0) == (spec->size.months > 0))
		spec->max_windows = view_ruler_length(&spec->size) / view_ruler_length(&spec->step);
	else
		spec->max_windows = spec->size.months * 31 * (USECS_PER_DAY / spec->step.micros);
}

static int
assign(const ViewWindowSpec *spec, Timestamp event, ViewWindow *windows)
{
	CumulateWindows cumulate;
	int			n = 0;

	set_windows(&cumulate, event, &spec->step, &spec->size, spec->origin);
	while (n < spec->max_windows && next_window(&cumulate, &windows[n]))
		n++;
	return n;
}

static bool
find_slice(const ViewWindowSpec *spec, Timestamp event, ViewSlice *slice)
{
	CumulateWindows cumulate;

	set_windows(&cumulate, event, &spec->step, &spec->size, spec->origin);
	slice->range.start = view_ruler_time(&cumulate.steps, cumulate.next - cumulate.step);
	slice->range.end = view_ruler_time(&cumulate.steps, cumulate.next);
	slice->first_end = slice->range.end;
	slice->last_end = cumulate.whole.end;
	return true;
}

/* each step is the end of a window */
static int64
find_end(const ViewWindowSpec *spec, Timestamp limit, Timestamp *end)
{
	ViewRuler	steps = {spec->origin, spec->step.months > 0};
	int64		step = view_ruler_length(&spec->step);
	int64		mark = view_ruler_floor(view_ruler_mark(&steps, limit), step);

	if (end)
		*end = view_ruler_time(&steps, mark);
	return mark / step;
}

static bool
may_close(const ViewWindowSpec *spec, Timestamp from, Timestamp to,
		  Timestamp *first_start)
{
	CumulateWindows cumulate;
	ViewWindow	window;

	if (view_window_near_bounds(spec, from))
	{
		*first_start = DT_NOBEGIN;
		return true;
	}
	set_windows(&cumulate, from, &spec->step, &spec->size, spec->origin);
	*first_start = cumulate.whole.start;
	return next_window(&cumulate, &window) && window.end <= to;
}

const ViewWindowKind view_cumulate = {
	.function = "cumulate",
	.same_start = true,
	.take_arguments = take_arguments,
	.assign = assign,
	.may_close = may_close,
	.find_slice = find_slice,
	.find_end = find_end
};
