/*
 * job_catalog.h
 *	  Rows of streamq.job and of the tables that belong to it.
 */
#ifndef STREAMQ_JOB_CATALOG_H
#define STREAMQ_JOB_CATALOG_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* what a job that follows event time does with it */
typedef struct JobEventTime
{
	int64		delay;			/* of the watermark, microseconds */
	bool		drop_late;		/* late rows; else they correct what was
								 * produced */
	int64		lateness;		/* time in which rows are not late yet,
								 * microseconds */
} JobEventTime;

typedef struct JobRow
{
	int32		job_id;
	char	   *kind;
	Oid			target;			/* what it produces; its owner is the job's */
	Oid			source;			/* the stream that it reads */
	Oid			state;			/* table in which it keeps state */
	bool		enabled;
	JobEventTime event_time;
	int32		format;
	Interval   *timeout;		/* for a batch; NULL: as the setting says */
	char	   *query;			/* as the user wrote it */
	char	   *query_tree;
	char	   *definition;		/* as a dump had it, or NULL */
	ArrayType  *settings;		/* name, value, name, value … */
} JobRow;

typedef struct JobStats
{
	int64		rows_processed;
	int64		late_rows;
	int64		expired;		/* offsets that expired before they were read */
	int64		errors;
	bool		failing;		/* the last batch failed */
	char	   *last_error;
	bool		has_watermark;
	Timestamp	watermark;
} JobStats;

typedef struct JobProgress
{
	int			partition;
	int64		next_offset;	/* everything below has been processed */
	bool		has_event;
	Timestamp	max_event;		/* greatest event time so far */
	bool		changed;
	bool		stored;			/* has a row, at tid */
	ItemPointerData tid;
} JobProgress;

/* the format of stored queries and states that this build writes and reads */
extern int32 job_format(void);

/* of a job that was restored and never ran */
#define JOB_FORMAT_RESTORED 0

/* a new job's row of job_stats; job_insert does it too */
extern void job_insert_stats(int32 job_id);

/* nothing was processed yet; writes query_tree and the server's format */
extern void job_reset(JobRow *job);

/* options of a new job, as the user gave them */
typedef struct JobOptions
{
	const char *late_rows;
	Interval   *watermark_delay;
	Interval   *allowed_lateness;
	const char *start_at;
} JobOptions;

extern int32 job_next_id(void);
extern void job_insert(JobRow *job, const JobOptions *options);

/* false if there is none */
extern bool job_read(int32 job_id, JobRow *job);
extern bool job_find_by_target(Oid target, JobRow *job);

/*
 * Could the view be a job's?  Asked about every view of the database, also where the
 * catalog is that of another version: then nothing but this is read from it.
 */
extern bool job_may_have_target(Oid target);
extern bool job_find_by_state(Oid state, JobRow *job);

/* the job of that name, as the user writes it, or ERRCODE_UNDEFINED_OBJECT */
extern void job_find_by_name(const char *name, JobRow *job);
extern void job_set_enabled(int32 job_id, bool enabled);
extern void job_set_timeout(int32 job_id, Interval *timeout);

/* remove the job and all its rows */
extern void job_delete(int32 job_id);

extern bool job_read_stats(int32 job_id, JobStats *stats, ItemPointer tid);
extern void job_write_stats(int32 job_id, JobStats *stats, ItemPointer tid);

/* array of npartitions entries, the stored ones filled in */
extern JobProgress *job_read_progress(int32 job_id, int npartitions);

/* write the changed entries */
extern void job_write_progress(int32 job_id, JobProgress *progress, int npartitions);
extern void job_add_error(int32 job_id, int64 msg_id, int sqlerrcode, const char *message);

/*
 * Retention holder: a job, also a paused one, needs what it has not processed
 * (see stream_register_retention_holder).
 */
extern void job_hold_retention(Relation rel, int npartitions, int64 *least);

/*
 * One process at a time runs a job: a heavyweight lock to the end of the
 * transaction.  Taken after the locks on stream, view and state table.
 * False when not waiting and somebody has it.
 */
extern bool job_lock(int32 job_id, bool wait);

/*
 * The same to stop or drop the job: a batch that a worker runs is canceled, not
 * waited for.
 */
extern void job_lock_out(int32 job_id);

#endif
