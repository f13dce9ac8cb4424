/*
 * round.h
 *	  The rounds of a batch: rows up to a limit, whichever of them fail.
 */
#ifndef STREAMQ_JOB_ROUND_H
#define STREAMQ_JOB_ROUND_H

#include "postgres.h"

#include "job/job_kind.h"

/*
 * Rounds until max_rows rows were read, there are no more, the deadline has
 * passed, or there were so many rounds that their subtransactions would burden
 * everybody's snapshots.  *rows is the number of rows read.  True: there are
 * more rows.
 */
extern bool job_run_rounds(JobBatch *batch, int64 max_rows, int64 *rows);

#endif
