/*
 * job_kind.h
 *	  What a kind of job provides for the runner.
 *
 * The runner (runner.c) does what all jobs need.  It locks the relations of
 * the job, becomes its owner, reads the rows of the source in the order in
 * which they were appended, finds rows that fail, and writes positions and
 * counters.  The kind processes each row.
 *
 * A batch is one transaction and consists of rounds, which are
 * subtransactions.  If a round fails, it is rolled back and partly repeated.
 * So anything that a kind keeps in memory from row to row belongs to the
 * round.
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

/* use of a relation by a job */
typedef enum JobRole
{
	JOB_SOURCE,					/* stream that the job reads */
	JOB_TARGET,					/* relation that the job writes to or produces */
	JOB_STATE,					/* relation for its own state */
	JOB_VIEW,					/* view that belongs to the job */
	JOB_OTHER					/* relation that its query reads */
} JobRole;

/* a relation that a job uses */
typedef struct JobRelation
{
	Oid			relid;
	JobRole		role;
	LOCKMODE	lockmode;		/* lock that a batch needs */
} JobRelation;

#define JOB_MAX_RELATIONS	32

/* may several processes share the rows of a batch? (share.h) */
typedef enum JobSharing
{
	JOB_SHARE_NEVER,
	JOB_SHARE_FREELY,			/* rows may be taken in any order */
	JOB_SHARE_BY_TIME			/* the order decides which rows are late */
} JobSharing;

/* a message that failed */
typedef struct JobBadRow
{
	int			input;
	int64		off;
	int			sqlerrcode;
	char	   *message;
} JobBadRow;

/* state of a batch, outside of its rounds */
typedef struct JobBatch
{
	const JobKind *kind;
	JobRow		job;
	Oid			owner;			/* role that processes the rows */
	Relation	source;
	Relation	other_source;	/* NULL: none */
	int			npartitions;	/* of the source */
	int			ninputs;		/* partitions of both */
	Snapshot	snapshot;		/* decides which rows of the stream are
								 * visible */
	JobProgress *progress;		/* of each input, as of the last successful
								 * round */
	JobStats	stats;
	void	   *loaded;			/* result of the kind's load function */
	bool		changed;		/* positions and counters must be written */
	TimestampTz due;			/* when the job must run again, even if there
								 * is no input; 0: never */
	bool		pause;			/* too many messages failed: pause the job */
	bool		helping;		/* another process runs the batch, and this
								 * one takes some of its rows (share.h) */

	/* set by the kind's functions */
	int64		round_rows;		/* most rows in a round; 0: any number */
	TimestampTz retry_at;		/* when a message is to be tried again; 0:
								 * none waits */

	/* private to round.c */
	TimestampTz deadline;		/* then a worker continues with another job;
								 * 0: none */
	JobBadRow  *bad;			/* the next round starts with this row */
	int64		passed;			/* rows that succeeded */
	ErrorData  *doubt;			/* first doubtful error */
	bool		doubts_differ;
} JobBatch;

/*
 * A partition with rows to read.  Inputs are numbered: first the partitions of
 * the source, then those of the second source.
 */
typedef struct JobInput
{
	int			number;
	Relation	source;
	int			partition;
	TupleTableSlot *slot;
	bool		has_row;		/* the slot has a row that was not taken yet */
	bool		blocked;		/* the row at off must be tried again later */
	int64		off;
	TimestampTz produced_at;

	/* private to input.c */
	struct LogReader *reader;
	int64		expired;		/* offsets that expired before they were read */
} JobInput;

/* state of a round */
typedef struct JobRound
{
	JobBatch   *batch;
	JobProgress *progress;		/* copy of the batch's, changed by the round */
	JobStats	stats;
	TimestampTz clock;			/* when the current row was appended */
	MemoryContext mcxt;			/* memory of the round */
	void	   *state;			/* private to the kind */
	bool	   *blocked;		/* by input: not to be read now; set by
								 * begin_round, or NULL */
	struct JobPart *part;		/* the round is shared (share.h), or NULL */
} JobRound;

/*
 * The functions are called with the privileges and settings of the job
 * (batch->owner) and an active snapshot, unless noted otherwise.
 */
struct JobKind
{
	const char *name;			/* streamq.job.kind */

	/*
	 * List the relations of the job, in the order in which to lock them, and
	 * return their number, at most JOB_MAX_RELATIONS.  Called as any role,
	 * before any lock is held.
	 */
	int			(*describe) (const JobRow *job, JobRelation *relations);

	/*
	 * is_current returns whether this server can run the job as it is stored.
	 * It is called as the role that runs the job, without a snapshot.  If
	 * not, rebuild makes the job current (job_reset); it returns false if the
	 * job is not complete yet because a restore is in progress.
	 */
	bool		(*is_current) (const JobRow *job);
	bool		(*rebuild) (JobRow *job, Oid owner);

	/*
	 * Prepare a batch: check the owner's privileges, and analyze what the job
	 * does with rows.  The result is stored in batch->loaded.
	 */
	void	   *(*load) (JobBatch *batch);

	/*
	 * The steps of a round.  They are called in round->mcxt, and take_row
	 * must return in it.  flush_round writes the results of the round.  An
	 * error in take_row is caused by the row, and one in flush_round by one
	 * of the round's rows, unless is_row_innocent (may be NULL) returns true.
	 */
	void		(*begin_round) (JobRound *round);
	void		(*take_row) (JobRound *round, JobInput *input);
	bool		(*is_row_innocent) (JobRound *round);

	/*
	 * Called in the round after the one that failed for a row, in place of
	 * take_row.  Returns false if the row must be tried again later: then its
	 * input is not read any further in this round.  If it is NULL, the error
	 * is recorded, and the row is left out.
	 */
	bool		(*take_bad_row) (JobRound *round, JobInput *input, const JobBadRow *bad);
	void		(*flush_round) (JobRound *round);

	/*
	 * For kinds whose rounds several processes may share (share.h); NULL:
	 * never.  A helper calls send_part after its last row.  That calls
	 * job_part_send() with each of its results, and take_part adds them to
	 * the round of the process that runs the batch.
	 */
	JobSharing	(*sharing) (const JobBatch *batch);
	void		(*send_part) (JobRound *round);
	void		(*take_part) (JobRound *round, void *data, Size size);

	/*
	 * Called after the rounds.  This is for work that no single row causes,
	 * so an error fails the batch.  Returns true if there is more to do, and
	 * sets batch->changed if it changed something.  May be NULL.
	 */
	bool		(*finish) (JobBatch *batch);

	/*
	 * For kinds with a watermark: the least time after the watermark at which
	 * a window ends that has rows; false if there is none.  Without it, the
	 * watermark never moves with the clock.
	 */
	bool		(*next_end) (JobBatch *batch, Timestamp *end);

	/*
	 * Called if the batch succeeded and changed something, as the role that
	 * runs the job.  May be NULL.
	 */
	void		(*end_batch) (JobBatch *batch);

	/*
	 * Called at the end of a batch that was loaded, but not after an error,
	 * as the role that runs the job.  May be NULL.
	 */
	void		(*close) (JobBatch *batch);
};

/* record the error of a row that is left out, and count it */
extern void job_record_bad_row(JobRound *round, const JobBadRow *bad);

/* called by _PG_init */
extern void job_register_kind(const JobKind *kind);

/* find a kind by its name; fail with XX001 if this library does not have it */
extern const JobKind *job_find_kind(const char *name);

#endif
