/*
 * collect.h
 *	  Aggregates that keep their input instead of a state.
 */
#ifndef STREAMQ_VIEW_COLLECT_H
#define STREAMQ_VIEW_COLLECT_H

#include "postgres.h"

#include "catalog/pg_aggregate.h"

#include "view/analyze.h"

/*
 * Must the aggregate keep its input?  `merged` says that a group may have
 * several states, which must be merged.
 */
extern bool view_must_collect(Aggref *aggref, Oid transtype, Form_pg_aggregate form, bool merged);

/*
 * Find the columns of the aggregate's input.  Fails with 0A000 if they have a
 * type that cannot be stored.
 */
extern void view_collect_inputs(ViewAgg *agg);

/*
 * Make the value of the aggregate: a subquery over the collected input, with
 * the given expression of type streamq.aggregate_input.  Direct arguments are
 * already rewritten to expressions of the outer query.
 */
extern Node *view_collected_expression(ViewAgg *agg, Oid state, Node *input, List *directargs);

/*
 * Prepare a query over the state table for such values: it reads rows of
 * groups, not chunks, and has subqueries.  The state table is the first
 * relation of the query.
 */
extern void view_exclude_chunks(ViewQuery *vq, Query *query);

#endif
