/*
 * path.c
 *	  Paths for scans of streams, with their costs and numbers of rows.
 *
 * If the value of a bound is known at plan time, the number of rows is not
 * estimated but looked up in the log's directory, which costs a few page
 * accesses.  The planner's own estimate of the relation's rows is corrected
 * with it.
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_opfamily_d.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

#include "compat.h"
#include "log/log.h"
#include "log/scan.h"
#include "plan/plan_internal.h"

/* cost of a page visited in the search for an offset, in cpu_operator_cost */
#define DESCENT_COST	10.0

/*
 * Cost of a row of a Stream Scan, in cpu_tuple_cost.  It is less than 1 because
 * the scan decodes the wanted columns directly from the page.
 */
#define STREAM_ROW_COST	0.8

/* what a set of conditions on one stream amounts to */
typedef struct RangeEstimate
{
	int			nbounds;
	List	   *filters;		/* RestrictInfos that are no bounds */
	double		rows;			/* within the bounds */
	double		npartitions;	/* that are visited */
} RangeEstimate;

/* selectivity of bounds whose values are not known at plan time */
static double
unknown_selectivity(int nlower, int nupper)
{
	if (nlower > 0 && nupper > 0)
		return DEFAULT_RANGE_INEQ_SEL;
	return nlower + nupper > 0 ? DEFAULT_INEQ_SEL : 1.0;
}

/* sort conditions into bounds and filters, and estimate what the bounds leave */
static void
estimate_range(PlannerInfo *root, RelOptInfo *rel, Relation stream,
			   List *clauses, RangeEstimate *est)
{
	LogMessageRange range = LOG_WHOLE_RANGE;
	bool		empty = false;
	bool		one = false;
	int			nlower[BOUND_KINDS] = {0};
	int			nupper[BOUND_KINDS] = {0};
	int			npartitions = 0;
	ListCell   *lc;

	memset(est, 0, sizeof(RangeEstimate));
	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Bound		bound;
		Node	   *value;

		if (rinfo->pseudoconstant ||
			!plan_bound_match_clause(root, rel, rinfo->clause, &bound) ||
			!plan_bound_is_secure(rinfo, rel, &bound))
		{
			est->filters = lappend(est->filters, rinfo);
			continue;
		}
		est->nbounds++;

		value = estimate_expression_value(root, (Node *) bound.value);
		if (IsA(value, Const))
		{
			Const	   *con = (Const *) value;

			if (!plan_bound_apply(bound.kind, bound.strategy, bound.value_type,
								  con->constvalue, con->constisnull, stream, &range))
				empty = true;
		}
		else if (bound.strategy == BTEqualStrategyNumber)
		{
			if (bound.kind == BOUND_MSG_ID)
				one = true;
			nlower[bound.kind]++;
			nupper[bound.kind]++;
		}
		else if (bound.strategy == BTLessStrategyNumber ||
				 bound.strategy == BTLessEqualStrategyNumber)
			nupper[bound.kind]++;
		else
			nlower[bound.kind]++;
	}

	if (!empty)
		est->rows = log_range_count(stream, &range, &npartitions);
	est->npartitions = npartitions;
	for (int kind = 0; kind < BOUND_KINDS; kind++)
		est->rows *= unknown_selectivity(nlower[kind], nupper[kind]);
	if (one)
	{
		est->rows = Min(est->rows, 1);
		est->npartitions = Min(est->npartitions, 1);
	}
}

/*
 * Cost of reading a range of `rows` neighbouring rows.
 *
 * The scan reads the range's share of the file.  To find the first page it
 * descends through the directory and searches one extent.  These pages are
 * nearly always cached, so they are charged as computation, as B-trees do.  The
 * charge is small, because a sequential scan begins with the same search.
 *
 * The search is not counted as start-up cost.  Otherwise, under a LIMIT, a
 * sequential scan would look cheaper although it finds nothing before it gets
 * to the range.
 */
static void
cost_range(Path *path, PlannerInfo *root, RelOptInfo *rel, double rows,
		   double npartitions, double row_cost, List *filters)
{
	double		fraction = rel->tuples > 0 ? Min(rows / rel->tuples, 1.0) : 1.0;
	double		pages = Max(ceil(fraction * rel->pages), 1.0);
	double		descent;
	double		random_page_cost;
	double		seq_page_cost;
	QualCost	qual;
	Cost		run;

	get_tablespace_page_costs(rel->reltablespace, &random_page_cost, &seq_page_cost);
	descent = (2 + ceil(log(Max(rel->pages, 2)) / log(2))) *
		DESCENT_COST * cpu_operator_cost;
	cost_qual_eval(&qual, filters, root);

	run = seq_page_cost * pages + descent * Max(npartitions, 1);
	/* no seek is charged where most of the stream is read anyway */
	if (fraction < 0.5 && rel->pages > 16)
		run += random_page_cost - seq_page_cost;
	run += (row_cost * cpu_tuple_cost + qual.per_tuple) * rows;

	path->startup_cost = qual.startup + path->pathtarget->cost.startup;
	path->total_cost = path->startup_cost + run +
		path->pathtarget->cost.per_tuple * path->rows;
}

/* cost of reading the whole stream: as a sequential scan, with cheaper rows */
static void
cost_whole(Path *path, PlannerInfo *root, RelOptInfo *rel, List *filters)
{
	double		seq_page_cost;
	QualCost	qual;

	get_tablespace_page_costs(rel->reltablespace, NULL, &seq_page_cost);
	cost_qual_eval(&qual, filters, root);
	path->startup_cost = qual.startup + path->pathtarget->cost.startup;
	path->total_cost = path->startup_cost + seq_page_cost * rel->pages +
		(STREAM_ROW_COST * cpu_tuple_cost + qual.per_tuple) * rel->tuples +
		path->pathtarget->cost.per_tuple * path->rows;
}

/* is msg_id of this relation's rows a member of the equivalence class? */
static bool
ec_has_msg_id(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec)
{
	Oid			relid = planner_rt_fetch(rel->relid, root)->relid;
	EquivalenceMemberIterator it;
	EquivalenceMember *em;

	if (ec->ec_has_volatile)
		return false;
	setup_eclass_member_iterator(&it, ec, rel->relids);
	while ((em = eclass_member_iterator_next(&it)) != NULL)
	{
		BoundKind	kind;

		if (!em->em_is_const && bms_equal(em->em_relids, rel->relids) &&
			plan_bound_match_expr((Node *) em->em_expr, rel->relid, relid, &kind) &&
			kind == BOUND_MSG_ID)
			return true;
	}
	return false;
}

static void
add_range_path(PlannerInfo *root, RelOptInfo *rel, const RangeEstimate *est,
			   List *pathkeys, bool backward)
{
	CustomPath *path = plan_range_scan_path(rel, backward);

	path->path.pathkeys = pathkeys;
	path->path.rows = rel->rows;
	if (est->nbounds > 0)
		cost_range(&path->path, root, rel, est->rows, est->npartitions, STREAM_ROW_COST,
				   est->filters);
	else
		cost_whole(&path->path, root, rel, est->filters);
	add_path(rel, (Path *) path);
}

/*
 * Add paths that are useful for their order: for ORDER BY msg_id, forward or
 * backward, and for merge joins by msg_id.  Returns true if a forward path was
 * added.
 */
static bool
add_ordered_paths(PlannerInfo *root, RelOptInfo *rel, const RangeEstimate *est)
{
	EquivalenceClass *wanted = NULL;
	bool		forward = false;
	ListCell   *lc;

	if (root->query_pathkeys != NIL)
	{
		PathKey    *key = linitial_node(PathKey, root->query_pathkeys);

		if (key->pk_opfamily == INTEGER_BTREE_FAM_OID &&
			ec_has_msg_id(root, rel, key->pk_eclass))
		{
			bool		ascending = COMPAT_PATHKEY_IS_ASCENDING(key);

			wanted = key->pk_eclass;
			add_range_path(root, rel, est, list_make1(key), !ascending);
			forward = ascending;
		}
	}

	/* merge joins by msg_id */
	if (rel->has_eclass_joins)
	{
		foreach(lc, root->eq_classes)
		{
			EquivalenceClass *ec = lfirst_node(EquivalenceClass, lc);

			if (ec->ec_merged == NULL && (ec != wanted || !forward) &&
				!ec->ec_has_const && list_length(ec->ec_members) > 1 &&
				list_member_oid(ec->ec_opfamilies, INTEGER_BTREE_FAM_OID) &&
				bms_overlap(ec->ec_relids, rel->relids) &&
				ec_has_msg_id(root, rel, ec))
			{
				PathKey    *key = make_canonical_pathkey(root, ec, INTEGER_BTREE_FAM_OID,
														 COMPAT_ASCENDING, false);

				add_range_path(root, rel, est, list_make1(key), false);
				forward = true;
			}
		}
	}
	return forward;
}

/* ---- inner sides of nested loops: bounds by values of another relation ---- */

static bool
ec_member_is_msg_id(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
					EquivalenceMember *em, void *arg)
{
	BoundKind	kind;

	return plan_bound_match_expr((Node *) em->em_expr, rel->relid,
								 planner_rt_fetch(rel->relid, root)->relid, &kind);
}

static void
add_parameterized_path(PlannerInfo *root, RelOptInfo *rel, Relation stream, Relids outer)
{
	ParamPathInfo *info = get_baserel_parampathinfo(root, rel, outer);
	CustomPath *path = plan_range_scan_path(rel, false);
	RangeEstimate est;

	estimate_range(root, rel, stream, list_concat_copy(rel->baserestrictinfo, info->ppi_clauses),
				   &est);
	path->path.param_info = info;
	path->path.rows = clamp_row_est(est.rows *
									clauselist_selectivity(root, est.filters, rel->relid,
														   JOIN_INNER, NULL));
	info->ppi_rows = path->path.rows;
	cost_range(&path->path, root, rel, est.rows, est.npartitions, STREAM_ROW_COST, est.filters);
	add_path(rel, (Path *) path);
}

/* add a path for each set of outer relations whose columns bound the scan */
static void
add_parameterized_paths(PlannerInfo *root, RelOptInfo *rel, Relation stream)
{
	List	   *outers = NIL;
	List	   *clauses = NIL;
	ListCell   *lc;

	if (rel->has_eclass_joins)
		clauses = generate_implied_equalities_for_column(root, rel, ec_member_is_msg_id,
														 NULL, rel->lateral_referencers);
	clauses = list_concat_copy(clauses, rel->joininfo);

	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Bound		bound;
		Relids		outer;
		ListCell   *seen;

		if (rinfo->pseudoconstant ||
			!plan_bound_match_clause(root, rel, rinfo->clause, &bound) ||
			!plan_bound_is_secure(rinfo, rel, &bound) ||
			!join_clause_is_movable_to(rinfo, rel))
			continue;
		outer = bms_union(rinfo->required_relids, rel->lateral_relids);
		outer = bms_del_member(outer, rel->relid);
		foreach(seen, outers)
		{
			if (bms_equal((Relids) lfirst(seen), outer))
				break;
		}
		if (seen != NULL)
			continue;
		outers = lappend(outers, outer);
		add_parameterized_path(root, rel, stream, outer);
	}
}

/* ---- sizes ---- */

static void
correct_rows(PlannerInfo *root, RelOptInfo *rel, const RangeEstimate *est)
{
	double		rows = clamp_row_est(est->rows *
									 clauselist_selectivity(root, est->filters, 0,
															JOIN_INNER, NULL));
	double		factor = rows / Max(rel->rows, 1);
	ListCell   *lc;

	rel->rows = rows;
	foreach(lc, rel->pathlist)
	{
		Path	   *path = lfirst(lc);

		if (path->param_info != NULL)
			continue;
		path->rows = rows;
		/* PostgreSQL took the blocks of the TIDs for blocks of the file */
		if (path->pathtype == T_TidRangeScan)
			cost_range(path, root, rel, est->rows, 1, 1.0, est->filters);
	}
	foreach(lc, rel->partial_pathlist)
	{
		Path	   *path = lfirst(lc);

		path->rows = clamp_row_est(path->rows * factor);
	}
}

void
plan_add_stream_paths(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	Relation	stream = table_open(rte->relid, NoLock);
	RangeEstimate est;

	if (!log_is_stream(stream))
	{
		table_close(stream, NoLock);
		return;
	}

	estimate_range(root, rel, stream, rel->baserestrictinfo, &est);
	if (est.nbounds > 0)
		correct_rows(root, rel, &est);
	if (rel->lateral_relids != NULL)
	{
		/* the output contains columns of other relations */
		if (est.nbounds > 0)
			add_parameterized_path(root, rel, stream, rel->lateral_relids);
	}
	else if (!add_ordered_paths(root, rel, &est))
		add_range_path(root, rel, &est, NIL, false);
	add_parameterized_paths(root, rel, stream);
	table_close(stream, NoLock);
}
