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

#include "common/int.h"
#include "fmgr.h"
#include "nodes/primnodes.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/window.h"

PG_FUNCTION_INFO_V1(streamq_tumble_start);
PG_FUNCTION_INFO_V1(streamq_tumble_end);

/* origin plus a number of months; the day is at most the last of the month */
static Timestamp
add_months(Timestamp origin, int64 months)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int64		month;
	int64		year;
	Timestamp	result;

	if (timestamp2tm(origin, NULL, &tm, &fsec, NULL, NULL) != 0)
		view_window_out_of_range();

	month = (int64) tm.tm_year * MONTHS_PER_YEAR + (tm.tm_mon - 1) + months;
	year = month / MONTHS_PER_YEAR;
	month %= MONTHS_PER_YEAR;
	if (month < 0)
	{
		month += MONTHS_PER_YEAR;
		year--;
	}
	if (year < PG_INT32_MIN / 2 || year > PG_INT32_MAX / 2)
		view_window_out_of_range();

	tm.tm_year = (int) year;
	tm.tm_mon = (int) month + 1;
	if (tm.tm_mday > day_tab[isleap(tm.tm_year)][tm.tm_mon - 1])
		tm.tm_mday = day_tab[isleap(tm.tm_year)][tm.tm_mon - 1];

	if (tm2timestamp(&tm, fsec, NULL, &result) != 0 ||
		!IS_VALID_TIMESTAMP(result))
		view_window_out_of_range();
	return result;
}

static int64
month_number(Timestamp ts)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(ts, NULL, &tm, &fsec, NULL, NULL) != 0)
		view_window_out_of_range();
	return (int64) tm.tm_year * MONTHS_PER_YEAR + (tm.tm_mon - 1);
}

/* find the window that contains ts, aligned to origin; both are finite */
static void
tumble(Timestamp ts, const ViewWindowSize *size, Timestamp origin,
	   ViewWindow *window)
{
	if (size->months > 0)
	{
		int64		diff = month_number(ts) - month_number(origin);
		int64		n = diff / size->months;

		if (diff % size->months < 0)
			n--;
		window->start = add_months(origin, n * size->months);

		/*
		 * the origin's day and time may be later in the month than those of
		 * ts
		 */
		if (window->start > ts)
		{
			n--;
			window->start = add_months(origin, n * size->months);
		}
		window->end = add_months(origin, (n + 1) * size->months);
	}
	else
	{
		int64		diff;
		int64		rest;

		if (pg_sub_s64_overflow(ts, origin, &diff))
			view_window_out_of_range();
		rest = diff % size->micros;
		if (rest < 0)
			rest += size->micros;
		if (pg_sub_s64_overflow(ts, rest, &window->start) ||
			pg_add_s64_overflow(window->start, size->micros, &window->end) ||
			!IS_VALID_TIMESTAMP(window->start) || !IS_VALID_TIMESTAMP(window->end))
			view_window_out_of_range();
	}
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

	view_window_check_size(PG_GETARG_INTERVAL_P(1), &size);
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
	Const	   *size;
	Const	   *origin;

	Assert(list_length(args) == 2);
	size = linitial(args);
	origin = lsecond(args);
	if (!IsA(size, Const) || !IsA(origin, Const))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("size and origin of the window of a continuous view must be constants")));
	if (size->constisnull || origin->constisnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("size and origin of the window of a continuous view must not be null")));
	view_window_check_size(DatumGetIntervalP(size->constvalue), &spec->size);
	spec->origin = DatumGetTimestamp(origin->constvalue);
	view_window_check_origin(spec->origin);
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

	tumble(from, &spec->size, spec->origin, &window);
	*first_start = window.start;
	return window.end <= to;
}

const ViewWindowKind view_tumble = {
	.function = "tumble",
	.take_arguments = take_arguments,
	.assign = assign,
	.may_close = may_close
};
