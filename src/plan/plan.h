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

#include "fmgr.h"

/* setting streamq.enable_stream_scan */
extern bool plan_enable_stream_scan;

/* functions that the planner tells by the C function they call */
typedef enum PlanFunction
{
	PLAN_MSG_ID,				/* streamq.msg_id(tableoid, ctid) */
	PLAN_PRODUCED_AT,
	PLAN_READ,
	PLAN_CONSUME,
	PLAN_CONSUME_AS,
	PLAN_NFUNCTIONS
} PlanFunction;

/*
 * From _PG_init: planner hook, scan methods.  The array has the C function of
 * each PlanFunction.
 */
extern void plan_init(const PGFunction *functions);

#endif
