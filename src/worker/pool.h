/*
 * pool.h
 *	  The jobs of a database, which worker takes which next, and long batches.
 */
#ifndef STREAMQ_WORKER_POOL_H
#define STREAMQ_WORKER_POOL_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "worker/worker_shared.h"

/* how a worker's turn with its job ended */
typedef enum WorkerOutcome
{
	TURN_NONE,					/* there was no turn: the worker slept */
	TURN_MORE,					/* there is more to do */
	TURN_CAUGHT_UP,
	TURN_BUSY,					/* a lock was not available */
	TURN_FAILED,
	TURN_CANCELED,
	TURN_GONE					/* no such job, or it is paused */
} WorkerOutcome;

/* ---- shared memory, at the server's start ---- */

extern Size worker_pool_shared_size(int nslots);
extern void worker_pool_init_shared(void);

/* ---- scheduler ---- */

/* called once by schedulers and job workers, after worker_start */
extern void worker_pool_attach(void);

/* replace the list of jobs (JobInfo); jobs that are not enabled are left out */
extern void worker_pool_set_list(List *jobs);

/* functions of the kind of job workers (WorkerKindInfo) */
extern void worker_pool_look(void);
extern int	worker_pool_wanted(void);

/*
 * Wake workers for jobs that are due.  Returns the time until the next one
 * becomes due without a ring, in ms, -1 if there is none.
 */
extern long worker_pool_tend(TimestampTz now);

/*
 * Cancel long batches that somebody waits for, and signal those again that were
 * canceled but go on.  Their workers wake the scheduler for it (watch.c).
 * Returns the time until the next call, in ms, -1 if none is needed.
 */
extern long worker_watch_batches(TimestampTz now);

/* ---- job worker ---- */

/* counts of the doorbells of a job's sources */
typedef struct WorkerSeen
{
	uint64		source;
	uint64		other_source;
} WorkerSeen;

/*
 * End the turn with the worker's job, and begin the next turn with the job that
 * has waited longest.  seen has the doorbells' counts from before the turn.
 * due is when the job wants its next turn even if no doorbell rings; 0: never.
 * False if there is nothing to do: then the worker sleeps for *timeout ms, or
 * until it is woken or the doorbell of its job rings.
 */
extern bool worker_pool_next(WorkerOutcome outcome, WorkerSeen seen, TimestampTz due,
							 long *timeout);

/*
 * How many processes may help with the batch of this worker?  Jobs that wait
 * for a worker go first.  Helpers count as workers until the turn ends.
 */
extern int	worker_pool_take_helpers(int most);

/* the time limit of a batch of the worker's job, ms; 0: none */
extern int	worker_pool_timeout(void);

/*
 * Have at least two workers in a row ended in a batch of the worker's job?  A
 * single one may have been ended from outside.
 */
extern bool worker_pool_job_kills(void);

/* a batch of the worker's job begins; has ended: was it canceled, and why? */
extern void worker_watch_begin(int timeout_ms);
extern WorkerCancel worker_watch_end(bool *timed_out);

/* the process ends; the caller holds the lock */
extern void worker_pool_leave(WorkerSlot *slot);

/* ---- everybody ---- */

/* a doorbell rang that counts jobs without a worker */
extern void worker_pool_rung(void);

#endif
