/*
 * job_kind.h
 *	  What a kind of job gives to the runner.
 *
 * The runner (runner.c) does what all jobs need: it locks what the job works
 * on, becomes the job's owner, reads the rows of the source in the order in
 * which they were appended, finds rows that fail, and writes positions and
 * counters.  A kind does something with each row.
 *
 * A batch is one transaction and consists of rounds, which are
 * subtransactions.  A round that fails is undone and partly done again, so
 * what a kind keeps in memory between two rows belongs to the round.
 */
#ifndef STREAMQ_JOB_KIND_H
#define STREAMQ_JOB_KIND_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "job/job.h"
#include "job/job_catalog.h"

typedef struct JobKind JobKind;

typedef enum JobRole
{
	JOB_SOURCE,					/* a stream that the job reads */
	JOB_TARGET,					/* what the job produces */
	JOB_STATE					/* what it keeps for itself */
} JobRole;

/* a relation that a job works on */
typedef struct JobRelation
{
	Oid			relid;
	JobRole		role;
	LOCKMODE	lockmode;		/* that a batch needs */
} JobRelation;

#define JOB_MAX_RELATIONS	8

/* a message that failed */
typedef struct JobBadRow
{
	int			partition;
	int64		off;
	int			sqlerrcode;
	char	   *message;
} JobBadRow;

/* what a batch knows, outside of its rounds */
typedef struct JobBatch
{
	const JobKind *kind;
	JobRow		job;
	Oid			owner;			/* as whom the rows are processed */
	Relation	source;
	int			npartitions;
	Snapshot	snapshot;		/* decides which rows of the stream there are */
	JobProgress *progress;		/* as of the last round that went through */
	JobStats	stats;
	void	   *loaded;			/* what the kind's load returned */

	/* of round.c */
	TimestampTz deadline;		/* a worker goes on to another job; 0: none */
	JobBadRow  *bad;			/* the next round begins with this row */
	int64		passed;			/* rows that went through */
	ErrorData  *doubt;			/* all doubtful errors are this one */
	bool		doubts_differ;
} JobBatch;

/* a partition of the source that has something to read */
typedef struct JobInput
{
	int			partition;
	TupleTableSlot *slot;
	bool		has_row;		/* slot holds a row that was not taken yet */
	int64		off;
	TimestampTz produced_at;

	/* of input.c */
	struct LogReader *reader;
	int64		expired;		/* offsets that expired before they were read */
} JobInput;

typedef struct JobRound
{
	JobBatch   *batch;
	JobProgress *progress;		/* as the batch's, changed by the round */
	JobStats	stats;
	MemoryContext mcxt;			/* everything of the round */
	void	   *state;			/* the kind's */
} JobRound;

/*
 * Unless said otherwise, functions are called with the rights and settings of
 * the job (batch->owner) and an active snapshot.
 */
struct JobKind
{
	const char *name;			/* streamq.job.kind */

	/*
	 * What the job works on, in the order in which it is to be locked;
	 * returns the number, at most JOB_MAX_RELATIONS.  Called by anybody,
	 * before any lock is held.
	 */
	int			(*describe) (const JobRow *job, JobRelation *relations);

	/*
	 * Can this server work with the job as it is stored?  If not, make it so
	 * (job_reset); false if it is not complete yet, because a restore is
	 * going on.  The first is called as whoever runs the job, without a
	 * snapshot.
	 */
	bool		(*is_current) (const JobRow *job);
	bool		(*rebuild) (JobRow *job, Oid owner);

	/*
	 * Prepare a batch: check the owner's privileges, analyze what the job
	 * does with rows.  The result goes to batch->loaded.
	 */
	void	   *(*load) (JobBatch *batch);

	/*
	 * A round.  Called in round->mcxt, to which take_row must return; an
	 * error in take_row counts as the row's, unless is_row_innocent, which
	 * may be NULL, says otherwise.  flush_round writes what the round has
	 * kept.
	 */
	void		(*begin_round) (JobRound *round);
	void		(*take_row) (JobRound *round, JobInput *input);
	bool		(*is_row_innocent) (JobRound *round);
	void		(*flush_round) (JobRound *round);

	/*
	 * The batch went through and has changed something.  Called as whoever
	 * runs the job.  May be NULL.
	 */
	void		(*end_batch) (JobBatch *batch);

	/*
	 * A batch that was loaded is over; not called after an error.  Called as
	 * whoever runs the job.  May be NULL.
	 */
	void		(*close) (JobBatch *batch);
};

/* from _PG_init */
extern void job_register_kind(const JobKind *kind);

/* the kind of that name; XX001 if this library has none */
extern const JobKind *job_find_kind(const char *name);

/* after the greatest event time of a partition has changed */
extern void job_compute_watermark(JobRound *round);

/*
 * For kinds with a watermark: a row of the partition has this event time.  The
 * watermark becomes the least of the partitions' greatest event times, less
 * the job's delay, and never goes back.
 */
static inline void
job_advance_watermark(JobRound *round, int partition, Timestamp event)
{
	JobProgress *progress = &round->progress[partition];

	if (progress->has_event && progress->max_event >= event)
		return;
	progress->has_event = true;
	progress->max_event = event;
	job_compute_watermark(round);
}

#endif
