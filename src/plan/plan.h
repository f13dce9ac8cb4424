/*
 * plan.h
 *	  What the planner knows about streams.
 *
 * Scans of streams become a custom scan.  Bounded by streamq.msg_id(tableoid, ctid),
 * streamq.produced_at(tableoid, ctid) or ctid, it reads that part of the log only; it
 * reads in the order of msg_id.  read() and consume() in FROM become scans that hand out
 * messages one by one, instead of forming all of them first.
 */
#ifndef STREAMQ_PLAN_H
#define STREAMQ_PLAN_H

#include "postgres.h"

/* setting streamq.enable_stream_scan */
extern PGDLLIMPORT bool streamq_enable_stream_scan;

/* from _PG_init: setting, planner hook, scan methods */
extern void plan_init(void);

#endif
