/*
 * query_internal.h
 *	  What the files of query/ share.
 */
#ifndef STREAMQ_QUERY_INTERNAL_H
#define STREAMQ_QUERY_INTERNAL_H

#include "postgres.h"

#include "query/query.h"

/* rows of the source in the query to be planned next; 0: none */
extern void query_set_planned_rows(double nrows);

/* rows for the scan in the plan to be started next */
extern void query_set_starting_rows(QueryRows *rows);

#endif
