/*
 * inputs_read.c
 *	  SQL functions for collected input of aggregates: reading it, merging
 *	  it, and its type.
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/chunks.h"
#include "view/inputs.h"

PG_FUNCTION_INFO_V1(streamq_aggregate_input_in);
PG_FUNCTION_INFO_V1(streamq_aggregate_input_out);
PG_FUNCTION_INFO_V1(streamq_aggregate_inputs);
PG_FUNCTION_INFO_V1(streamq_aggregate_input_merge_add);
PG_FUNCTION_INFO_V1(streamq_aggregate_input_merge_final);

static void
put_rows(ReturnSetInfo *rsinfo, const ViewInputDesc *desc, const ViewInputValue *value,
		 MemoryContext work)
{
	MemoryContext old = MemoryContextSwitchTo(work);
	Datum	   *values = palloc(sizeof(Datum) * Max(1, desc->natts));
	bool	   *nulls = palloc(sizeof(bool) * Max(1, desc->natts));
	MemoryContext row_context = AllocSetContextCreate(work, "streamq input row",
													  ALLOCSET_SMALL_SIZES);

	MemoryContextSwitchTo(row_context);
	for (const char *row = value->rows; row < value->end;)
	{
		row = view_input_read(desc, row, value->end, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(row_context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
}

/*
 * aggregate_inputs(state_table regclass, inputs streamq.aggregate_input)
 * returns setof record
 *
 * Returns the rows of input, including those in chunks of the state table.
 * There are no privileges to check, because only streamq makes values that
 * refer to chunks, and their random ids are in one state table only.
 */
Datum
streamq_aggregate_inputs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext work;
	MemoryContext old;
	ViewInputDesc *desc;
	ViewInputValue value;
	ViewChunkTable table = {0};

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;

	work = AllocSetContextCreate(CurrentMemoryContext, "streamq input", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(work);
	desc = view_input_desc(rsinfo->setDesc);
	view_input_open(desc, PG_GETARG_DATUM(1), &value);
	if (value.header.nchunks > 0)
		view_chunk_table(table_open(PG_GETARG_OID(0), AccessShareLock), &table);
	for (uint32 i = 0; i < value.header.nchunks; i++)
	{
		MemoryContext chunk_context = AllocSetContextCreate(work, "streamq chunk",
															ALLOCSET_DEFAULT_SIZES);
		ViewChunkRef ref;
		ViewInputValue chunk;
		ItemPointerData tid;

		MemoryContextSwitchTo(chunk_context);
		memcpy(&ref, value.chunks + i * sizeof(ViewChunkRef), sizeof(ViewChunkRef));
		view_chunk_read(&table, desc, &ref, GetActiveSnapshot(), &chunk, &tid);
		put_rows(rsinfo, desc, &chunk, chunk_context);
		MemoryContextSwitchTo(work);
		MemoryContextDelete(chunk_context);
	}
	put_rows(rsinfo, desc, &value, work);
	if (table.rel)
		table_close(table.rel, AccessShareLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return (Datum) 0;
}

/* ---- merging ---- */

/* the transition state of aggregate_input_merge() */
typedef struct InputMerge
{
	ViewInputDesc desc;			/* only the types are known */
	ViewInputs *inputs;
} InputMerge;

Datum
streamq_aggregate_input_merge_add(PG_FUNCTION_ARGS)
{
	InputMerge *merge = PG_ARGISNULL(0) ? NULL : (InputMerge *) PG_GETARG_POINTER(0);
	MemoryContext aggcontext;
	ViewInputValue value;

	if (!AggCheckCallContext(fcinfo, &aggcontext))
		elog(ERROR, "aggregate_input_merge_add called in non-aggregate context");
	if (PG_ARGISNULL(1))
	{
		if (merge == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(merge);
	}
	view_input_open(merge ? &merge->desc : NULL, PG_GETARG_DATUM(1), &value);
	if (merge == NULL)
	{
		merge = MemoryContextAllocZero(aggcontext, sizeof(InputMerge));
		merge->desc.natts = value.header.natts;
		merge->desc.types = MemoryContextAlloc(aggcontext,
											   sizeof(Oid) * Max(1, value.header.natts));
		memcpy(merge->desc.types, value.types, sizeof(Oid) * value.header.natts);
		merge->inputs = view_inputs_create(aggcontext);
	}
	view_inputs_load(&merge->desc, merge->inputs, PG_GETARG_DATUM(1));
	PG_RETURN_POINTER(merge);
}

Datum
streamq_aggregate_input_merge_final(PG_FUNCTION_ARGS)
{
	InputMerge *merge = PG_ARGISNULL(0) ? NULL : (InputMerge *) PG_GETARG_POINTER(0);

	if (merge == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(view_inputs_save(&merge->desc, merge->inputs));
}

/* ---- the type ---- */

/*
 * Text form: hexadecimal.  The bytes are trusted, so only a superuser may
 * convert text into input, for example to restore a dump.
 */
Datum
streamq_aggregate_input_in(PG_FUNCTION_ARGS)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to make an aggregate input from text")));
	return DirectFunctionCall1(byteain, PG_GETARG_DATUM(0));
}

Datum
streamq_aggregate_input_out(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	Size		len = VARSIZE_ANY_EXHDR(bytes);
	char	   *result = palloc_extended(len * 2 + 3, MCXT_ALLOC_HUGE);

	strcpy(result, "\\x");
	result[2 + hex_encode(VARDATA_ANY(bytes), len, result + 2)] = '\0';
	PG_RETURN_CSTRING(result);
}
