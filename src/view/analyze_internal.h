/*
 * analyze_internal.h
 *	  Declarations shared by the files that analyze a query.
 */
#ifndef STREAMQ_VIEW_ANALYZE_INTERNAL_H
#define STREAMQ_VIEW_ANALYZE_INTERNAL_H

#include "postgres.h"

#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"

#include "compat.h"
#include "view/analyze.h"

/* raise the error that a continuous view cannot use `what` (0A000) */
extern void view_refuse(const char *what, const char *hint) pg_attribute_noreturn();

extern void view_refuse_aggregate(Aggref *aggref, const char *why) pg_attribute_noreturn();

/* analyze_from.c: find the relations and the conditions of the FROM clause */
extern void view_find_relations(ViewQuery *vq);

/*
 * Refuse expressions that may have another value when the job reads a row than
 * when the row was written.
 */
extern void view_check_row_expression(ViewQuery *vq, Node *node);
extern void view_refuse_volatile(Node *node);

/* does an expression use columns of a range table entry? */
extern bool view_uses(Node *node, Index rti);
extern bool view_uses_tables(const ViewQuery *vq, Node *node);

/*
 * Do the window's columns appear in WHERE, in arguments of aggregates, or
 * together with the stream's columns in a GROUP BY expression?
 */
extern bool view_rows_use_window(ViewQuery *vq);

/* add a key to vq->keys; *has_window is set if it is the window instead */
extern void view_add_group_expression(ViewQuery *vq, SortGroupClause *clause, bool *has_window);

/* add the aggregates of an expression to vq->aggs */
extern void view_collect_aggregates(ViewQuery *vq, Node *node);

/* columns of the stream that the query reads, as in pull_varattnos() */
extern Bitmapset *view_source_columns(const ViewQuery *vq);

#endif
