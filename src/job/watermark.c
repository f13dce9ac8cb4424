/*
 * watermark.c
 *	  The watermark of a job: the time up to which everything has been seen.
 */
#include "postgres.h"

#include "datatype/timestamp.h"

#include "job/job_catalog.h"
#include "job/job_kind.h"

void
job_compute_watermark(JobRound *round)
{
	JobBatch   *batch = round->batch;
	Timestamp	least = DT_NOEND;

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
