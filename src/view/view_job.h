/*
 * view_job.h
 *	  A continuous view as a kind of job.
 */
#ifndef STREAMQ_VIEW_JOB_H
#define STREAMQ_VIEW_JOB_H

#include "postgres.h"

#include "job/job_catalog.h"
#include "job/job_kind.h"

/* batch.c: functions of the kind (job/job_kind.h) */
extern void *view_load(JobBatch *batch);
extern void view_begin_round(JobRound *round);
extern void view_take_row(JobRound *round, JobInput *input);
extern bool view_is_row_innocent(JobRound *round);
extern void view_flush_round(JobRound *round);
extern JobSharing view_sharing(const JobBatch *batch);
extern void view_send_part(JobRound *round);
extern void view_take_part(JobRound *round, void *data, Size size);
extern bool view_finish(JobBatch *batch);
extern bool view_next_end(JobBatch *batch, Timestamp *end);
extern void view_end_batch(JobBatch *batch);
extern void view_close(JobBatch *batch);

/* rebuild.c: functions of the kind (job/job_kind.h) */
extern bool view_is_current(const JobRow *job);
extern bool view_rebuild(JobRow *job, Oid owner);

#endif
