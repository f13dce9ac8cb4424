/*
 * source_scan.c
 *	  The custom scan of the rows of a round, in place of the scan of their
 *	  stream.
 *
 * The range table entry of the stream is marked by its alias, which survives
 * everything that the planner does to a query before it makes paths.  Marks
 * are looked for only while query_plan() runs.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/restrictinfo.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/rel.h"

#include "base/loaded.h"
#include "compat.h"
#include "log/log.h"
#include "log/reader.h"
#include "query/query.h"
#include "query/query_internal.h"

#define SCAN_NAME	"Round Scan"

/* no user can write an alias with this character */
#define SOURCE_MARK	"streamq round\x01"

/* rows that fit on a page, for the planner */
#define ROWS_PER_PAGE	100

static get_relation_info_hook_type prev_relation_info = NULL;
static set_rel_pathlist_hook_type prev_set_rel_pathlist = NULL;

/* rows of the source in the query that is being planned; 0: none is */
static double planned_rows = 0;

/* rows for the scan that is being started */
static QueryRows *starting_rows = NULL;

/* ---- rows ---- */

struct QueryRows
{
	int			npartitions;
	LogRowStore **stores;		/* by partition; NULL: no rows */
	Relation	stream;
	int64		n;
};

QueryRows *
query_rows_create(Relation stream, int npartitions)
{
	QueryRows  *rows = palloc0(sizeof(QueryRows));

	rows->stream = stream;
	rows->npartitions = npartitions;
	rows->stores = palloc0(sizeof(LogRowStore *) * npartitions);
	return rows;
}

void
query_rows_add(QueryRows *rows, JobInput *input)
{
	LogKeptRow	kept = {
		.msg_id = LOG_MSG_ID(input->partition, input->off),
		.produced_at = input->produced_at
	};

	if (rows->stores[input->partition] == NULL)
		rows->stores[input->partition] = log_row_store_create(rows->stream);
	log_row_store_add(rows->stores[input->partition], input->slot, &kept);
	rows->n++;
}

int64
query_rows_count(const QueryRows *rows)
{
	return rows->n;
}

TupleTableSlot *
query_rows_next(QueryRows *rows, QueryRowsScan *scan, int64 *msg_id)
{
	for (; scan->partition < rows->npartitions; scan->partition++)
	{
		LogRowStore *store = rows->stores[scan->partition];
		TupleTableSlot *slot;
		LogKeptRow	kept;

		if (store == NULL)
			continue;
		if (!scan->started)
			log_row_store_rewind(store);
		scan->started = true;
		slot = log_row_store_next(store, &kept);
		if (slot != NULL)
		{
			*msg_id = kept.msg_id;
			return slot;
		}
		scan->started = false;
	}
	return NULL;
}

void
query_rows_end(QueryRows *rows)
{
	for (int i = 0; i < rows->npartitions; i++)
		if (rows->stores[i])
			log_row_store_end(rows->stores[i]);
	pfree(rows->stores);
	pfree(rows);
}

/* ---- planning ---- */

static bool
is_source(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && rte->alias != NULL &&
		strcmp(rte->alias->aliasname, SOURCE_MARK) == 0;
}

/* find the stream among the relations of a FROM clause; 0 if it is not there */
static Index
find_source(Query *query, Node *node, Oid stream)
{
	if (node == NULL)
		return 0;
	if (IsA(node, FromExpr))
	{
		ListCell   *lc;

		foreach(lc, ((FromExpr *) node)->fromlist)
		{
			Index		rti = find_source(query, lfirst(lc), stream);

			if (rti != 0)
				return rti;
		}
		return 0;
	}
	if (IsA(node, JoinExpr))
	{
		Index		rti = find_source(query, ((JoinExpr *) node)->larg, stream);

		return rti != 0 ? rti : find_source(query, ((JoinExpr *) node)->rarg, stream);
	}
	if (IsA(node, RangeTblRef))
	{
		Index		rti = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		return rte->rtekind == RTE_RELATION && rte->relid == stream ? rti : 0;
	}
	return 0;
}

Index
query_find_source(Query *query, Oid stream)
{
	return find_source(query, (Node *) query->jointree, stream);
}

Index
query_mark_source(Query *query, Oid stream)
{
	Index		rti = query_find_source(query, stream);
	RangeTblEntry *rte;

	if (rti == 0)
		elog(ERROR, "query does not read relation %u", stream);
	rte = rt_fetch(rti, query->rtable);
	rte->alias = makeAlias(SOURCE_MARK, NIL);
	rte->inh = false;
	return rti;
}

static Oid
msg_id_function(void)
{
	Oid			argtypes[] = {OIDOID, TIDOID};

	return LookupFuncName(list_make2(makeString(STREAMQ_SCHEMA), makeString("msg_id")),
						  2, argtypes, false);
}

Expr *
query_message_order(Index rti)
{
	Var		   *table = makeVar(rti, TableOidAttributeNumber, OIDOID, -1, InvalidOid, 0);
	Var		   *tid = makeVar(rti, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);

	return (Expr *) makeFuncExpr(msg_id_function(), INT8OID, list_make2(table, tid),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/* is the expression msg_id() of the rows of this relation? */
static bool
is_message_order(Expr *expr, Index rti)
{
	FuncExpr   *func = (FuncExpr *) expr;
	Var		   *table;
	Var		   *tid;

	if (!IsA(func, FuncExpr) || func->funcid != msg_id_function())
		return false;
	table = linitial(func->args);
	tid = lsecond(func->args);
	return IsA(table, Var) && table->varno == rti &&
		table->varattno == TableOidAttributeNumber &&
		IsA(tid, Var) && tid->varno == rti &&
		tid->varattno == SelfItemPointerAttributeNumber;
}

/* the order of the scan, if the query wants it */
static List *
scan_pathkeys(PlannerInfo *root, RelOptInfo *rel)
{
	PathKey    *key;
	EquivalenceMemberIterator it;
	EquivalenceMember *em;

	if (root->query_pathkeys == NIL)
		return NIL;
	key = linitial_node(PathKey, root->query_pathkeys);
	if (key->pk_opfamily != INTEGER_BTREE_FAM_OID || !COMPAT_PATHKEY_IS_ASCENDING(key) ||
		key->pk_eclass->ec_has_volatile)
		return NIL;
	setup_eclass_member_iterator(&it, key->pk_eclass, rel->relids);
	while ((em = eclass_member_iterator_next(&it)) != NULL)
	{
		if (!em->em_is_const && bms_equal(em->em_relids, rel->relids) &&
			is_message_order(em->em_expr, rel->relid))
			return list_make1(key);
	}
	return NIL;
}

static const CustomScanMethods scan_methods;

static Plan *
plan_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *plans)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->scan.scanrelid = rel->relid;
	scan->flags = path->flags;
	scan->methods = &scan_methods;
	return (Plan *) scan;
}

static const CustomPathMethods path_methods = {
	.CustomName = SCAN_NAME,
	.PlanCustomPath = plan_path,
};

static void
relation_info(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	if (prev_relation_info)
		prev_relation_info(root, relid, inhparent, rel);
	if (planned_rows > 0 && is_source(planner_rt_fetch(rel->relid, root)))
	{
		rel->tuples = planned_rows;
		rel->pages = (BlockNumber) Min(planned_rows / ROWS_PER_PAGE + 1, MaxBlockNumber);
		rel->allvisfrac = 0;
	}
}

/* the round's rows are the only way to read the source */
static void
set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	CustomPath *path;
	QualCost	qual;

	if (prev_set_rel_pathlist)
		prev_set_rel_pathlist(root, rel, rti, rte);
	if (planned_rows == 0 || !is_source(rte) || IS_DUMMY_REL(rel))
		return;

	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel, rel->lateral_relids);
	path->path.rows = path->path.param_info ? path->path.param_info->ppi_rows : rel->rows;
	path->path.pathkeys = scan_pathkeys(root, rel);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = &path_methods;
	cost_qual_eval(&qual, rel->baserestrictinfo, root);
	path->path.startup_cost = qual.startup + path->path.pathtarget->cost.startup;
	path->path.total_cost = path->path.startup_cost +
		(cpu_tuple_cost + qual.per_tuple) * rel->tuples +
		path->path.pathtarget->cost.per_tuple * path->path.rows;
	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	add_path(rel, (Path *) path);
}

void
query_set_planned_rows(double nrows)
{
	planned_rows = nrows;
}

/* ---- execution ---- */

typedef struct SourceScanState
{
	CustomScanState css;
	QueryRows  *rows;
	QueryRowsScan scan;
} SourceScanState;

void
query_set_starting_rows(QueryRows *rows)
{
	starting_rows = rows;
}

static void
begin_scan(CustomScanState *css, EState *estate, int eflags)
{
	SourceScanState *state = (SourceScanState *) css;

	COMPAT_BEGIN_CUSTOM_SLOT(css, &log_slot_ops);
	state->rows = starting_rows;
}

/* the next row of the round, or NULL */
static TupleTableSlot *
next_row(SourceScanState *state)
{
	TupleTableSlot *slot;
	int64		msg_id;

	if (state->rows == NULL)
		return NULL;
	slot = query_rows_next(state->rows, &state->scan, &msg_id);
	if (slot != NULL)
		log_make_tid(LOG_MSG_PARTITION(msg_id), LOG_MSG_OFFSET(msg_id), &slot->tts_tid);
	return slot;
}

static TupleTableSlot *
exec_scan(CustomScanState *css)
{
	ScanState  *ss = &css->ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;
	ProjectionInfo *projection = ss->ps.ps_ProjInfo;

	for (;;)
	{
		TupleTableSlot *slot;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		slot = next_row((SourceScanState *) css);
		if (slot == NULL)
			return ExecClearTuple(projection ? projection->pi_state.resultslot :
								  ss->ss_ScanTupleSlot);
		econtext->ecxt_scantuple = slot;
		if (ss->ps.qual == NULL || ExecQual(ss->ps.qual, econtext))
			return projection ? ExecProject(projection) : slot;
		InstrCountFiltered1(ss, 1);
	}
}

static void
rescan(CustomScanState *css)
{
	SourceScanState *state = (SourceScanState *) css;

	memset(&state->scan, 0, sizeof(QueryRowsScan));
	ExecScanReScan(&css->ss);
}

static void
end_scan(CustomScanState *css)
{
}

static const CustomExecMethods exec_methods = {
	.CustomName = SCAN_NAME,
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
};

static Node *
create_state(CustomScan *plan)
{
	CustomScanState *state = (CustomScanState *) newNode(sizeof(SourceScanState),
														 T_CustomScanState);

	state->methods = &exec_methods;
	COMPAT_SET_CUSTOM_SLOT_OPS(state, &log_slot_ops);
	return (Node *) state;
}

static const CustomScanMethods scan_methods = {
	.CustomName = SCAN_NAME,
	.CreateCustomScanState = create_state,
};

bool
query_is_source_scan(const Plan *plan)
{
	return IsA(plan, CustomScan) && ((const CustomScan *) plan)->methods == &scan_methods;
}

void
query_init(void)
{
	RegisterCustomScanMethods(&scan_methods);
	prev_relation_info = get_relation_info_hook;
	get_relation_info_hook = relation_info;
	prev_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = set_rel_pathlist;
}
