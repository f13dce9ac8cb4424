/*
 * view_define.h
 *	  Creating the objects of a continuous view.
 */
#ifndef STREAMQ_VIEW_DEFINE_H
#define STREAMQ_VIEW_DEFINE_H

#include "postgres.h"

#include "nodes/parsenodes.h"

#include "job/job_catalog.h"
#include "view/analyze.h"

/*
 * Create a continuous view and its job.  job->emit_into and job->late_stream
 * are set.  If there is a continuous view of this name and if_not_exists, a
 * NOTICE says so, and that view is returned.
 */
extern Oid	view_create(const char *name, char *text, JobRow *job, const JobOptions *options,
						bool if_not_exists);

/* make the query of the view, which reads its state table */
extern Query *view_make_query(ViewQuery *vq, Oid state);

/*
 * Make the query over the stream whose result the view has, from the query as
 * the user wrote it.
 */
extern Query *view_make_batch_query(Query *query);

/* whose rows a query of windows returns */
typedef enum ViewWindowChoice
{
	VIEW_CLOSED_WINDOWS,		/* of windows that end in ($1, $2] and start
								 * at $3 or later */
	VIEW_ONE_WINDOW				/* of the window from $1 to $2: groups with a
								 * hash in $3 (bigint[]) */
} ViewWindowChoice;

/*
 * Make a query of results in certain windows.  It has the columns
 * window_start, window_end, group_hash, the keys, and the columns of the view.
 * Its rows are ordered by the end of the window, then its start, then the
 * keys.
 */
extern Query *view_make_window_query(ViewQuery *vq, Oid state, ViewWindowChoice choice);

/*
 * Make the call of streamq.aggregate_merge() that merges the states of
 * aggregate n in several rows of a group.  `sealed` is the column of that
 * name.
 */
extern Aggref *view_agg_merge_expression(ViewAgg *agg, int n, Expr *state, Expr *sealed);

/* the aggregate's argument types as a constant of type regtype[] */
extern Const *view_agg_argument_types(Aggref *aggref);

/*
 * record that the view depends on the objects in the query and the streams
 * that it writes to, and its tables on the view
 */
extern void view_record_dependencies(const JobRow *job, Query *query);

/* the same without the query */
extern void view_tie(const JobRow *job);

/* store the one row of a query without GROUP BY */
extern void view_store_single_group(ViewQuery *vq, Oid state_oid);

#endif
