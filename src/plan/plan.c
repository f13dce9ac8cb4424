/*
 * plan.c
 *	  The planner hook, and what the custom scans share.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/explain.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "utils/guc.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "plan/plan.h"
#include "plan/plan_internal.h"

bool		plan_enable_stream_scan = true;

const PGFunction *plan_functions = NULL;

static set_rel_pathlist_hook_type prev_set_rel_pathlist = NULL;

/*
 * PostgreSQL sums up the rows of a table's children before this hook corrects
 * the estimates of those that are streams.  Sum them up again.
 */
static void
sum_children(PlannerInfo *root, RelOptInfo *rel)
{
	double		rows = 0;
	ListCell   *lc;

	foreach(lc, root->append_rel_list)
	{
		AppendRelInfo *info = lfirst_node(AppendRelInfo, lc);

		if (info->parent_relid == rel->relid)
		{
			RelOptInfo *child = find_base_rel(root, info->child_relid);

			if (!IS_DUMMY_REL(child))
				rows += child->rows;
		}
	}
	rel->rows = clamp_row_est(rows);
}

static void
plan_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	if (prev_set_rel_pathlist)
		prev_set_rel_pathlist(root, rel, rti, rte);
	if (!plan_enable_stream_scan || IS_DUMMY_REL(rel))
		return;

	if (rte->rtekind == RTE_FUNCTION)
		plan_add_message_path(root, rel, rte);
	else if (rte->rtekind == RTE_RELATION && rte->inh)
		sum_children(root, rel);
	else if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_RELATION &&
			 rte->tablesample == NULL &&
			 !bms_is_member(rti, root->all_result_relids))
		plan_add_stream_paths(root, rel, rte);
}

Node *
plan_make_state(Size size, const CustomExecMethods *methods, const TupleTableSlotOps *ops)
{
	CustomScanState *state = (CustomScanState *) newNode(size, T_CustomScanState);

	state->methods = methods;
	COMPAT_SET_CUSTOM_SLOT_OPS(state, ops);
	return (Node *) state;
}

void
plan_explain_expr(const char *label, Node *expr, CustomScan *plan, List *ancestors,
				  ExplainState *es)
{
	List	   *context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, ancestors);

	ExplainPropertyText(label,
						deparse_expression(expr, context,
										   list_length(es->rtable) > 1 || es->verbose, false),
						es);
}

void
plan_init(const PGFunction *functions)
{
	plan_functions = functions;
	plan_range_scan_init();
	plan_message_scan_init();
	plan_send_init();
	prev_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = plan_set_rel_pathlist;
}
