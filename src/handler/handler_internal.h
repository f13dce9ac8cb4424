/*
 * handler_internal.h
 *	  What the files of handler/ share.
 */
#ifndef STREAMQ_HANDLER_INTERNAL_H
#define STREAMQ_HANDLER_INTERNAL_H

#include "postgres.h"

#include "nodes/parsenodes.h"

#include "job/job_kind.h"

/* ---- handler_function.c ---- */

/* the function of a handler */
typedef struct HandlerFunction
{
	Oid			funcid;
	Oid			message_type;	/* streamq.message */
	bool		takes_array;	/* takes many messages in one call */
} HandlerFunction;

/*
 * Look at a function.  Fails with 42883 if it does not exist, and with 42809
 * if it cannot handle messages.
 */
extern void handler_check_function(HandlerFunction *function, Oid funcid);

/* the query of the handler's view, and the function in it; InvalidOid: none */
extern Query *handler_make_query(Oid stream, const HandlerFunction *function);
extern Oid	handler_find_function(Query *query);

/* ---- handler_batch.c: functions of the kind (job/job_kind.h) ---- */

extern void *handler_load(JobBatch *batch);
extern void handler_begin_round(JobRound *round);
extern void handler_take_row(JobRound *round, JobInput *input);
extern bool handler_take_bad_row(JobRound *round, JobInput *input, const JobBadRow *bad);
extern void handler_flush_round(JobRound *round);
extern bool handler_finish(JobBatch *batch);

#endif
