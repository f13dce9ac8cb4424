/*
 * group_options.c
 *	  SQL functions that create groups and change their options.
 */
#include "postgres.h"

#include <math.h>

#include "access/table.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/dead_letter.h"
#include "group/filter.h"
#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/group_ring.h"
#include "group/mode.h"
#include "group/seek.h"
#include "log/log.h"
#include "stream/flow.h"
#include "stream/privilege.h"

/* numbers of the arguments of create_group() and alter_group() */
typedef struct OptionArgs
{
	int			mode;
	int			lease;
	int			max_deliveries;
	int			dead_letter;
	int			max_in_flight;
	int			filter;
	int			retry_backoff;
	int			retry_backoff_max;
	int			max_rate;
	int			max_per_key;
} OptionArgs;

static const OptionArgs create_args = {2, 4, 5, 6, 7, 8, 10, 11, 12, 13};
static const OptionArgs alter_args = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

#define CREATE_START_AT			3
#define CREATE_IF_NOT_EXISTS	9

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
check_not_negative(bool ok, const char *argname)
{
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", argname),
				 errhint("Zero means no limit.")));
}

/* an interval; NULL if it is zero */
static const Interval *
get_interval(FunctionCallInfo fcinfo, int argno, const char *argname)
{
	TimestampTz now = GetCurrentTimestamp();
	Interval   *interval = PG_GETARG_INTERVAL_P(argno);

	return group_add_interval(now, interval, argname, true) > now ? interval : NULL;
}

/*
 * Set the options that are given; the others are left as they are.  Zero, an
 * empty text and the regclass '-' take an option away.
 */
static void
get_options(FunctionCallInfo fcinfo, const OptionArgs *args, Relation rel, GroupOptions *options)
{
	if (!PG_ARGISNULL(args->mode))
		options->mode = get_mode(text_to_cstring(PG_GETARG_TEXT_PP(args->mode)));
	if (!PG_ARGISNULL(args->lease))
	{
		options->lease = *PG_GETARG_INTERVAL_P(args->lease);
		(void) group_add_interval(GetCurrentTimestamp(), &options->lease, "lease", false);
	}
	if (!PG_ARGISNULL(args->max_deliveries))
	{
		options->max_deliveries = PG_GETARG_INT32(args->max_deliveries);
		check_not_negative(options->max_deliveries >= 0, "max_deliveries");
	}
	if (!PG_ARGISNULL(args->dead_letter))
	{
		options->dead_letter = PG_GETARG_OID(args->dead_letter);
		options->lost_dead_letter = false;
		if (OidIsValid(options->dead_letter))
			group_check_dead_letter(rel, options->dead_letter);
	}
	if (!PG_ARGISNULL(args->max_in_flight))
		options->max_in_flight = PG_GETARG_INT32(args->max_in_flight);
	if (!PG_ARGISNULL(args->filter))
	{
		text	   *filter = PG_GETARG_TEXT_PP(args->filter);

		options->filter = VARSIZE_ANY_EXHDR(filter) == 0 ? NULL :
			group_filter_check(rel, text_to_cstring(filter));
	}
	if (!PG_ARGISNULL(args->retry_backoff))
		options->retry_backoff = get_interval(fcinfo, args->retry_backoff, "retry_backoff");
	if (!PG_ARGISNULL(args->retry_backoff_max))
		options->retry_backoff_max = get_interval(fcinfo, args->retry_backoff_max,
												  "retry_backoff_max");
	if (!PG_ARGISNULL(args->max_rate))
	{
		options->max_rate = PG_GETARG_FLOAT8(args->max_rate);
		if (!isfinite(options->max_rate))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" must be finite", "max_rate"),
					 errhint("Zero means no limit.")));
		check_not_negative(options->max_rate >= 0, "max_rate");
	}
	if (!PG_ARGISNULL(args->max_per_key))
	{
		options->max_per_key = PG_GETARG_INT32(args->max_per_key);
		check_not_negative(options->max_per_key >= 0, "max_per_key");
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
						"max_in_flight", options->mode->max_in_flight),
				 errdetail("This is the limit of mode \"%s\".", options->mode->name)));
	if (options->max_per_key > 0 && strcmp(options->mode->name, "key_shared") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" requires mode \"%s\"", "max_per_key", "key_shared")));
	if (options->retry_backoff != NULL && options->retry_backoff_max != NULL &&
		DatumGetInt32(DirectFunctionCall2(interval_cmp,
										  IntervalPGetDatum(options->retry_backoff_max),
										  IntervalPGetDatum(options->retry_backoff))) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be less than \"%s\"",
						"retry_backoff_max", "retry_backoff")));
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
	group_require_arg(fcinfo, 0, "stream");
	name = group_get_name_arg(fcinfo);
	group_require_arg(fcinfo, create_args.mode, "mode");
	group_require_arg(fcinfo, CREATE_START_AT, "start_at");
	group_require_arg(fcinfo, create_args.lease, "lease");
	group_require_arg(fcinfo, create_args.max_in_flight, "max_in_flight");
	group_require_arg(fcinfo, CREATE_IF_NOT_EXISTS, "if_not_exists");
	group_default_options(&options);
	options.start_at = text_to_cstring(PG_GETARG_TEXT_PP(CREATE_START_AT));
	group_parse_start(options.start_at, "start_at", &start);

	rel = group_open_stream(fcinfo);
	stream_check_read(rel);
	get_options(fcinfo, &create_args, rel, &options);
	check_options(&options);
	if (group_create(rel, name, &options, true, &group) == GROUP_CREATED)
		group_start(rel, &group, &start);
	else if (PG_GETARG_BOOL(CREATE_IF_NOT_EXISTS))
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

/*
 * Lock the name of the group in the arguments, and check that the caller may
 * change it.  The check is also made before locking, because a caller without
 * privileges must not block others.
 */
static void
lock_group(Relation rel, const char *name, bool for_owner, ConsumerGroup *group)
{
	for (int locked = 0; locked < 2; locked++)
	{
		group_find(rel, name, false, group);
		if (for_owner)
			group_check_owner(rel, group);
		else if (!has_privs_of_role(GetUserId(), rel->rd_rel->relowner))
			group_check_usable(rel, group);
		if (!locked)
			(void) group_lock_name(RelationGetRelid(rel), name, true);
	}
}

/*
 * Let another mode continue where the group is.  This is possible only if
 * nothing is outstanding, because each mode has its own form of that.
 */
static void
change_mode(Relation rel, const ConsumerGroup *group, const GroupMode *mode)
{
	ConsumerGroup changed = *group;
	int			npartitions = log_partition_count(rel);

	group->mode->close(rel, group);
	stream_flow_change_mark(RelationGetRelid(rel));
	for (int p = 0; p < npartitions; p++)
		if (!group->mode->is_idle(rel, group, p))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("cannot change the mode of consumer group \"%s\" of stream \"%s\"",
							group->name, RelationGetRelationName(rel)),
					 errdetail("Messages of partition %d are delivered and not acknowledged.", p),
					 errhint("Pause the group with streamq.pause_group() and acknowledge its messages first, or move it with streamq.seek().")));
	changed.mode = mode;
	for (int p = 0; p < npartitions; p++)
	{
		GroupProgress progress = {group->mode->needed_offset(rel, group, p), 0, NULL};

		mode->start(rel, &changed, p, &progress);
	}
}

/*
 * alter_group(stream regclass, group_name text, mode text, lease interval,
 *			max_deliveries int4, dead_letter regclass,
 *			max_in_flight int4, filter text, retry_backoff interval,
 *			retry_backoff_max interval, max_rate float8, max_per_key int4)
 *
 * Changes the options that are given.  42501 unless the caller owns the group,
 * 55006 if the mode cannot be changed now, 22023 for invalid options.
 */
PG_FUNCTION_INFO_V1(streamq_alter_group);
Datum
streamq_alter_group(PG_FUNCTION_ARGS)
{
	char	   *name;
	Relation	rel;
	ConsumerGroup group;
	GroupOptions options;

	group_begin_change("alter_group()");
	group_require_arg(fcinfo, 0, "stream");
	name = group_get_name_arg(fcinfo);
	rel = group_open_stream(fcinfo);
	lock_group(rel, name, true, &group);
	group_get_options(rel, name, &options);
	get_options(fcinfo, &alter_args, rel, &options);
	check_options(&options);
	if (options.mode != group.mode)
		change_mode(rel, &group, options.mode);
	group_set_options(rel, name, &options);
	group_ring_at_end(RelationGetRelid(rel), true);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

static void
set_paused(FunctionCallInfo fcinfo, bool paused)
{
	char	   *name;
	Relation	rel;
	ConsumerGroup group;

	group_require_arg(fcinfo, 0, "stream");
	name = group_get_name_arg(fcinfo);
	rel = group_open_stream(fcinfo);
	lock_group(rel, name, false, &group);
	if (group.paused != paused)
		group_set_paused(rel, name, paused);
	group_ring_at_end(RelationGetRelid(rel), true);
	table_close(rel, NoLock);
}

/*
 * pause_group(stream regclass, group_name text)
 *
 * 42501 unless the caller may use the group or owns the stream.
 */
PG_FUNCTION_INFO_V1(streamq_pause_group);
Datum
streamq_pause_group(PG_FUNCTION_ARGS)
{
	group_begin_change("pause_group()");
	set_paused(fcinfo, true);
	PG_RETURN_VOID();
}

/*
 * resume_group(stream regclass, group_name text)
 *
 * 42501 unless the caller may use the group or owns the stream.
 */
PG_FUNCTION_INFO_V1(streamq_resume_group);
Datum
streamq_resume_group(PG_FUNCTION_ARGS)
{
	group_begin_change("resume_group()");
	set_paused(fcinfo, false);
	PG_RETURN_VOID();
}
