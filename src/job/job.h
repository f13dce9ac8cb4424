/*
 * job.h
 *	  Continuous jobs: what other parts see of them.
 *
 * A job is a row of streamq.job (job_catalog.h).  worker/ decides which process
 * runs it and when; job_run() runs one batch through the functions of the job's
 * kind (job_kind.h).
 */
#ifndef STREAMQ_JOB_H
#define STREAMQ_JOB_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

/* rows of a batch that a worker runs, at most */
#define JOB_BATCH_ROWS	50000

/* ms after which a worker's batch takes no more rows: others have their turn */
#define JOB_BATCH_TIME	100

typedef struct JobInfo
{
	int32		job_id;
	Oid			source;			/* the stream it reads */
	bool		enabled;		/* not paused */
	int			timeout;		/* for a batch, ms: 0 none, -1 as the setting */
} JobInfo;

typedef enum JobBatchResult
{
	JOB_GONE,					/* dropped or paused: leave it alone */
	JOB_BUSY,					/* what it needs is locked: try again later */
	JOB_CAUGHT_UP,				/* nothing more to do now */
	JOB_MORE					/* call again at once */
} JobBatchResult;

/* from _PG_init */
extern void job_init(void);

/* ---- running ---- */

/*
 * Run one batch of a job in the caller's transaction (READ COMMITTED, no
 * snapshot pushed), which the caller commits.  Positions, state, results and
 * counters advance together.  Errors are the caller's to catch: it aborts,
 * calls job_note_error in a new transaction, and backs off.
 * ERRCODE_OBJECT_IN_USE if the job's own query calls this.
 */
extern JobBatchResult job_run(int32 job_id, int64 max_rows, bool wait, int64 *rows);

/*
 * The same for a worker: waits for no lock on what the job works on, and takes
 * about JOB_BATCH_TIME at most, if the rows allow it.
 */
extern JobBatchResult job_run_batch(int32 job_id);

/* are we called by the query of this job, or of any? */
extern bool job_is_running_here(int32 job_id);
extern bool job_any_running_here(void);

/* put the settings of a job into effect, for the rest of the GUC nest level */
extern void job_apply_settings(ArrayType *settings);

/* a duration of days and smaller units, not negative, else 22023 */
extern void job_check_duration(const Interval *value, const char *arg);

/* owner of a relation as other commands see it; invalid if there is none */
extern Oid	job_relation_owner(Oid relid);

/* ---- jobs of this database ---- */

/* is this the view of a continuous view? */
extern bool job_is_view(Oid relid);

/* all jobs of this database, as JobInfo; in a transaction */
extern List *job_list(void);

/* record a failure of the whole batch: counted, shown in streamq.jobs */
extern void job_note_error(int32 job_id, int sqlerrcode, const char *message);

/* ---- the processes that run jobs ---- */

typedef struct JobProcesses
{
	/* after commit the set of jobs, or what they read, is looked at again */
	void		(*jobs_changed) (void);

	/* end the batch that a process runs of the job now; false if none does */
	bool		(*cancel_batch) (int32 job_id);
} JobProcesses;

/* from _PG_init */
extern void job_register_processes(const JobProcesses *processes);

/* the jobs of this database were changed by this transaction */
extern void job_note_changed(void);

/*
 * Ask the process that runs a batch of the job now to end it.  False if none
 * does.  What the batch has done is rolled back; the job is tried again later.
 */
extern bool job_cancel_batch(int32 job_id);

#endif
