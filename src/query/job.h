/*
 * job.h
 *	  Continuous jobs as the workers see them.
 *
 * A job is a row of streamq.job: a continuous view today.  The worker part
 * decides which process runs it and when; this part runs one batch.
 */
#ifndef STREAMQ_JOB_H
#define STREAMQ_JOB_H

#include "postgres.h"

#include "nodes/pg_list.h"

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

/* is this the view of a continuous view? */
extern bool job_is_view(Oid relid);

/* all jobs of this database, as JobInfo; in a transaction */
extern List *job_list(void);

/*
 * Lower each of npartitions offsets to what the slowest job of the stream has
 * processed, paused ones included.
 */
extern void job_least_processed(Oid source, int npartitions, int64 *offsets);

/*
 * Run one micro-batch in the caller's transaction (READ COMMITTED, no snapshot
 * pushed), which the caller commits.  Waits for no lock on what it works on, and
 * takes about JOB_BATCH_TIME at most, if the rows allow it.  Advances the job's position, its state,
 * results and counters together.  Errors are the caller's to catch: it aborts,
 * calls job_note_error in a new transaction, and backs off.
 */
extern JobBatchResult job_run_batch(int32 job_id);

/* record a failure of the whole batch: counted, shown in streamq.jobs */
extern void job_note_error(int32 job_id, int sqlerrcode, const char *message);

/* from _PG_init: the hook that removes a job when its view is dropped */
extern void job_init(void);

/*
 * Windows closed by batches of this transaction, for the notifier: filled by
 * job_run_batch through notify_note_closed (worker/notify.h).
 */

#endif
