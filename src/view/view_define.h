/*
 * view_define.h
 *	  Creating the objects of a continuous view.
 */
#ifndef STREAMQ_VIEW_DEFINE_H
#define STREAMQ_VIEW_DEFINE_H

#include "postgres.h"

#include "nodes/parsenodes.h"

#include "view/analyze.h"

/* make the query of the view, which reads its state table */
extern Query *view_make_query(ViewQuery *vq, Oid state);

/*
 * Make the call of streamq.aggregate_merge() that merges the states of
 * aggregate n in several rows of a group.  `sealed` is the column of that
 * name.
 */
extern Aggref *view_agg_merge_expression(ViewAgg *agg, int n, Expr *state, Expr *sealed);

/* the aggregate's argument types as a constant of type regtype[] */
extern Const *view_agg_argument_types(Aggref *aggref);

/*
 * record that the view depends on the objects in the query, and the state
 * table on the view
 */
extern void view_record_dependencies(Oid view, Oid state, Query *query);

/* store the one row of a query without GROUP BY */
extern void view_store_single_group(ViewQuery *vq, Oid state_oid);

#endif
