/*
 * replay.c
 *	  Jobs that come from a dump, or were made by another server: what they
 *	  had processed, and must not write again.
 *
 * Offsets are not the same in a restored stream, so the dump has the number of
 * messages in each partition that the job had processed.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "fmgr.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/loaded.h"
#include "job/job.h"
#include "job/replay.h"
#include "log/load.h"
#include "log/log.h"
#include "stream/privilege.h"

/* translate the numbers of messages of one source into offsets */
static bool
find_restored(const JobRestored *restored, Oid stream, int n, int64 *offsets,
			  Timestamp *max_event)
{
	Relation	source = log_open_stream(stream, NoLock);
	bool		complete = true;

	for (int i = 0; i < n && i < restored->n; i++)
	{
		int64		off;

		max_event[i] = restored->max_event[i];
		if (restored->done[i] <= 0)
			continue;
		log_nth_rows(source, i, &restored->done[i], 1, GetActiveSnapshot(), &off);
		if (off < 0)
		{
			/* there are fewer: some may have expired since the restore */
			complete &= log_first_offset(source, i) > 0;
			off = log_next_offset(source, i) - 1;
		}
		offsets[i] = off + 1;
	}
	table_close(source, NoLock);
	return complete;
}

static void
find_processed(const JobRow *job, JobDone *done)
{
	JobProgress *progress = job_read_progress(job->job_id, done->n, done->nother);
	ItemPointerData tid;
	JobStats	stats;

	for (int i = 0; i < done->n + done->nother; i++)
		done->offsets[i] = Max(progress[i].next_offset, progress[i].replay_to);
	if (!job_read_stats(job->job_id, &stats, &tid))
		return;
	done->watermark = stats.emitted_until;
	if (stats.has_watermark)
		done->watermark = Max(done->watermark, stats.watermark);
}

static int
count_partitions(Oid stream)
{
	Relation	rel;
	int			n;

	if (!OidIsValid(stream))
		return 0;
	rel = log_open_stream(stream, NoLock);
	n = log_partition_count(rel);
	table_close(rel, NoLock);
	return n;
}

bool
job_find_done(const JobRow *job, JobDone *done)
{
	int			n;
	bool		complete = true;

	done->n = count_partitions(job->source);
	done->nother = count_partitions(job->other_source);
	n = done->n + done->nother;
	done->offsets = palloc0(sizeof(int64) * n);
	done->max_event = palloc(sizeof(Timestamp) * n);
	for (int i = 0; i < n; i++)
		done->max_event[i] = DT_NOBEGIN;
	done->watermark = DT_NOBEGIN;
	if (job->restored[0].n == 0 && job->restored[1].n == 0)
	{
		find_processed(job, done);
		return true;
	}
	done->watermark = job->restored_watermark;
	complete = find_restored(&job->restored[0], job->source, done->n, done->offsets,
							 done->max_event);
	if (done->nother > 0)
		complete &= find_restored(&job->restored[1], job->other_source, done->nother,
								  done->offsets + done->n, done->max_event + done->n);
	return complete;
}

void
job_replay_done(const JobRow *job, const JobDone *done)
{
	Relation	source = log_open_stream(job->source, NoLock);
	JobProgress *progress = job_read_progress(job->job_id, done->n, 0);
	ItemPointerData tid;
	JobStats	stats;

	for (int i = 0; i < done->n; i++)
	{
		if (done->offsets[i] == 0)
			continue;
		progress[i].next_offset = log_first_offset(source, i);
		progress[i].replay_to = done->offsets[i];
		progress[i].changed = true;
	}
	table_close(source, NoLock);
	job_write_progress(job->job_id, progress, done->n);
	CommandCounterIncrement();
	if (!job_read_stats(job->job_id, &stats, &tid))
		return;
	stats.emitted_until = done->watermark;
	job_write_stats(job->job_id, &stats, &tid);
	CommandCounterIncrement();
}

void
job_skip_done(const JobRow *job, const JobDone *done)
{
	int			n = done->n + done->nother;
	JobProgress *progress = job_read_progress(job->job_id, done->n, done->nother);
	ItemPointerData tid;
	JobStats	stats;

	for (int i = 0; i < n; i++)
	{
		JobProgress *p = &progress[i];

		if (done->offsets[i] == 0)
			continue;
		p->next_offset = done->offsets[i];
		if (done->max_event[i] != DT_NOBEGIN)
		{
			p->has_event = true;
			p->max_event = done->max_event[i];
			p->last_at = GetCurrentTimestamp();
		}
		p->changed = true;
	}
	job_write_progress(job->job_id, progress, n);
	CommandCounterIncrement();
	if (done->watermark == DT_NOBEGIN || !job_read_stats(job->job_id, &stats, &tid) ||
		stats.has_watermark)
		return;
	stats.has_watermark = true;
	stats.watermark = done->watermark;
	job_write_stats(job->job_id, &stats, &tid);
	CommandCounterIncrement();
}

/*
 * messages_before(stream regclass, partition int4, msg_offset int8) returns int8
 *
 * The number of messages of a partition below an offset, for a dump.
 */
PG_FUNCTION_INFO_V1(streamq_messages_before);
Datum
streamq_messages_before(PG_FUNCTION_ARGS)
{
	Relation	rel;
	int32		partition = PG_GETARG_INT32(1);
	int64		off = PG_GETARG_INT64(2);
	int64		count = 0;

	base_require_loaded();
	rel = log_open_stream(PG_GETARG_OID(0), AccessShareLock);
	stream_check_read(rel);
	if (partition >= 0 && partition < log_partition_count(rel))
		log_count_below(rel, partition, &off, 1, GetActiveSnapshot(), &count);
	table_close(rel, AccessShareLock);
	PG_RETURN_INT64(count);
}
