/*
 * share_late.c
 *	  Which rows of a shared round were late?
 *
 * A row is late if the watermark before it had reached some time.  That
 * depends on all partitions, but the processes of a shared round read them
 * apart from each other.
 *
 * The watermark cannot be later than the latest event time of the row's own
 * partition allows, unless it was later before the round.  So few rows may be
 * late at all.  For these it is checked what the other partitions had come to
 * before the row.  The order of rows is that of job_input_precedes().
 */
#include "postgres.h"

#include "job/share.h"
#include "job/watermark.h"

/* the latest event time in a partition before a row of another one */
static Timestamp
event_before(const JobPartResult *result, Timestamp start, const JobLateRow *row, bool inclusive)
{
	int			low = 0;
	int			high = result->nsteps;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		TimestampTz at = result->steps[middle].at;

		if (at < row->at || (inclusive && at == row->at))
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? result->steps[low - 1].max_event : start;
}

static bool
is_late(const JobBatch *batch, const JobPartResult **by_input, int input, const JobLateRow *row)
{
	for (int i = 0; i < batch->ninputs; i++)
	{
		const JobProgress *before = &batch->progress[i];
		Timestamp	event = before->max_event;

		if (i == input || !before->has_event)
			continue;
		if (by_input[i])
			event = event_before(by_input[i], event, row, i < input);
		if (job_watermark_of(batch, event) < row->late_at)
			return false;
	}
	return true;
}

int64
job_share_count_late(const JobBatch *batch, List *results)
{
	const JobPartResult **by_input = palloc0(sizeof(JobPartResult *) * batch->ninputs);
	int64		count = 0;
	ListCell   *lc;

	foreach(lc, results)
	{
		const JobPartResult *result = lfirst(lc);

		by_input[result->input] = result;
		count += result->late_rows;
	}
	foreach(lc, results)
	{
		const JobPartResult *result = lfirst(lc);

		for (int i = 0; i < result->nlate; i++)
		{
			if (is_late(batch, by_input, result->input, &result->late[i]))
				count++;
		}
	}
	pfree(by_input);
	return count;
}
