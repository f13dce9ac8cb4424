/*
 * round.c
 *	  The rounds of a batch, and finding the rows that fail.
 *
 * A round runs in a subtransaction.  If a row raises an error, the round is
 * rolled back and repeated up to that row, with the same snapshot.  The row is
 * recorded and skipped, and the next round continues after it.  So every row
 * is read at most twice, however many rows fail.
 *
 * If writing the results at the end of a round fails, any of its rows may be
 * the cause.  Rounds of half as many rows find it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/try.h"
#include "job/fault.h"
#include "job/input.h"
#include "job/job_catalog.h"
#include "job/job_kind.h"
#include "job/round.h"
#include "job/share.h"
#include "job/watermark.h"
#include "log/log.h"

/* streamq.work_mem: a round ends if it uses this much memory, in kB */
int			job_work_mem = 65536;

/* most rows between two looks at the memory of the round */
#define MEMORY_ROWS		16

/* most rounds of a batch */
#define MAX_ROUNDS		50

/* most rows between two looks at the clock */
#define CLOCK_ROWS		256

typedef enum RoundStage
{
	STAGE_OTHER,
	STAGE_ROW,					/* in take_row */
	STAGE_FLUSH					/* in flush_round */
} RoundStage;

typedef enum RoundResult
{
	ROUND_DONE,
	ROUND_BAD_ROW,				/* *rows rows succeeded, and batch->bad is the
								 * row after them */
	ROUND_BAD_FLUSH				/* flush_round failed after *rows rows */
} RoundResult;

typedef struct RoundState
{
	JobRound	round;			/* the part for the kind */

	/* used after an error of the round */
	int64		rows;			/* rows taken so far */
	RoundStage	stage;
	int			input;			/* of the current row */
	int64		off;
	bool		more;

	/* when to look at the clock next */
	int64		next_look;
	int64		look_rows;
	TimestampTz last_look;
} RoundState;

/*
 * Has the deadline passed?  The clock is read after each row if rows are slow,
 * and less often if they are fast.
 */
static bool
out_of_time(RoundState *state)
{
	TimestampTz deadline = state->round.batch->deadline;
	TimestampTz now;

	if (deadline == 0 || state->rows < state->next_look)
		return false;
	now = GetCurrentTimestamp();
	if (now >= deadline)
		return state->rows > 0;
	state->look_rows = state->last_look != 0 &&
		now - state->last_look < USECS_PER_SEC / 1000 ?
		Min(state->look_rows * 2, CLOCK_ROWS) : 1;
	state->last_look = now;
	state->next_look = state->rows + state->look_rows;
	return false;
}

void
job_record_bad_row(JobRound *round, const JobBadRow *bad)
{
	int			partition;
	Relation	source = job_input_source(round->batch, bad->input, &partition);

	job_add_error(round->batch->job.job_id, RelationGetRelid(source),
				  LOG_MSG_ID(partition, bad->off), bad->sqlerrcode, bad->message);
	round->stats.errors++;
	round->stats.last_error = bad->message;
}

/* take the row that failed, which is the next one */
static void
take_bad_row(JobRound *round, JobInput *input, const JobBadRow *bad)
{
	const JobKind *kind = round->batch->kind;

	if (kind->take_bad_row == NULL)
		job_record_bad_row(round, bad);
	else if (!kind->take_bad_row(round, input, bad))
	{
		input->blocked = true;
		input->has_row = false;
		return;
	}
	round->stats.rows_processed++;
	job_input_advance(input);
}

/*
 * The clock has come to the time at which the row was appended.  Its partition
 * was quiet until then.
 */
static inline void
note_row(JobRound *round, const JobInput *input)
{
	round->clock = input->produced_at;
	if (round->batch->job.event_time.idle_timeout != JOB_NO_LIMIT)
		job_compute_watermark(round);
	round->progress[input->number].last_at = input->produced_at;
}

/* take at most max_rows rows, not counting a bad row at the front */
static void
take_rows(RoundState *state, JobInputs *inputs, int64 max_rows)
{
	JobRound   *round = &state->round;
	JobBadRow  *bad = round->batch->bad;
	void		(*take_row) (JobRound *, JobInput *) = round->batch->kind->take_row;
	JobInput   *input;

	while ((input = job_inputs_first(inputs)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (bad && bad->input == input->number && bad->off == input->off)
		{
			note_row(round, input);
			take_bad_row(round, input, bad);
			bad = NULL;
			continue;
		}
		if (state->rows >= max_rows || out_of_time(state) ||
			(state->rows % MEMORY_ROWS == MEMORY_ROWS - 1 &&
			 MemoryContextMemAllocated(round->mcxt, true) > (Size) job_work_mem * 1024))
			break;

		state->input = input->number;
		state->off = input->off;
		state->stage = STAGE_ROW;
		note_row(round, input);
		take_row(round, input);
		state->stage = STAGE_OTHER;
		state->rows++;
		round->stats.rows_processed++;
		job_input_advance(input);
	}
}

/*
 * The body of a round.  All results that outlive the round are copied into the
 * batch at the end, so a round that fails leaves the batch unchanged.
 */
static void
run_round(RoundState *state, int64 max_rows)
{
	JobRound   *round = &state->round;
	JobBatch   *batch = round->batch;
	MemoryContext old = MemoryContextSwitchTo(round->mcxt);
	JobInputs	inputs;

	PushActiveSnapshot(GetTransactionSnapshot());
	round->progress = palloc(sizeof(JobProgress) * batch->ninputs);
	memcpy(round->progress, batch->progress, sizeof(JobProgress) * batch->ninputs);
	round->stats = batch->stats;
	batch->kind->begin_round(round);

	job_inputs_open(&inputs, round);
	take_rows(state, &inputs, max_rows);
	state->more = job_inputs_close(&inputs, round);

	state->stage = STAGE_FLUSH;
	batch->kind->flush_round(round);
	state->stage = STAGE_OTHER;
	PopActiveSnapshot();
	CommandCounterIncrement();

	/* keep the results of the round */
	memcpy(batch->progress, round->progress, sizeof(JobProgress) * batch->ninputs);
	batch->stats = round->stats;
	batch->bad = NULL;
	MemoryContextSwitchTo(old);
}

/* decide what caused the error that ended the round */
static JobFault
fault_of_round(RoundState *state, ErrorData *edata)
{
	const JobKind *kind = state->round.batch->kind;

	if (state->stage == STAGE_OTHER ||
		(kind->is_row_innocent && kind->is_row_innocent(&state->round)) ||
		(state->stage == STAGE_FLUSH && state->rows == 0))
		return FAULT_SYSTEM;
	return job_fault_of_row(edata);
}

/* remember a row that failed, and whether its error is doubtful */
static void
set_bad_row(JobBatch *batch, RoundState *state, ErrorData *edata, JobFault fault)
{
	batch->bad = palloc(sizeof(JobBadRow));
	batch->bad->input = state->input;
	batch->bad->off = state->off;
	batch->bad->sqlerrcode = edata->sqlerrcode;
	batch->bad->message = edata->message;

	if (fault != FAULT_DOUBTFUL)
		return;
	if (batch->doubt == NULL)
		batch->doubt = edata;
	else if (!job_fault_is_same(batch->doubt, edata))
		batch->doubts_differ = true;
}

typedef struct RoundCall
{
	RoundState *state;
	int64		max_rows;
} RoundCall;

static void
call_round(void *arg)
{
	RoundCall  *call = arg;

	run_round(call->state, call->max_rows);
}

/*
 * Run a round in a subtransaction.  If it fails because of a row, it only sets
 * batch->bad.  An error of the system is raised again.
 */
static RoundResult
try_round(JobBatch *batch, int64 max_rows, int64 *rows, bool *more)
{
	RoundState *state = palloc0(sizeof(RoundState));
	RoundCall	call = {state, max_rows};
	RoundResult result = ROUND_DONE;
	TimestampTz start = GetCurrentTimestamp();
	ErrorData  *error;

	state->round.batch = batch;
	state->round.mcxt = AllocSetContextCreate(CurrentMemoryContext, "streamq round",
											  ALLOCSET_DEFAULT_SIZES);

	/*
	 * Every error is caught, so that the subtransaction ends before the error
	 * is looked at.  A caller that aborts its statement does not know of the
	 * subtransaction, and would abort only that.
	 */
	error = base_try(call_round, &call, BASE_TRY_KEEP, base_try_is_any);
	if (error != NULL)
	{
		JobFault	fault = fault_of_round(state, error);

		if (fault == FAULT_SYSTEM)
			ReThrowError(error);
		if (state->stage == STAGE_FLUSH && state->rows > 1)
			result = ROUND_BAD_FLUSH;
		else
		{
			result = ROUND_BAD_ROW;
			if (state->stage == STAGE_FLUSH)
				state->rows = 0;
			set_bad_row(batch, state, error, fault);
		}
	}
	else
		job_share_note_pace(batch, state->rows, GetCurrentTimestamp() - start,
							MemoryContextMemAllocated(state->round.mcxt, true));
	MemoryContextDelete(state->round.mcxt);

	*rows = state->rows;
	*more = state->more;
	return result;
}

/* have so many messages failed that the job has to pause? */
static bool
at_error_limit(const JobBatch *batch)
{
	return batch->job.enabled && batch->job.error_limit != JOB_NO_LIMIT &&
		batch->stats.errors - batch->stats.errors_before >= batch->job.error_limit;
}

bool
job_run_rounds(JobBatch *batch, int64 max_rows, int64 *total)
{
	TimestampTz deadline = batch->deadline;
	bool		more = true;
	int64		limit = max_rows;	/* lower if flush_round fails */

	if (job_share_round(batch, total, &more))
	{
		batch->passed += *total;
		return more;
	}

	*total = 0;
	for (int i = 0; more && *total < max_rows && i < MAX_ROUNDS; i++)
	{
		JobBadRow  *front = batch->bad;
		JobBadRow  *failed = NULL;
		int64		rows;
		RoundResult result;

		if (batch->round_rows > 0)
			limit = Min(limit, batch->round_rows);
		result = try_round(batch, Min(limit, max_rows - *total), &rows, &more);
		if (result == ROUND_BAD_ROW && (rows > 0 || front))
		{
			/*
			 * Repeat the round without the row that failed.  A bad row at the
			 * front still has to be recorded.
			 */
			failed = batch->bad;
			batch->bad = front;
			batch->deadline = 0;
			result = try_round(batch, rows, &rows, &more);
			batch->deadline = deadline;
		}

		if (result == ROUND_DONE)
		{
			batch->passed += rows;
			*total += rows + (front ? 1 : 0);
			if (rows == 0 && !front)
				break;
			limit = Min(limit * 2, max_rows);
			batch->bad = failed;
			if (at_error_limit(batch))
			{
				batch->pause = true;
				return false;
			}

			/* continue as long as the cause of an error is in doubt */
			if (deadline != 0 && !failed &&
				(batch->doubt == NULL || batch->passed > 0) &&
				GetCurrentTimestamp() >= deadline)
				break;
		}
		else if (result == ROUND_BAD_FLUSH)
			limit = rows / 2;
		if (result != ROUND_DONE || failed)
			more = true;
	}

	/* if no row succeeded, rows are not the cause */
	if (batch->doubt && !batch->doubts_differ && batch->passed == 0)
		ReThrowError(batch->doubt);
	return more;
}
