/*
 * join_batch.c
 *	  What a pipe that joins two streams does with rows.
 *
 * A round collects the new messages of both sides, and then runs up to four
 * statements:
 *	1. new messages of the left side are joined with the right side's table
 *	2. they are put into the left side's table
 *	3. new messages of the right side are joined with the left side's table,
 *	   which by now has the new ones, too
 *	4. they are put into the right side's table
 *
 * At the end of the batch, an outer join writes closed messages without a
 * match, and messages that cannot have a match any more are deleted.  Lateness
 * is judged row by row.
 */
#include "postgres.h"

#include "access/table.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "job/watermark.h"
#include "pipe/join.h"
#include "pipe/pipe_internal.h"
#include "query/query.h"
#include "stream/writer.h"

typedef struct JoinRound
{
	PipeBatch  *batch;
	QueryRows  *rows[2];
	bool		timeless[2];	/* a message without a finite time has come */
} JoinRound;

/* time - distance, within the range of timestamps */
static Timestamp
subtract(Timestamp time, int64 distance)
{
	Timestamp	result;

	if (pg_sub_s64_overflow(time, distance, &result))
		return distance > 0 ? DT_NOBEGIN : DT_NOEND;
	return result;
}

Timestamp
pipe_join_closed(const PipeJoin *join, int side, Timestamp watermark, int64 grace)
{
	return subtract(subtract(watermark, side == PIPE_LEFT ? join->high : -join->low), grace);
}

/* ---- rows ---- */

void
pipe_join_begin_round(JobRound *round)
{
	JoinRound  *state = palloc0(sizeof(JoinRound));
	JobBatch   *batch = round->batch;

	state->batch = batch->loaded;
	state->rows[PIPE_LEFT] = query_rows_create(batch->source, batch->npartitions);
	state->rows[PIPE_RIGHT] = query_rows_create(batch->other_source,
												batch->ninputs - batch->npartitions);
	round->state = state;
}

void
pipe_join_take_row(JobRound *round, JobInput *input)
{
	JoinRound  *state = round->state;
	PipeJoin   *join = state->batch->join;
	int			side = input->source == round->batch->source ? PIPE_LEFT : PIPE_RIGHT;
	int64		grace = round->batch->job.event_time.lateness;
	bool		isnull;
	Timestamp	time;

	time = DatumGetTimestamp(slot_getattr(input->slot, join->time[side], &isnull));
	if (isnull || TIMESTAMP_NOT_FINITE(time))
	{
		/* it matches nothing */
		if (!pipe_join_keeps(join, side))
			return;
		state->timeless[side] = true;
	}
	else
	{
		bool		late = round->stats.has_watermark &&
			time <= pipe_join_closed(join, side, round->stats.watermark, grace);

		job_advance_watermark(round, input, time);
		if (late)
		{
			round->stats.late_rows++;
			return;
		}
	}
	query_rows_add(state->rows[side], input);
}

/* ---- the end of a round ---- */

/* the times up to which messages of each side are closed */
static void
closed_by(Timestamp *closed, const JobBatch *batch, bool has_watermark, Timestamp watermark)
{
	PipeJoin   *join = ((PipeBatch *) batch->loaded)->join;

	for (int side = 0; side < 2; side++)
		closed[side] = !has_watermark ? DT_NOBEGIN :
			pipe_join_closed(join, side, watermark, batch->job.event_time.lateness);
}

/* join new messages of a side, and keep them */
static void
join_side(JobRound *round, int side, const Timestamp *closed)
{
	JoinRound  *state = round->state;
	PipeBatch  *batch = state->batch;
	const JobRow *job = &round->batch->job;
	PipeJoinStep step = side == PIPE_LEFT ? JOIN_NEW_LEFT : JOIN_NEW_RIGHT;
	QueryRows  *rows = state->rows[side];
	double		n = (double) query_rows_count(rows);
	Query	   *query;
	PlannedStmt *plan;
	char	   *text;

	if (n == 0)
		return;
	query = pipe_join_query(job, batch->join, batch->query, step, closed, NULL);
	plan = pipe_plan(job, batch->target, batch->columns, query,
					 query_mark_source(query, batch->join->stream[side]), n, &text);
	round->stats.rows_written += query_run(plan, text, rows, None_Receiver);

	plan = pipe_join_plan_keep(job, batch->join, side, batch->query, n, &text);
	query_run(plan, text, rows, None_Receiver);
}

void
pipe_join_flush_round(JobRound *round)
{
	JoinRound  *state = round->state;
	PipeBatch  *batch = state->batch;
	Timestamp	closed[2];

	closed_by(closed, round->batch, batch->had_watermark, batch->watermark);
	for (int side = 0; side < 2; side++)
	{
		join_side(round, side, closed);
		batch->timeless[side] |= state->timeless[side];
		query_rows_end(state->rows[side]);
	}
}

/* ---- the end of a batch ---- */

/* write the closed messages of a side that have no match */
static void
write_alone(JobBatch *job_batch, int side, const Timestamp *from, const Timestamp *to)
{
	PipeBatch  *batch = job_batch->loaded;
	const JobRow *job = &job_batch->job;
	Query	   *query;
	PlannedStmt *plan;
	char	   *text;

	query = pipe_join_query(job, batch->join, batch->query,
							side == PIPE_LEFT ? JOIN_ALONE_LEFT : JOIN_ALONE_RIGHT, from, to);
	plan = pipe_plan(job, batch->target, batch->columns, query, 0, 1000, &text);
	job_batch->stats.rows_written += query_run(plan, text, NULL, None_Receiver);
}

bool
pipe_join_finish(JobBatch *job_batch)
{
	PipeBatch  *batch = job_batch->loaded;
	PipeJoin   *join = batch->join;
	JobStats   *stats = &job_batch->stats;
	bool		moved[2];
	Timestamp	from[2];
	Timestamp	to[2];

	closed_by(from, job_batch, batch->had_watermark, batch->watermark);
	closed_by(to, job_batch, stats->has_watermark, stats->watermark);
	for (int side = 0; side < 2; side++)
	{
		moved[side] = from[side] != to[side] || batch->timeless[side];
		if (moved[side] && pipe_join_keeps(join, side))
			write_alone(job_batch, side, from, to);
	}

	/*
	 * A message that is not late matches nothing older than this on the other
	 * side, and the messages closed next are not older either.
	 */
	for (int side = 0; side < 2; side++)
	{
		if (moved[side])
			pipe_join_delete(&job_batch->job, join, side,
							 stats->has_watermark ?
							 subtract(subtract(stats->watermark, join->high - join->low),
									  job_batch->job.event_time.lateness) : DT_NOBEGIN);
	}
	return false;
}

bool
pipe_join_next_end(JobBatch *job_batch, Timestamp *end)
{
	PipeBatch  *batch = job_batch->loaded;
	const JobStats *stats = &job_batch->stats;
	int64		grace = job_batch->job.event_time.lateness;
	Timestamp	closed[2];
	bool		found = false;

	closed_by(closed, job_batch, stats->has_watermark, stats->watermark);
	for (int side = 0; side < 2; side++)
	{
		Timestamp	time;
		Timestamp	side_end;

		if (!pipe_join_keeps(batch->join, side) ||
			!pipe_join_next(&job_batch->job, batch->join, side, closed[side], &time))
			continue;
		side_end = time - (pipe_join_closed(batch->join, side, 0, grace));
		*end = found ? Min(*end, side_end) : side_end;
		found = true;
	}
	return found;
}
