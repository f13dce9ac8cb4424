/*
 * job_catalog.h
 *	  Rows of streamq.job and of the tables related to it.
 */
#ifndef STREAMQ_JOB_CATALOG_H
#define STREAMQ_JOB_CATALOG_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "log/log.h"

/* what is done with late rows */
typedef enum JobLatePolicy
{
	JOB_LATE_UPDATE,			/* they correct the results */
	JOB_LATE_DROP,				/* they are counted and ignored */
	JOB_LATE_ROUTE				/* they go to the job's late_stream */
} JobLatePolicy;

/* options for event time; times are microseconds */
typedef struct JobEventTime
{
	int64		delay;			/* delay of the watermark */
	JobLatePolicy late;
	int64		lateness;		/* rows are not late yet within this time */
	int64		idle_timeout;	/* a partition that has been quiet for this
								 * long does not hold the watermark back;
								 * JOB_NO_LIMIT: it always does */
	int64		retention;		/* closed windows are kept for this long;
								 * JOB_NO_LIMIT: for ever */
} JobEventTime;

/* a limit that was not set */
#define JOB_NO_LIMIT	INT64CONST(-1)

/* options of a handler */
typedef struct JobHandling
{
	int			batch_size;		/* most messages in a call */
	int			max_deliveries;
	int64		backoff;		/* microseconds before the first retry */
	int64		backoff_max;	/* or JOB_NO_LIMIT */
} JobHandling;

/* what the dump of a restored job says about a source */
typedef struct JobRestored
{
	int			n;				/* partitions; 0: it says nothing */
	int64	   *done;			/* for each, how many messages were processed, */
	Timestamp  *max_event;		/* and the latest event time, or DT_NOBEGIN */
} JobRestored;

/* a row of streamq.job; a relation that the job does not have is InvalidOid */
typedef struct JobRow
{
	int32		job_id;
	char	   *kind;
	char	   *name;			/* NULL: the job is called like its target */
	Oid			target;			/* view of the job; its owner owns the job */
	Oid			source;			/* stream that it reads */
	Oid			other_source;	/* second stream; InvalidOid: none */
	Oid			state;			/* table for its state */
	Oid			results;		/* table of the results that it has emitted */
	Oid			emit_into;		/* stream or table that gets the results */
	Oid			late_stream;
	Oid			dead_letter;
	bool		enabled;
	JobEventTime event_time;
	JobHandling handling;
	int64		error_limit;	/* pause after so many failing messages;
								 * JOB_NO_LIMIT: never */
	int32		format;
	Interval   *timeout;		/* for a batch; NULL: the setting */
	char	   *query;			/* as the user wrote it */
	char	   *query_tree;
	char	   *definition;		/* the query in the dump, or NULL */
	JobRestored restored[2];	/* for each source, if the job was restored */
	Timestamp	restored_watermark; /* DT_NOBEGIN: there was none */
	ArrayType  *settings;		/* name, value, name, value … */
} JobRow;

/* a row of streamq.job_stats */
typedef struct JobStats
{
	int64		rows_processed;
	int64		late_rows;
	int64		expired;		/* offsets that expired before they were read */
	int64		errors;
	int64		errors_before;	/* errors before the last resume() */
	bool		failing;		/* the last batch failed */
	char	   *last_error;
	bool		has_watermark;
	Timestamp	watermark;
	int64		rows_written;	/* rows written to emit_into */
	Timestamp	emitted_until;	/* windows that end at or before it were
								 * emitted before the job was reset;
								 * DT_NOBEGIN: none */
} JobStats;

/* number of a partition of the second stream in streamq.job_progress */
#define JOB_OTHER_INPUT(partition)	(LOG_MAX_PARTITIONS + (partition))

/* a row of streamq.job_progress: how far a job is in a partition */
typedef struct JobProgress
{
	int			partition;		/* or JOB_OTHER_INPUT(partition) */
	int64		next_offset;	/* everything below is processed */
	bool		has_event;
	Timestamp	max_event;		/* latest event time so far */
	TimestampTz last_at;		/* when the last message that was read had
								 * been appended; DT_NOBEGIN: none was read */
	int64		replay_to;		/* messages below are read again: what they
								 * make a job write is there already */
	int64		start_offset;	/* messages below were never read, because of
								 * start_at */
	bool		changed;
	bool		stored;			/* has a row, at tid */
	ItemPointerData tid;
} JobProgress;

/* format of stored queries and states that this build reads and writes */
extern int32 job_format(void);

/* format of a restored job that never ran */
#define JOB_FORMAT_RESTORED 0

/* insert the row of job_stats for a new job; job_insert() does this, too */
extern void job_insert_stats(int32 job_id);

/* reset a job to the start; writes query_tree and the current format */
extern void job_reset(JobRow *job);

/* write query_tree and the current format; positions and counters stay */
extern void job_set_current(JobRow *job);

/*
 * Options of a new job, as given by the user.  NULL or 0 means that the option
 * was not given, or that the kind of job does not have it.
 */
typedef struct JobOptions
{
	const char *start_at;
	const char *late_rows;		/* NULL: update */
	Interval   *watermark_delay;	/* NULL: 0 */
	Interval   *allowed_lateness;	/* NULL: 0 */
	Interval   *idle_timeout;
	Interval   *retention;
	Interval   *job_timeout;
	int64		error_limit;
	int			batch_size;
	int			max_deliveries;
	Interval   *retry_backoff;
	Interval   *retry_backoff_max;
} JobOptions;

extern int32 job_next_id(void);

/* insert a job with the relations, names and queries of *job */
extern void job_insert(JobRow *job, const JobOptions *options);

/* false if there is none */
extern bool job_read(int32 job_id, JobRow *job);
extern bool job_find_by_target(Oid target, JobRow *job);


/* find a job that has a name of its own */
extern bool job_find_named(const char *name, JobRow *job);

/* the name of a job in messages */
extern const char *job_name(const JobRow *job);

/*
 * May this view belong to a job?  This is called for every view of the
 * database, even if the catalog is of another version; so it must not read
 * anything else from the catalog.
 */
extern bool job_may_have_target(Oid target);

/* find a job by its state table or its result table */
extern bool job_find_by_state(Oid state, JobRow *job);

/* find a job by a name given by the user; fail with 42704 if there is none */
extern void job_find_by_name(const char *name, JobRow *job);

/* when a job is enabled, its errors so far no longer count for the limit */
extern void job_set_enabled(int32 job_id, bool enabled);

/*
 * Change the options that are given; NULL or 0 leaves one as it is.  A zero
 * interval, or JOB_NO_LIMIT for error_limit, removes a limit.  With
 * default_timeout, the timeout is that of the setting again.
 */
extern void job_change_options(int32 job_id, const JobOptions *options, bool default_timeout);
extern void job_set_dead_letter(int32 job_id, Oid dead_letter);

/* remove the job and all its rows */
extern void job_delete(int32 job_id);

extern bool job_read_stats(int32 job_id, JobStats *stats, ItemPointer tid);
extern void job_write_stats(int32 job_id, JobStats *stats, ItemPointer tid);

/*
 * Array with an entry for each partition of the stream, and then of the second
 * stream.  Those that are stored are filled in.
 */
extern JobProgress *job_read_progress(int32 job_id, int npartitions, int nother);

/* the same, as a snapshot sees it */
extern JobProgress *job_read_progress_as_of(int32 job_id, int npartitions, int nother,
											Snapshot snapshot);

/* write the entries that changed */
extern void job_write_progress(int32 job_id, JobProgress *progress, int n);
extern void job_add_error(int32 job_id, Oid stream, int64 msg_id, int sqlerrcode, const char *message);

/*
 * Messages of a stream that a job left out because of an error, as a snapshot
 * sees the log of errors: a list of pointers to msg_ids.
 */
extern List *job_failed_messages(int32 job_id, Oid stream, Snapshot snapshot);

/*
 * Retention holder (see stream_register_retention_holder): a job needs what it
 * has not processed, even if it is paused.
 */
extern void job_hold_retention(Relation rel, int npartitions, int64 *least);

/*
 * Lock a job until the end of the transaction, because only one process at a
 * time may run it.  Must be taken after the locks on the stream, the view and
 * the state table.  False if another process has it and `wait` is false.
 */
extern bool job_lock(int32 job_id, bool wait);

/* Lock a job to stop or drop it: a batch that a worker runs is canceled. */
extern void job_lock_out(int32 job_id);

#endif
