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

static bool
find_restored(const JobRow *job, Relation source, JobDone *done)
{
	bool		complete = true;

	for (int i = 0; i < done->n && i < job->nrestored; i++)
	{
		int64		off;

		if (job->restored_done[i] <= 0)
			continue;
		log_nth_rows(source, i, &job->restored_done[i], 1, GetActiveSnapshot(), &off);
		if (off < 0)
		{
			/* there are fewer: some may have expired since the restore */
			complete &= log_first_offset(source, i) > 0;
			off = log_next_offset(source, i) - 1;
		}
		done->offsets[i] = off + 1;
	}
	done->watermark = job->restored_watermark;
	return complete;
}

static void
find_processed(const JobRow *job, JobDone *done)
{
	JobProgress *progress = job_read_progress(job->job_id, done->n, 0);
	ItemPointerData tid;
	JobStats	stats;

	for (int i = 0; i < done->n; i++)
		done->offsets[i] = Max(progress[i].next_offset, progress[i].replay_to);
	if (!job_read_stats(job->job_id, &stats, &tid))
		return;
	done->watermark = stats.emitted_until;
	if (stats.has_watermark)
		done->watermark = Max(done->watermark, stats.watermark);
}

bool
job_find_done(const JobRow *job, JobDone *done)
{
	Relation	source = log_open_stream(job->source, NoLock);
	bool		complete = true;

	done->n = log_partition_count(source);
	done->offsets = palloc0(sizeof(int64) * done->n);
	done->watermark = DT_NOBEGIN;
	if (job->restored_done != NULL)
		complete = find_restored(job, source, done);
	else
		find_processed(job, done);
	table_close(source, NoLock);
	return complete;
}

/* write positions: where the job begins, and up to where it replays */
static void
write_positions(const JobRow *job, const JobDone *done, bool replay)
{
	Relation	source = log_open_stream(job->source, NoLock);
	JobProgress *progress = job_read_progress(job->job_id, done->n, 0);

	for (int i = 0; i < done->n; i++)
	{
		if (done->offsets[i] == 0)
			continue;
		progress[i].next_offset = replay ? log_first_offset(source, i) : done->offsets[i];
		progress[i].replay_to = done->offsets[i];
		progress[i].changed = true;
	}
	job_write_progress(job->job_id, progress, done->n);
	table_close(source, NoLock);
	CommandCounterIncrement();
}

void
job_replay_done(const JobRow *job, const JobDone *done)
{
	ItemPointerData tid;
	JobStats	stats;

	write_positions(job, done, true);
	if (!job_read_stats(job->job_id, &stats, &tid))
		return;
	stats.emitted_until = done->watermark;
	job_write_stats(job->job_id, &stats, &tid);
	CommandCounterIncrement();
}

void
job_skip_done(const JobRow *job, const JobDone *done)
{
	write_positions(job, done, false);
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
