/*
 * view_define.h
 *	  Making the objects of a continuous view.
 */
#ifndef STREAMQ_VIEW_DEFINE_H
#define STREAMQ_VIEW_DEFINE_H

#include "postgres.h"

#include "nodes/parsenodes.h"

#include "view/analyze.h"

/* the query of the view over its state table */
extern Query *view_make_query(ViewQuery *vq, Oid state);

/* the view depends on what the query names, the state table on the view */
extern void view_record_dependencies(Oid view, Oid state, Query *query);

/* a query without GROUP BY has one row from the start */
extern void view_store_single_group(ViewQuery *vq, Oid state_oid);

#endif
