/*
 * window.c
 *	  Tumbling windows.
 *
 * streamq.tumble() itself is an SQL function around the two functions here,
 * so that the planner can inline it: a query over a stream then costs what
 * the same query with date_bin() costs.
 *
 * Calendar windows (sizes in months) are cut in UTC for timestamptz, because
 * the functions are immutable and so may not look at the session's time
 * zone.
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/window.h"

PG_FUNCTION_INFO_V1(streamq_tumble_start);
PG_FUNCTION_INFO_V1(streamq_tumble_end);

static void
window_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("timestamp out of range")));
}

void
view_window_check_size(const Interval *size, WindowSize *result)
{
	int64		days;

	if (INTERVAL_NOT_FINITE(size))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("window size must be finite")));

	if (size->month != 0 && (size->day != 0 || size->time != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("window size must not mix months with days or smaller units"),
				 errhint("Use whole months, or days and smaller units.")));

	result->months = size->month;
	if (pg_mul_s64_overflow((int64) size->day, USECS_PER_DAY, &days) ||
		pg_add_s64_overflow(days, size->time, &result->micros))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("interval out of range")));

	if (result->months <= 0 && result->micros <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("window size must be positive"),
				 errhint("Use an interval such as '1 minute'.")));
}

/* origin plus a number of months, the day clamped to the month's last one */
static Timestamp
add_months(Timestamp origin, int64 months)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int64		month;
	int64		year;
	Timestamp	result;

	if (timestamp2tm(origin, NULL, &tm, &fsec, NULL, NULL) != 0)
		window_out_of_range();

	month = (int64) tm.tm_year * MONTHS_PER_YEAR + (tm.tm_mon - 1) + months;
	year = month / MONTHS_PER_YEAR;
	month %= MONTHS_PER_YEAR;
	if (month < 0)
	{
		month += MONTHS_PER_YEAR;
		year--;
	}
	if (year < PG_INT32_MIN / 2 || year > PG_INT32_MAX / 2)
		window_out_of_range();

	tm.tm_year = (int) year;
	tm.tm_mon = (int) month + 1;
	if (tm.tm_mday > day_tab[isleap(tm.tm_year)][tm.tm_mon - 1])
		tm.tm_mday = day_tab[isleap(tm.tm_year)][tm.tm_mon - 1];

	if (tm2timestamp(&tm, fsec, NULL, &result) != 0 ||
		!IS_VALID_TIMESTAMP(result))
		window_out_of_range();
	return result;
}

static int64
month_number(Timestamp ts)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(ts, NULL, &tm, &fsec, NULL, NULL) != 0)
		window_out_of_range();
	return (int64) tm.tm_year * MONTHS_PER_YEAR + (tm.tm_mon - 1);
}

void
view_window_tumble(Timestamp ts, const WindowSize *size, Timestamp origin,
				   Timestamp *start, Timestamp *end)
{
	if (TIMESTAMP_NOT_FINITE(origin))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("origin of a window must be finite")));

	if (size->months > 0)
	{
		int64		diff = month_number(ts) - month_number(origin);
		int64		n = diff / size->months;

		if (diff % size->months < 0)
			n--;
		*start = add_months(origin, n * size->months);

		/* the origin's day or time may lie later in the month than ts */
		if (*start > ts)
		{
			n--;
			*start = add_months(origin, n * size->months);
		}
		*end = add_months(origin, (n + 1) * size->months);
	}
	else
	{
		int64		diff;
		int64		rest;

		if (pg_sub_s64_overflow(ts, origin, &diff))
			window_out_of_range();
		rest = diff % size->micros;
		if (rest < 0)
			rest += size->micros;
		if (pg_sub_s64_overflow(ts, rest, start) ||
			pg_add_s64_overflow(*start, size->micros, end) ||
			!IS_VALID_TIMESTAMP(*start) || !IS_VALID_TIMESTAMP(*end))
			window_out_of_range();
	}
}

/*
 * Both serve timestamptz and timestamp: the arithmetic is the same.
 * Arguments (ts, size interval, origin); strict; an infinite ts has no
 * window, so the result is NULL.
 */
static Datum
tumble_bound(FunctionCallInfo fcinfo, bool want_end)
{
	Timestamp	ts = PG_GETARG_TIMESTAMP(0);
	WindowSize	size;
	Timestamp	start;
	Timestamp	end;

	view_window_check_size(PG_GETARG_INTERVAL_P(1), &size);
	if (TIMESTAMP_NOT_FINITE(ts))
		PG_RETURN_NULL();
	view_window_tumble(ts, &size, PG_GETARG_TIMESTAMP(2), &start, &end);
	PG_RETURN_TIMESTAMP(want_end ? end : start);
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
