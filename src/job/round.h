/*
 * round.h
 *	  The rounds of a batch: process rows, and record those that fail.
 */
#ifndef STREAMQ_JOB_ROUND_H
#define STREAMQ_JOB_ROUND_H

#include "postgres.h"

#include "job/job_kind.h"

/*
 * Run rounds until max_rows rows were read, there are no more rows, the
 * deadline has passed, or there were so many rounds that their subtransactions
 * would slow down everybody's snapshots.  *rows is the number of rows read.
 * Returns true if there are more rows.
 */
extern bool job_run_rounds(JobBatch *batch, int64 max_rows, int64 *rows);

#endif
