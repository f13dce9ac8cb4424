/*
 * session_window.c
 *	  The window function session(): windows that end when nothing happens for
 *	  the length of a gap.
 *
 * Which session a row is in depends on the other rows of its group.  A
 * function of one row cannot know that, so session() is only a mark in the
 * query of a continuous view, where sessions.c keeps the sessions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "nodes/primnodes.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/window.h"

PG_FUNCTION_INFO_V1(streamq_session);

/*
 * session(ts timestamptz, gap interval)
 *	returns table (window_start timestamptz, window_end timestamptz)
 *
 * 0A000 if it is called.
 */
Datum
streamq_session(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("session() can only be used in the query of a continuous view"),
			 errhint("In an ordinary query, find the sessions with the window function lag().")));
	PG_RETURN_NULL();
}

/* check a gap, and convert it to microseconds */
static int64
check_gap(const Interval *gap)
{
	int64		days;
	int64		micros;

	if (INTERVAL_NOT_FINITE(gap) || gap->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("gap of a session must be finite and must not contain months or years"),
				 errhint("Use days and smaller units.")));
	if (pg_mul_s64_overflow((int64) gap->day, USECS_PER_DAY, &days) ||
		pg_add_s64_overflow(days, gap->time, &micros))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("interval out of range")));
	if (micros <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("gap of a session must be positive"),
				 errhint("Use an interval such as '30 minutes'.")));
	return micros;
}

static void
take_arguments(ViewWindowSpec *spec, List *args)
{
	Const	   *gap;

	Assert(list_length(args) == 1);
	gap = linitial(args);
	if (!IsA(gap, Const))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("gap of a session in a continuous view must be a constant")));
	if (gap->constisnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("gap of a session in a continuous view must not be null")));
	spec->size.micros = check_gap(DatumGetIntervalP(gap->constvalue));
	spec->max_windows = 1;
}

/* the session of a row that is alone */
static int
assign(const ViewWindowSpec *spec, Timestamp event, ViewWindow *windows)
{
	windows->start = event;
	if (pg_add_s64_overflow(event, spec->size.micros, &windows->end) ||
		!IS_VALID_TIMESTAMP(windows->end))
		view_window_out_of_range();
	return 1;
}

const ViewWindowKind view_session = {
	.function = "session",
	.merging = true,
	.take_arguments = take_arguments,
	.assign = assign
};
