/*
 * worker.h
 *	  Background processes: one launcher for the server, for each database
 *	  with the extension a scheduler and a notifier, and job workers from a
 *	  bounded pool.
 */
#ifndef STREAMQ_WORKER_H
#define STREAMQ_WORKER_H

#include "postgres.h"

/* settings */
extern int	worker_naptime;		/* ms, streamq.naptime */
extern int	worker_notify_interval; /* ms, streamq.notify_interval */
extern int	worker_max_per_database;	/* streamq.max_workers_per_database */
extern int	worker_job_timeout; /* ms, streamq.job_timeout */

/* from _PG_init: registers the launcher */
extern void worker_init(void);
extern void worker_shmem_request(void);
extern void worker_shmem_startup(void);

/*
 * The set of jobs of this database changed in this transaction: the scheduler
 * looks again after commit.
 */
extern void worker_note_jobs_changed(void);

/*
 * CREATE EXTENSION ran here: after commit the launcher starts this database's
 * scheduler.  (Called from the SQL function the install script ends with.)
 */
extern void worker_note_extension_created(void);

/* a stream here is above its limit: the maintenance process looks at once */
extern void worker_nudge_maintenance(void);

/* pid of the worker that runs the job now in this database, 0 if none does */
extern int	worker_job_pid(int32 job_id);

/*
 * What the enabled jobs of this database wait for when there is no worker for
 * them, in words; NULL if nothing is in their way.
 */
extern char *worker_job_waits_for(void);

/*
 * Ask the worker that runs a batch of the job now to end it.  False if none
 * does.  What the batch has done is rolled back; the job is tried again later.
 */
extern bool worker_cancel_job(int32 job_id);

/*
 * Wait until the job's worker has had a chance to run again, at most
 * timeout_ms: for wait_until_caught_up.  Serves interrupts.
 */
extern void worker_wait_progress(int32 job_id, long timeout_ms);

/* called by the job worker after each committed batch */
extern void worker_signal_progress(int32 job_id);

#endif
