/*
 * input.h
 *	  The rows that a round reads: all partitions of the source, merged.
 */
#ifndef STREAMQ_JOB_INPUT_H
#define STREAMQ_JOB_INPUT_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "job/job_kind.h"
#include "log/reader.h"

typedef struct JobInputs
{
	JobInput   *inputs;			/* of the partitions that have something */
	int			n;

	/* the input that was chosen last, and the best of the others */
	JobInput   *first;
	JobInput   *second;			/* NULL: no other has a row */
} JobInputs;

/* from the round's positions on, as the batch's snapshot sees the stream */
extern void job_inputs_open(JobInputs *inputs, JobRound *round);

/* compare all inputs; NULL: no row is left */
extern JobInput *job_inputs_choose(JobInputs *inputs);

/* does the row of a come before that of b?  At the same time, the lower partition does */
static inline bool
job_input_precedes(const JobInput *a, const JobInput *b)
{
	return a->produced_at < b->produced_at ||
		(a->produced_at == b->produced_at && a->partition < b->partition);
}

/*
 * The row that was appended first; NULL: there is none left.  The rows of the
 * other inputs do not change, so usually one comparison is enough.
 */
static inline JobInput *
job_inputs_first(JobInputs *inputs)
{
	JobInput   *first = inputs->first;

	if (first && first->has_row &&
		(inputs->second == NULL || job_input_precedes(first, inputs->second)))
		return first;
	return job_inputs_choose(inputs);
}

/* the input's row has been taken */
static inline void
job_input_advance(JobInput *input)
{
	int64		from;
	int64		to;

	input->has_row = log_reader_next(input->reader, input->slot);
	if (log_reader_expired(input->reader, &from, &to))
		input->expired += to - from;
	if (input->has_row)
	{
		input->off = log_reader_offset(input->reader);
		input->produced_at = log_reader_produced_at(input->reader);
	}
}

/*
 * Move the round's positions to where the next round goes on, and count what
 * has expired.  True: there are rows left.
 */
extern bool job_inputs_close(JobInputs *inputs, JobRound *round);

#endif
