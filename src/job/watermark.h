/*
 * watermark.h
 *	  The watermark of a job: the time up to which everything has been seen.
 */
#ifndef STREAMQ_JOB_WATERMARK_H
#define STREAMQ_JOB_WATERMARK_H

#include "postgres.h"

#include "job/job_kind.h"

/*
 * Called after the latest event time of a partition has changed and, if the
 * job has an idle_timeout, before each row.
 *
 * The watermark is the least of the latest event times of the partitions,
 * minus the job's delay.  It never moves back.  With an idle_timeout,
 * partitions that are quiet do not count, and if all of them are, the
 * watermark moves with the clock.  The clock is the time at which the current
 * row was appended.  So a job gives the same results whether it reads the rows
 * when they are written or later.
 */
extern void job_compute_watermark(JobRound *round);

/*
 * At the end of a batch that has read all rows, the clock is the current time.
 * job_advance_idle moves the watermark.  job_next_due returns when to call it
 * again because a window may close; 0: never.
 */
extern void job_advance_idle(JobBatch *batch);
extern TimestampTz job_next_due(JobBatch *batch);

/* the watermark after an event with this time, if there is no idle_timeout */
extern Timestamp job_watermark_of(const JobBatch *batch, Timestamp event);

/* in a shared round: the latest event time of the partition has changed */
extern void job_part_note_event(JobRound *round, const JobInput *input);

/* a row of the partition has this event time */
static inline void
job_advance_watermark(JobRound *round, const JobInput *input, Timestamp event)
{
	JobProgress *progress = &round->progress[input->number];

	if (progress->has_event && progress->max_event >= event)
		return;
	progress->has_event = true;
	progress->max_event = event;
	if (round->part)
		job_part_note_event(round, input);
	else
		job_compute_watermark(round);
}

#endif
