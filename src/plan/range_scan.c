/*
 * range_scan.c
 *	  The custom scan of a stream, or of a range of its messages, in log order.
 *
 * The plan's custom_exprs are the bounds, as whole conditions, so that EXPLAIN
 * can show them.  custom_private has, for each of them, the kind of bound and
 * which argument is the value.  The range is exact, so the bounds are not
 * checked for each row.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "utils/rel.h"

#include "compat.h"
#include "log/reader.h"
#include "log/scan.h"
#include "plan/plan_internal.h"

typedef struct ScanBound
{
	BoundKind	kind;
	int			strategy;
	Oid			value_type;
	ExprState  *value;
} ScanBound;

typedef struct RangeScanState
{
	CustomScanState css;
	bool		backward;
	int			nbounds;
	ScanBound  *bounds;
	bool		range_known;	/* range and empty are valid */
	bool		empty;
	LogMessageRange range;
	TableScanDesc scan;			/* NULL before the first row was asked for */
	bool		positioned;		/* the scan has this range */
	LogColumns *columns;		/* the result, if it consists of columns only,
								 * else NULL */
	LogColumns *prefix;			/* attributes that every row needs, NULL if
								 * not known */
} RangeScanState;

static const CustomScanMethods range_scan_methods;
static CustomExecMethods column_exec_methods;

/* ---- planning ---- */

/* make the plan: bounds go to custom_exprs, other conditions to the filter */
static Plan *
plan_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *plans)
{
	CustomScan *scan = makeNode(CustomScan);
	List	   *infos = NIL;
	ListCell   *lc;

	scan->scan.plan.targetlist = tlist;
	scan->scan.scanrelid = rel->relid;
	scan->flags = path->flags;
	scan->methods = &range_scan_methods;

	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Bound		bound;

		if (rinfo->pseudoconstant)
			continue;
		if (plan_bound_match_clause(root, rel, rinfo->clause, &bound) &&
			plan_bound_is_secure(rinfo, rel, &bound))
		{
			OpExpr	   *op = castNode(OpExpr, bound.clause);

			/* put the value on the right side, however it was written */
			if (bound.value_arg == 0)
			{
				op = copyObject(op);
				CommuteOpExpr(op);
				bound.value_arg = 1;
			}
			scan->custom_exprs = lappend(scan->custom_exprs, op);
			infos = lappend(infos, list_make4_int(bound.kind, bound.strategy,
												  bound.value_arg, (int) bound.value_type));
		}
		else
			scan->scan.plan.qual = lappend(scan->scan.plan.qual, rinfo->clause);
	}
	scan->custom_private = list_make2(linitial(path->custom_private), infos);
	return (Plan *) scan;
}

static const CustomPathMethods range_path_methods = {
	.CustomName = RANGE_SCAN_NAME,
	.PlanCustomPath = plan_path,
};

/* make a path; the caller fills in costs, rows and pathkeys */
CustomPath *
plan_range_scan_path(RelOptInfo *rel, bool backward)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.parallel_safe = rel->consider_parallel;
	path->flags = CUSTOMPATH_SUPPORT_BACKWARD_SCAN | CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make1(makeBoolean(backward));
	path->methods = &range_path_methods;
	return path;
}

/* ---- execution ---- */

/*
 * If there is no filter and the result consists of columns only, these are
 * decoded directly from the page into the result.  NULL if that is not
 * possible.
 */
static LogColumns *
result_columns(CustomScanState *css)
{
	Plan	   *plan = css->ss.ps.plan;
	Index		scanrelid = ((Scan *) plan)->scanrelid;
	Relation	stream = css->ss.ss_currentRelation;
	AttrNumber *attnums = palloc((list_length(plan->targetlist) + 1) * sizeof(AttrNumber));
	int			n = 0;
	ListCell   *lc;

	/*
	 * Without a projection the scan's slot is the result, and is decoded as
	 * far as somebody asks.
	 */
	if (css->ss.ps.ps_ProjInfo == NULL || css->ss.ps.qual != NULL)
		return NULL;
	foreach(lc, plan->targetlist)
	{
		Expr	   *expr = lfirst_node(TargetEntry, lc)->expr;
		BoundKind	kind;

		if (IsA(expr, Var))
			attnums[n++] = ((Var *) expr)->varattno;
		else if (plan_bound_match_expr((Node *) expr, scanrelid, RelationGetRelid(stream), &kind))
			attnums[n++] = kind == BOUND_MSG_ID ? LOG_COLUMN_MSG_ID : LOG_COLUMN_PRODUCED_AT;
		else
			return NULL;
	}
	return log_columns_create(RelationGetDescr(stream), attnums, n);
}

/*
 * The attributes up to the last one that the filter needs or, if there is no
 * filter, that the result needs.  Each row is decoded so far at once.
 */
static LogColumns *
needed_prefix(CustomScanState *css)
{
	Plan	   *plan = css->ss.ps.plan;
	TupleDesc	desc = RelationGetDescr(css->ss.ss_currentRelation);
	AttrNumber *attnums = palloc((desc->natts + 1) * sizeof(AttrNumber));
	Bitmapset  *attrs = NULL;
	int			attr = -1;
	int			natts = 0;

	if (plan->qual != NIL)
		pull_varattnos((Node *) plan->qual, ((Scan *) plan)->scanrelid, &attrs);
	else if (css->ss.ps.ps_ProjInfo != NULL)
		pull_varattnos((Node *) plan->targetlist, ((Scan *) plan)->scanrelid, &attrs);
	while ((attr = bms_next_member(attrs, attr)) >= 0)
		natts = Max(natts, attr + FirstLowInvalidHeapAttributeNumber);
	for (int i = 0; i < natts; i++)
		attnums[i] = i + 1;
	return natts > 0 ? log_columns_create(desc, attnums, natts) : NULL;
}

/* BeginCustomScan: prepare the bounds' values, and choose how to return rows */
static void
begin_scan(CustomScanState *css, EState *estate, int eflags)
{
	RangeScanState *state = (RangeScanState *) css;
	CustomScan *plan = castNode(CustomScan, css->ss.ps.plan);
	List	   *infos = lsecond(plan->custom_private);
	ListCell   *clause;
	ListCell   *info;

	COMPAT_BEGIN_CUSTOM_SLOT(css, table_slot_callbacks(css->ss.ss_currentRelation));
	state->backward = boolVal(linitial(plan->custom_private));
	state->bounds = palloc(list_length(infos) * sizeof(ScanBound));
	forboth(clause, plan->custom_exprs, info, infos)
	{
		OpExpr	   *op = lfirst_node(OpExpr, clause);
		List	   *fields = lfirst(info);
		ScanBound  *bound = &state->bounds[state->nbounds++];

		bound->kind = list_nth_int(fields, 0);
		bound->strategy = list_nth_int(fields, 1);
		bound->value = ExecInitExpr(list_nth(op->args, list_nth_int(fields, 2)),
									&css->ss.ps);
		bound->value_type = (Oid) list_nth_int(fields, 3);
	}
	if (estate->es_epq_active == NULL)
		state->columns = result_columns(css);
	if (state->columns)
		css->methods = &column_exec_methods;
	else
		state->prefix = needed_prefix(css);
}

static void
find_range(RangeScanState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;

	state->range = LOG_WHOLE_RANGE;
	state->empty = false;
	for (int i = 0; i < state->nbounds && !state->empty; i++)
	{
		ScanBound  *bound = &state->bounds[i];
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(bound->value, econtext, &isnull);

		if (!plan_bound_apply(bound->kind, bound->strategy, bound->value_type, value, isnull,
							  state->css.ss.ss_currentRelation, &state->range))
			state->empty = true;
	}
	state->range_known = true;
}

/* start the scan at the range's first row; false if the range is empty */
static bool
position_scan(RangeScanState *state)
{
	Relation	stream = state->css.ss.ss_currentRelation;
	Snapshot	snapshot = state->css.ss.ps.state->es_snapshot;

	if (!state->range_known)
		find_range(state);
	if (state->empty)
		return false;
	if (state->nbounds == 0)
	{
		/* counted as a sequential scan in the statistics */
		if (state->scan == NULL)
			state->scan = table_beginscan(stream, snapshot, 0, NULL);
		else
			table_rescan(state->scan, NULL);
	}
	else
	{
		if (state->scan == NULL)
			state->scan = log_range_scan_begin(stream, snapshot);
		log_range_scan_set(state->scan, &state->range);
	}
	state->positioned = true;
	return true;
}

static inline ScanDirection
scan_direction(RangeScanState *state)
{
	ScanDirection direction = state->css.ss.ps.state->es_direction;

	if (!state->backward)
		return direction;
	return ScanDirectionIsBackward(direction) ? ForwardScanDirection : BackwardScanDirection;
}

static inline bool
fetch_row(ScanState *ss)
{
	RangeScanState *state = (RangeScanState *) ss;

	if ((unlikely(!state->positioned) && !position_scan(state)) ||
		!log_range_scan_next(state->scan, scan_direction(state), ss->ss_ScanTupleSlot))
		return false;
	if (state->prefix)
		log_slot_decode(ss->ss_ScanTupleSlot, state->prefix);
	return true;
}

static TupleTableSlot *
next_row(ScanState *ss)
{
	return fetch_row(ss) ? ss->ss_ScanTupleSlot : ExecClearTuple(ss->ss_ScanTupleSlot);
}

/* ExecCustomScan where the result consists of columns only */
static TupleTableSlot *
exec_columns(CustomScanState *css)
{
	RangeScanState *state = (RangeScanState *) css;
	ScanState  *ss = &css->ss;
	TupleTableSlot *result = ss->ps.ps_ResultTupleSlot;

	if (unlikely(TTS_SHOULDFREE(result)))
		ExecClearTuple(result);
	if ((unlikely(!state->positioned) && !position_scan(state)) ||
		!log_range_scan_next_columns(state->scan, scan_direction(state),
									 ss->ss_ScanTupleSlot, state->columns,
									 result->tts_values, result->tts_isnull))
	{
		ExecClearTuple(ss->ss_ScanTupleSlot);
		return ExecClearTuple(result);
	}
	result->tts_flags &= ~TTS_FLAG_EMPTY;
	result->tts_nvalid = result->tts_tupleDescriptor->natts;
	return result;
}

/* does a row that EvalPlanQual supplies satisfy the bounds? */
static bool
recheck_row(ScanState *ss, TupleTableSlot *slot)
{
	RangeScanState *state = (RangeScanState *) ss;

	if (!state->range_known)
		find_range(state);
	return state->nbounds == 0 ||
		(!state->empty &&
		 log_range_contains(ss->ss_currentRelation, &state->range, &slot->tts_tid));
}

static TupleTableSlot *
exec_scan(CustomScanState *css)
{
	if (likely(css->ss.ps.state->es_epq_active == NULL))
		return plan_exec_scan(&css->ss, fetch_row);
	return ExecScan(&css->ss, next_row, recheck_row);
}

static void
rescan(CustomScanState *css)
{
	RangeScanState *state = (RangeScanState *) css;

	/* the values may depend on parameters that changed */
	state->range_known = false;
	state->positioned = false;
	ExecScanReScan(&css->ss);
}

static void
end_scan(CustomScanState *css)
{
	RangeScanState *state = (RangeScanState *) css;

	ExecClearTuple(css->ss.ss_ScanTupleSlot);
	if (state->scan)
		table_endscan(state->scan);
}

static void
explain_scan(CustomScanState *css, List *ancestors, ExplainState *es)
{
	CustomScan *plan = castNode(CustomScan, css->ss.ps.plan);

	if (plan->custom_exprs != NIL)
		plan_explain_expr("Message Range", (Node *) make_ands_explicit(plan->custom_exprs),
						  plan, ancestors, es);
	if (boolVal(linitial(plan->custom_private)))
		ExplainPropertyText("Scan Direction", "Backward", es);
}

static Node *create_state(CustomScan *plan);

static const CustomScanMethods range_scan_methods = {
	.CustomName = RANGE_SCAN_NAME,
	.CreateCustomScanState = create_state,
};

static const CustomExecMethods range_exec_methods = {
	.CustomName = RANGE_SCAN_NAME,
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain_scan,
};

static Node *
create_state(CustomScan *plan)
{
	return plan_make_state(sizeof(RangeScanState), &range_exec_methods, &log_slot_ops);
}

void
plan_range_scan_init(void)
{
	column_exec_methods = range_exec_methods;
	column_exec_methods.ExecCustomScan = exec_columns;
	RegisterCustomScanMethods(&range_scan_methods);
}
