/*
 * watermark.c
 *	  The watermark of a job: the time up to which everything has been seen.
 */
#include "postgres.h"

#include "datatype/timestamp.h"

#include "job/job_catalog.h"
#include "job/job_kind.h"

/* has each of the sources had an event?  A join has to wait for both. */
static bool
sources_have_begun(const JobBatch *batch, const JobProgress *progress)
{
	bool		first = false;
	bool		other = batch->other_source == NULL;

	for (int i = 0; i < batch->ninputs; i++)
	{
		if (i < batch->npartitions)
			first |= progress[i].has_event;
		else
			other |= progress[i].has_event;
	}
	return first && other;
}

void
job_compute_watermark(JobRound *round)
{
	JobBatch   *batch = round->batch;
	Timestamp	least = DT_NOEND;

	if (!sources_have_begun(batch, round->progress))
		return;
	for (int i = 0; i < batch->ninputs; i++)
	{
		/* an empty partition does not hold the watermark back */
		if (round->progress[i].has_event)
			least = Min(least, round->progress[i].max_event);
	}
	if (least < MIN_TIMESTAMP + batch->job.event_time.delay)
		least = MIN_TIMESTAMP;
	else
		least -= batch->job.event_time.delay;
	if (!round->stats.has_watermark || least > round->stats.watermark)
	{
		round->stats.has_watermark = true;
		round->stats.watermark = least;
	}
}
