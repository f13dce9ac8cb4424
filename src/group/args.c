/*
 * args.c
 *	  Arguments of the SQL functions on groups: checks and conversions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lockdefs.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "group/args.h"
#include "group/group_catalog.h"
#include "log/log.h"

void
group_begin_change(const char *funcname)
{
	base_require_loaded();
	PreventCommandIfReadOnly(funcname);
}

void
group_require_arg(FunctionCallInfo fcinfo, int argno, const char *argname)
{
	if (PG_ARGISNULL(argno))
		base_null_argument(argname);
}

Relation
group_open_stream(FunctionCallInfo fcinfo)
{
	group_require_arg(fcinfo, 0, "stream");
	return log_open_stream(PG_GETARG_OID(0), AccessShareLock);
}

char *
group_get_name_arg(FunctionCallInfo fcinfo)
{
	group_require_arg(fcinfo, 1, "group_name");
	return group_check_name(PG_GETARG_TEXT_PP(1));
}

Relation
group_open(FunctionCallInfo fcinfo, ConsumerGroup *group)
{
	Relation	rel;
	char	   *name;

	group_require_arg(fcinfo, 0, "stream");
	name = group_get_name_arg(fcinfo);
	rel = group_open_stream(fcinfo);
	group_get(rel, name, group);
	return rel;
}

int64
group_check_msg_id(int64 msg_id)
{
	if (msg_id < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("msg_id %lld is out of range", (long long) msg_id)));
	return msg_id;
}

TimestampTz
group_add_interval(TimestampTz now, const Interval *interval,
				   const char *argname, bool zero_allowed)
{
	TimestampTz result;

	result = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													 TimestampTzGetDatum(now),
													 IntervalPGetDatum(interval)));
	if (result < now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", argname),
				 errhint("Use an interval such as '30 s'.")));
	if (result == now && !zero_allowed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", argname),
				 errhint("Use an interval such as '30 s'.")));
	return result;
}

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

int64 *
group_get_msg_ids_arg(FunctionCallInfo fcinfo, int argno, int *n)
{
	Datum	   *datums;
	bool	   *nulls;
	int			nelems;
	int64	   *ids;

	group_require_arg(fcinfo, argno, "msg_ids");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), INT8OID, sizeof(int64),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &datums, &nulls, &nelems);
	ids = palloc(sizeof(int64) * (nelems + 1));
	for (int i = 0; i < nelems; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not contain nulls", "msg_ids")));
		ids[i] = group_check_msg_id(DatumGetInt64(datums[i]));
	}
	qsort(ids, nelems, sizeof(int64), compare_ids);
	*n = 0;
	for (int i = 0; i < nelems; i++)
		if (*n == 0 || ids[*n - 1] != ids[i])
			ids[(*n)++] = ids[i];
	return ids;
}
