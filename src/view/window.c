/*
 * window.c
 *	  The kinds of window functions, and checks common to them.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/int.h"
#include "utils/lsyscache.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/window.h"

static const ViewWindowKind *const kinds[] = {
	&view_tumble,
	&view_hop,
	&view_cumulate,
	&view_session,
};

const ViewWindowKind *
view_window_find_kind(Oid funcid)
{
	char	   *name;

	if (get_func_namespace(funcid) != get_namespace_oid(STREAMQ_SCHEMA, false))
		return NULL;
	name = get_func_name(funcid);
	for (int i = 0; name != NULL && i < lengthof(kinds); i++)
	{
		if (strcmp(kinds[i]->function, name) == 0)
			return kinds[i];
	}
	return NULL;
}

void
view_window_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("timestamp out of range")));
}

void
view_window_check_size(const Interval *size, const char *what, ViewWindowSize *result)
{
	int64		days;

	if (INTERVAL_NOT_FINITE(size))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("window %s must be finite", what)));

	if (size->month != 0 && (size->day != 0 || size->time != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("window %s must not mix months with days or smaller units", what),
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
				 errmsg("window %s must be positive", what),
				 errhint("Use an interval such as '1 minute'.")));
}

void
view_window_check_origin(Timestamp origin)
{
	if (TIMESTAMP_NOT_FINITE(origin))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("origin of a window must be finite")));
}

static Datum
take_constant(Node *arg, const char *what)
{
	Const	   *value = (Const *) arg;

	if (!IsA(arg, Const))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s of the window of a continuous view must be a constant", what)));
	if (value->constisnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s of the window of a continuous view must not be null", what)));
	return value->constvalue;
}

void
view_window_take_size(Node *arg, const char *what, ViewWindowSize *result)
{
	view_window_check_size(DatumGetIntervalP(take_constant(arg, what)), what, result);
}

Timestamp
view_window_take_origin(Node *arg)
{
	Timestamp	origin = DatumGetTimestamp(take_constant(arg, "origin"));

	view_window_check_origin(origin);
	return origin;
}

bool
view_window_near_bounds(const ViewWindowSpec *spec, Timestamp ts)
{
	static const double month = 31.0 * USECS_PER_DAY;
	double		margin = 2 * (spec->size.months * month + spec->size.micros +
							  spec->step.months * month + spec->step.micros);

	return (double) ts - margin < MIN_TIMESTAMP || (double) ts + margin > END_TIMESTAMP;
}
