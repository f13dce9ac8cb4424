/*
 * pipe_batch.c
 *	  What a pipe does with rows.
 *
 * Most pipes filter and transform rows into a stream.  Their plan is a scan
 * with a filter and a projection, which are evaluated for each row as it is
 * read, and the result goes to a StreamWriter.  Otherwise the rows of a round
 * are collected, and the plan runs at its end.
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "job/job_define.h"
#include "log/log.h"
#include "pipe/pipe.h"
#include "pipe/pipe_internal.h"
#include "query/query.h"
#include "stream/writer.h"

/* a plan is made again if the number of rows differs by this factor */
#define REPLAN_FACTOR	8

typedef struct PipeRound
{
	PipeBatch  *batch;

	/* row by row */
	ExprContext *econtext;
	ExprState  *filter;			/* NULL: all rows */
	ProjectionInfo *projection;
	StreamWriter *writer;

	/* otherwise */
	QueryRows  *rows;
} PipeRound;

/* ---- a batch ---- */

/*
 * The scan of the round's rows, if the plan does nothing else but write them
 * into a stream: then its result has a value for each column of the stream.
 */
static Plan *
find_plain_scan(PlannedStmt *plan, Relation target)
{
	ModifyTable *modify = (ModifyTable *) plan->planTree;
	Plan	   *scan;

	if (!IsA(modify, ModifyTable) || !log_is_stream(target) ||
		plan->subplans != NIL || modify->plan.initPlan != NIL ||
		modify->withCheckOptionLists != NIL || modify->returningLists != NIL)
		return NULL;
	scan = outerPlan(modify);
	if (!query_is_source_scan(scan) || scan->initPlan != NIL ||
		list_length(scan->targetlist) != RelationGetNumberOfAttributes(target))
		return NULL;
	return scan;
}

static void
plan_for(PipeBatch *batch, const JobRow *job, double nrows)
{
	/* rounds with other memory may follow */
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	batch->plan = pipe_plan(job, batch->target, batch->columns, NULL, 0, nrows, &batch->text);
	batch->planned_rows = nrows;
	batch->scan = find_plain_scan(batch->plan, batch->target);
	MemoryContextSwitchTo(old);
}

void *
pipe_load(JobBatch *job_batch)
{
	PipeBatch  *batch = palloc0(sizeof(PipeBatch));
	JobRow	   *job = &job_batch->job;

	batch->context = CurrentMemoryContext;
	query_check_row_security(job->source, job_batch->owner, PIPE_JOB_KIND);
	batch->target = pipe_open_target(job->emit_into, NoLock);
	batch->columns = pipe_read_columns(job->query_tree);
	if (pipe_replace_columns(job, batch->target, batch->columns))
	{
		job->query_tree = pipe_write_columns(batch->columns);
		job_set_current(job);
	}
	if (OidIsValid(job->other_source))
	{
		query_check_row_security(job->other_source, job_batch->owner, PIPE_JOB_KIND);
		batch->query = job_view_query(job->target);
		batch->join = pipe_join_analyze(batch->query);
		batch->had_watermark = job_batch->stats.has_watermark;
		batch->watermark = job_batch->stats.watermark;
		pipe_join_check_privileges(job, batch->target, batch->columns, batch->query);
		return batch;
	}
	plan_for(batch, job, 1000);
	query_check_relations(batch->plan);
	return batch;
}

void
pipe_close(JobBatch *job_batch)
{
	table_close(((PipeBatch *) job_batch->loaded)->target, NoLock);
}

/* ---- a round ---- */

static void
begin_row_by_row(PipeRound *pipe, Relation source)
{
	PipeBatch  *batch = pipe->batch;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(batch->target),
													&TTSOpsVirtual);

	pipe->econtext = CreateStandaloneExprContext();
	pipe->filter = ExecInitQual(batch->scan->qual, NULL);
	pipe->projection = ExecBuildProjectionInfo(batch->scan->targetlist, pipe->econtext, slot,
											   NULL, RelationGetDescr(source));
	pipe->writer = stream_writer_begin(batch->target, 1024, STREAM_ANY_PARTITION,
									   STREAM_WRITE_ROW);
}

void
pipe_begin_round(JobRound *round)
{
	PipeRound  *pipe;

	if (((PipeBatch *) round->batch->loaded)->join)
	{
		pipe_join_begin_round(round);
		return;
	}
	pipe = palloc0(sizeof(PipeRound));
	pipe->batch = round->batch->loaded;
	if (pipe->batch->scan)
		begin_row_by_row(pipe, round->batch->source);
	else
		pipe->rows = query_rows_create(round->batch->source, round->batch->npartitions);
	round->state = pipe;
}

void
pipe_take_row(JobRound *round, JobInput *input)
{
	PipeRound  *pipe = round->state;
	TupleTableSlot *result;

	if (((PipeBatch *) round->batch->loaded)->join)
	{
		pipe_join_take_row(round, input);
		return;
	}
	if (pipe->rows)
	{
		query_rows_add(pipe->rows, input);
		return;
	}
	ResetExprContext(pipe->econtext);
	pipe->econtext->ecxt_scantuple = input->slot;
	if (pipe->filter && !ExecQual(pipe->filter, pipe->econtext))
		return;
	result = ExecProject(pipe->projection);
	stream_writer_add_row(pipe->writer, result->tts_values, result->tts_isnull);
}

/* run the plan over the rows of the round; a plan for other sizes is replaced */
static uint64
run_plan(PipeBatch *batch, const JobRow *job, QueryRows *rows)
{
	double		n = (double) query_rows_count(rows);

	if (n == 0)
		return 0;
	if (n > batch->planned_rows * REPLAN_FACTOR || n < batch->planned_rows / REPLAN_FACTOR)
		plan_for(batch, job, n);
	return query_run(batch->plan, batch->text, rows, None_Receiver);
}

void
pipe_flush_round(JobRound *round)
{
	PipeRound  *pipe = round->state;

	if (((PipeBatch *) round->batch->loaded)->join)
		pipe_join_flush_round(round);
	else if (pipe->rows)
	{
		round->stats.rows_written += run_plan(pipe->batch, &round->batch->job, pipe->rows);
		query_rows_end(pipe->rows);
	}
	else
	{
		const int64 *msg_ids;

		round->stats.rows_written += stream_writer_flush(pipe->writer, &msg_ids);
		stream_writer_end(pipe->writer);
		ExecDropSingleTupleTableSlot(pipe->projection->pi_state.resultslot);
		FreeExprContext(pipe->econtext, true);
	}
}

/* ---- joins ---- */

bool
pipe_finish(JobBatch *job_batch)
{
	return ((PipeBatch *) job_batch->loaded)->join != NULL && pipe_join_finish(job_batch);
}

bool
pipe_next_end(JobBatch *job_batch, Timestamp *end)
{
	return ((PipeBatch *) job_batch->loaded)->join != NULL &&
		pipe_join_next_end(job_batch, end);
}
