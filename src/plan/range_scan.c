/*
 * range_scan.c
 *	  The custom scan of a stream: a range of messages, in log order.
 *
 * The plan's custom_exprs are the conditions that bound the range, whole, so
 * that EXPLAIN can show them; custom_private says for each what it bounds and which
 * of its arguments is the value.  The range is exact: these conditions are not
 * checked again.
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/restrictinfo.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "log/log.h"
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
} RangeScanState;

static const CustomScanMethods range_scan_methods;

/* ---- planning ---- */

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
		if (bound_match_clause(root, rel, rinfo->clause, false, &bound) &&
			bound_is_secure(rinfo, rel, &bound))
		{
			OpExpr	   *op = castNode(OpExpr, bound.clause);

			/* always the same way round, however it was written */
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

/* a path without costs, rows and order */
CustomPath *
range_scan_path(RelOptInfo *rel, bool backward)
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

		if (!bound_apply(bound->kind, bound->strategy, bound->value_type, value, isnull,
						 state->css.ss.ss_currentRelation, &state->range))
			state->empty = true;
	}
	state->range_known = true;
}

static TupleTableSlot *
next_row(ScanState *ss)
{
	RangeScanState *state = (RangeScanState *) ss;
	EState	   *estate = ss->ps.state;
	ScanDirection direction = estate->es_direction;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;

	if (!state->range_known)
		find_range(state);
	if (state->empty)
		return ExecClearTuple(slot);
	if (!state->positioned)
	{
		if (state->scan == NULL)
			state->scan = log_range_scan_begin(ss->ss_currentRelation, estate->es_snapshot);
		log_range_scan_set(state->scan, &state->range);
		state->positioned = true;
	}
	if (state->backward)
		direction = ScanDirectionIsBackward(direction) ? ForwardScanDirection :
			BackwardScanDirection;
	if (!log_range_scan_next(state->scan, direction, slot))
		return ExecClearTuple(slot);
	return slot;
}

/* a row that EvalPlanQual put in place of the scan's */
static bool
recheck_row(ScanState *ss, TupleTableSlot *slot)
{
	RangeScanState *state = (RangeScanState *) ss;

	if (!state->range_known)
		find_range(state);
	return !state->empty &&
		log_range_contains(ss->ss_currentRelation, &state->range, &slot->tts_tid);
}

static TupleTableSlot *
exec_scan(CustomScanState *css)
{
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
	{
		List	   *context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan,
													   ancestors);
		Node	   *range = (Node *) make_ands_explicit(plan->custom_exprs);

		ExplainPropertyText("Message Range",
							deparse_expression(range, context,
											   list_length(es->rtable) > 1 || es->verbose,
											   false),
							es);
	}
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
	RangeScanState *state = (RangeScanState *) newNode(sizeof(RangeScanState),
													   T_CustomScanState);

	state->css.methods = &range_exec_methods;
	COMPAT_SET_CUSTOM_SLOT_OPS(&state->css, &LogSlotOps);
	return (Node *) state;
}

void
range_scan_init(void)
{
	RegisterCustomScanMethods(&range_scan_methods);
}
