/*
 * job_counters.h
 *	  Deleting what a job has written while it ran.  The rest is in
 *	  job_catalog.h.
 */
#ifndef STREAMQ_JOB_COUNTERS_H
#define STREAMQ_JOB_COUNTERS_H

#include "postgres.h"

extern void job_delete_errors(int32 job_id);
extern void job_delete_progress(int32 job_id);
extern void job_delete_stats(int32 job_id);

#endif
