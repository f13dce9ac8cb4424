/*
 * job_retry.h
 *	  Rows of streamq.job_retry: messages that a job tries again.
 */
#ifndef STREAMQ_JOB_RETRY_H
#define STREAMQ_JOB_RETRY_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* a message that failed; the messages after it in its partition wait */
typedef struct JobRetry
{
	int			partition;
	int64		off;
	int			deliveries;		/* how often it failed */
	TimestampTz retry_at;
} JobRetry;

/* read the messages of a job; they are not more than its partitions */
extern int	job_read_retries(int32 job_id, JobRetry *retries, int max);

/* insert or change the message of a partition */
extern void job_write_retry(int32 job_id, const JobRetry *retry, const char *message);
extern void job_delete_retry(int32 job_id, int partition);
extern void job_delete_retries(int32 job_id);

#endif
