/*
 * plan.h
 *	  What the planner knows about streams.
 *
 * Scans of streams that are bounded by streamq.msg_id(tableoid, ctid) or
 * streamq.produced_at(tableoid, ctid), or wanted in the order of msg_id, become a
 * custom scan that reads that part of the log only and in order.  read() in FROM
 * becomes one that hands out messages as they are read, instead of
 * collecting all of them first.
 */
#ifndef STREAMQ_PLAN_H
#define STREAMQ_PLAN_H

#include "postgres.h"

/* setting streamq.enable_stream_scan */
extern PGDLLIMPORT bool streamq_enable_stream_scan;

/* from _PG_init: setting, planner hook, scan methods */
extern void plan_init(void);

#endif
