/*
 * handler_batch.c
 *	  Calling the function of a handler for messages.
 *
 * A function that takes one message is called for each row as it is read.  A
 * function that takes an array is called at the end of each round, which has
 * at most batch_size rows.
 *
 * If a call fails, the runner finds the message, undoes the round, and does it
 * again without that message.  The message is written to streamq.job_retry,
 * with the time of the next try, and its partition is not read until then.
 * After max_deliveries tries it is given up.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "handler/handler.h"
#include "handler/handler_internal.h"
#include "job/job_define.h"
#include "job/job_retry.h"
#include "log/log.h"
#include "stream/letter.h"
#include "stream/message.h"
#include "stream/privilege.h"

typedef struct HandlerRound
{
	HandlerFunction *function;
	MessageFormat *format;
	TupleDesc	desc;			/* of a message */
	ExprContext *econtext;
	TupleTableSlot *slot;		/* has the argument of the function */
	ExprState  *call;
	JobRetry  **retries;		/* by partition: the message that is tried
								 * again, or NULL */
	bool	   *retried;		/* by partition: it was done in this round */

	/* for a function that takes an array */
	Datum	   *messages;
	int			n;
} HandlerRound;

/* ---- a batch ---- */

void *
handler_load(JobBatch *batch)
{
	HandlerFunction *function = palloc0(sizeof(HandlerFunction));

	stream_check_read(batch->source);
	handler_check_function(function, handler_find_function(job_view_query(batch->job.target)));
	batch->round_rows = batch->job.handling.batch_size;
	return function;
}

/* remember when the next message is to be tried again */
bool
handler_finish(JobBatch *batch)
{
	JobRetry   *retries = palloc(sizeof(JobRetry) * batch->npartitions);
	int			n = job_read_retries(batch->job.job_id, retries, batch->npartitions);

	batch->retry_at = 0;
	for (int i = 0; i < n; i++)
		if (batch->retry_at == 0 || retries[i].retry_at < batch->retry_at)
			batch->retry_at = retries[i].retry_at;
	return false;
}

/* ---- a round ---- */

/* compile the call of the function with the first column of a slot */
static void
compile_call(HandlerRound *handler)
{
	HandlerFunction *function = handler->function;
	Oid			argtype = function->takes_array ? get_array_type(function->message_type) :
		function->message_type;
	TupleDesc	desc = CreateTemplateTupleDesc(1);
	FuncExpr   *func;

	TupleDescInitEntry(desc, 1, "message", argtype, -1, 0);
	handler->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	func = makeFuncExpr(function->funcid, get_func_rettype(function->funcid),
						list_make1(makeVar(1, 1, argtype, -1, InvalidOid, 0)),
						InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	handler->econtext = CreateStandaloneExprContext();
	handler->econtext->ecxt_scantuple = handler->slot;
	handler->call = ExecInitExpr((Expr *) func, NULL);
}

static void
read_retries(JobRound *round, HandlerRound *handler)
{
	JobBatch   *batch = round->batch;
	JobRetry   *retries = palloc(sizeof(JobRetry) * batch->npartitions);
	int			n = job_read_retries(batch->job.job_id, retries, batch->npartitions);
	TimestampTz now = GetCurrentTimestamp();

	handler->retries = palloc0(sizeof(JobRetry *) * batch->npartitions);
	handler->retried = palloc0(sizeof(bool) * batch->npartitions);
	round->blocked = palloc0(sizeof(bool) * batch->ninputs);
	for (int i = 0; i < n; i++)
	{
		int			partition = retries[i].partition;

		if (partition < 0 || partition >= batch->npartitions)
			continue;
		handler->retries[partition] = &retries[i];
		round->blocked[partition] = retries[i].retry_at > now;
	}
}

void
handler_begin_round(JobRound *round)
{
	HandlerRound *handler = palloc0(sizeof(HandlerRound));

	handler->function = round->batch->loaded;
	handler->format = stream_message_format_create(round->batch->source);
	handler->desc = lookup_rowtype_tupdesc_copy(handler->function->message_type, -1);
	BlessTupleDesc(handler->desc);
	compile_call(handler);
	read_retries(round, handler);
	if (handler->function->takes_array)
		handler->messages = palloc(sizeof(Datum) * round->batch->job.handling.batch_size);
	round->state = handler;
}

/* make a value of type streamq.message, in the current memory context */
static Datum
form_message(HandlerRound *handler, JobInput *input)
{
	JobRetry   *retry = handler->retries[input->partition];
	MessageRow	row = {
		.format = handler->format,
		.slot = input->slot,
		.msg_id = LOG_MSG_ID(input->partition, input->off),
		.produced_at = input->produced_at,
		.deliveries = retry && retry->off == input->off ? retry->deliveries + 1 : 1
	};
	Datum		values[MESSAGE_NATTS];
	bool		nulls[MESSAGE_NATTS];

	stream_message_form(&row, MESSAGE_ALL, values, nulls);
	return HeapTupleGetDatum(heap_form_tuple(handler->desc, values, nulls));
}

static void
call_function(HandlerRound *handler, Datum argument)
{
	bool		isnull;

	ExecClearTuple(handler->slot);
	handler->slot->tts_values[0] = argument;
	handler->slot->tts_isnull[0] = false;
	ExecStoreVirtualTuple(handler->slot);
	(void) ExecEvalExprSwitchContext(handler->call, handler->econtext, &isnull);
}

void
handler_take_row(JobRound *round, JobInput *input)
{
	HandlerRound *handler = round->state;

	if (handler->messages)
		handler->messages[handler->n++] = form_message(handler, input);
	else
	{
		MemoryContext old;
		Datum		message;

		ResetExprContext(handler->econtext);
		old = MemoryContextSwitchTo(handler->econtext->ecxt_per_tuple_memory);
		message = form_message(handler, input);
		MemoryContextSwitchTo(old);
		call_function(handler, message);
	}
	/* the message itself, or it has expired meanwhile */
	if (handler->retries[input->partition])
		handler->retried[input->partition] = true;
}

void
handler_flush_round(JobRound *round)
{
	HandlerRound *handler = round->state;

	if (handler->n > 0)
	{
		ArrayType  *array = construct_array(handler->messages, handler->n,
											handler->function->message_type, -1, false,
											TYPALIGN_DOUBLE);

		call_function(handler, PointerGetDatum(array));
	}
	for (int i = 0; i < round->batch->npartitions; i++)
		if (handler->retried[i])
			job_delete_retry(round->batch->job.job_id, i);
	ExecDropSingleTupleTableSlot(handler->slot);
	FreeExprContext(handler->econtext, true);
}

/* ---- a message for which the function failed ---- */

/* the time between a failure and the next try */
static int64
backoff(const JobHandling *handling, int deliveries)
{
	double		wait = (double) handling->backoff;

	for (int i = 1; i < deliveries && wait < PG_INT64_MAX / 4; i++)
		wait *= 2;
	if (handling->backoff_max != JOB_NO_LIMIT)
		wait = Min(wait, (double) Max(handling->backoff_max, handling->backoff));
	/* a thousand years are long enough, and no overflow */
	return (int64) Min(wait, 1000.0 * DAYS_PER_YEAR * USECS_PER_DAY);
}

static void
write_letter(JobRound *round, JobInput *input, int deliveries, const char *message)
{
	JobBatch   *batch = round->batch;
	Relation	target = log_open_stream(batch->job.dead_letter, NoLock);
	StreamLetterWriter *writer = stream_letter_begin(batch->source, target, batch->job.name, 1);

	stream_letter_add(writer, input->slot, LOG_MSG_ID(input->partition, input->off),
					  input->produced_at, deliveries, message);
	stream_letter_end(writer);
	table_close(target, NoLock);
	round->stats.rows_written++;
	round->stats.errors++;
	round->stats.last_error = pstrdup(message);
}

bool
handler_take_bad_row(JobRound *round, JobInput *input, const JobBadRow *bad)
{
	HandlerRound *handler = round->state;
	JobBatch   *batch = round->batch;
	JobRetry   *retry = handler->retries[input->partition];
	JobRetry	next = {
		.partition = input->partition,
		.off = input->off,
		.deliveries = retry && retry->off == input->off ? retry->deliveries + 1 : 1
	};

	if (next.deliveries < batch->job.handling.max_deliveries)
	{
		next.retry_at = GetCurrentTimestamp() + backoff(&batch->job.handling, next.deliveries);
		job_write_retry(batch->job.job_id, &next, bad->message);
		handler->retried[input->partition] = false;
		round->stats.last_error = bad->message;
		return false;
	}
	if (OidIsValid(batch->job.dead_letter))
		write_letter(round, input, next.deliveries, bad->message);
	else
		job_record_bad_row(round, bad);
	if (retry)
		handler->retried[input->partition] = true;
	return true;
}
