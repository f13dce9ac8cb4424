/*
 * job_loop.c
 *	  Refusing a job that would read what it writes, directly or through
 *	  other jobs.
 *
 * A job reads its source, and writes to its sinks: where its results, its late
 * rows and its dead letters go.  Jobs and relations are a graph.  A new job
 * closes a loop if its source can be reached from one of its sinks.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/catalog.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "job/job_define.h"

/* the sinks of a job */
#define JOB_NSINKS	3

static void
get_sinks(const JobRow *job, Oid *sinks)
{
	sinks[0] = job->emit_into;
	sinks[1] = job->late_stream;
	sinks[2] = job->dead_letter;
}

/*
 * Find a way from one relation to another.  *path gets it as text, without the
 * first relation.  `seen` has the relations that were looked at.
 */
static bool
find_path(List *jobs, Oid from, Oid to, List **seen, char **path)
{
	ListCell   *lc;

	check_stack_depth();
	if (from == to)
	{
		*path = "";
		return true;
	}
	if (list_member_oid(*seen, from))
		return false;
	*seen = lappend_oid(*seen, from);
	foreach(lc, jobs)
	{
		JobRow	   *job = lfirst(lc);
		Oid			sinks[JOB_NSINKS];
		char	   *rest;

		if (job->source != from && job->other_source != from)
			continue;
		get_sinks(job, sinks);
		for (int i = 0; i < JOB_NSINKS; i++)
		{
			if (!OidIsValid(sinks[i]) || !find_path(jobs, sinks[i], to, seen, &rest))
				continue;
			*path = psprintf(" -> %s \"%s\" -> \"%s\"%s", job->kind, job_name(job),
							 get_rel_name(sinks[i]), rest);
			return true;
		}
	}
	return false;
}

/*
 * No other transaction may create a job with sinks until this one ends, because
 * neither would see the other's job, and both together may close a loop.
 */
static void
lock_graph(void)
{
	LOCKTAG		tag;

	/* no job has the number 0 */
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, base_catalog_oid("job", false), 0, 0);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
job_check_loop(const char *kind, const char *name, Oid source, const Oid *sinks, int nsinks)
{
	List	   *jobs = NIL;
	bool		any = false;
	ListCell   *lc;

	for (int i = 0; i < nsinks; i++)
		any |= OidIsValid(sinks[i]);
	if (!any)
		return;
	lock_graph();
	foreach(lc, job_list())
	{
		JobRow	   *job = palloc(sizeof(JobRow));

		if (job_read(((JobInfo *) lfirst(lc))->job_id, job))
			jobs = lappend(jobs, job);
	}
	for (int i = 0; i < nsinks; i++)
	{
		List	   *seen = NIL;
		char	   *path;

		if (OidIsValid(sinks[i]) && find_path(jobs, sinks[i], source, &seen, &path))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("%s \"%s\" would close a loop", kind, name),
					 errdetail("Messages would go round: \"%s\" -> %s \"%s\" -> \"%s\"%s.",
							   get_rel_name(source), kind, name, get_rel_name(sinks[i]), path)));
	}
}
