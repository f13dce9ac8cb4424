/*
 * read_scan.c
 *	  The custom scan of streamq.read() in FROM.
 *
 * The executor collects the rows of a function in FROM before it returns the first.
 * read() has no effects, so it can as well be read row by row; only the
 * rows that are asked for are read.
 *
 * The plan's custom_exprs hold the call itself: it is what EXPLAIN shows, what
 * the plan depends on, and its arguments are evaluated from there.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_proc.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "api/api.h"
#include "compat.h"
#include "plan/plan_internal.h"

#define READ_NARGS	3

typedef struct ReadScanState
{
	CustomScanState css;
	FuncExpr   *call;
	ExprState  *args[READ_NARGS];
	bool		allowed;		/* the privilege on the function was checked */
	MessageRead *read;
	TupleDesc	row_desc;		/* if a whole-row column is wanted, else NULL */
	MemoryContext context;		/* of `read`, made anew for each scan */
} ReadScanState;

extern Datum streamq_read(PG_FUNCTION_ARGS);

static const CustomScanMethods read_scan_methods;

/* ---- planning ---- */

/* the call, if the range table entry is nothing but a call of read() */
static FuncExpr *
read_call(RangeTblEntry *rte)
{
	RangeTblFunction *rtfunc;
	FuncExpr   *call;
	FmgrInfo	flinfo;

	if (rte->funcordinality || list_length(rte->functions) != 1)
		return NULL;
	rtfunc = linitial_node(RangeTblFunction, rte->functions);
	call = (FuncExpr *) rtfunc->funcexpr;
	if (!IsA(call, FuncExpr) || list_length(call->args) != READ_NARGS ||
		!call->funcretset || rtfunc->funccolnames != NIL ||
		rtfunc->funccolcount != MESSAGE_NATTS)
		return NULL;
	fmgr_info(call->funcid, &flinfo);
	if (flinfo.fn_addr != streamq_read || contain_volatile_functions((Node *) call->args))
		return NULL;
	return call;
}

/* is a column wanted that a message does not have, or the whole row? */
static void
find_columns(RelOptInfo *rel, bool *whole_row, bool *system)
{
	Bitmapset  *attrs = NULL;
	ListCell   *lc;
	int			attr = -1;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	foreach(lc, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause, rel->relid, &attrs);
	foreach(lc, rel->joininfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause, rel->relid, &attrs);

	*whole_row = false;
	*system = false;
	while ((attr = bms_next_member(attrs, attr)) >= 0)
	{
		AttrNumber	attnum = attr + FirstLowInvalidHeapAttributeNumber;

		if (attnum == 0)
			*whole_row = true;
		else if (attnum < 0)
			*system = true;
	}
}

static Plan *
plan_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *plans)
{
	CustomScan *scan = makeNode(CustomScan);
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	RangeTblFunction *rtfunc = linitial_node(RangeTblFunction, rte->functions);
	TupleDesc	desc = lookup_rowtype_tupdesc(exprType(rtfunc->funcexpr), -1);
	bool		whole_row;
	bool		system;

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->flags = path->flags;
	scan->methods = &read_scan_methods;
	scan->custom_exprs = list_make1(rtfunc->funcexpr);

	/* there is no relation: say what the rows are made of */
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Var		   *var = makeVar(rel->relid, att->attnum, att->atttypid, att->atttypmod,
								  att->attcollation, 0);

		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
										  makeTargetEntry((Expr *) var, att->attnum,
														  pstrdup(NameStr(att->attname)),
														  false));
	}
	ReleaseTupleDesc(desc);
	find_columns(rel, &whole_row, &system);
	if (whole_row)
	{
		Var		   *var = makeWholeRowVar(rte, rel->relid, 0, false);

		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
										  makeTargetEntry((Expr *) var, MESSAGE_NATTS + 1,
														  NULL, false));
	}
	return (Plan *) scan;
}

static const CustomPathMethods read_path_methods = {
	.CustomName = READ_SCAN_NAME,
	.PlanCustomPath = plan_path,
};

/* messages come in the order of msg_id, the first column */
static List *
find_pathkeys(PlannerInfo *root, RelOptInfo *rel)
{
	PathKey    *key;
	EquivalenceMemberIterator it;
	EquivalenceMember *em;

	if (root->query_pathkeys == NIL)
		return NIL;
	key = linitial_node(PathKey, root->query_pathkeys);
	if (key->pk_opfamily != INTEGER_BTREE_FAM_OID || !COMPAT_PATHKEY_IS_ASCENDING(key))
		return NIL;
	setup_eclass_member_iterator(&it, key->pk_eclass, rel->relids);
	while ((em = eclass_member_iterator_next(&it)) != NULL)
	{
		Var		   *var = (Var *) em->em_expr;

		if (IsA(var, Var) && var->varno == rel->relid && var->varattno == 1 &&
			var->varlevelsup == 0 && bms_equal(em->em_relids, rel->relids))
			return list_make1(key);
	}
	return NIL;
}

/*
 * Streaming is never worse than collecting first: it replaces the function scan.
 */
void
plan_add_read_path(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	CustomPath *path;
	QualCost	qual;
	bool		whole_row;
	bool		system;

	/*
	 * Rows of functions that are rechecked after an update come as a whole;
	 * only scans that belong to a range table entry can take them.
	 */
	if (root->rowMarks != NIL ||
		(root->parse->commandType != CMD_SELECT && root->parse->commandType != CMD_INSERT) ||
		read_call(rte) == NULL)
		return;
	find_columns(rel, &whole_row, &system);
	if (system)
		return;

	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel, rel->lateral_relids);
	path->path.rows = path->path.param_info ? path->path.param_info->ppi_rows : rel->rows;
	path->path.pathkeys = find_pathkeys(root, rel);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = &read_path_methods;

	/* as the function scan, but that its cost is spread over the rows */
	cost_qual_eval(&qual, rel->baserestrictinfo, root);
	path->path.startup_cost = qual.startup + rel->reltarget->cost.startup;
	path->path.total_cost = path->path.startup_cost +
		(2 * cpu_tuple_cost + qual.per_tuple) * rel->tuples +
		rel->reltarget->cost.per_tuple * path->path.rows;

	rel->pathlist = NIL;
	add_path(rel, (Path *) path);
}

/* ---- execution ---- */

static void
begin_scan(CustomScanState *css, EState *estate, int eflags)
{
	ReadScanState *state = (ReadScanState *) css;
	CustomScan *plan = castNode(CustomScan, css->ss.ps.plan);

	state->call = linitial_node(FuncExpr, plan->custom_exprs);
	for (int i = 0; i < READ_NARGS; i++)
		state->args[i] = ExecInitExpr(list_nth(state->call->args, i), &css->ss.ps);
	if (list_length(plan->custom_scan_tlist) > MESSAGE_NATTS)
		state->row_desc = lookup_rowtype_tupdesc_copy(state->call->funcresulttype, -1);
	state->context = AllocSetContextCreate(estate->es_query_cxt, "streamq read",
										   ALLOCSET_DEFAULT_SIZES);
}

/* may the user call the function? */
static void
check_call(ReadScanState *state)
{
	Oid			funcid = state->call->funcid;
	AclResult	result = object_aclcheck(ProcedureRelationId, funcid, GetUserId(), ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(funcid));
	InvokeFunctionExecuteHook(funcid);
	state->allowed = true;
}

static void
begin_read(ReadScanState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	NullableDatum args[READ_NARGS];
	MemoryContext old;

	if (!state->allowed)
		check_call(state);
	for (int i = 0; i < READ_NARGS; i++)
		args[i].value = ExecEvalExprSwitchContext(state->args[i], econtext, &args[i].isnull);
	old = MemoryContextSwitchTo(state->context);
	state->read = message_read_begin(args, state->css.ss.ps.state->es_snapshot);
	MemoryContextSwitchTo(old);
}

static void
end_read(ReadScanState *state)
{
	ExecClearTuple(state->css.ss.ss_ScanTupleSlot);
	if (state->read != NULL)
		message_read_end(state->read);
	state->read = NULL;
	MemoryContextReset(state->context);
}

/* false at the end */
static bool
fetch_row(ScanState *ss)
{
	ReadScanState *state = (ReadScanState *) ss;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	MemoryContext old;
	bool		found;

	ExecClearTuple(slot);
	if (state->read == NULL)
		begin_read(state);
	old = MemoryContextSwitchTo(ss->ps.ps_ExprContext->ecxt_per_tuple_memory);
	found = message_read_next(state->read, slot->tts_values, slot->tts_isnull);
	if (found)
	{
		if (state->row_desc)
		{
			HeapTuple	tuple = heap_form_tuple(state->row_desc, slot->tts_values,
												slot->tts_isnull);

			slot->tts_values[MESSAGE_NATTS] = HeapTupleGetDatum(tuple);
			slot->tts_isnull[MESSAGE_NATTS] = false;
		}
		ExecStoreVirtualTuple(slot);
	}
	MemoryContextSwitchTo(old);
	return found;
}

/*
 * Not ExecScan, which asks for rows to recheck where a scan belongs to no range
 * table entry: no such row is ever one of ours.
 */
static TupleTableSlot *
exec_scan(CustomScanState *css)
{
	return plan_exec_scan(&css->ss, fetch_row);
}

static void
rescan(CustomScanState *css)
{
	end_read((ReadScanState *) css);
}

static void
end_scan(CustomScanState *css)
{
	end_read((ReadScanState *) css);
}

static void
explain_scan(CustomScanState *css, List *ancestors, ExplainState *es)
{
	CustomScan *plan = castNode(CustomScan, css->ss.ps.plan);

	plan_explain_expr("Function Call", linitial(plan->custom_exprs), plan, ancestors, es);
}

static Node *create_state(CustomScan *plan);

static const CustomScanMethods read_scan_methods = {
	.CustomName = READ_SCAN_NAME,
	.CreateCustomScanState = create_state,
};

static const CustomExecMethods read_exec_methods = {
	.CustomName = READ_SCAN_NAME,
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain_scan,
};

static Node *
create_state(CustomScan *plan)
{
	return plan_make_state(sizeof(ReadScanState), &read_exec_methods, &TTSOpsVirtual);
}

void
read_scan_init(void)
{
	RegisterCustomScanMethods(&read_scan_methods);
}
