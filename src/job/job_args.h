/*
 * job_args.h
 *	  Arguments of SQL functions that create, change and drop jobs.
 */
#ifndef STREAMQ_JOB_ARGS_H
#define STREAMQ_JOB_ARGS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "job/job_catalog.h"

/* fail with 22004 if the argument is null */
extern char *job_text_arg(FunctionCallInfo fcinfo, int arg, const char *name);

/* the same, and with 42P01 if there is no such relation */
extern Oid	job_relation_arg(FunctionCallInfo fcinfo, int arg, const char *name);

/* NULL if null; fails with 22023 unless job_check_duration() accepts it */
extern Interval *job_duration_arg(FunctionCallInfo fcinfo, int arg, const char *name);

/* 0 if null; fails with 22023 unless it is greater than 0 */
extern int64 job_limit_arg(FunctionCallInfo fcinfo, int arg, const char *name);
extern int	job_count_arg(FunctionCallInfo fcinfo, int arg, const char *name);

/* fail with 42501 unless the current user owns the job */
extern void job_check_owner(const JobRow *job);

/* body of the functions that drop a job by name: (name text, if_exists bool) */
extern void job_drop(FunctionCallInfo fcinfo, const char *kind, const char *function);

#endif
