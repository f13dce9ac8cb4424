/*
 * plan.h
 *	  Custom scans of streams, and of read() and consume() in FROM.
 *
 * A scan of a stream reads in the order of msg_id.  Conditions on
 * streamq.msg_id(tableoid, ctid), streamq.produced_at(tableoid, ctid) or ctid
 * limit it to a part of the log.  The scans of read() and consume() return
 * messages one by one, instead of forming all of them first.
 */
#ifndef STREAMQ_PLAN_H
#define STREAMQ_PLAN_H

#include "postgres.h"

#include "fmgr.h"

/* setting streamq.enable_stream_scan */
extern bool plan_enable_stream_scan;

/* functions that the planner recognizes by the C function they call */
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
