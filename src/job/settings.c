/*
 * settings.c
 *	  Options of jobs: durations given by users, and the settings of the
 *	  session that created a job, which its batches use.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "compat.h"
#include "job/job.h"

void
job_apply_settings(ArrayType *settings)
{
	Datum	   *elems;
	int			n;

	deconstruct_array(settings, TEXTOID, -1, false, TYPALIGN_INT, &elems, NULL, &n);
	for (int i = 0; i + 1 < n; i += 2)
		(void) set_config_option(TextDatumGetCString(elems[i]),
								 TextDatumGetCString(elems[i + 1]),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
}

void
job_check_duration(const Interval *value, const char *arg)
{
	int64		days;
	int64		micros;

	if (INTERVAL_NOT_FINITE(value) || value->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be finite and must not contain months or years", arg),
				 errhint("Use days and smaller units.")));
	if (value->time + (double) value->day * USECS_PER_DAY < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", arg),
				 errhint("Use an interval such as '30 s'.")));
	if (pg_mul_s64_overflow((int64) value->day, USECS_PER_DAY, &days) ||
		pg_add_s64_overflow(days, value->time, &micros))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("interval out of range")));
}

bool
job_is_zero(const Interval *value)
{
	return value->time + (double) value->day * USECS_PER_DAY == 0;
}
