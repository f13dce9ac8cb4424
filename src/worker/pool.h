/*
 * jobs.h
 *	  The jobs of a database, and which worker takes which next.
 */
#ifndef STREAMQ_JOBS_H
#define STREAMQ_JOBS_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "worker/worker_shared.h"

/* how a worker's turn with its job ended */
typedef enum JobOutcome
{
	TURN_NONE,					/* there was none: the worker slept */
	TURN_MORE,					/* there is more to do */
	TURN_CAUGHT_UP,
	TURN_BUSY,					/* somebody has what it needs locked */
	TURN_FAILED,
	TURN_CANCELED,
	TURN_GONE					/* no such job, or it is paused */
} JobOutcome;

/* ---- shared memory, at the server's start ---- */

extern Size worker_pool_shared_size(int nslots);
extern void worker_pool_init_shared(void);

/* ---- scheduler ---- */

/* scheduler and job workers, once, after worker_start */
extern void worker_pool_attach(void);

/* the jobs are these (JobInfo) from now on; those that are not enabled do not count */
extern void worker_pool_set_list(List *jobs);

/* how many there are */
extern int	worker_pool_count(void);

/*
 * Wake workers for the jobs that wait.  Returns the time until one has to be
 * looked at unasked, in ms, -1 if none has.
 */
extern long worker_pool_tend(TimestampTz now);

/*
 * Long batches: end those that are to end, and those somebody waits for.
 * Their workers wake the scheduler for it (watch.c).  Returns the time until
 * the next look, in ms, -1 if there need be none.
 */
extern long worker_watch_batches(TimestampTz now);

/* ---- job worker ---- */

/*
 * End the turn with the job the worker has, and begin the next: with the job
 * that waits longest.  seen is the doorbell's count from before the turn.
 * False: there is nothing to do for *timeout ms, unless the worker is woken, or
 * the doorbell of its job rings.
 */
extern bool worker_pool_next(JobOutcome outcome, uint64 seen, long *timeout);

/* the limit for a batch of the worker's job, ms; 0 if there is none */
extern int	worker_pool_timeout(void);

/* a batch of the worker's job begins, has ended: why it was to end early */
extern void worker_watch_begin(int timeout_ms);
extern WorkerCancel worker_watch_end(bool *timed_out);

/* the process ends; caller has the lock */
extern void worker_pool_leave(WorkerSlot *slot);

/* ---- everybody ---- */

/* the doorbell rang of a stream that jobs without a worker read */
extern void worker_pool_rung(void);

#endif
