/*
 * support.c
 *	  Planner support function: how many rows read() and consume() return.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"

#include "log/log.h"
#include "log/scan.h"
#include "stream/privilege.h"

/* the value of an argument if it is known at plan time, else NULL */
static Const *
known_argument(SupportRequestRows *request, FuncExpr *call, int n)
{
	Node	   *arg = estimate_expression_value(request->root, list_nth(call->args, n));

	return IsA(arg, Const) && !((Const *) arg)->constisnull ? (Const *) arg : NULL;
}

/*
 * Number of messages of a stream from an id on.  -1 if there is no such stream,
 * or if the user may not read it: EXPLAIN shows the number, and everybody may
 * EXPLAIN a call.
 */
static double
count_messages(Oid relid, int64 from)
{
	LogMessageRange range = LOG_WHOLE_RANGE;
	Relation	stream = try_relation_open(relid, AccessShareLock);
	double		count = -1;
	int			npartitions;

	if (stream == NULL)
		return -1;
	if (log_is_stream(stream) && log_is_accessible(stream) && stream_may_read(stream))
	{
		range.from = from;
		count = log_range_count(stream, &range, &npartitions);
	}
	relation_close(stream, AccessShareLock);
	return count;
}

/*
 * message_rows_support(internal) internal
 *
 * Support function of read(stream, from_msg_id, max_messages), consume(stream,
 * group_name, max_messages, ...) and consume_as(row_type, group_name,
 * max_messages, ...).
 */
PG_FUNCTION_INFO_V1(streamq_message_rows_support);
Datum
streamq_message_rows_support(PG_FUNCTION_ARGS)
{
	SupportRequestRows *request = (SupportRequestRows *) PG_GETARG_POINTER(0);
	FuncExpr   *call;
	Const	   *stream;
	Const	   *from;
	Const	   *max;

	if (!IsA(request, SupportRequestRows) || !is_funcclause(request->node))
		PG_RETURN_POINTER(NULL);
	call = (FuncExpr *) request->node;
	if (list_length(call->args) < 3)
		PG_RETURN_POINTER(NULL);

	max = known_argument(request, call, 2);
	if (max == NULL || max->consttype != INT4OID)
		PG_RETURN_POINTER(NULL);
	request->rows = Max(DatumGetInt32(max->constvalue), 0);

	/*
	 * read() returns fewer if there are fewer messages.  The stream of a
	 * consume() is not looked at: that would lock it, and consume() must be
	 * able to wait without a lock.  Its second argument is a name, which
	 * tells it apart.
	 */
	stream = known_argument(request, call, 0);
	from = known_argument(request, call, 1);
	if (stream != NULL && stream->consttype == REGCLASSOID &&
		from != NULL && from->consttype == INT8OID)
	{
		double		count = count_messages(DatumGetObjectId(stream->constvalue),
										   DatumGetInt64(from->constvalue));

		if (count >= 0)
			request->rows = Min(request->rows, count);
	}
	PG_RETURN_POINTER(request);
}
