/*
 * bound.c
 *	  Conditions that limit which messages a scan has to read.
 *
 * A bound compares streamq.msg_id(tableoid, ctid), streamq.produced_at(tableoid,
 * ctid) or ctid with a value that is the same for all rows of the scan.  All
 * bounds of a scan together make one range of message ids and one range of
 * append times.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "log/log.h"
#include "log/scan.h"
#include "plan/plan.h"
#include "plan/plan_internal.h"

static bool
is_ctid(Node *expr, Index varno)
{
	Var		   *var = (Var *) expr;

	return IsA(expr, Var) && var->varno == varno && var->varlevelsup == 0 &&
		var->varattno == SelfItemPointerAttributeNumber;
}

bool
plan_bound_match_expr(Node *expr, Index varno, Oid relid, BoundKind *kind)
{
	FuncExpr   *func = (FuncExpr *) expr;
	Node	   *arg;
	FmgrInfo	flinfo;

	if (!IsA(expr, FuncExpr) || list_length(func->args) != 2 ||
		!is_ctid(lsecond(func->args), varno))
		return false;

	arg = linitial(func->args);
	while (IsA(arg, RelabelType))
		arg = (Node *) ((RelabelType *) arg)->arg;
	if (IsA(arg, Var))
	{
		Var		   *var = (Var *) arg;

		if (var->varno != varno || var->varlevelsup != 0 ||
			var->varattno != TableOidAttributeNumber)
			return false;
	}
	else if (IsA(arg, Const))
	{
		Const	   *con = (Const *) arg;

		if (con->constisnull || DatumGetObjectId(con->constvalue) != relid)
			return false;
	}
	else
		return false;

	/* the function may have been renamed: its C function identifies it */
	fmgr_info(func->funcid, &flinfo);
	if (flinfo.fn_addr == plan_functions[PLAN_MSG_ID])
		*kind = BOUND_MSG_ID;
	else if (flinfo.fn_addr == plan_functions[PLAN_PRODUCED_AT])
		*kind = BOUND_PRODUCED_AT;
	else
		return false;
	return true;
}

bool
plan_bound_match_clause(PlannerInfo *root, RelOptInfo *rel, Expr *clause, Bound *bound)
{
	OpExpr	   *op = (OpExpr *) clause;
	Oid			relid = planner_rt_fetch(rel->relid, root)->relid;
	Oid			opno;
	Oid			family = InvalidOid;
	Oid			left;
	Oid			right;

	if (!IsA(clause, OpExpr) || list_length(op->args) != 2)
		return false;
	opno = op->opno;
	for (int i = 0;; i++)
	{
		Node	   *expr = list_nth(op->args, i);

		if (plan_bound_match_expr(expr, rel->relid, relid, &bound->kind))
			family = bound->kind == BOUND_MSG_ID ?
				INTEGER_BTREE_FAM_OID :
				lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
		else if (is_ctid(expr, rel->relid))
		{
			bound->kind = BOUND_TID;
			family = InvalidOid;
		}
		else if (i == 0)
			continue;
		else
			return false;

		bound->value_arg = 1 - i;
		if (i == 1)
			opno = get_commutator(opno);
		break;
	}
	if (!OidIsValid(opno))
		return false;

	if (bound->kind == BOUND_TID)
	{
		switch (opno)
		{
			case TIDLessOperator:
				bound->strategy = BTLessStrategyNumber;
				break;
			case TIDLessEqOperator:
				bound->strategy = BTLessEqualStrategyNumber;
				break;
			case TIDGreaterOperator:
				bound->strategy = BTGreaterStrategyNumber;
				break;
			case TIDGreaterEqOperator:
				bound->strategy = BTGreaterEqualStrategyNumber;
				break;
			default:
				return false;
		}
	}
	else
	{
		bound->strategy = get_op_opfamily_strategy(opno, family);
		if (bound->strategy == 0)
			return false;
	}

	op_input_types(opno, &left, &right);
	bound->value_type = right;
	bound->value = list_nth(op->args, bound->value_arg);
	bound->clause = clause;
	return !bms_is_member(rel->relid, pull_varnos(root, (Node *) bound->value)) &&
		!contain_volatile_functions((Node *) bound->value);
}

/*
 * If the value contains no Var, it is evaluated once, before the scan, and
 * reveals nothing about rows; the comparison is done by streamq itself.  Any
 * other bound must not run before conditions of a lower security level.
 */
bool
plan_bound_is_secure(RestrictInfo *rinfo, RelOptInfo *rel, const Bound *bound)
{
	return restriction_is_securely_promotable(rinfo, rel) ||
		!contain_var_clause((Node *) bound->value);
}

/* convert a value as the operators of different types do when they compare */
static TimestampTz
value_to_timestamptz(Oid type, Datum value)
{
	TimestampTz result;
	int			overflow = 0;

	switch (type)
	{
		case DATEOID:
			result = date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow);
			break;
		case TIMESTAMPOID:
			result = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
			break;
		default:
			Assert(type == TIMESTAMPTZOID);
			return DatumGetTimestampTz(value);
	}
	/* out of range: later, or earlier, than all messages */
	if (overflow > 0)
		return DT_NOEND;
	if (overflow < 0)
		return DT_NOBEGIN;
	return result;
}

static int64
value_to_msg_id(Oid type, Datum value)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			Assert(type == INT8OID);
			return DatumGetInt64(value);
	}
}

static bool
apply_msg_id(LogMessageRange *range, int strategy, int64 value)
{
	switch (strategy)
	{
		case BTLessStrategyNumber:
			if (value == PG_INT64_MIN)
				return false;
			range->to = Min(range->to, value - 1);
			break;
		case BTLessEqualStrategyNumber:
			range->to = Min(range->to, value);
			break;
		case BTEqualStrategyNumber:
			range->from = Max(range->from, value);
			range->to = Min(range->to, value);
			break;
		case BTGreaterEqualStrategyNumber:
			range->from = Max(range->from, value);
			break;
		case BTGreaterStrategyNumber:
			if (value == PG_INT64_MAX)
				return false;
			range->from = Max(range->from, value + 1);
			break;
	}
	return range->from <= range->to;
}

/* append times are finite, so an infinite bound selects all messages or none */
static bool
apply_produced_at(LogMessageRange *range, int strategy, TimestampTz value)
{
	switch (strategy)
	{
		case BTLessStrategyNumber:
			range->until = Min(range->until, value);
			break;
		case BTLessEqualStrategyNumber:
			range->until = Min(range->until, TIMESTAMP_NOT_FINITE(value) ? value : value + 1);
			break;
		case BTEqualStrategyNumber:
			if (TIMESTAMP_NOT_FINITE(value))
				return false;
			range->since = Max(range->since, value);
			range->until = Min(range->until, value + 1);
			break;
		case BTGreaterEqualStrategyNumber:
			range->since = Max(range->since, value);
			break;
		case BTGreaterStrategyNumber:
			range->since = Max(range->since, TIMESTAMP_NOT_FINITE(value) ? value : value + 1);
			break;
	}
	return range->since < range->until;
}

/*
 * TIDs sort in the order of messages, but not every TID is one of a message:
 * the user may give any 16-bit offset number, and a partition that the stream
 * does not have.  So the bound becomes one on the message id.
 */
static bool
apply_tid(LogMessageRange *range, int strategy, ItemPointer tid, Relation stream)
{
	int			partition = log_tid_partition(tid);
	int			number = ItemPointerGetOffsetNumberNoCheck(tid);
	bool		after = strategy == BTGreaterStrategyNumber ||
		strategy == BTLessEqualStrategyNumber;
	bool		lower = strategy == BTGreaterStrategyNumber ||
		strategy == BTGreaterEqualStrategyNumber;
	int64		first = LOG_MSG_ID(partition, 0);

	/* the first message at the TID, or after it if the bound excludes the TID */
	if (partition < log_partition_count(stream))
	{
		ItemPointerData begin;

		ItemPointerSet(&begin, ItemPointerGetBlockNumberNoCheck(tid), 1);
		first = log_tid_msg_id(stream, &begin) +
			Min(Max(number - (after ? 0 : 1), 0), LOG_TID_NUMBERS);
	}
	return apply_msg_id(range,
						lower ? BTGreaterEqualStrategyNumber : BTLessStrategyNumber, first);
}

bool
plan_bound_apply(BoundKind kind, int strategy, Oid value_type, Datum value, bool isnull,
				 Relation stream, LogMessageRange *range)
{
	if (isnull)
		return false;
	switch (kind)
	{
		case BOUND_MSG_ID:
			return apply_msg_id(range, strategy, value_to_msg_id(value_type, value));
		case BOUND_PRODUCED_AT:
			return apply_produced_at(range, strategy,
									 value_to_timestamptz(value_type, value));
		case BOUND_TID:
			return apply_tid(range, strategy, (ItemPointer) DatumGetPointer(value), stream);
	}
	return false;
}
