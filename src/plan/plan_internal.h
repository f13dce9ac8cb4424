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
#include "stream/message.h"

/* ---- plan.c ---- */

/* C functions by PlanFunction */
extern const PGFunction *plan_functions;

struct ExplainState;

/*
 * Make the state of a custom scan.  size is that of the caller's struct, which
 * begins with a CustomScanState.
 */
extern Node *plan_make_state(Size size, const CustomExecMethods *methods,
							 const TupleTableSlotOps *ops);

/*
 * ExecScan with the fetch function inlined: returns the next row that passes
 * the filter, projected.  fetch puts the next row into the scan's slot and
 * returns false at the end.  Not for use while EvalPlanQual rechecks rows.
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

/* show an expression of the plan as a property in EXPLAIN */
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
	int			strategy;		/* BT...StrategyNumber, with the value on the
								 * right side */
	int			value_arg;		/* which argument of the clause is the value */
	Oid			value_type;
	Expr	   *value;
	Expr	   *clause;
} Bound;

/*
 * Is the expression streamq.msg_id or streamq.produced_at of the rows of range
 * table entry varno, which is the relation relid?
 */
extern bool plan_bound_match_expr(Node *expr, Index varno, Oid relid, BoundKind *kind);

/*
 * Is the clause a bound?  If so, its value contains no column of the relation
 * and no volatile function.
 */
extern bool plan_bound_match_clause(PlannerInfo *root, RelOptInfo *rel, Expr *clause,
									Bound *bound);

/*
 * May the bound be applied before the relation's other conditions?  Row-level
 * security and security barriers can forbid that.
 */
extern bool plan_bound_is_secure(RestrictInfo *rinfo, RelOptInfo *rel, const Bound *bound);

/* narrow the range by a bound; false if the range becomes empty */
extern bool plan_bound_apply(BoundKind kind, int strategy, Oid value_type, Datum value,
							 bool isnull, Relation stream, LogMessageRange *range);

/* ---- path.c: paths of streams ---- */

extern void plan_add_stream_paths(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte);

/* ---- range_scan.c: the custom scan of a stream ---- */

#define RANGE_SCAN_NAME	"Stream Scan"

extern CustomPath *plan_range_scan_path(RelOptInfo *rel, bool backward);
extern void plan_range_scan_init(void);

/* ---- message_scan.c: custom scans of read(), consume(), consume_as() ---- */

extern void plan_add_message_path(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte);
extern void plan_message_scan_init(void);

/*
 * From now on, return rows as slots of plan_send_slot_store().  Returns false
 * if the scan cannot: it is another one, or computes expressions.
 */
extern bool plan_message_scan_send(CustomScanState *css, const int16 *formats);
extern void plan_message_scan_stop_sending(CustomScanState *css);

/* ---- send.c: rows of a message scan on their way to the client ---- */

/*
 * A slot for messages that go to the client, with the columns of the plan's
 * target list in these formats (NULL: text).  NULL if the list has other things
 * than columns of the scan.
 */
extern TupleTableSlot *plan_send_slot_create(ScanState *ss, const int16 *formats);
extern TupleTableSlot *plan_send_slot_store(TupleTableSlot *slot, const MessageRow *message);
extern void plan_send_init(void);

#endif
