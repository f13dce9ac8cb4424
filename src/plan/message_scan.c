/*
 * message_scan.c
 *	  The custom scans of streamq.read(), consume() and consume_as() in FROM.
 *
 * The executor collects all rows of a function in FROM before it returns the
 * first one.  That is a waste under a LIMIT, and where few columns are wanted.
 *
 * read() has no effects, so its scan reads row by row, and stops when no more
 * rows are wanted.  consume() must lease the same messages however many rows
 * the query fetches, so its scan does everything when the first row is wanted.
 * But it keeps the messages as the bytes of the log, and decodes only the rows
 * and columns that are wanted.
 *
 * The plan's custom_exprs hold the function call: EXPLAIN shows it, the plan's
 * dependencies are found in it, and its arguments are evaluated from there.
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

#include "compat.h"
#include "group/group.h"
#include "plan/plan.h"
#include "plan/plan_internal.h"
#include "stream/message.h"
#include "stream/message_read.h"

#define MAX_NARGS	8

typedef struct MessageScanState MessageScanState;

/* a function that gets such a scan */
typedef struct MessageFunction
{
	CustomScanMethods scan;		/* first */
	PlanFunction function;
	int			nargs;
	int			natts;			/* of its result */
	bool		once;			/* has effects: costs and order of the
								 * function scan stay */
	void		(*begin) (MessageScanState *state, FunctionCallInfo fcinfo);
} MessageFunction;

struct MessageScanState
{
	CustomScanState css;
	const MessageFunction *function;
	FuncExpr   *call;
	ExprState  *args[MAX_NARGS];
	Bitmapset  *params;			/* PARAM_EXEC that the arguments depend on */
	uint32		wanted;			/* columns, see MESSAGE_COLUMN */
	uint32		tested;			/* those of them that the filter needs */
	bool		allowed;		/* EXECUTE on the function was checked */
	/* one of these is set after the function was called */
	StreamRead *read;
	GroupMessages *messages;
	TupleDesc	row_desc;		/* if a whole-row column is wanted, else NULL */
	MemoryContext context;		/* of the messages; reset for each call */
	bool		sending;		/* rows go to the client directly, */
	TupleTableSlot *send_slot;	/* in this slot */
};

static Node *create_state(CustomScan *plan);
static void begin_read(MessageScanState *state, FunctionCallInfo fcinfo);
static void begin_consume(MessageScanState *state, FunctionCallInfo fcinfo);
static void begin_consume_as(MessageScanState *state, FunctionCallInfo fcinfo);

static const MessageFunction functions[] = {
	{{"Stream Read", create_state}, PLAN_READ, 3, MESSAGE_NATTS, false, begin_read},
	{{"Stream Consume", create_state}, PLAN_CONSUME, 8, MESSAGE_NATTS, true, begin_consume},
	{{"Stream Consume As", create_state}, PLAN_CONSUME_AS, 8, GROUP_TYPED_NATTS, true,
	begin_consume_as},
};

/* ---- planning ---- */

/* the function, if the range table entry is a plain call of one of them */
static const MessageFunction *
find_function(RangeTblEntry *rte)
{
	RangeTblFunction *rtfunc;
	FuncExpr   *call;
	FmgrInfo	flinfo;

	if (rte->funcordinality || list_length(rte->functions) != 1)
		return NULL;
	rtfunc = linitial_node(RangeTblFunction, rte->functions);
	call = (FuncExpr *) rtfunc->funcexpr;
	if (!IsA(call, FuncExpr) || !call->funcretset || rtfunc->funccolnames != NIL ||
		contain_volatile_functions((Node *) call->args) ||
		contain_subplans((Node *) call->args))
		return NULL;
	fmgr_info(call->funcid, &flinfo);
	for (int i = 0; i < lengthof(functions); i++)
		if (plan_functions[functions[i].function] == flinfo.fn_addr &&
			functions[i].nargs == list_length(call->args) &&
			functions[i].natts == rtfunc->funccolcount)
			return &functions[i];
	return NULL;
}

/* does the query use the whole row, or system columns, which messages lack? */
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

/* make the plan; custom_scan_tlist describes the function's columns */
static Plan *
plan_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *plans)
{
	CustomScan *scan = makeNode(CustomScan);
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	RangeTblFunction *rtfunc = linitial_node(RangeTblFunction, rte->functions);
	TupleDesc	desc = get_expr_result_tupdesc(rtfunc->funcexpr, false);
	bool		whole_row;
	bool		system;

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->flags = path->flags;
	scan->methods = &find_function(rte)->scan;
	scan->custom_exprs = list_make1(rtfunc->funcexpr);

	/* there is no relation, so describe the columns */
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
	find_columns(rel, &whole_row, &system);
	if (whole_row)
	{
		Var		   *var = makeWholeRowVar(rte, rel->relid, 0, false);

		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
										  makeTargetEntry((Expr *) var, desc->natts + 1, NULL,
														  false));
	}
	return (Plan *) scan;
}

static const CustomPathMethods path_methods = {
	.CustomName = "Stream Messages",
	.PlanCustomPath = plan_path,
};

/* rows come in the order of msg_id, the first column: is that of use? */
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
 * Replace the path of the function scan, which is never cheaper.
 */
void
plan_add_message_path(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	const MessageFunction *function;
	CustomPath *path;
	Path	   *scan;
	QualCost	qual;
	bool		whole_row;
	bool		system;

	/*
	 * EvalPlanQual puts whole rows of a function back when it rechecks.  Only
	 * scans that belong to a range table entry can take them, and a custom
	 * scan without a relation does not.
	 */
	if (root->rowMarks != NIL ||
		(root->parse->commandType != CMD_SELECT && root->parse->commandType != CMD_INSERT) ||
		list_length(rel->pathlist) != 1)
		return;
	scan = linitial_node(Path, rel->pathlist);
	function = find_function(rte);
	if (function == NULL || scan->pathtype != T_FunctionScan)
		return;
	find_columns(rel, &whole_row, &system);
	/* the whole row of a function with OUT arguments has no type of its own */
	if (system || (whole_row && exprType(linitial_node(RangeTblFunction, rte->functions)->funcexpr) == RECORDOID))
		return;

	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = scan->param_info;
	path->path.rows = scan->rows;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = &path_methods;
	if (function->once)
	{
		path->path.startup_cost = scan->startup_cost;
		path->path.total_cost = scan->total_cost;
	}
	else
	{
		path->path.pathkeys = find_pathkeys(root, rel);

		/* as the function scan, but the cost is spread over the rows */
		cost_qual_eval(&qual, rel->baserestrictinfo, root);
		path->path.startup_cost = qual.startup + rel->reltarget->cost.startup;
		path->path.total_cost = path->path.startup_cost +
			(2 * cpu_tuple_cost + qual.per_tuple) * rel->tuples +
			rel->reltarget->cost.per_tuple * path->path.rows;
	}

	rel->pathlist = NIL;
	add_path(rel, (Path *) path);
}

/* ---- execution ---- */

static bool
find_params(Node *node, Bitmapset **params)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		*params = bms_add_member(*params, ((Param *) node)->paramid);
	return expression_tree_walker(node, find_params, params);
}

static uint32
used_columns(List *exprs)
{
	Bitmapset  *attrs = NULL;
	int			attr = -1;
	uint32		wanted = 0;

	pull_varattnos((Node *) exprs, INDEX_VAR, &attrs);
	while ((attr = bms_next_member(attrs, attr)) >= 0)
		wanted |= MESSAGE_COLUMN(attr + FirstLowInvalidHeapAttributeNumber - 1);
	return wanted;
}

static void
begin_scan(CustomScanState *css, EState *estate, int eflags)
{
	MessageScanState *state = (MessageScanState *) css;
	CustomScan *plan = castNode(CustomScan, css->ss.ps.plan);

	state->call = linitial_node(FuncExpr, plan->custom_exprs);
	for (int i = 0; i < state->function->nargs; i++)
		state->args[i] = ExecInitExpr(list_nth(state->call->args, i), &css->ss.ps);
	find_params((Node *) state->call->args, &state->params);
	state->tested = used_columns(plan->scan.plan.qual);
	state->wanted = used_columns(plan->scan.plan.targetlist) | state->tested;
	if (list_length(plan->custom_scan_tlist) > state->function->natts)
	{
		state->row_desc = lookup_rowtype_tupdesc_copy(state->call->funcresulttype, -1);
		state->wanted = MESSAGE_ALL;
	}
	state->context = AllocSetContextCreate(estate->es_query_cxt, "streamq messages",
										   ALLOCSET_DEFAULT_SIZES);
}

/* may the user call the function? */
static void
check_call(MessageScanState *state)
{
	Oid			funcid = state->call->funcid;
	AclResult	result = object_aclcheck(ProcedureRelationId, funcid, GetUserId(), ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(funcid));
	InvokeFunctionExecuteHook(funcid);
	state->allowed = true;
}

static void
begin_read(MessageScanState *state, FunctionCallInfo fcinfo)
{
	state->read = stream_read_begin(fcinfo->args, state->css.ss.ps.state->es_snapshot);
}

static void
begin_consume(MessageScanState *state, FunctionCallInfo fcinfo)
{
	state->messages = group_consume(fcinfo, state->wanted);
}

static void
begin_consume_as(MessageScanState *state, FunctionCallInfo fcinfo)
{
	state->messages = group_consume_as(fcinfo, exprType(linitial(state->call->args)));
}

static void
call_function(MessageScanState *state)
{
	LOCAL_FCINFO(fcinfo, MAX_NARGS);
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	MemoryContext old;

	if (!state->allowed)
		check_call(state);
	InitFunctionCallInfoData(*fcinfo, NULL, state->function->nargs, state->call->inputcollid,
							 NULL, NULL);
	for (int i = 0; i < state->function->nargs; i++)
		fcinfo->args[i].value = ExecEvalExprSwitchContext(state->args[i], econtext,
														  &fcinfo->args[i].isnull);
	old = MemoryContextSwitchTo(state->context);
	state->function->begin(state, fcinfo);
	MemoryContextSwitchTo(old);
}

/* forget the rows, so that the function is called again for the next one */
static void
forget_rows(MessageScanState *state)
{
	ExecClearTuple(state->css.ss.ss_ScanTupleSlot);
	if (state->read != NULL)
		stream_read_end(state->read);
	if (state->messages != NULL)
		group_messages_end(state->messages);
	state->read = NULL;
	state->messages = NULL;
	MemoryContextReset(state->context);
}

/* false at the end */
static bool
fetch_row(ScanState *ss)
{
	MessageScanState *state = (MessageScanState *) ss;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	MemoryContext old;
	bool		found;

	ExecClearTuple(slot);
	if (state->read == NULL && state->messages == NULL)
		call_function(state);
	old = MemoryContextSwitchTo(ss->ps.ps_ExprContext->ecxt_per_tuple_memory);
	found = state->read ?
		stream_read_next(state->read, state->wanted, slot->tts_values, slot->tts_isnull) :
		group_messages_next(state->messages, state->wanted, slot->tts_values,
							slot->tts_isnull);
	if (found)
	{
		if (state->row_desc)
		{
			HeapTuple	tuple = heap_form_tuple(state->row_desc, slot->tts_values,
												slot->tts_isnull);

			slot->tts_values[state->row_desc->natts] = HeapTupleGetDatum(tuple);
			slot->tts_isnull[state->row_desc->natts] = false;
		}
		ExecStoreVirtualTuple(slot);
	}
	MemoryContextSwitchTo(old);
	return found;
}

/* put columns of a message into the scan's slot */
static void
form_row(MessageScanState *state, const MessageRow *row, uint32 wanted)
{
	ScanState  *ss = &state->css.ss;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	MemoryContext old = MemoryContextSwitchTo(ss->ps.ps_ExprContext->ecxt_per_tuple_memory);

	ExecClearTuple(slot);
	stream_message_form(row, wanted, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
	MemoryContextSwitchTo(old);
	ss->ps.ps_ExprContext->ecxt_scantuple = slot;
}

/* the next row that passes the filter, for the client */
static TupleTableSlot *
scan_to_send(MessageScanState *state)
{
	ScanState  *ss = &state->css.ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;
	MessageRow	row;

	for (;;)
	{
		ResetExprContext(econtext);
		if (state->read == NULL && state->messages == NULL)
			call_function(state);
		if (!(state->read ? stream_read_fetch(state->read, &row) :
			  group_messages_fetch(state->messages, &row)))
			return ExecClearTuple(state->send_slot);
		if (ss->ps.qual == NULL)
			break;
		form_row(state, &row, state->tested);
		if (ExecQual(ss->ps.qual, econtext))
			break;
		InstrCountFiltered1(ss, 1);
		CHECK_FOR_INTERRUPTS();
	}
	return plan_send_slot_store(state->send_slot, &row);
}

/*
 * ExecScan cannot be used: for a scan that belongs to no range table entry it
 * looks for rows to recheck, and such rows never come from this scan.
 */
static TupleTableSlot *
exec_scan(CustomScanState *css)
{
	MessageScanState *state = (MessageScanState *) css;

	return state->sending ? scan_to_send(state) : plan_exec_scan(&css->ss, fetch_row);
}

/* return the same messages again, unless the arguments have changed */
static void
rescan(CustomScanState *css)
{
	MessageScanState *state = (MessageScanState *) css;

	if (state->messages != NULL && !bms_overlap(css->ss.ps.chgParam, state->params))
	{
		ExecClearTuple(css->ss.ss_ScanTupleSlot);
		group_messages_rewind(state->messages);
	}
	else
		forget_rows(state);
}

static void
end_scan(CustomScanState *css)
{
	forget_rows((MessageScanState *) css);
}

static void
explain_scan(CustomScanState *css, List *ancestors, ExplainState *es)
{
	CustomScan *plan = castNode(CustomScan, css->ss.ps.plan);

	plan_explain_expr("Function Call", linitial(plan->custom_exprs), plan, ancestors, es);
}

static Node *
create_state(CustomScan *plan)
{
	static const CustomExecMethods exec_methods = {
		.CustomName = "Stream Messages",
		.BeginCustomScan = begin_scan,
		.ExecCustomScan = exec_scan,
		.EndCustomScan = end_scan,
		.ReScanCustomScan = rescan,
		.ExplainCustomScan = explain_scan,
	};
	MessageScanState *state = (MessageScanState *)
		plan_make_state(sizeof(MessageScanState), &exec_methods, &TTSOpsVirtual);

	state->function = (const MessageFunction *) plan->methods;
	return (Node *) state;
}

bool
plan_message_scan_send(CustomScanState *css, const int16 *formats)
{
	MessageScanState *state = (MessageScanState *) css;

	if (css->methods->ExecCustomScan != exec_scan || state->function->natts != MESSAGE_NATTS)
		return false;
	/* a portal has the same formats whenever it runs */
	if (state->send_slot == NULL)
		state->send_slot = plan_send_slot_create(&css->ss, formats);
	state->sending = state->send_slot != NULL;
	return state->sending;
}

void
plan_message_scan_stop_sending(CustomScanState *css)
{
	((MessageScanState *) css)->sending = false;
}

void
plan_message_scan_init(void)
{
	for (int i = 0; i < lengthof(functions); i++)
		RegisterCustomScanMethods(&functions[i].scan);
}
