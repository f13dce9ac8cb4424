/*
 * replay.h
 *	  Jobs that come from a dump, or were made by another server: what they
 *	  had processed, and must not write again.
 */
#ifndef STREAMQ_JOB_REPLAY_H
#define STREAMQ_JOB_REPLAY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "job/job_catalog.h"

/* what a job had done: for the partitions of its source, then of the other one */
typedef struct JobDone
{
	int			n;				/* partitions of the source */
	int			nother;			/* partitions of the other source */
	int64	   *offsets;		/* everything below was processed */
	Timestamp  *max_event;		/* latest event time, or DT_NOBEGIN */
	Timestamp	watermark;		/* DT_NOBEGIN: none */
} JobDone;

/*
 * Find out what a job had done, from the dump if it was restored.  Must be
 * called before the job is reset or made current.  Needs an active snapshot.
 * False if the stream has fewer messages than the job had processed, perhaps
 * because they are not restored yet.
 */
extern bool job_find_done(const JobRow *job, JobDone *done);

/*
 * After job_reset(): the job reads all messages again, but what it has written
 * to other streams for the first ones is there already.
 */
extern void job_replay_done(const JobRow *job, const JobDone *done);

/* a restored job without a state goes on where it was */
extern void job_skip_done(const JobRow *job, const JobDone *done);

#endif
