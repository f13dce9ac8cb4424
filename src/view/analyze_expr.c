/*
 * analyze_expr.c
 *	  Expressions in the query of a continuous view: checks, grouping keys,
 *	  aggregates.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_agg.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "compat.h"
#include "view/agg.h"
#include "view/analyze.h"
#include "view/analyze_internal.h"
#include "view/collect.h"

static bool
is_volatile(Oid func, void *context)
{
	if (func_volatile(func) != PROVOLATILE_VOLATILE)
		return false;
	*(Oid *) context = func;
	return true;
}

static bool
volatile_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_volatile, context))
		return true;
	return expression_tree_walker(node, volatile_walker, context);
}

void
view_refuse_volatile(Node *node)
{
	Oid			func = InvalidOid;

	if (volatile_walker(node, &func))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use volatile function \"%s\" in a continuous view",
						get_func_name(func))));
}

static bool
is_clock(Oid func, void *context)
{
	return func == F_NOW || func == F_TRANSACTION_TIMESTAMP ||
		func == F_STATEMENT_TIMESTAMP;
}

/*
 * An expression over a row is evaluated once, when the job reads the row.  So
 * it must not depend on that time, or on the role that runs the job.
 */
static bool
row_expression_walker(Node *node, void *context)
{
	ViewQuery  *vq = context;

	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		view_refuse("the current time or user in an expression over rows", NULL);
	if (check_functions_in_node(node, is_clock, NULL))
		view_refuse("the current time in an expression over rows",
					"Compare with the current time when you read the view.");
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == vq->source_rti && var->varattno < 0 &&
			var->varattno != SelfItemPointerAttributeNumber &&
			var->varattno != TableOidAttributeNumber)
			view_refuse("this system column", "Streams have \"ctid\" and \"tableoid\" only.");
		if (var->varno == vq->window_rti && var->varattno <= 0)
			view_refuse("the window's row as a whole",
						"Name window_start and window_end.");
		/* rows that come later may change them */
		if (var->varno == vq->window_rti && view_is_merging(vq))
			view_refuse("window_start or window_end of a session in an expression over rows",
						"Use them in GROUP BY, in the select list or in HAVING.");
		if (list_member_int(vq->tables, var->varno) && var->varattno < 0)
			view_refuse("a system column of a table", NULL);
		return false;
	}
	if (IsA(node, Aggref) || IsA(node, WindowFunc))
		view_refuse("an aggregate within an expression over rows", NULL);
	return expression_tree_walker(node, row_expression_walker, context);
}

void
view_check_row_expression(ViewQuery *vq, Node *node)
{
	(void) row_expression_walker(node, vq);
	view_refuse_volatile(node);
}

bool
view_uses(Node *node, Index rti)
{
	Bitmapset  *attrs = NULL;

	pull_varattnos(node, rti, &attrs);
	return !bms_is_empty(attrs);
}

bool
view_uses_tables(const ViewQuery *vq, Node *node)
{
	ListCell   *lc;

	foreach(lc, vq->tables)
	{
		if (view_uses(node, lfirst_int(lc)))
			return true;
	}
	return false;
}

static bool
aggregates_use_window_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
		return view_uses(node, *(Index *) context);
	return expression_tree_walker(node, aggregates_use_window_walker, context);
}

bool
view_rows_use_window(ViewQuery *vq)
{
	Index		rti = vq->window_rti;
	ListCell   *lc;

	if (view_uses((Node *) vq->where, rti) ||
		aggregates_use_window_walker((Node *) vq->query->targetList, &rti) ||
		aggregates_use_window_walker(vq->query->havingQual, &rti))
		return true;
	foreach(lc, vq->query->groupClause)
	{
		Node	   *expr = get_sortgroupclause_expr(lfirst(lc), vq->query->targetList);

		if (view_uses(expr, rti) &&
			(view_uses(expr, vq->source_rti) || view_uses_tables(vq, expr)))
			return true;
	}
	return false;
}

void
view_refuse_aggregate(Aggref *aggref, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot use aggregate %s in a continuous view",
					format_procedure(aggref->aggfnoid)),
			 errdetail("%s", why)));
}

/* add an aggregate; refuse it if neither its state nor its input can be stored */
static void
add_aggregate(ViewQuery *vq, Aggref *aggref)
{
	HeapTuple	tup;
	Form_pg_aggregate form;
	Oid			argtypes[FUNC_MAX_ARGS];
	int			nargs;
	ViewAgg    *agg;
	ListCell   *lc;

	foreach(lc, vq->aggs)
	{
		if (equal(((ViewAgg *) lfirst(lc))->aggref, aggref))
			return;
	}

	view_check_row_expression(vq, (Node *) aggref->args);
	view_check_row_expression(vq, (Node *) aggref->aggfilter);

	agg = palloc0(sizeof(ViewAgg));
	agg->aggref = aggref;

	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tup);
	nargs = get_aggregate_argtypes(aggref, argtypes);
	agg->transtype = resolve_aggregate_transtype(aggref->aggfnoid,
												 form->aggtranstype,
												 argtypes, nargs);
	agg->internal = agg->transtype == INTERNALOID;
	if (view_must_collect(aggref, agg->transtype, form, view_is_merging(vq) || vq->merged))
		view_collect_inputs(agg);
	ReleaseSysCache(tup);

	if (agg->collected)
		vq->collects = true;
	else if (agg->internal)
		agg->storedtype = view_agg_state_type();
	else
	{
		agg->storedtype = agg->transtype;
		if (OidIsValid(get_typcollation(agg->transtype)))
			agg->storedcollation = OidIsValid(aggref->aggcollid) ? aggref->aggcollid :
				OidIsValid(aggref->inputcollid) ? aggref->inputcollid :
				get_typcollation(agg->transtype);
	}
	vq->aggs = lappend(vq->aggs, agg);
}

static bool
collect_aggregates_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		add_aggregate(context, (Aggref *) node);
		return false;
	}
	if (IsA(node, GroupingFunc))
		view_refuse("GROUPING", NULL);
	return expression_tree_walker(node, collect_aggregates_walker, context);
}

void
view_collect_aggregates(ViewQuery *vq, Node *node)
{
	(void) collect_aggregates_walker(node, vq);
}

void
view_add_group_expression(ViewQuery *vq, SortGroupClause *clause, bool *has_window)
{
	Node	   *expr = get_sortgroupclause_expr(clause, vq->query->targetList);
	ViewKey    *key;

	if (IsA(expr, Var) && ((Var *) expr)->varno == vq->window_rti &&
		((Var *) expr)->varattno > 0)
	{
		*has_window = true;
		return;
	}
	view_check_row_expression(vq, expr);
	/* what follows from the window makes no groups of its own */
	if (vq->sliced && view_uses(expr, vq->window_rti))
		return;

	key = palloc0(sizeof(ViewKey));
	key->expr = (Expr *) expr;
	key->type = exprType(expr);
	key->typmod = exprTypmod(expr);
	key->collation = exprCollation(expr);
	key->clause = clause;
	if (get_typtype(key->type) == TYPTYPE_PSEUDO)
		view_refuse("GROUP BY of a row", "Group by its columns.");
	if (OidIsValid(get_typcollation(key->type)) && !OidIsValid(key->collation))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_COLLATION),
				 errmsg("could not determine which collation to use for GROUP BY"),
				 errhint("Use the COLLATE clause to set the collation explicitly.")));
	vq->keys = lappend(vq->keys, key);
}
