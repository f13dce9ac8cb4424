/*
 * window_rows.c
 *	  Window functions that return several rows: forming the rows, and
 *	  estimating their number for the planner.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/window.h"
#include "view/window_rows.h"

PG_FUNCTION_INFO_V1(streamq_window_support);

void *
view_window_rows_begin(FunctionCallInfo fcinfo, Size size)
{
	FuncCallContext *context = SRF_FIRSTCALL_INIT();
	MemoryContext old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	context->tuple_desc = BlessTupleDesc(desc);
	context->user_fctx = palloc0(size);
	MemoryContextSwitchTo(old);
	return context->user_fctx;
}

Datum
view_window_rows_form(FuncCallContext *context, const ViewWindow *window)
{
	Datum		values[2] = {TimestampGetDatum(window->start), TimestampGetDatum(window->end)};
	bool		nulls[2] = {false, false};

	return HeapTupleGetDatum(heap_form_tuple(context->tuple_desc, values, nulls));
}

/* the length of an argument, if the planner knows it; otherwise 0 */
static double
estimate_length(PlannerInfo *root, Node *arg)
{
	Const	   *value = (Const *) estimate_expression_value(root, arg);
	Interval   *span;

	if (!IsA(value, Const) || value->constisnull)
		return 0;
	span = DatumGetIntervalP(value->constvalue);
	return span->month * (30.0 * USECS_PER_DAY) + span->day * (double) USECS_PER_DAY + span->time;
}

/*
 * window_support(internal) returns internal
 *
 * Planner support of hop() and cumulate(): a time is in size / step windows, or
 * in half as many on average if windows grow by steps.
 */
Datum
streamq_window_support(PG_FUNCTION_ARGS)
{
	Node	   *node = (Node *) PG_GETARG_POINTER(0);
	SupportRequestRows *request = (SupportRequestRows *) node;
	List	   *args;
	double		step;
	double		size;
	double		rows;

	if (!IsA(node, SupportRequestRows) || !is_funcclause(request->node))
		PG_RETURN_POINTER(NULL);
	args = ((FuncExpr *) request->node)->args;
	if (list_length(args) != 4)
		PG_RETURN_POINTER(NULL);
	step = estimate_length(request->root, lsecond(args));
	size = estimate_length(request->root, lthird(args));
	if (step <= 0 || size <= 0)
		PG_RETURN_POINTER(NULL);
	rows = size / step;
	if (view_window_find_kind(request->funcid) == &view_cumulate)
		rows = (rows + 1) / 2;
	request->rows = Max(1, rint(rows));
	PG_RETURN_POINTER(request);
}
