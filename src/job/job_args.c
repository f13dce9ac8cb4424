/*
 * job_args.c
 *	  Arguments of SQL functions that create, change and drop jobs.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/argument.h"
#include "base/command.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job.h"
#include "job/job_args.h"

char *
job_text_arg(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		base_null_argument(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

Oid
job_relation_arg(FunctionCallInfo fcinfo, int arg, const char *name)
{
	Oid			relid;

	if (PG_ARGISNULL(arg))
		base_null_argument(name);
	relid = PG_GETARG_OID(arg);
	if (get_rel_relkind(relid) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	return relid;
}

Interval *
job_duration_arg(FunctionCallInfo fcinfo, int arg, const char *name)
{
	Interval   *value;

	if (PG_ARGISNULL(arg))
		return NULL;
	value = PG_GETARG_INTERVAL_P(arg);
	job_check_duration(value, name);
	return value;
}

static void
check_positive(int64 value, const char *name)
{
	if (value <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", name)));
}

int64
job_limit_arg(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		return 0;
	check_positive(PG_GETARG_INT64(arg), name);
	return PG_GETARG_INT64(arg);
}

int
job_count_arg(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		return 0;
	check_positive(PG_GETARG_INT32(arg), name);
	return PG_GETARG_INT32(arg);
}

void
job_check_owner(const JobRow *job)
{
	if (object_ownercheck(RelationRelationId, job->target, GetUserId()))
		return;
	if (job->name == NULL)
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_VIEW, job_name(job));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of %s \"%s\"", job->kind, job->name)));
}

void
job_drop(FunctionCallInfo fcinfo, const char *kind, const char *function)
{
	char	   *name = job_text_arg(fcinfo, 0, "name");
	DropStmt   *drop = makeNode(DropStmt);
	char	   *schema;
	char	   *view;
	JobRow		job;

	base_require_loaded();
	PreventCommandIfReadOnly(function);
	if (PG_ARGISNULL(1))
		base_null_argument("if_exists");
	if (!job_find_named(name, &job))
	{
		if (PG_GETARG_BOOL(1))
		{
			ereport(NOTICE,
					(errmsg("%s \"%s\" does not exist, skipping", kind, name)));
			return;
		}
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s \"%s\" does not exist", kind, name),
				 errhint("The view streamq.jobs lists the jobs of this database.")));
	}
	if (strcmp(job.kind, kind) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a %s, not a %s", name, job.kind, kind)));
	job_check_owner(&job);

	schema = get_namespace_name(get_rel_namespace(job.target));
	view = get_rel_name(job.target);
	drop->removeType = OBJECT_VIEW;
	drop->objects = list_make1(list_make2(makeString(schema), makeString(view)));
	drop->behavior = DROP_RESTRICT;
	base_run_utility((Node *) drop,
					 psprintf("DROP VIEW %s", quote_qualified_identifier(schema, view)));
}
