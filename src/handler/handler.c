/*
 * handler.c
 *	  Handlers as a kind of job, and the SQL functions that create and drop
 *	  them.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "compat.h"
#include "handler/handler.h"
#include "handler/handler_internal.h"
#include "job/job.h"
#include "job/job_args.h"
#include "job/job_define.h"
#include "job/job_kind.h"
#include "job/replay.h"
#include "log/log.h"
#include "stream/letter.h"
#include "stream/privilege.h"

PG_FUNCTION_INFO_V1(streamq_create_handler);
PG_FUNCTION_INFO_V1(streamq_drop_handler);

/* ---- the kind of job ---- */

static int
describe(const JobRow *job, JobRelation *relations)
{
	int			n = 0;

	relations[n++] = (JobRelation)
	{
		job->source, JOB_SOURCE, AccessShareLock
	};
	if (OidIsValid(job->dead_letter))
		relations[n++] = (JobRelation)
	{
		job->dead_letter, JOB_TARGET, RowExclusiveLock
	};
	relations[n++] = (JobRelation)
	{
		job->target, JOB_VIEW, AccessShareLock
	};
	return n;
}

/* a dump has the view, but not its dependency on the dead letter */
static bool
is_current(const JobRow *job)
{
	return job->format == job_format() &&
		(!OidIsValid(job->dead_letter) ||
		 job_has_dependency(job->target, RelationRelationId, job->dead_letter));
}

static bool
rebuild(JobRow *job, Oid owner)
{
	JobDone		done;

	/* pg_dump may create an empty view first, and replace it later */
	if (!OidIsValid(handler_find_function(job_view_query(job->target))))
		return false;
	/* what it has done before the dump must not be done again */
	if (!job_find_done(job, &done))
		return false;
	if (OidIsValid(job->dead_letter))
		job_record_dependency(job->target, RelationRelationId, job->dead_letter);
	job_set_current(job);
	job_skip_done(job, &done);
	return true;
}

static const JobKind handler_kind = {
	.name = HANDLER_JOB_KIND,
	.describe = describe,
	.is_current = is_current,
	.rebuild = rebuild,
	.load = handler_load,
	.begin_round = handler_begin_round,
	.take_row = handler_take_row,
	.take_bad_row = handler_take_bad_row,
	.flush_round = handler_flush_round,
	.finish = handler_finish
};

void
handler_init(void)
{
	job_register_kind(&handler_kind);
}

/* ---- SQL functions ---- */

/* arguments of create_handler() */
enum
{
	ARG_NAME,
	ARG_STREAM,
	ARG_FUNCTION,
	ARG_BATCH_SIZE,
	ARG_MAX_DELIVERIES,
	ARG_DEAD_LETTER,
	ARG_START_AT,
	ARG_RETRY_BACKOFF,
	ARG_RETRY_BACKOFF_MAX,
	ARG_IF_NOT_EXISTS,
	ARG_ERROR_LIMIT,
	ARG_JOB_TIMEOUT
};

static void
read_options(FunctionCallInfo fcinfo, JobOptions *options)
{
	memset(options, 0, sizeof(JobOptions));
	if (PG_ARGISNULL(ARG_BATCH_SIZE))
		base_null_argument("batch_size");
	if (PG_ARGISNULL(ARG_MAX_DELIVERIES))
		base_null_argument("max_deliveries");
	if (PG_ARGISNULL(ARG_RETRY_BACKOFF))
		base_null_argument("retry_backoff");
	if (PG_ARGISNULL(ARG_IF_NOT_EXISTS))
		base_null_argument("if_not_exists");
	options->batch_size = job_count_arg(fcinfo, ARG_BATCH_SIZE, "batch_size");
	options->max_deliveries = job_count_arg(fcinfo, ARG_MAX_DELIVERIES, "max_deliveries");
	options->start_at = job_text_arg(fcinfo, ARG_START_AT, "start_at");
	job_check_start(options->start_at);
	options->retry_backoff = job_duration_arg(fcinfo, ARG_RETRY_BACKOFF, "retry_backoff");
	options->retry_backoff_max = job_duration_arg(fcinfo, ARG_RETRY_BACKOFF_MAX,
												  "retry_backoff_max");
	options->error_limit = job_limit_arg(fcinfo, ARG_ERROR_LIMIT, "error_limit");
	options->job_timeout = job_duration_arg(fcinfo, ARG_JOB_TIMEOUT, "job_timeout");
}

/* open the stream that a handler is to read, and check its privileges */
static Relation
open_source(Oid relid)
{
	Relation	rel = log_open_stream(relid, AccessShareLock);

	stream_check_read(rel);
	/* after a crash its offsets start at 0 again, below the job's position */
	if (!RelationIsPermanent(rel))
		job_refuse(HANDLER_JOB_KIND, "an unlogged or temporary stream", NULL);
	return rel;
}

void
handler_check_dead_letter(Relation source, Oid dead_letter)
{
	Relation	target;

	if (!OidIsValid(dead_letter))
		return;
	if (dead_letter == RelationGetRelid(source))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stream \"%s\" cannot be its own dead letter",
						RelationGetRelationName(source))));
	target = log_open_stream(dead_letter, RowExclusiveLock);
	stream_letter_check(source, target);
	table_close(target, NoLock);
}

/*
 * create_handler(name text, stream regclass, function regprocedure,
 *				  batch_size int4, max_deliveries int4, dead_letter regclass,
 *				  start_at text, retry_backoff interval,
 *				  retry_backoff_max interval, if_not_exists bool,
 *				  error_limit int8, job_timeout interval)
 *
 * 42710 if there is a job of this name and if_not_exists is false, 42809 if
 * the function cannot handle messages, 42501 if the caller may not read the
 * stream, call the function or write dead letters, 42P17 if jobs would form a
 * loop, 22023 for invalid options.
 */
Datum
streamq_create_handler(PG_FUNCTION_ARGS)
{
	JobRow		job = {.kind = HANDLER_JOB_KIND};
	JobOptions	options;
	HandlerFunction function;
	Query	   *query;
	Relation	source;

	base_require_loaded();
	PreventCommandIfReadOnly("create_handler()");
	job.name = job_text_arg(fcinfo, ARG_NAME, "name");
	job.source = job_relation_arg(fcinfo, ARG_STREAM, "stream");
	if (PG_ARGISNULL(ARG_FUNCTION))
		base_null_argument("function");
	if (!PG_ARGISNULL(ARG_DEAD_LETTER))
		job.dead_letter = job_relation_arg(fcinfo, ARG_DEAD_LETTER, "dead_letter");
	read_options(fcinfo, &options);
	if (!job_check_new_name(HANDLER_JOB_KIND, job.name, PG_GETARG_BOOL(ARG_IF_NOT_EXISTS)))
		PG_RETURN_VOID();

	handler_check_function(&function, PG_GETARG_OID(ARG_FUNCTION));
	if (object_aclcheck(ProcedureRelationId, function.funcid, GetUserId(),
						ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function.funcid));
	source = open_source(job.source);
	handler_check_dead_letter(source, job.dead_letter);
	job_check_loop(HANDLER_JOB_KIND, job.name, job.source, &job.dead_letter, 1);
	query = handler_make_query(job.source, &function);

	job.job_id = job_next_id();
	job.target = job_create_view(&job, query);
	if (OidIsValid(job.dead_letter))
		job_record_dependency(job.target, RelationRelationId, job.dead_letter);
	job.settings = job_collect_settings();
	job.query = format_procedure_qualified(function.funcid);
	job.query_tree = "";
	job_insert(&job, &options);
	job_set_start(&job, options.start_at);
	table_close(source, NoLock);
	job_note_changed();
	PG_RETURN_VOID();
}

/*
 * drop_handler(name text, if_exists bool): 42704 if there is none, 42809 if
 * the job is no handler, 42501 unless the caller owns it
 */
Datum
streamq_drop_handler(PG_FUNCTION_ARGS)
{
	job_drop(fcinfo, HANDLER_JOB_KIND, "drop_handler()");
	PG_RETURN_VOID();
}
