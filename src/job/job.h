/*
 * job.h
 *	  Continuous jobs: the interface for other folders.
 *
 * A job is a row of streamq.job (job_catalog.h).  worker/ decides which
 * process runs a job, and when.  job_run() runs one batch, using the functions
 * of the job's kind (job_kind.h).
 */
#ifndef STREAMQ_JOB_H
#define STREAMQ_JOB_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

/* most rows in a batch of a worker */
#define JOB_BATCH_ROWS	50000

/* ms after which a worker ends a batch, so that other jobs get their turn */
#define JOB_BATCH_TIME	100

/* setting streamq.work_mem, kB: memory for the rows of a batch */
extern int	job_work_mem;

/*
 * setting streamq.share_after, ms: several workers share the rows of a job
 * that would keep one busy for longer; -1: never
 */
extern int	job_share_after;

/* a job, as far as workers need to know it */
typedef struct JobInfo
{
	int32		job_id;
	Oid			source;			/* stream that the job reads */
	Oid			other_source;	/* second stream; InvalidOid: none */
	bool		enabled;		/* not paused */
	int			timeout;		/* ms for a batch; 0: no limit, -1: the
								 * setting */
} JobInfo;

/* result of a batch */
typedef enum JobBatchResult
{
	JOB_GONE,					/* dropped or paused */
	JOB_BUSY,					/* something it needs is locked: try again
								 * later */
	JOB_CAUGHT_UP,				/* nothing more to do now */
	JOB_MORE					/* call again at once */
} JobBatchResult;

/* called by _PG_init */
extern void job_init(void);

/* ---- running ---- */

/*
 * Run one batch of a job in the caller's transaction (READ COMMITTED, no
 * active snapshot), which the caller commits.  Positions, state, results and
 * counters change together.  *due is when the job must run again even if there is
 * no input; 0: never.
 *
 * If this raises an error, the caller aborts, calls job_note_error() in a new
 * transaction, and tries again later.  Fails with 55006 if called by the job's
 * own query.
 */
extern JobBatchResult job_run(int32 job_id, int64 max_rows, bool wait, int64 *rows,
							  TimestampTz *due);

/*
 * Run a batch in a worker: waits for no lock on the relations of the job, and
 * takes about JOB_BATCH_TIME, if the rows allow it.
 */
extern JobBatchResult job_run_batch(int32 job_id, TimestampTz *due);

/* are we called by the query of this job, or of any job? */
extern bool job_is_running_here(int32 job_id);
extern bool job_any_running_here(void);

/* set the settings of a job until the end of the GUC nest level */
extern void job_apply_settings(ArrayType *settings);

/*
 * fail with 22023 unless it has days and smaller units only, and is not
 * negative
 */
extern void job_check_duration(const Interval *value, const char *arg);

/* is a duration that was checked zero? */
extern bool job_is_zero(const Interval *value);

/* owner of a relation as other commands see it; InvalidOid if there is none */
extern Oid	job_relation_owner(Oid relid);

/* ---- jobs of this database ---- */

/* does this view belong to a job? */
extern bool job_is_view(Oid relid);

/* list the jobs of this database, as JobInfo; needs a transaction */
extern List *job_list(void);

/*
 * record the failure of a whole batch; it is counted, and shown in
 * streamq.jobs
 */
extern void job_note_error(int32 job_id, int sqlerrcode, const char *message);

/* ---- the processes that run jobs ---- */

/* functions of the folder that runs jobs (worker/) */
typedef struct JobProcesses
{
	/* after commit, read the jobs of this database again */
	void		(*jobs_changed) (void);

	/* cancel the batch of the job that a process runs; false if none does */
	bool		(*cancel_batch) (int32 job_id);

	/*
	 * In a worker: how many processes may help with its batch, at most
	 * `most`? They count as workers until the batch ends.
	 */
	int			(*take_helpers) (int most);
} JobProcesses;

/* called by _PG_init */
extern void job_register_processes(const JobProcesses *processes);

/* this transaction changed jobs of this database */
extern void job_note_changed(void);

/*
 * Ask the process that runs a batch of the job to end it; false if there is
 * none.
 *
 * The work of the batch is rolled back.  The job is tried again later.
 */
extern bool job_cancel_batch(int32 job_id);

/* how many processes may help with the batch that this worker runs? */
extern int	job_take_helpers(int most);

/* entry point of a process that helps with a batch (share.h) */
struct dsm_segment;
struct shm_toc;
extern PGDLLEXPORT void streamq_job_helper_main(struct dsm_segment *segment, struct shm_toc *toc);

#endif
