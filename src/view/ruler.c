/*
 * ruler.c
 *	  Time measured in whole units from the origin of windows.
 *
 * Months of timestamptz are counted in UTC, because immutable functions must
 * not use the session's time zone.
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/ruler.h"
#include "view/window.h"

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

int64
view_ruler_mark(const ViewRuler *ruler, Timestamp ts)
{
	int64		mark;

	if (ruler->months)
	{
		/*
		 * the origin's day and time may be later in the month than those of
		 * ts
		 */
		mark = month_number(ts) - month_number(ruler->origin);
		if (add_months(ruler->origin, mark) > ts)
			mark--;
	}
	else if (pg_sub_s64_overflow(ts, ruler->origin, &mark))
		view_window_out_of_range();
	return mark;
}

Timestamp
view_ruler_time(const ViewRuler *ruler, int64 mark)
{
	Timestamp	result;

	if (ruler->months)
		return add_months(ruler->origin, mark);
	if (pg_add_s64_overflow(ruler->origin, mark, &result) ||
		!IS_VALID_TIMESTAMP(result))
		view_window_out_of_range();
	return result;
}

int64
view_ruler_floor(int64 mark, int64 length)
{
	int64		rest = mark % length;
	int64		result;

	if (rest < 0)
		rest += length;
	if (pg_sub_s64_overflow(mark, rest, &result))
		view_window_out_of_range();
	return result;
}

int64
view_ruler_add(int64 mark, int64 length)
{
	int64		result;

	if (pg_add_s64_overflow(mark, length, &result))
		view_window_out_of_range();
	return result;
}
