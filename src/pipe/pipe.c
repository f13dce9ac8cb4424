/*
 * pipe.c
 *	  Pipes as a kind of job, and the SQL functions that create and drop them.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job.h"
#include "job/job_args.h"
#include "job/job_define.h"
#include "job/job_kind.h"
#include "job/replay.h"
#include "pipe/pipe.h"
#include "pipe/pipe_internal.h"
#include "query/query.h"

PG_FUNCTION_INFO_V1(streamq_create_pipe);
PG_FUNCTION_INFO_V1(streamq_drop_pipe);

/* ---- the kind of job ---- */

static int
describe(const JobRow *job, JobRelation *relations)
{
	Oid			others[JOB_MAX_RELATIONS];
	int			nothers = job_view_relations(job->target, job->source, others,
											 JOB_MAX_RELATIONS - 5);
	int			n = 0;

	relations[n++] = (JobRelation)
	{
		job->source, JOB_SOURCE, AccessShareLock
	};
	for (int i = 0; i < nothers; i++)
		if (others[i] != job->emit_into)
			relations[n++] = (JobRelation)
		{
			others[i], JOB_OTHER, AccessShareLock
		};
	relations[n++] = (JobRelation)
	{
		job->emit_into, JOB_TARGET, RowExclusiveLock
	};
	relations[n++] = (JobRelation)
	{
		job->target, JOB_VIEW, AccessShareLock
	};
	return n;
}

/*
 * The rule of the view is right in every server.  What a dump lacks is the
 * dependency on the target, and the numbers of columns, which may differ.
 */
static bool
is_current(const JobRow *job)
{
	return job->format == job_format() &&
		job_has_dependency(job->target, RelationRelationId, job->emit_into);
}

static bool
rebuild(JobRow *job, Oid owner)
{
	Query	   *query = job_view_query(job->target);
	Relation	target;
	JobDone		done;

	/* pg_dump may create an empty view first, and replace it later */
	if (query_find_source(query, job->source) == 0 ||
		(OidIsValid(job->other_source) && query_find_source(query, job->other_source) == 0))
		return false;
	if (OidIsValid(job->other_source) && !pipe_join_tables_complete(job))
		return false;
	/* what it had written to the target is restored, too */
	if (!job_find_done(job, &done))
		return false;
	/* pg_upgrade keeps the numbers of columns */
	if (job->format == JOB_FORMAT_RESTORED)
	{
		target = pipe_open_target(job->emit_into, NoLock);
		job->query_tree = pipe_write_columns(pipe_match_columns(query, target));
		table_close(target, NoLock);
	}
	job_record_dependency(job->target, RelationRelationId, job->emit_into);
	job_set_current(job);
	job_skip_done(job, &done);
	return true;
}

static const JobKind pipe_kind = {
	.name = PIPE_JOB_KIND,
	.describe = describe,
	.is_current = is_current,
	.rebuild = rebuild,
	.load = pipe_load,
	.begin_round = pipe_begin_round,
	.take_row = pipe_take_row,
	.flush_round = pipe_flush_round,
	.finish = pipe_finish,
	.next_end = pipe_next_end,
	.close = pipe_close
};

void
pipe_init(void)
{
	job_register_kind(&pipe_kind);
}

/* ---- SQL functions ---- */

/* arguments of create_pipe() */
enum
{
	ARG_NAME,
	ARG_QUERY,
	ARG_INTO,
	ARG_START_AT,
	ARG_IF_NOT_EXISTS,
	ARG_ERROR_LIMIT,
	ARG_JOB_TIMEOUT,
	ARG_GRACE,
	ARG_WATERMARK_DELAY,
	ARG_IDLE_TIMEOUT
};

/* fail if the caller may not do what the pipe will do, or if it cannot work */
static void
try_plan(const JobRow *job, Relation target, const PipeColumns *columns, Query *query,
		 const PipeJoin *join)
{
	char	   *text;

	if (join)
		pipe_join_check_privileges(job, target, columns, query);
	else
		query_check_relations(pipe_plan(job, target, columns, NULL, 0, 1000, &text));
}

/* read the options, and check those that are for a join of two streams */
static void
read_options(FunctionCallInfo fcinfo, JobOptions *options, bool join)
{
	static const char *const names[] = {"grace", "watermark_delay", "idle_timeout"};

	options->error_limit = job_limit_arg(fcinfo, ARG_ERROR_LIMIT, "error_limit");
	options->job_timeout = job_duration_arg(fcinfo, ARG_JOB_TIMEOUT, "job_timeout");
	options->allowed_lateness = job_duration_arg(fcinfo, ARG_GRACE, "grace");
	options->watermark_delay = job_duration_arg(fcinfo, ARG_WATERMARK_DELAY, "watermark_delay");
	options->idle_timeout = job_duration_arg(fcinfo, ARG_IDLE_TIMEOUT, "idle_timeout");
	if (options->idle_timeout && job_is_zero(options->idle_timeout))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", "idle_timeout")));
	for (int i = 0; !join && i < lengthof(names); i++)
	{
		if (!PG_ARGISNULL(ARG_GRACE + i))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" is for a join of two streams", names[i])));
	}
}

/* ids of jobs may be in the names of tables that were restored from a dump */
static int32
next_job_id(void)
{
	int32		id;

	do
		id = job_next_id();
	while (pipe_join_has_tables(id));
	return id;
}

/*
 * create_pipe(name text, query text, into_stream regclass, start_at text,
 *			   if_not_exists bool, error_limit int8, job_timeout interval,
 *			   grace interval, watermark_delay interval, idle_timeout interval)
 *
 * 42710 if there is a job of this name and if_not_exists is false, 0A000 if a
 * pipe does not support the query, 42501 if the caller may not read the stream
 * or write into the target, 42703 if a column has no place in the target,
 * 42P17 if jobs would form a loop, 22023 for invalid options.
 */
Datum
streamq_create_pipe(PG_FUNCTION_ARGS)
{
	char	   *name = job_text_arg(fcinfo, ARG_NAME, "name");
	char	   *text = job_text_arg(fcinfo, ARG_QUERY, "query");
	Oid			into = job_relation_arg(fcinfo, ARG_INTO, "into_stream");
	JobOptions	options = {.start_at = job_text_arg(fcinfo, ARG_START_AT, "start_at")};
	JobRow		job = {.kind = PIPE_JOB_KIND, .name = name};
	Oid			streams[2] = {InvalidOid, InvalidOid};
	int			nstreams;
	PipeColumns *columns;
	PipeJoin   *join = NULL;
	Query	   *query;
	Relation	target;

	base_require_loaded();
	PreventCommandIfReadOnly("create_pipe()");
	if (PG_ARGISNULL(ARG_IF_NOT_EXISTS))
		base_null_argument("if_not_exists");
	job_check_start(options.start_at);
	if (!job_check_new_name(PIPE_JOB_KIND, name, PG_GETARG_BOOL(ARG_IF_NOT_EXISTS)))
		PG_RETURN_VOID();

	query = job_parse_query(text, PIPE_JOB_KIND, "Write SELECT ... FROM a stream.");
	nstreams = pipe_check_query(query, streams);
	read_options(fcinfo, &options, nstreams == 2);
	for (int i = 0; i < nstreams; i++)
	{
		query_check_row_security(streams[i], GetUserId(), PIPE_JOB_KIND);
		job_check_loop(PIPE_JOB_KIND, name, streams[i], &into, 1);
	}
	if (nstreams == 2)
		join = pipe_join_analyze(query);
	target = pipe_open_target(into, RowExclusiveLock);
	columns = pipe_match_columns(query, target);

	job.source = join ? join->stream[PIPE_LEFT] : streams[0];
	job.other_source = join ? join->stream[PIPE_RIGHT] : InvalidOid;
	job.job_id = next_job_id();
	job.emit_into = into;
	job.target = job_create_view(&job, query);
	job_record_dependency(job.target, RelationRelationId, into);
	if (join)
		pipe_join_create_tables(&job, join, query);
	job.settings = job_collect_settings();
	job.query = text;

	job.query_tree = pipe_write_columns(columns);
	job_insert(&job, &options);
	try_plan(&job, target, columns, query, join);
	table_close(target, NoLock);
	job_set_start(&job, options.start_at);
	job_note_changed();
	PG_RETURN_VOID();
}

/*
 * drop_pipe(name text, if_exists bool): 42704 if there is none, 42809 if the
 * job is no pipe, 42501 unless the caller owns it
 */
Datum
streamq_drop_pipe(PG_FUNCTION_ARGS)
{
	job_drop(fcinfo, PIPE_JOB_KIND, "drop_pipe()");
	PG_RETURN_VOID();
}
