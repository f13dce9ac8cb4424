/*
 * watermark.c
 *	  The watermark of a job: the time up to which everything has been seen.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/timestamp.h"

#include "job/input.h"
#include "job/job_catalog.h"
#include "job/job_kind.h"
#include "job/watermark.h"
#include "log/log.h"

/* the partitions of a job at a time of the clock */
typedef struct Clocked
{
	bool		has_event;		/* there was an event */
	bool		all_idle;
	Timestamp	event;			/* the least of the partitions that are not
								 * idle, or the latest of all if all are */
	TimestampTz last_at;		/* if all are idle: the last message */
	TimestampTz next_idle;		/* when the next partition becomes idle;
								 * DT_NOEND: none */
} Clocked;

/* has the input rows that were not read yet? */
static bool
has_unread(const JobBatch *batch, int input)
{
	int			partition;
	Relation	source = job_input_source(batch, input, &partition);

	return log_next_offset(source, partition) > batch->progress[input].next_offset;
}

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

/*
 * Look at the partitions.  With `unread`, a partition is not idle if it has
 * rows that were not read, because their transactions are in progress.
 */
static void
look(Clocked *result, const JobBatch *batch, const JobProgress *progress, TimestampTz clock,
	 bool unread)
{
	int64		timeout = batch->job.event_time.idle_timeout;
	Timestamp	greatest = DT_NOBEGIN;

	result->has_event = false;
	result->all_idle = true;
	result->event = DT_NOEND;
	result->last_at = DT_NOBEGIN;
	result->next_idle = DT_NOEND;
	for (int i = 0; i < batch->ninputs; i++)
	{
		const JobProgress *p = &progress[i];

		/* an empty partition does not hold the watermark back */
		if (!p->has_event)
			continue;
		result->has_event = true;
		greatest = Max(greatest, p->max_event);
		result->last_at = Max(result->last_at, p->last_at);
		if (timeout == JOB_NO_LIMIT || clock - p->last_at < timeout)
		{
			if (timeout != JOB_NO_LIMIT)
				result->next_idle = Min(result->next_idle, p->last_at + timeout);
		}
		else if (!unread || !has_unread(batch, i))
			continue;
		result->all_idle = false;
		result->event = Min(result->event, p->max_event);
	}
	if (result->all_idle)
		result->event = greatest;
	if (!sources_have_begun(batch, progress))
		result->has_event = false;
}

Timestamp
job_watermark_of(const JobBatch *batch, Timestamp event)
{
	int64		delay = batch->job.event_time.delay;

	return event < MIN_TIMESTAMP + delay ? MIN_TIMESTAMP : event - delay;
}

/* move the watermark; it never moves back */
static bool
set_watermark(JobStats *stats, const JobBatch *batch, const Clocked *clocked, TimestampTz clock)
{
	Timestamp	watermark = clocked->event;

	if (!clocked->has_event)
		return false;
	if (clocked->all_idle)
		watermark += clock - clocked->last_at;
	watermark = job_watermark_of(batch, watermark);
	if (stats->has_watermark && watermark <= stats->watermark)
		return false;
	stats->has_watermark = true;
	stats->watermark = watermark;
	return true;
}

void
job_compute_watermark(JobRound *round)
{
	Clocked		clocked;

	look(&clocked, round->batch, round->progress, round->clock, false);
	(void) set_watermark(&round->stats, round->batch, &clocked, round->clock);
}

void
job_advance_idle(JobBatch *batch)
{
	TimestampTz now = GetCurrentTimestamp();
	Timestamp	end;
	Clocked		clocked;

	if (batch->job.event_time.idle_timeout == JOB_NO_LIMIT || batch->kind->next_end == NULL)
		return;
	look(&clocked, batch, batch->progress, now, true);

	/* without open windows there is no use in moving it */
	if (clocked.has_event && batch->kind->next_end(batch, &end))
		batch->changed |= set_watermark(&batch->stats, batch, &clocked, now);
}

TimestampTz
job_next_due(JobBatch *batch)
{
	TimestampTz now = GetCurrentTimestamp();
	Timestamp	end;
	Clocked		clocked;

	if (batch->job.event_time.idle_timeout == JOB_NO_LIMIT || batch->kind->next_end == NULL)
		return 0;
	look(&clocked, batch, batch->progress, now, true);
	if (!clocked.has_event || !batch->kind->next_end(batch, &end))
		return 0;
	if (clocked.all_idle)
	{
		/* when the watermark reaches the end, as it moves with the clock */
		int64		lag = end + batch->job.event_time.delay - clocked.event;

		return Max(now, clocked.last_at) + Max(lag - (now - clocked.last_at), 0);
	}
	return clocked.next_idle == DT_NOEND ? 0 : clocked.next_idle;
}
