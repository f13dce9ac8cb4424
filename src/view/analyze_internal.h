/*
 * analyze_internal.h
 *	  What the files that analyze a query share.
 */
#ifndef STREAMQ_VIEW_ANALYZE_INTERNAL_H
#define STREAMQ_VIEW_ANALYZE_INTERNAL_H

#include "postgres.h"

#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"

#include "compat.h"
#include "view/analyze.h"

/* ERRCODE_FEATURE_NOT_SUPPORTED: cannot use "what" in a continuous view */
extern void view_refuse(const char *what, const char *hint) pg_attribute_noreturn();

/*
 * Refuse what may have another value when the job comes to a row than when the
 * row was written.
 */
extern void view_check_row_expression(ViewQuery *vq, Node *node);
extern void view_refuse_volatile(Node *node);

/* add to vq->keys, or note that the window is grouped by */
extern void view_add_group_expression(ViewQuery *vq, SortGroupClause *clause, bool *has_window);

/* add the aggregates of an expression to vq->aggs */
extern void view_collect_aggregates(ViewQuery *vq, Node *node);

/* columns of the stream that the query reads, in the manner of pull_varattnos */
extern Bitmapset *view_source_columns(const ViewQuery *vq);

#endif
