/*
 * writer.c
 *	  Appending messages to a stream from C.
 *
 * Most streams have no triggers, constraints or defaults.  Their messages skip
 * the executor: add encodes them into a batch of the log, and a full batch is
 * appended at once.  For all other streams, add copies the values, and flush
 * writes the rows with the executor's functions, as INSERT would.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "log/log.h"
#include "stream/target.h"
#include "stream/writer.h"

/* rows appended together; a larger batch is split */
#define MAX_STEP		16384
/* limit if expressions are evaluated, whose memory is freed after each step */
#define MAX_EXECUTOR_STEP	1024

/* a row to be written by flush */
typedef struct KeptRow
{
	Datum	   *values;
	bool	   *isnull;
} KeptRow;

struct StreamWriter
{
	MemoryContext context;		/* of this struct */
	MemoryContext scratch;		/* for converting a message; created when
								 * needed */
	Relation	rel;
	StreamTarget *target;
	int			columns;
	int			partition;		/* -1: any */
	SubTransactionId subid;
	bool		direct;			/* skips the executor */

	int			expected;		/* messages expected in a flush */
	int			n;				/* messages since the last flush */
	int			max_msg_ids;
	int64	   *msg_ids;

	/* the row that is being added */
	Datum	   *values;
	bool	   *isnull;

	/* if direct */
	LogBatch   *batch;			/* NULL: none */
	int			batch_room;		/* rows that still fit into the batch */
	int			nappended;		/* how many of the n messages are appended */

	/* otherwise */
	MemoryContext kept_context;
	KeptRow    *kept;			/* n rows */
	int			max_kept;
};

/* state of the executor for one statement */
typedef struct WriterExecution
{
	EState	   *estate;
	ResultRelInfo *result_rel;
	ExprState **defaults;
	TransitionCaptureState *transition;
} WriterExecution;

/* ---- beginning ---- */

StreamWriter *
stream_writer_begin(Relation rel, int nmessages, int partition, int columns)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq writer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	StreamWriter *writer = palloc0(sizeof(StreamWriter));
	StreamTarget *target = stream_target_get(rel);

	stream_target_check(target, rel, partition, columns);
	writer->context = context;
	writer->rel = rel;
	writer->target = target;
	writer->columns = columns;
	writer->partition = partition == STREAM_ANY_PARTITION ? -1 : partition;
	writer->subid = GetCurrentSubTransactionId();
	writer->direct = !target->needs_executor &&
		(target->ndefaults == 0 || columns == STREAM_WRITE_ROW);
	writer->expected = nmessages;
	writer->max_msg_ids = Max(nmessages, 1);
	writer->msg_ids = palloc(writer->max_msg_ids * sizeof(int64));
	writer->values = palloc0(target->desc->natts * sizeof(Datum));
	writer->isnull = palloc(target->desc->natts * sizeof(bool));
	if (!writer->direct)
		writer->kept_context = AllocSetContextCreate(context, "streamq writer rows",
													 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(old);
	return writer;
}

/* ---- the executor's way ---- */

static void
execution_begin(WriterExecution *exec, StreamWriter *writer)
{
	StreamTarget *target = writer->target;
	MemoryContext old;

	exec->estate = CreateExecutorState();
	old = MemoryContextSwitchTo(exec->estate->es_query_cxt);
	exec->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(exec->result_rel, writer->rel, 0, NULL, 0);
	exec->estate->es_opened_result_relations =
		lappend(exec->estate->es_opened_result_relations, exec->result_rel);
	exec->defaults = palloc(Max(target->ndefaults, 1) * sizeof(ExprState *));
	for (int i = 0; i < target->ndefaults; i++)
		exec->defaults[i] =
			ExecInitExpr(expression_planner(copyObject(target->default_exprs[i])), NULL);
	MemoryContextSwitchTo(old);

	AfterTriggerBeginQuery();
	ExecBSInsertTriggers(exec->estate, exec->result_rel);
	exec->transition = MakeTransitionCaptureState(writer->rel->trigdesc,
												  RelationGetRelid(writer->rel), CMD_INSERT);
}

static void
execution_end(WriterExecution *exec)
{
	ExecASInsertTriggers(exec->estate, exec->result_rel, exec->transition);
	AfterTriggerEndQuery(exec->estate);
	/* slots that were created for triggers */
	ExecResetTupleTable(exec->estate->es_tupleTable, false);
	ExecCloseResultRelations(exec->estate);
	FreeExecutorState(exec->estate);
}

/* store a row in a slot as a virtual tuple, without copying the values */
static void
fill_slot(TupleTableSlot *slot, const StreamTarget *target, const Datum *values,
		  const bool *isnull)
{
	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, target->desc->natts * sizeof(Datum));
	memcpy(slot->tts_isnull, isnull, target->desc->natts * sizeof(bool));
	slot->tts_tableOid = target->relid;
	ExecStoreVirtualTuple(slot);
}

static void
apply_defaults(WriterExecution *exec, StreamTarget *target, TupleTableSlot *slot)
{
	ExprContext *econtext = GetPerTupleExprContext(exec->estate);

	for (int i = 0; i < target->ndefaults; i++)
	{
		int			column = target->default_attnums[i] - 1;

		if (slot->tts_isnull[column])
			slot->tts_values[column] =
				ExecEvalExprSwitchContext(exec->defaults[i], econtext,
										  &slot->tts_isnull[column]);
	}
}

/* process a row before it is written; false if a trigger suppresses it */
static bool
prepare_row(WriterExecution *exec, Relation rel, TupleTableSlot *slot)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	if (rel->trigdesc && rel->trigdesc->trig_insert_before_row &&
		!ExecBRInsertTriggers(exec->estate, exec->result_rel, slot))
		return false;
	if (constr && constr->has_generated_stored)
		ExecComputeStoredGenerated(exec->result_rel, exec->estate, slot, CMD_INSERT);
	if (constr)
		ExecConstraints(exec->result_rel, slot, exec->estate);
	if (rel->rd_rel->relispartition)
		ExecPartitionCheck(exec->result_rel, slot, exec->estate, true);
	return true;
}

/*
 * Write the kept rows as one INSERT would, and return how many were written.
 * A BEFORE INSERT FOR EACH ROW trigger may read the rows before its own, so
 * with such a trigger each row is appended separately.
 */
static int
write_kept_rows(StreamWriter *writer)
{
	StreamTarget *target = writer->target;
	Relation	rel = writer->rel;
	int			max_step = Min(target->row_by_row ? 1 : MAX_EXECUTOR_STEP, writer->n);
	TupleTableSlot **slots = stream_target_slots(target, max_step);
	int		   *places = palloc(max_step * sizeof(int));
	int			total = 0;
	WriterExecution exec;

	execution_begin(&exec, writer);
	for (int from = 0; from < writer->n; from += max_step)
	{
		int			upto = Min(from + max_step, writer->n);
		int			nwritten = 0;

		CHECK_FOR_INTERRUPTS();
		/* the slots of the last step may refer to memory in this context */
		ResetPerTupleExprContext(exec.estate);
		for (int i = from; i < upto; i++)
		{
			TupleTableSlot *slot = slots[nwritten];

			writer->msg_ids[i] = STREAM_NOT_WRITTEN;
			fill_slot(slot, target, writer->kept[i].values, writer->kept[i].isnull);
			if (writer->columns != STREAM_WRITE_ROW)
				apply_defaults(&exec, target, slot);
			if (prepare_row(&exec, rel, slot))
				places[nwritten++] = i;
		}
		if (nwritten > 0)
			log_append(rel, slots, nwritten, GetCurrentCommandId(true), writer->partition);
		for (int i = 0; i < nwritten; i++)
		{
			writer->msg_ids[places[i]] = log_tid_msg_id(rel, &slots[i]->tts_tid);
			ExecARInsertTriggers(exec.estate, exec.result_rel, slots[i], NIL,
								 exec.transition);
		}
		total += nwritten;
	}
	/* clear the slots before the memory to which they refer is freed */
	for (int i = 0; i < max_step; i++)
		ExecClearTuple(slots[i]);
	execution_end(&exec);
	pfree(places);
	return total;
}

/* copy the current row for write_kept_rows */
static void
keep_row(StreamWriter *writer)
{
	TupleDesc	desc = writer->target->desc;
	MemoryContext old;
	KeptRow    *row;

	if (writer->n >= writer->max_kept)
	{
		writer->max_kept = writer->max_msg_ids;
		writer->kept = writer->kept == NULL ?
			MemoryContextAlloc(writer->context, writer->max_kept * sizeof(KeptRow)) :
			repalloc(writer->kept, writer->max_kept * sizeof(KeptRow));
	}
	row = &writer->kept[writer->n];
	old = MemoryContextSwitchTo(writer->kept_context);
	row->values = palloc(desc->natts * sizeof(Datum));
	row->isnull = palloc(desc->natts * sizeof(bool));
	memcpy(row->isnull, writer->isnull, desc->natts * sizeof(bool));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		row->values[i] = row->isnull[i] ? (Datum) 0 :
			datumCopy(writer->values[i], att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
}

/* ---- the direct way ---- */

/* raise the executor's error, which shows the row */
static void
refuse_null(StreamWriter *writer)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result_rel = makeNode(ResultRelInfo);
	TupleTableSlot *slot = stream_target_slots(writer->target, 1)[0];

	InitResultRelInfo(result_rel, writer->rel, 0, NULL, 0);
	fill_slot(slot, writer->target, writer->values, writer->isnull);
	ExecConstraints(result_rel, slot, estate);
	elog(ERROR, "null in a column of \"%s\" that must not be null",
		 RelationGetRelationName(writer->rel));
}

static void
append_batch(StreamWriter *writer)
{
	if (writer->batch == NULL)
		return;
	CHECK_FOR_INTERRUPTS();
	log_batch_append(writer->batch, GetCurrentCommandId(true),
					 writer->msg_ids + writer->nappended);
	writer->batch = NULL;
	writer->batch_room = 0;
	writer->nappended = writer->n;
}

/* encode the current row */
static inline void
encode_row(StreamWriter *writer)
{
	StreamTarget *target = writer->target;
	MemoryContext old;

	for (int i = 0; i < target->nnotnull; i++)
		if (unlikely(writer->isnull[target->notnull[i] - 1]))
			refuse_null(writer);
	old = MemoryContextSwitchTo(writer->context);
	if (writer->batch_room == 0)
	{
		append_batch(writer);
		writer->batch_room = Min(writer->expected > writer->n ?
								 writer->expected - writer->n : writer->n + 1, MAX_STEP);
		writer->batch = log_batch_begin(writer->rel, writer->batch_room, writer->partition);
	}
	log_batch_add(writer->batch, writer->values, writer->isnull);
	writer->batch_room--;
	MemoryContextSwitchTo(old);
}

/* ---- adding ---- */

/* add the row in values and isnull */
static inline void
add_current_row(StreamWriter *writer)
{
	if (unlikely(writer->n >= writer->max_msg_ids))
	{
		writer->max_msg_ids *= 2;
		writer->msg_ids = repalloc(writer->msg_ids, writer->max_msg_ids * sizeof(int64));
	}
	if (writer->direct)
		encode_row(writer);
	else
		keep_row(writer);
	writer->n++;
}

static inline void
set_value(StreamWriter *writer, StreamTargetColumn *column, const StreamValue *value)
{
	int			i = column->attnum - 1;

	writer->isnull[i] = value->isnull;
	if (value->type == column->type && !value->isnull)
		writer->values[i] = value->value;
	else
	{
		MemoryContext old;

		if (writer->scratch == NULL)
			writer->scratch = AllocSetContextCreate(writer->context,
													"streamq writer conversion",
													ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(writer->scratch);
		writer->values[i] = stream_target_convert(column, value->type, value->value,
												  value->isnull);
		MemoryContextSwitchTo(old);
	}
}

void
stream_writer_add(StreamWriter *writer, const StreamMessage *message)
{
	StreamTarget *target = writer->target;

	Assert(writer->columns & STREAM_WRITE_PAYLOAD);
	Assert(message->key.isnull || (writer->columns & STREAM_WRITE_KEY));
	Assert(message->headers.isnull || (writer->columns & STREAM_WRITE_HEADERS));
	Assert(writer->subid == GetCurrentSubTransactionId());

	memset(writer->isnull, true, target->desc->natts * sizeof(bool));
	set_value(writer, &target->payload, &message->payload);
	if (!message->key.isnull)
		set_value(writer, &target->key, &message->key);
	if (!message->headers.isnull)
		set_value(writer, &target->headers, &message->headers);
	add_current_row(writer);
	if (writer->scratch != NULL)
		MemoryContextReset(writer->scratch);
}

void
stream_writer_add_row(StreamWriter *writer, const Datum *values, const bool *isnull)
{
	TupleDesc	desc = writer->target->desc;

	Assert(writer->columns == STREAM_WRITE_ROW);
	Assert(writer->subid == GetCurrentSubTransactionId());

	memcpy(writer->values, values, desc->natts * sizeof(Datum));
	memcpy(writer->isnull, isnull, desc->natts * sizeof(bool));
	add_current_row(writer);
}

int
stream_writer_flush(StreamWriter *writer, const int64 **msg_ids)
{
	int			nwritten = writer->n;

	Assert(writer->subid == GetCurrentSubTransactionId());
	if (writer->direct)
		append_batch(writer);
	else if (writer->n > 0)
	{
		nwritten = write_kept_rows(writer);
		MemoryContextReset(writer->kept_context);
	}
	writer->n = writer->nappended = 0;
	*msg_ids = writer->msg_ids;
	return nwritten;
}

void
stream_writer_end(StreamWriter *writer)
{
	Assert(writer->n == 0);
	MemoryContextDelete(writer->context);
}
