/*
 * view.c
 *	  Continuous views as a kind of job.
 */
#include "postgres.h"

#include "job/job_catalog.h"
#include "job/job_kind.h"
#include "view/view.h"
#include "view/view_job.h"

/* list the relations of the job: the stream, the view, and its state table */
static int
describe(const JobRow *job, JobRelation *relations)
{
	const JobRelation all[] = {
		{job->source, JOB_SOURCE, AccessShareLock},
		{job->target, JOB_TARGET, AccessShareLock},
		{job->state, JOB_STATE, RowExclusiveLock},
	};

	memcpy(relations, all, sizeof(all));
	return lengthof(all);
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
	.end_batch = view_end_batch,
	.close = view_close
};

void
view_init(void)
{
	job_register_kind(&view_kind);
}
