/*
 * runner.c
 *	  Running a batch of a job, whatever kind it is of.
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "job/job.h"
#include "job/job_catalog.h"

/*
 * The job's lock is this session's own, so it would not keep out a function of the query
 * that runs the job, or drops its view.
 */
typedef struct RunningJob
{
	int32		job_id;
	struct RunningJob *outer;	/* whose query runs this one */
} RunningJob;

static RunningJob *running = NULL;

bool
job_is_running_here(int32 job_id)
{
	for (RunningJob *job = running; job; job = job->outer)
	{
		if (job->job_id == job_id)
			return true;
	}
	return false;
}

bool
job_any_running_here(void)
{
	return running != NULL;
}

JobBatchResult
job_run(int32 job_id, int64 max_rows, bool wait, int64 *rows)
{
	RunningJob	self = {job_id, running};
	JobRow		job;
	JobBatchResult result;

	*rows = 0;
	if (!job_read(job_id, &job))
		return JOB_GONE;
	if (job_is_running_here(job_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot run job \"%s\" from within its own batch",
						get_rel_name(job.target)),
				 errdetail("The query of the job calls a function that runs the job.")));
	running = &self;
	PG_TRY();
	{
		result = job_find_kind(job.kind)->run(job_id, max_rows, wait, rows);
	}
	PG_FINALLY();
	{
		running = self.outer;
	}
	PG_END_TRY();
	return result;
}

JobBatchResult
job_run_batch(int32 job_id)
{
	int64		rows;

	return job_run(job_id, JOB_BATCH_ROWS, false, &rows);
}
