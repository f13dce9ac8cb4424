/*
 * group_options.c
 *	  SQL functions that create groups and change their options.
 */
#include "postgres.h"

#include <math.h>

#include "access/table.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/group_catalog.h"
#include "group/mode.h"
#include "group/seek.h"
#include "stream/privilege.h"

/* arguments of create_group() */
enum
{
	ARG_STREAM,
	ARG_GROUP_NAME,
	ARG_MODE,
	ARG_START_AT,
	ARG_LEASE,
	ARG_MAX_DELIVERIES,
	ARG_DEAD_LETTER,
	ARG_MAX_IN_FLIGHT,
	ARG_FILTER,
	ARG_IF_NOT_EXISTS,
	ARG_RETRY_BACKOFF,
	ARG_RETRY_BACKOFF_MAX,
	ARG_MAX_RATE,
	ARG_MAX_PER_KEY
};

static const GroupMode *
get_mode(const char *name)
{
	const GroupMode *mode = group_mode_find(name);

	if (mode != NULL)
		return mode;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\": \"%s\"", "mode", name),
			 errhint("Use %s.", group_mode_list())));
}

static void
check_positive(bool positive, const char *argname)
{
	if (!positive)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", argname)));
}

static const Interval *
get_interval(FunctionCallInfo fcinfo, int argno, const char *argname)
{
	Interval   *interval = PG_GETARG_INTERVAL_P(argno);

	(void) group_add_interval(GetCurrentTimestamp(), interval, argname, false);
	return interval;
}

/* set the options that are given; the others are left as they are */
static void
get_options(FunctionCallInfo fcinfo, GroupOptions *options)
{
	if (!PG_ARGISNULL(ARG_MODE))
		options->mode = get_mode(text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODE)));
	if (!PG_ARGISNULL(ARG_LEASE))
		options->lease = *get_interval(fcinfo, ARG_LEASE, "lease");
	if (!PG_ARGISNULL(ARG_MAX_DELIVERIES))
	{
		options->max_deliveries = PG_GETARG_INT32(ARG_MAX_DELIVERIES);
		check_positive(options->max_deliveries > 0, "max_deliveries");
	}
	if (!PG_ARGISNULL(ARG_DEAD_LETTER))
		options->dead_letter = PG_GETARG_OID(ARG_DEAD_LETTER);
	if (!PG_ARGISNULL(ARG_MAX_IN_FLIGHT))
		options->max_in_flight = PG_GETARG_INT32(ARG_MAX_IN_FLIGHT);
	if (!PG_ARGISNULL(ARG_FILTER))
		options->filter = text_to_cstring(PG_GETARG_TEXT_PP(ARG_FILTER));
	if (!PG_ARGISNULL(ARG_RETRY_BACKOFF))
		options->retry_backoff = get_interval(fcinfo, ARG_RETRY_BACKOFF, "retry_backoff");
	if (!PG_ARGISNULL(ARG_RETRY_BACKOFF_MAX))
		options->retry_backoff_max = get_interval(fcinfo, ARG_RETRY_BACKOFF_MAX, "retry_backoff_max");
	if (!PG_ARGISNULL(ARG_MAX_RATE))
	{
		options->max_rate = PG_GETARG_FLOAT8(ARG_MAX_RATE);
		check_positive(options->max_rate > 0 && isfinite(options->max_rate), "max_rate");
	}
	if (!PG_ARGISNULL(ARG_MAX_PER_KEY))
	{
		options->max_per_key = PG_GETARG_INT32(ARG_MAX_PER_KEY);
		check_positive(options->max_per_key > 0, "max_per_key");
	}
}

/* check options that depend on each other */
static void
check_options(const GroupOptions *options)
{
	if (options->max_in_flight < 1 || options->max_in_flight > options->mode->max_in_flight)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be between 1 and %d",
						"max_in_flight", options->mode->max_in_flight)));
}

/*
 * create_group(stream regclass, group_name text, mode text, start_at text,
 *			 lease interval, max_deliveries int4, dead_letter regclass,
 *			 max_in_flight int4, filter text, if_not_exists bool,
 *			 retry_backoff interval, retry_backoff_max interval,
 *			 max_rate float8, max_per_key int4)
 *
 * 42710 if the group exists and if_not_exists is false, 42501 if the caller
 * may not read the stream, 22023 for invalid options.
 */
PG_FUNCTION_INFO_V1(streamq_create_group);
Datum
streamq_create_group(PG_FUNCTION_ARGS)
{
	char	   *name;
	Relation	rel;
	GroupOptions options;
	GroupPlace	start;
	ConsumerGroup group;

	group_begin_change("create_group()");
	group_require_arg(fcinfo, ARG_STREAM, "stream");
	name = group_get_name_arg(fcinfo);
	group_require_arg(fcinfo, ARG_MODE, "mode");
	group_require_arg(fcinfo, ARG_START_AT, "start_at");
	group_require_arg(fcinfo, ARG_LEASE, "lease");
	group_require_arg(fcinfo, ARG_MAX_IN_FLIGHT, "max_in_flight");
	group_require_arg(fcinfo, ARG_IF_NOT_EXISTS, "if_not_exists");
	group_default_options(&options);
	options.start_at = text_to_cstring(PG_GETARG_TEXT_PP(ARG_START_AT));
	group_parse_start(options.start_at, "start_at", &start);
	get_options(fcinfo, &options);
	check_options(&options);

	rel = group_open_stream(fcinfo);
	stream_check_read(rel);
	if (group_create(rel, name, &options, true, &group) == GROUP_CREATED)
		group_start(rel, &group, &start);
	else if (PG_GETARG_BOOL(ARG_IF_NOT_EXISTS))
		ereport(NOTICE,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("consumer group \"%s\" of stream \"%s\" already exists, skipping",
						name, RelationGetRelationName(rel))));
	else
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("consumer group \"%s\" of stream \"%s\" already exists",
						name, RelationGetRelationName(rel))));
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}
