/*
 * job_alter.c
 *	  alter_job(): changing the options of a job.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "handler/handler.h"
#include "job/job.h"
#include "job/job_args.h"
#include "job/job_catalog.h"
#include "job/job_define.h"
#include "log/log.h"
#include "view/view.h"

PG_FUNCTION_INFO_V1(streamq_alter_job);

/* arguments of alter_job() */
enum
{
	ARG_JOB,
	ARG_JOB_TIMEOUT,
	ARG_ERROR_LIMIT,
	ARG_WATERMARK_DELAY,
	ARG_ALLOWED_LATENESS,
	ARG_IDLE_TIMEOUT,
	ARG_RETENTION,
	ARG_BATCH_SIZE,
	ARG_MAX_DELIVERIES,
	ARG_DEAD_LETTER,
	ARG_RETRY_BACKOFF,
	ARG_RETRY_BACKOFF_MAX,
	ARG_DEFAULT_JOB_TIMEOUT
};

/* options that only one kind of job has */
static const struct
{
	int			arg;
	const char *name;
	const char *kind;
}			special[] =

{
	{ARG_WATERMARK_DELAY, "watermark_delay", VIEW_JOB_KIND},
	{ARG_ALLOWED_LATENESS, "allowed_lateness", VIEW_JOB_KIND},
	{ARG_IDLE_TIMEOUT, "idle_timeout", VIEW_JOB_KIND},
	{ARG_RETENTION, "retention", VIEW_JOB_KIND},
	{ARG_BATCH_SIZE, "batch_size", HANDLER_JOB_KIND},
	{ARG_MAX_DELIVERIES, "max_deliveries", HANDLER_JOB_KIND},
	{ARG_DEAD_LETTER, "dead_letter", HANDLER_JOB_KIND},
	{ARG_RETRY_BACKOFF, "retry_backoff", HANDLER_JOB_KIND},
	{ARG_RETRY_BACKOFF_MAX, "retry_backoff_max", HANDLER_JOB_KIND},
};

static void
check_kind(FunctionCallInfo fcinfo, const JobRow *job)
{
	for (int i = 0; i < lengthof(special); i++)
		if (!PG_ARGISNULL(special[i].arg) && strcmp(special[i].kind, job->kind) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a %s has no option \"%s\"", job->kind, special[i].name)));
}

/* change the dead letter of a handler; the OID 0 ("-") removes it */
static void
set_dead_letter(JobRow *job, Oid dead_letter)
{
	Relation	source = log_open_stream(job->source, AccessShareLock);

	handler_check_dead_letter(source, dead_letter);
	job_check_loop(job->kind, job_name(job), job->source, &dead_letter, 1);
	table_close(source, NoLock);
	if (OidIsValid(job->dead_letter))
		(void) deleteDependencyRecordsForSpecific(RelationRelationId, job->target,
												  DEPENDENCY_NORMAL, RelationRelationId,
												  job->dead_letter);
	if (OidIsValid(dead_letter))
		job_record_dependency(job->target, RelationRelationId, dead_letter);
	job_set_dead_letter(job->job_id, dead_letter);
}

/*
 * alter_job(job text, job_timeout interval, error_limit int8,
 *			 watermark_delay interval, allowed_lateness interval,
 *			 idle_timeout interval, retention interval, batch_size int4,
 *			 max_deliveries int4, dead_letter regclass,
 *			 retry_backoff interval, retry_backoff_max interval,
 *			 default_job_timeout bool)
 *
 * Options that are null stay as they are.  22023 for a value that makes no
 * sense, or for an option that this kind of job does not have.
 */
Datum
streamq_alter_job(PG_FUNCTION_ARGS)
{
	JobRow		job;
	JobOptions	options = {0};

	base_require_loaded();
	PreventCommandIfReadOnly("alter_job()");
	job_find_by_name(job_text_arg(fcinfo, ARG_JOB, "job"), &job);
	job_check_owner(&job);
	check_kind(fcinfo, &job);
	if (PG_ARGISNULL(ARG_DEFAULT_JOB_TIMEOUT))
		base_null_argument("default_job_timeout");

	options.job_timeout = job_duration_arg(fcinfo, ARG_JOB_TIMEOUT, "job_timeout");
	if (!PG_ARGISNULL(ARG_ERROR_LIMIT))
	{
		options.error_limit = PG_GETARG_INT64(ARG_ERROR_LIMIT);
		if (options.error_limit < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" must not be negative", "error_limit")));
		if (options.error_limit == 0)
			options.error_limit = JOB_NO_LIMIT;
	}
	options.watermark_delay = job_duration_arg(fcinfo, ARG_WATERMARK_DELAY, "watermark_delay");
	options.allowed_lateness = job_duration_arg(fcinfo, ARG_ALLOWED_LATENESS, "allowed_lateness");
	options.idle_timeout = job_duration_arg(fcinfo, ARG_IDLE_TIMEOUT, "idle_timeout");
	options.retention = job_duration_arg(fcinfo, ARG_RETENTION, "retention");
	options.batch_size = job_count_arg(fcinfo, ARG_BATCH_SIZE, "batch_size");
	options.max_deliveries = job_count_arg(fcinfo, ARG_MAX_DELIVERIES, "max_deliveries");
	options.retry_backoff = job_duration_arg(fcinfo, ARG_RETRY_BACKOFF, "retry_backoff");
	options.retry_backoff_max = job_duration_arg(fcinfo, ARG_RETRY_BACKOFF_MAX,
												 "retry_backoff_max");

	job_change_options(job.job_id, &options, PG_GETARG_BOOL(ARG_DEFAULT_JOB_TIMEOUT));
	if (!PG_ARGISNULL(ARG_DEAD_LETTER))
		set_dead_letter(&job, PG_GETARG_OID(ARG_DEAD_LETTER));
	job_note_changed();
	PG_RETURN_VOID();
}
