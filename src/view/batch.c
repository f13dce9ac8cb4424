/*
 * batch.c
 *	  One micro-batch of a continuous view.
 *
 * Rows are taken in append order, partitions merged by append time, each up
 * to the offset where a transaction in progress begins.  For each row: event
 * time, WHERE, window and lateness, keys, transition functions; then the
 * watermark moves on.  Groups that were touched are written back, and
 * positions, counters and state change in the caller's one transaction.
 *
 * A round of this runs in a subtransaction.  When a row raises an error the
 * round is undone, done again up to that row under the same snapshot, the row
 * is recorded and passed over, and the next round goes on behind it: every row
 * is read at most twice, however many are bad.  When it is the states that cannot
 * be written, rounds of half as many rows find the row that made them so.
 *
 * Lock order: stream, view, state table, then the job's own lock.  DROP takes
 * the relations in the same order and the job's lock last.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "job/fault.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "log/log.h"
#include "log/reader.h"
#include "signal/xact_note.h"
#include "view/view_internal.h"
#include "view/window.h"

/* a round also ends when the groups it holds in memory take this much */
#define ROUND_MAX_BYTES	((Size) 64 * 1024 * 1024)

/* and a batch after so many of them */
#define MAX_ROUNDS		50

/* most rows of a round between two looks at the clock */
#define CLOCK_ROWS		256

typedef struct BadRow
{
	int			partition;
	int64		off;
	int			sqlerrcode;
	char	   *message;
} BadRow;

/* what a batch knows, outside of its rounds */
typedef struct Batch
{
	JobRow		job;
	ViewQuery  *vq;
	Relation	source;
	Relation	state;
	Snapshot	snapshot;		/* decides which rows of the stream there are */
	int			npartitions;
	JobProgress *progress;
	JobStats	stats;
	BadRow	   *bad;			/* the next round begins with this row */
	TimestampTz deadline;		/* a worker goes on to another job; 0: none */
	int64		passed;			/* rows that went through */
	ErrorData  *doubt;			/* all doubtful errors are this one */
	bool		doubts_differ;
} Batch;

typedef enum Stage
{
	STAGE_OTHER,
	STAGE_ROW,					/* evaluating the query for a row */
	STAGE_FLUSH					/* writing the states */
} Stage;

/* an open partition of a round */
typedef struct Input
{
	int			partition;
	LogReader  *reader;
	TupleTableSlot *slot;
	bool		has_row;		/* slot holds a row that was not taken yet */
	int64		off;
	TimestampTz produced_at;
	int64		expired;		/* offsets that expired before they were read */
} Input;

typedef struct Round
{
	Batch	   *batch;
	JobProgress *progress;		/* as the batch's, changed by the round */
	JobStats	stats;
	Input	   *inputs;
	int			ninputs;
	StateTable *state;
	AggSet	   *aggs;
	ExprContext *econtext;
	TupleTableSlot *window_slot;
	ExprState  *event_time;
	ExprState  *where;
	ExprState **keys;
	Datum	   *keyvalues;
	bool	   *keynulls;
	MemoryContext mcxt;			/* everything of the round */

	/* read when an error comes out of the round */
	int64		rows;			/* taken so far */
	Stage		stage;
	int			partition;		/* of the current row */
	int64		off;
	bool		more;

	/* when to look at the clock next */
	int64		next_look;
	int64		look_rows;
	TimestampTz last_look;
} Round;

/* ---- one row ---- */

static void
advance_watermark(Round *round, JobProgress *progress, Timestamp event)
{
	Batch	   *batch = round->batch;
	Timestamp	least = DT_NOEND;

	if (progress->has_event && progress->max_event >= event)
		return;
	progress->has_event = true;
	progress->max_event = event;

	for (int i = 0; i < batch->npartitions; i++)
	{
		/* a partition nothing ever came from holds nobody back */
		if (round->progress[i].has_event)
			least = Min(least, round->progress[i].max_event);
	}
	if (least < MIN_TIMESTAMP + batch->job.delay)
		least = MIN_TIMESTAMP;
	else
		least -= batch->job.delay;
	if (!round->stats.has_watermark || least > round->stats.watermark)
	{
		round->stats.has_watermark = true;
		round->stats.watermark = least;
	}
}

static void
process_row(Round *round, Input *input)
{
	Batch	   *batch = round->batch;
	ViewQuery  *vq = batch->vq;
	ExprContext *econtext = round->econtext;
	bool		isnull;
	bool		windowed = vq->window_rti != 0;
	bool		pass = true;
	Timestamp	event = 0;
	Timestamp	start = 0;
	Timestamp	end = 0;

	ResetExprContext(econtext);
	econtext->ecxt_scantuple = input->slot;
	econtext->ecxt_innertuple = NULL;

	if (windowed)
	{
		event = DatumGetTimestamp(ExecEvalExprSwitchContext(round->event_time,
															econtext, &isnull));
		/* no event time, no window, as in the same query run by hand */
		if (isnull || TIMESTAMP_NOT_FINITE(event))
			return;
		view_window_tumble(event, &vq->size, vq->origin, &start, &end);

		ExecClearTuple(round->window_slot);
		round->window_slot->tts_values[0] = TimestampGetDatum(start);
		round->window_slot->tts_values[1] = TimestampGetDatum(end);
		round->window_slot->tts_isnull[0] = false;
		round->window_slot->tts_isnull[1] = false;
		ExecStoreVirtualTuple(round->window_slot);
		econtext->ecxt_innertuple = round->window_slot;
	}

	if (round->where)
	{
		Datum		value = ExecEvalExprSwitchContext(round->where, econtext, &isnull);

		pass = !isnull && DatumGetBool(value);
	}

	if (pass && windowed && round->stats.has_watermark &&
		end <= PG_INT64_MAX - batch->job.lateness &&
		round->stats.watermark >= end + batch->job.lateness)
	{
		round->stats.late_rows++;
		pass = !batch->job.drop_late;
	}

	if (pass)
	{
		StateGroup *group;

		for (int i = 0; i < round->state->nkeys; i++)
			round->keyvalues[i] = ExecEvalExprSwitchContext(round->keys[i], econtext,
															&round->keynulls[i]);
		group = view_state_find_group(round->state, start, end,
									  round->keyvalues, round->keynulls);
		view_agg_advance(round->aggs, group->aggs, econtext);
	}

	if (windowed)
		advance_watermark(round, &round->progress[input->partition], event);
}

/* ---- input ---- */

static void
fetch_row(Input *input)
{
	int64		from;
	int64		to;

	input->has_row = log_reader_next(input->reader, input->slot);
	if (log_reader_expired(input->reader, &from, &to))
		input->expired += to - from;
	if (input->has_row)
	{
		input->off = log_reader_offset(input->reader);
		input->produced_at = log_reader_produced_at(input->reader);
	}
}

static void
open_inputs(Round *round)
{
	Batch	   *batch = round->batch;

	round->inputs = palloc0(sizeof(Input) * batch->npartitions);
	for (int i = 0; i < batch->npartitions; i++)
	{
		Input	   *input = &round->inputs[round->ninputs];
		int64		next = log_next_offset(batch->source, i);

		if (next <= round->progress[i].next_offset)
			continue;
		input->partition = i;
		input->slot = log_slot_create(batch->source);
		input->reader = log_reader_begin(batch->source, i,
										 round->progress[i].next_offset, next,
										 batch->snapshot, true);
		fetch_row(input);
		/* a view that has not begun yet begins with what there is */
		if (!round->progress[i].stored)
			input->expired = 0;
		round->ninputs++;
	}
}

/* the row that was appended first; ties go to the lower partition */
static Input *
next_input(Round *round)
{
	Input	   *first = NULL;

	for (int i = 0; i < round->ninputs; i++)
	{
		Input	   *input = &round->inputs[i];

		if (input->has_row &&
			(first == NULL || input->produced_at < first->produced_at))
			first = input;
	}
	return first;
}

/* where the next batch goes on */
static void
close_inputs(Round *round)
{
	for (int i = 0; i < round->ninputs; i++)
	{
		Input	   *input = &round->inputs[i];
		JobProgress *progress = &round->progress[input->partition];
		int64		position = input->has_row ? input->off : log_reader_position(input->reader);

		if (position > progress->next_offset)
		{
			progress->next_offset = position;
			progress->changed = true;
		}
		round->more |= input->has_row;
		round->stats.expired += input->expired;
		log_reader_end(input->reader);
		ExecDropSingleTupleTableSlot(input->slot);
	}
}

/* ---- rounds ---- */

static TupleTableSlot *
make_window_slot(ViewQuery *vq)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(desc, WINDOW_START_ATTNO, "window_start", vq->event_type, -1, 0);
	TupleDescInitEntry(desc, WINDOW_END_ATTNO, "window_end", vq->event_type, -1, 0);
	return MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
}

static void
prepare_round(Round *round)
{
	Batch	   *batch = round->batch;
	ViewQuery  *vq = batch->vq;
	ListCell   *lc;

	round->progress = palloc(sizeof(JobProgress) * batch->npartitions);
	memcpy(round->progress, batch->progress, sizeof(JobProgress) * batch->npartitions);
	round->stats = batch->stats;
	round->econtext = CreateStandaloneExprContext();

	if (vq->window_rti != 0)
	{
		round->event_time = view_compile_expression(vq, vq->event_time);
		round->window_slot = make_window_slot(vq);
	}
	if (vq->where)
		round->where = view_compile_expression(vq, vq->where);
	round->keys = palloc(sizeof(ExprState *) * Max(1, list_length(vq->keys)));
	round->keyvalues = palloc(sizeof(Datum) * Max(1, list_length(vq->keys)));
	round->keynulls = palloc(sizeof(bool) * Max(1, list_length(vq->keys)));
	foreach(lc, vq->keys)
		round->keys[foreach_current_index(lc)] =
		view_compile_expression(vq, ((ViewKey *) lfirst(lc))->expr);
	round->aggs = view_agg_set_create(vq);
	round->state = view_state_open(batch->state, vq, round->aggs);
}

/* is it time for the worker to go on?  Slow rows are looked at one by one */
static bool
out_of_time(Round *round)
{
	TimestampTz now;

	if (round->batch->deadline == 0 || round->rows < round->next_look)
		return false;
	now = GetCurrentTimestamp();
	if (now >= round->batch->deadline)
		return round->rows > 0;
	round->look_rows = round->last_look != 0 &&
		now - round->last_look < USECS_PER_SEC / 1000 ?
		Min(round->look_rows * 2, CLOCK_ROWS) : 1;
	round->last_look = now;
	round->next_look = round->rows + round->look_rows;
	return false;
}

/* at most max_rows rows, not counting a bad row at the front */
static void
run_round(Round *round, int64 max_rows)
{
	Batch	   *batch = round->batch;
	BadRow	   *bad = batch->bad;
	MemoryContext old = CurrentMemoryContext;
	Input	   *input;

	MemoryContextSwitchTo(round->mcxt);
	PushActiveSnapshot(GetTransactionSnapshot());
	prepare_round(round);
	open_inputs(round);

	while ((input = next_input(round)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (bad && bad->partition == input->partition && bad->off == input->off)
		{
			job_add_error(batch->job.job_id, LOG_MSG_ID(bad->partition, bad->off),
						  bad->sqlerrcode, bad->message);
			round->stats.errors++;
			round->stats.last_error = bad->message;
			round->stats.rows_processed++;
			fetch_row(input);
			bad = NULL;
			continue;
		}
		if (round->rows >= max_rows || out_of_time(round) ||
			(round->rows % 256 == 255 &&
			 MemoryContextMemAllocated(round->mcxt, true) > ROUND_MAX_BYTES))
			break;

		round->partition = input->partition;
		round->off = input->off;
		round->stage = STAGE_ROW;
		MemoryContextSwitchTo(round->econtext->ecxt_per_tuple_memory);
		process_row(round, input);
		MemoryContextSwitchTo(round->mcxt);
		round->stage = STAGE_OTHER;
		round->rows++;
		round->stats.rows_processed++;
		fetch_row(input);
	}

	close_inputs(round);
	round->stage = STAGE_FLUSH;
	view_state_flush(round->state);
	round->stage = STAGE_OTHER;
	PopActiveSnapshot();
	CommandCounterIncrement();

	/* what stays of the round */
	memcpy(batch->progress, round->progress, sizeof(JobProgress) * batch->npartitions);
	batch->stats = round->stats;
	batch->bad = NULL;

	if (round->window_slot)
		ExecDropSingleTupleTableSlot(round->window_slot);
	MemoryContextSwitchTo(old);
}

/*
 * Whose fault is the error that ended the round?  A state that cannot be loaded is not
 * that of the row which wants it.
 */
static Fault
fault_of_round(Round *round, ErrorData *edata)
{
	if (round->stage == STAGE_OTHER ||
		(round->stage == STAGE_ROW && round->state->loading) ||
		(round->stage == STAGE_FLUSH && round->rows == 0))
		return FAULT_SYSTEM;
	return job_fault_of_row(edata);
}

typedef enum RoundResult
{
	ROUND_DONE,
	ROUND_BAD_ROW,				/* batch->bad is the row behind the *rows that
								 * are fine */
	ROUND_BAD_FLUSH				/* states could not be written after *rows */
} RoundResult;

/* a row failed: remember it, and whether it alone is to blame */
static void
set_bad_row(Batch *batch, Round *round, ErrorData *edata, Fault fault)
{
	batch->bad = palloc(sizeof(BadRow));
	batch->bad->partition = round->partition;
	batch->bad->off = round->off;
	batch->bad->sqlerrcode = edata->sqlerrcode;
	batch->bad->message = edata->message;

	if (fault != FAULT_DOUBTFUL)
		return;
	if (batch->doubt == NULL)
		batch->doubt = edata;
	else if (!job_fault_is_same(batch->doubt, edata))
		batch->doubts_differ = true;
}

/*
 * A round in a subtransaction, which leaves nothing behind but batch->bad if it does not
 * go through.
 */
static RoundResult
try_round(Batch *batch, int64 max_rows, int64 *rows, bool *more)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Round	   *round = palloc0(sizeof(Round));
	volatile RoundResult result = ROUND_DONE;

	round->batch = batch;
	round->mcxt = AllocSetContextCreate(old, "streamq batch", ALLOCSET_DEFAULT_SIZES);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old);
	PG_TRY();
	{
		run_round(round, max_rows);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *edata;
		Fault		fault;

		/*
		 * Whatever the error, the subtransaction ends here: who aborts the
		 * statement knows nothing of it, and would abort it alone.
		 */
		MemoryContextSwitchTo(old);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(old);
		CurrentResourceOwner = owner;
		fault = fault_of_round(round, edata);
		if (fault == FAULT_SYSTEM)
			ReThrowError(edata);

		if (round->stage == STAGE_FLUSH && round->rows > 1)
			result = ROUND_BAD_FLUSH;
		else
		{
			result = ROUND_BAD_ROW;
			if (round->stage == STAGE_FLUSH)
				round->rows = 0;
			set_bad_row(batch, round, edata, fault);
		}
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;

	MemoryContextDelete(round->mcxt);

	*rows = round->rows;
	*more = round->more;
	return result;
}

/*
 * Rounds until max_rows rows were read, there are no more, or there were so
 * many rounds that their subtransactions would burden everybody's snapshots.
 * True: there are more rows.
 */
static bool
run_rounds(Batch *batch, int64 max_rows, int64 *total)
{
	TimestampTz deadline = batch->deadline;
	bool		more = true;
	int64		limit = max_rows;	/* lower while states cannot be written */

	*total = 0;
	for (int i = 0; more && *total < max_rows && i < MAX_ROUNDS; i++)
	{
		BadRow	   *front = batch->bad;
		BadRow	   *failed = NULL;
		int64		rows;
		RoundResult result;

		result = try_round(batch, Min(limit, max_rows - *total), &rows, &more);
		if (result == ROUND_BAD_ROW && (rows > 0 || front))
		{
			/*
			 * again, without the row that failed; the one at the front is
			 * still there
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

			/* not as long as it is open whose fault an error is */
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

	/* if no row got through, it is not their fault */
	if (batch->doubt && !batch->doubts_differ && batch->passed == 0)
		ReThrowError(batch->doubt);
	return more;
}

/* ---- the batch ---- */

static void
count_closed(Batch *batch, bool had, Timestamp before)
{
	ViewQuery  *vq = batch->vq;
	StateTable *state;
	Timestamp	first = 0;
	Timestamp	end;
	int64		closed;

	if (!batch->stats.has_watermark || (had && before == batch->stats.watermark))
		return;
	if (had)
	{
		/* mostly the watermark is still in the window it was in */
		view_window_tumble(before, &vq->size, vq->origin, &first, &end);
		if (end > batch->stats.watermark)
			return;
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	state = view_state_open(batch->state, vq, NULL);
	closed = view_state_count_windows(state, !had, first, before, batch->stats.watermark);
	PopActiveSnapshot();
	if (closed > 0)
		signal_note_closed(batch->job.target, batch->stats.watermark, closed);
}

static Oid
relation_owner(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tup))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tup))->relowner;
	ReleaseSysCache(tup);
	return owner;
}

/* the query as it was analyzed when the view was made */
static ViewQuery *
load_query(JobRow *job)
{
	return view_analyze(castNode(Query, stringToNode(job->query_tree)));
}

/* has anything been appended behind the positions? */
static bool
has_input(Batch *batch)
{
	for (int i = 0; i < batch->npartitions; i++)
	{
		if (log_next_offset(batch->source, i) > batch->progress[i].next_offset)
			return true;
	}
	return false;
}

/*
 * Lock what the job works on and read its row under the locks.  False when
 * the job is gone.
 */
static bool
lock_job(int32 job_id, JobRow *job, bool wait, bool *busy)
{
	*busy = false;
	if (!job_read(job_id, job))
		return false;
	if (wait)
	{
		LockRelationOid(job->source, AccessShareLock);
		LockRelationOid(job->target, AccessShareLock);
		LockRelationOid(job->state, RowExclusiveLock);
	}
	else if (!ConditionalLockRelationOid(job->source, AccessShareLock) ||
			 !ConditionalLockRelationOid(job->target, AccessShareLock) ||
			 !ConditionalLockRelationOid(job->state, RowExclusiveLock))
	{
		/* a worker has other jobs, and may be in the way of who has the lock */
		*busy = true;
		return true;
	}
	if (!job_lock(job_id, wait))
	{
		*busy = true;
		return true;
	}
	return job_read(job_id, job);
}

/*
 * The rows that are there now, as the owner of the view and with the settings
 * of the session that made it.  True: there are more.
 */
static bool
process_input(Batch *batch, Oid owner, int64 max_rows, bool timed, int64 *rows)
{
	Oid			save_user;
	int			save_context;
	int			nestlevel;
	bool		more;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(owner, save_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	job_apply_settings(batch->job.settings);

	PushActiveSnapshot(GetTransactionSnapshot());
	batch->vq = load_query(&batch->job);
	view_check_access(batch->vq, owner);
	PopActiveSnapshot();

	batch->snapshot = RegisterSnapshot(GetTransactionSnapshot());
	if (timed)
		batch->deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), JOB_BATCH_TIME);
	more = run_rounds(batch, max_rows, rows);
	UnregisterSnapshot(batch->snapshot);

	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(save_user, save_context);
	return more;
}

JobBatchResult
view_run_batch(int32 job_id, int64 max_rows, bool wait, int64 *rows)
{
	Batch	   *batch = palloc0(sizeof(Batch));
	ItemPointerData stats_tid;
	Oid			owner;
	bool		more = false;
	bool		busy;

	*rows = 0;
	if (!lock_job(job_id, &batch->job, wait, &busy))
		return JOB_GONE;
	if (busy)
		return JOB_BUSY;
	if (!batch->job.enabled && !wait)
		return JOB_GONE;
	owner = relation_owner(batch->job.target);
	if (!OidIsValid(owner))
	{
		/* dropped while the server ran without the library */
		job_delete(job_id);
		job_note_changed();
		return JOB_GONE;
	}
	if (!job_read_stats(job_id, &batch->stats, &stats_tid))
		return JOB_GONE;

	batch->source = log_open_stream(batch->job.source, NoLock);
	batch->state = table_open(batch->job.state, NoLock);
	if (!view_is_current(&batch->job))
	{
		if (!view_rebuild(&batch->job, batch->state, owner))
		{
			table_close(batch->state, NoLock);
			table_close(batch->source, NoLock);
			return JOB_CAUGHT_UP;
		}
		if (!job_read(job_id, &batch->job) ||
			!job_read_stats(job_id, &batch->stats, &stats_tid))
			return JOB_GONE;
	}
	batch->npartitions = log_partition_count(batch->source);
	batch->progress = job_read_progress(job_id, batch->npartitions);

	if (has_input(batch) || batch->stats.failing)
	{
		bool		had_watermark = batch->stats.has_watermark;
		Timestamp	watermark = batch->stats.watermark;
		bool		changed = batch->stats.failing;

		more = process_input(batch, owner, max_rows, !wait, rows);
		batch->stats.failing = false;
		for (int i = 0; i < batch->npartitions; i++)
			changed |= batch->progress[i].changed;
		if (changed)
		{
			if (batch->vq->window_rti != 0)
				count_closed(batch, had_watermark, watermark);
			PushActiveSnapshot(GetTransactionSnapshot());
			job_write_progress(job_id, batch->progress, batch->npartitions);
			job_write_stats(job_id, &batch->stats, &stats_tid);
			PopActiveSnapshot();
			CommandCounterIncrement();
		}
	}

	table_close(batch->state, NoLock);
	table_close(batch->source, NoLock);
	return more ? JOB_MORE : JOB_CAUGHT_UP;
}
