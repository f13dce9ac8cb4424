/*
 * plan_internal.h
 *	  What the files of plan/ share.
 */
#ifndef STREAMQ_PLAN_INTERNAL_H
#define STREAMQ_PLAN_INTERNAL_H

#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/pathnodes.h"

#include "log/scan.h"

/* ---- plan.c ---- */

/* C functions by PlanFunction */
extern const PGFunction *plan_functions;

struct ExplainState;

/* the state of a custom scan, in a struct of that size that begins with CustomScanState */
extern Node *plan_make_state(Size size, const CustomExecMethods *methods,
							 const TupleTableSlotOps *ops);

/*
 * What ExecScan does, with fetch compiled in: rows that pass the filter, projected.  fetch puts
 * the next row into the scan's slot; false at the end.  Not while rows are rechecked.
 */
static pg_attribute_always_inline TupleTableSlot *
plan_exec_scan(ScanState *ss, bool (*fetch) (ScanState *ss))
{
	ExprContext *econtext = ss->ps.ps_ExprContext;
	ProjectionInfo *projection = ss->ps.ps_ProjInfo;
	ExprState  *qual = ss->ps.qual;

	for (;;)
	{
		ResetExprContext(econtext);
		if (!fetch(ss))
			return ExecClearTuple(projection ? projection->pi_state.resultslot :
								  ss->ss_ScanTupleSlot);
		econtext->ecxt_scantuple = ss->ss_ScanTupleSlot;
		if (qual == NULL || ExecQual(qual, econtext))
			return projection ? ExecProject(projection) : ss->ss_ScanTupleSlot;
		InstrCountFiltered1(ss, 1);
		CHECK_FOR_INTERRUPTS();
	}
}

/* a property in EXPLAIN: an expression of the plan */
extern void plan_explain_expr(const char *label, Node *expr, CustomScan *plan,
							  List *ancestors, struct ExplainState *es);

/* ---- bound.c: conditions on the identity of a message ---- */

typedef enum BoundKind
{
	BOUND_MSG_ID,				/* streamq.msg_id(tableoid, ctid) */
	BOUND_PRODUCED_AT,			/* streamq.produced_at(tableoid, ctid) */
	BOUND_TID					/* ctid itself */
} BoundKind;

#define BOUND_KINDS		(BOUND_TID + 1)

/* <message expression> <comparison> <value> */
typedef struct Bound
{
	BoundKind	kind;
	int			strategy;		/* BT...StrategyNumber, as if the value stood
								 * right */
	int			value_arg;		/* which argument of the clause is the value */
	Oid			value_type;
	Expr	   *value;
	Expr	   *clause;
} Bound;

/* is this streamq.msg_id or produced_at of the rows of range table entry varno? */
extern bool plan_bound_match_expr(Node *expr, Index varno, Oid relid, BoundKind *kind);

/* is the clause a bound?  The value has no column of the relation in it. */
extern bool plan_bound_match_clause(PlannerInfo *root, RelOptInfo *rel, Expr *clause,
									Bound *bound);

/*
 * May the condition decide what is read before other ones were asked
 * (row-level security, security barriers)?
 */
extern bool plan_bound_is_secure(RestrictInfo *rinfo, RelOptInfo *rel, const Bound *bound);

/*
 * Narrow the range by a bound.  False if no row can be in it.
 */
extern bool plan_bound_apply(BoundKind kind, int strategy, Oid value_type, Datum value,
							 bool isnull, Relation stream, LogMessageRange *range);

/* ---- path.c: paths of streams ---- */

extern void plan_add_stream_paths(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte);

/* ---- range_scan.c: the custom scan of a stream ---- */

#define RANGE_SCAN_NAME	"Stream Scan"

extern CustomPath *plan_range_scan_path(RelOptInfo *rel, bool backward);
extern void plan_range_scan_init(void);

/* ---- message_scan.c: the custom scans of read(), consume() and consume_as() ---- */

extern void plan_add_message_path(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte);
extern void plan_message_scan_init(void);

#endif
