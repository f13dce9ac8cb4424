/*
 * produce.c
 *	  produce, produce_batch and their siblings.
 *
 * A call makes rows as INSERT would (defaults, triggers, constraints) and
 * appends them together.  Streams without any of those, which is the usual
 * case, skip the executor's machinery.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "log/log.h"
#include "stream/privilege.h"
#include "stream/target.h"

/* rows appended together; a larger batch is appended in several steps */
#define MAX_STEP		16384
/* the same where expressions leave memory behind */
#define MAX_EXECUTOR_STEP	1024

/* the arguments of a call, as arrays */
typedef struct ProduceRows
{
	int			n;
	Oid			payload_type;	/* text, jsonb, json or bytea */
	Datum	   *payloads;
	bool	   *payload_nulls;
	Datum	   *keys;			/* text; NULL: none given */
	bool	   *key_nulls;
	Datum	   *headers;		/* jsonb; NULL: none given */
	bool	   *header_nulls;
} ProduceRows;

/* what the executor needs for one call */
typedef struct ProduceExecution
{
	EState	   *estate;
	ResultRelInfo *result_rel;
	ExprState **defaults;
	TransitionCaptureState *transition;
} ProduceExecution;

static void
refuse_missing_column(Relation rel, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("stream \"%s\" has no column \"%s\" to write to",
					RelationGetRelationName(rel), name),
			 errhint("Leave the argument out, or add the column to the stream.")));
}

/* INSERT on the table or on every column that is written */
static void
check_privileges(Relation rel, StreamTarget *target, const ProduceRows *rows)
{
	Oid			relid = RelationGetRelid(rel);
	AttrNumber	columns[3];
	int			ncolumns = 0;

	if (pg_class_aclcheck(relid, GetUserId(), ACL_INSERT) != ACLCHECK_OK)
	{
		columns[ncolumns++] = target->payload.attnum;
		if (rows->keys)
			columns[ncolumns++] = target->key.attnum;
		if (rows->headers)
			columns[ncolumns++] = target->headers.attnum;
		for (int i = 0; i < ncolumns; i++)
		{
			if (pg_attribute_aclcheck(relid, columns[i], GetUserId(),
									  ACL_INSERT) != ACLCHECK_OK)
				aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE,
							   RelationGetRelationName(rel));
		}
	}
	stream_check_produce_rls(rel);
}

static inline void
set_value(Datum *values, bool *isnull, StreamTargetColumn *column, Oid type, Datum value, bool null)
{
	values[column->attnum - 1] = stream_target_convert(column, type, value, null);
	isnull[column->attnum - 1] = null;
}

/* row i, with what the arguments say */
static inline void
fill_values(Datum *values, bool *isnull, StreamTarget *target, const ProduceRows *rows, int i)
{
	memset(isnull, true, target->desc->natts * sizeof(bool));
	set_value(values, isnull, &target->payload, rows->payload_type, rows->payloads[i],
			  rows->payload_nulls[i]);
	if (rows->keys && !rows->key_nulls[i])
		set_value(values, isnull, &target->key, TEXTOID, rows->keys[i], false);
	if (rows->headers && !rows->header_nulls[i])
		set_value(values, isnull, &target->headers, JSONBOID, rows->headers[i], false);
}

/* the same as a virtual tuple */
static void
fill_slot(TupleTableSlot *slot, StreamTarget *target, const ProduceRows *rows, int i)
{
	ExecClearTuple(slot);
	fill_values(slot->tts_values, slot->tts_isnull, target, rows, i);
	slot->tts_tableOid = target->relid;
	ExecStoreVirtualTuple(slot);
}

/*
 * Rows [from, from + n) without triggers, constraints and defaults; false,
 * with nothing written, if one of them would violate a NOT NULL after all.
 */
static bool
produce_directly(Relation rel, StreamTarget *target, const ProduceRows *rows,
				 int from, int n, int partition, int64 *msg_ids)
{
	LogBatch   *batch = log_batch_begin(rel, n, partition);
	int			natts = target->desc->natts;
	Datum	   *values = palloc0(natts * sizeof(Datum));
	bool	   *isnull = palloc(natts * sizeof(bool));

	for (int i = 0; i < n; i++)
	{
		fill_values(values, isnull, target, rows, from + i);
		for (int k = 0; k < target->nnotnull; k++)
			if (isnull[target->notnull[k] - 1])
				return false;
		log_batch_add(batch, values, isnull);
	}
	log_batch_append(batch, GetCurrentCommandId(true), msg_ids + from);
	pfree(isnull);
	pfree(values);
	return true;
}

static void
execution_begin(ProduceExecution *exec, Relation rel, StreamTarget *target)
{
	MemoryContext old;

	exec->estate = CreateExecutorState();
	old = MemoryContextSwitchTo(exec->estate->es_query_cxt);
	exec->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(exec->result_rel, rel, 0, NULL, 0);
	exec->estate->es_opened_result_relations =
		lappend(exec->estate->es_opened_result_relations, exec->result_rel);
	exec->defaults = palloc(Max(target->ndefaults, 1) * sizeof(ExprState *));
	for (int i = 0; i < target->ndefaults; i++)
		exec->defaults[i] =
			ExecInitExpr(expression_planner(copyObject(target->default_exprs[i])), NULL);
	MemoryContextSwitchTo(old);

	AfterTriggerBeginQuery();
	ExecBSInsertTriggers(exec->estate, exec->result_rel);
	exec->transition = MakeTransitionCaptureState(rel->trigdesc, RelationGetRelid(rel),
												  CMD_INSERT);
}

static void
execution_end(ProduceExecution *exec)
{
	ExecASInsertTriggers(exec->estate, exec->result_rel, exec->transition);
	AfterTriggerEndQuery(exec->estate);
	/* the slots that triggers were given */
	ExecResetTupleTable(exec->estate->es_tupleTable, false);
	ExecCloseResultRelations(exec->estate);
	FreeExecutorState(exec->estate);
}

static void
apply_defaults(ProduceExecution *exec, StreamTarget *target, TupleTableSlot *slot)
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

/* what has to happen to a row before it is written; false: a trigger says no */
static bool
prepare_row(ProduceExecution *exec, Relation rel, TupleTableSlot *slot)
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

/* rows [from, n) the way INSERT goes */
static void
produce_by_executor(Relation rel, StreamTarget *target, const ProduceRows *rows,
					int from, int partition, int64 *msg_ids, bool *suppressed)
{
	int			max_step = target->row_by_row ? 1 : MAX_EXECUTOR_STEP;
	TupleTableSlot **slots = stream_target_slots(target, Min(max_step, rows->n));
	int		   *written = palloc(max_step * sizeof(int));
	ProduceExecution exec;

	execution_begin(&exec, rel, target);
	while (from < rows->n)
	{
		int			nwritten = 0;
		int			step = Min(max_step, rows->n - from);

		CHECK_FOR_INTERRUPTS();
		/* what the last step's slots refer to may live there */
		ResetPerTupleExprContext(exec.estate);
		for (int i = 0; i < step; i++)
		{
			TupleTableSlot *slot = slots[nwritten];

			fill_slot(slot, target, rows, from + i);
			apply_defaults(&exec, target, slot);
			suppressed[from + i] = !prepare_row(&exec, rel, slot);
			if (!suppressed[from + i])
				written[nwritten++] = from + i;
		}
		if (nwritten > 0)
			log_append(rel, slots, nwritten, GetCurrentCommandId(true), partition);
		for (int i = 0; i < nwritten; i++)
		{
			msg_ids[written[i]] = log_tid_msg_id(rel, &slots[i]->tts_tid);
			ExecARInsertTriggers(exec.estate, exec.result_rel, slots[i], NIL,
								 exec.transition);
		}
		from += step;
	}
	/* before the memory that they refer to goes */
	for (int i = 0; i < Min(max_step, rows->n); i++)
		ExecClearTuple(slots[i]);
	execution_end(&exec);
}

static void
produce_rows(Relation rel, StreamTarget *target, const ProduceRows *rows,
			 int partition, int64 *msg_ids, bool *suppressed)
{
	int			from = 0;

	if (!target->needs_executor && target->ndefaults == 0)
	{
		while (from < rows->n)
		{
			int			step = Min(MAX_STEP, rows->n - from);

			CHECK_FOR_INTERRUPTS();
			if (!produce_directly(rel, target, rows, from, step, partition, msg_ids))
				break;
			from += step;
		}
		if (from == rows->n)
			return;
	}
	produce_by_executor(rel, target, rows, from, partition, msg_ids, suppressed);
}

/*
 * Append the rows to the stream.  msg_ids and suppressed have room for all
 * rows; suppressed (all false at first) tells where a trigger left one out.
 */
static void
produce(const char *funcname, Oid stream, const ProduceRows *rows, bool partition_given, int partition,
		int64 *msg_ids, bool *suppressed)
{
	Relation	rel;
	StreamTarget *target;

	base_require_loaded();
	PreventCommandIfReadOnly(funcname);
	PreventCommandIfParallelMode(funcname);
	rel = log_open_stream(stream, RowExclusiveLock);
	target = stream_target_get(rel);
	PG_TRY();
	{
		if (rows->keys && !AttributeNumberIsValid(target->key.attnum))
			refuse_missing_column(rel, "key");
		if (rows->headers && !AttributeNumberIsValid(target->headers.attnum))
			refuse_missing_column(rel, "headers");
		check_privileges(rel, target, rows);
		if (partition_given && (partition < 0 || partition >= target->npartitions))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("partition %d of stream \"%s\" does not exist",
							partition, RelationGetRelationName(rel)),
					 errhint("Its partitions are numbered from 0 to %d.",
							 target->npartitions - 1)));
		if (rows->n > 0)
			produce_rows(rel, target, rows, partition_given ? partition : -1,
						 msg_ids, suppressed);
	}
	PG_FINALLY();
	{
		stream_target_release(target);
	}
	PG_END_TRY();
	table_close(rel, NoLock);
}

/* ---- one message: (stream, payload, key, headers, partition) ---- */

static Datum
produce_one(FunctionCallInfo fcinfo, Oid payload_type)
{
	ProduceRows rows = {0};
	int64		msg_id = 0;
	bool		suppressed = false;

	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	rows.n = 1;
	rows.payload_type = payload_type;
	rows.payloads = &fcinfo->args[1].value;
	rows.payload_nulls = &fcinfo->args[1].isnull;
	if (!PG_ARGISNULL(2))
	{
		rows.keys = &fcinfo->args[2].value;
		rows.key_nulls = &fcinfo->args[2].isnull;
	}
	if (!PG_ARGISNULL(3))
	{
		rows.headers = &fcinfo->args[3].value;
		rows.header_nulls = &fcinfo->args[3].isnull;
	}
	produce("produce()", PG_GETARG_OID(0), &rows, !PG_ARGISNULL(4),
			PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4), &msg_id, &suppressed);
	if (suppressed)
		PG_RETURN_NULL();
	PG_RETURN_INT64(msg_id);
}

PG_FUNCTION_INFO_V1(streamq_produce_jsonb);
Datum
streamq_produce_jsonb(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, JSONBOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_json);
Datum
streamq_produce_json(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, JSONOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_text);
Datum
streamq_produce_text(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, TEXTOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_bytea);
Datum
streamq_produce_bytea(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, BYTEAOID);
}

/* ---- many: (stream, payloads, keys, headers, partition) ---- */

/* elements of a one-dimensional array; all types are aligned alike */
static int
array_elements(ArrayType *array, const char *name, Oid type, Datum **values, bool **nulls)
{
	int			n;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("argument \"%s\" must be a one-dimensional array", name)));
	deconstruct_array(array, type, -1, false, TYPALIGN_INT, values, nulls, &n);
	return n;
}

static void
optional_elements(FunctionCallInfo fcinfo, int arg, const char *name, Oid type,
				  int n, Datum **values, bool **nulls)
{
	int			have;

	if (PG_ARGISNULL(arg))
		return;
	have = array_elements(PG_GETARG_ARRAYTYPE_P(arg), name, type, values, nulls);
	if (have != n)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arguments \"payloads\" and \"%s\" have different lengths", name),
				 errdetail("There are %d payloads and %d %s.", n, have, name)));
}

/* message ids as an array; null where a trigger left the row out */
static ArrayType *
make_result(const int64 *msg_ids, bool *suppressed, int n)
{
	Datum	   *elems;
	int			lower = 1;

	if (n == 0)
		return construct_empty_array(INT8OID);
	if (memchr(suppressed, true, n * sizeof(bool)) == NULL)
	{
		Size		size = ARR_OVERHEAD_NONULLS(1) + n * sizeof(int64);
		ArrayType  *array = palloc(size);

		/* 64 bits by value: what is to be in it is what we have */
		SET_VARSIZE(array, size);
		array->ndim = 1;
		array->dataoffset = 0;
		array->elemtype = INT8OID;
		ARR_DIMS(array)[0] = n;
		ARR_LBOUND(array)[0] = lower;
		memcpy(ARR_DATA_PTR(array), msg_ids, n * sizeof(int64));
		return array;
	}
	elems = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
		elems[i] = Int64GetDatum(msg_ids[i]);
	return construct_md_array(elems, suppressed, 1, &n, &lower, INT8OID,
							  sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

static Datum
produce_many(FunctionCallInfo fcinfo, const char *funcname, Oid payload_type)
{
	ProduceRows rows = {0};
	int64	   *msg_ids;
	bool	   *suppressed;

	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	if (PG_ARGISNULL(1))
		base_null_argument("payloads");
	rows.payload_type = payload_type;
	rows.n = array_elements(PG_GETARG_ARRAYTYPE_P(1), "payloads", payload_type,
							&rows.payloads, &rows.payload_nulls);
	optional_elements(fcinfo, 2, "keys", TEXTOID, rows.n, &rows.keys, &rows.key_nulls);
	optional_elements(fcinfo, 3, "headers", JSONBOID, rows.n,
					  &rows.headers, &rows.header_nulls);

	msg_ids = palloc(Max(rows.n, 1) * sizeof(int64));
	suppressed = palloc0(Max(rows.n, 1) * sizeof(bool));
	produce(funcname, PG_GETARG_OID(0), &rows, !PG_ARGISNULL(4),
			PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4), msg_ids, suppressed);
	PG_RETURN_ARRAYTYPE_P(make_result(msg_ids, suppressed, rows.n));
}

PG_FUNCTION_INFO_V1(streamq_produce_batch_text);
Datum
streamq_produce_batch_text(PG_FUNCTION_ARGS)
{
	return produce_many(fcinfo, "produce_batch()", TEXTOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_batch_jsonb);
Datum
streamq_produce_batch_jsonb(PG_FUNCTION_ARGS)
{
	return produce_many(fcinfo, "produce_batch_jsonb()", JSONBOID);
}

PG_FUNCTION_INFO_V1(streamq_produce_batch_bytea);
Datum
streamq_produce_batch_bytea(PG_FUNCTION_ARGS)
{
	return produce_many(fcinfo, "produce_batch_bytea()", BYTEAOID);
}
