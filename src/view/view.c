/*
 * view.c
 *	  Continuous views as a kind of job.
 */
#include "postgres.h"

#include "job/job_catalog.h"
#include "job/job_define.h"
#include "job/job_kind.h"
#include "view/view.h"
#include "view/view_job.h"

/*
 * List the relations of the job: the stream, tables that are joined with it,
 * the streams that it writes to, the view, and its tables.  DROP ... CASCADE of a stream locks the view after
 * the stream.
 */
static int
describe(const JobRow *job, JobRelation *relations)
{
	const JobRelation all[] = {
		{job->emit_into, JOB_TARGET, RowExclusiveLock},
		{job->late_stream, JOB_TARGET, RowExclusiveLock},
		{job->target, JOB_TARGET, AccessShareLock},
		{job->state, JOB_STATE, RowExclusiveLock},
		{job->results, JOB_STATE, RowExclusiveLock},
	};
	Oid			others[JOB_MAX_RELATIONS];
	int			nothers = job_view_relations(job->target, job->source, others,
											 JOB_MAX_RELATIONS - lengthof(all) - 1);
	int			n = 0;

	if (OidIsValid(job->source))
		relations[n++] = (JobRelation)
	{
		job->source, JOB_SOURCE, AccessShareLock
	};
	for (int i = 0; i < nothers; i++)
	{
		bool		known = false;

		for (int j = 0; j < lengthof(all); j++)
			known |= all[j].relid == others[i];
		if (!known)
			relations[n++] = (JobRelation)
		{
			others[i], JOB_OTHER, AccessShareLock
		};
	}
	for (int i = 0; i < lengthof(all); i++)
	{
		if (OidIsValid(all[i].relid))
			relations[n++] = all[i];
	}
	return n;
}

static const JobKind view_kind = {
	.name = VIEW_JOB_KIND,
	.describe = describe,
	.is_current = view_is_current,
	.rebuild = view_rebuild,
	.load = view_load,
	.begin_round = view_begin_round,
	.take_row = view_take_row,
	.is_row_innocent = view_is_row_innocent,
	.flush_round = view_flush_round,
	.sharing = view_sharing,
	.send_part = view_send_part,
	.take_part = view_take_part,
	.finish = view_finish,
	.next_end = view_next_end,
	.end_batch = view_end_batch,
	.close = view_close
};

void
view_init(void)
{
	job_register_kind(&view_kind);
}
