/*
 * share.h
 *	  Rounds that several processes share.
 *
 * The process that runs a batch starts helpers, which are parallel workers of
 * its transaction.  The leader and the helpers take one partition after the
 * other.  A helper sends its results to the leader, which adds them to its own
 * and writes them.
 */
#ifndef STREAMQ_JOB_SHARE_H
#define STREAMQ_JOB_SHARE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/shm_mq.h"

#include "job/job_kind.h"

/* a partition to read */
typedef struct JobShareInput
{
	int64		to;				/* read only offsets below */
	JobProgress progress;
} JobShareInput;

/* what all processes of a shared round know, in shared memory */
typedef struct JobShare
{
	int32		job_id;
	char		kind[NAMEDATALEN];
	Oid			source;
	Oid			state;
	JobEventTime event_time;
	bool		has_watermark;	/* before the round */
	Timestamp	watermark;
	TimestampTz until;			/* read only messages appended until then */
	Size		memory;			/* of each process */
	int			n;				/* inputs to read, the largest first */
	pg_atomic_uint32 taken;		/* how many were taken from the front; from
								 * the back, times JOB_SHARE_BACK */
	JobShareInput inputs[FLEXIBLE_ARRAY_MEMBER];
} JobShare;

/* the latest event time of a partition after the messages of one time */
typedef struct JobStep
{
	TimestampTz at;
	Timestamp	max_event;
} JobStep;

/* a row that is late if the watermark had come to late_at */
typedef struct JobLateRow
{
	TimestampTz at;				/* when it was appended */
	Timestamp	late_at;
} JobLateRow;

/* what a process has found in a partition */
typedef struct JobPartResult
{
	int			input;
	int			nsteps;
	int			nlate;
	bool		more;
	int64		rows;
	int64		late_rows;		/* those that are late for certain */
	int64		expired;
	JobProgress progress;
	JobStep    *steps;			/* by time */
	JobLateRow *late;			/* rows that may be late */
} JobPartResult;

/* the part of a round that belongs to this process */
typedef struct JobPart
{
	JobShare   *share;
	JobPartResult *result;		/* of the current partition */
	List	   *results;		/* in the leader: of all partitions */
	shm_mq_handle *queue;		/* in a helper: to the leader */
	int			max_steps;		/* room in *result */
	int			max_late;
} JobPart;

/*
 * Share the next rows of the batch, if that is worth it.  *rows is the number of
 * rows that were taken.  False if nothing was done, because it is not, or
 * because of an error: then the caller goes on alone.
 */
extern bool job_share_round(JobBatch *batch, int64 *rows, bool *more);

/* a round that was not shared took so long, and needed so much memory */
extern void job_share_note_pace(const JobBatch *batch, int64 rows, int64 usecs, Size memory);

/* take rows of partitions until none is free (share_part.c) */
extern void job_part_take_rows(JobRound *round);

/* send a result of a helper to the leader */
extern void job_part_send(JobRound *round, const void *data, Size size);

/* the leader: add what helpers send, until they have ended */
extern void job_part_receive(JobRound *round, shm_mq_handle *queue);

/* the row may be late: it is if the watermark before it is late_at or later */
extern void job_part_note_late(JobRound *round, const JobInput *input, Timestamp late_at);

/* count the rows that were late, when all partitions were read (share_late.c) */
extern int64 job_share_count_late(const JobBatch *batch, List *results);

/* keys of the shared memory */
#define JOB_SHARE_KEY_SHARE		UINT64CONST(1)
#define JOB_SHARE_KEY_QUERY		UINT64CONST(2)
#define JOB_SHARE_KEY_QUEUES	UINT64CONST(3)

#define JOB_SHARE_BACK			0x10000

#define JOB_SHARE_QUEUE_SIZE	(1024 * 1024)

#endif
