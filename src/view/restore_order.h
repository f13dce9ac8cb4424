/*
 * restore_order.h
 *	  What a restore must load before a restored view is computed.
 */
#ifndef STREAMQ_RESTORE_ORDER_H
#define STREAMQ_RESTORE_ORDER_H

#include "postgres.h"

#include "nodes/parsenodes.h"

#include "job/job_catalog.h"

/* let pg_restore load all that the view reads before the state's trigger */
extern void view_order_restore(const JobRow *job, Query *query);

/* have all materialized views that the query reads been refreshed? */
extern bool view_is_readable(Query *query);

#endif
