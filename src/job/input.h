/*
 * input.h
 *	  The rows that a round reads: the partitions of the source, merged.
 */
#ifndef STREAMQ_JOB_INPUT_H
#define STREAMQ_JOB_INPUT_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "job/job_kind.h"
#include "log/reader.h"

/* the inputs of a round */
typedef struct JobInputs
{
	JobInput   *inputs;			/* one for each partition with rows to read */
	int			n;

	/* the input chosen last, and the best of the others */
	JobInput   *first;
	JobInput   *second;			/* NULL if no other has a row */
} JobInputs;

/* the stream and partition that an input is */
extern Relation job_input_source(const JobBatch *batch, int number, int *partition);

/* open the inputs at the round's positions, with the batch's snapshot */
extern void job_inputs_open(JobInputs *inputs, JobRound *round);

/* choose an input by comparing all of them; NULL if there is no row left */
extern JobInput *job_inputs_choose(JobInputs *inputs);

/*
 * is the row of a before that of b?  If the times are equal, the lower
 * number decides
 */
static inline bool
job_input_precedes(const JobInput *a, const JobInput *b)
{
	return a->produced_at < b->produced_at ||
		(a->produced_at == b->produced_at && a->number < b->number);
}

/*
 * The input with the oldest row, or NULL if there is none left.  The rows of
 * the other inputs do not change, so usually one comparison is enough.
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

/* move the input to its next row */
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
 * Set the round's positions to where the next round continues, and count
 * expired messages.  Returns true if there are rows left.
 */
extern bool job_inputs_close(JobInputs *inputs, JobRound *round);

#endif
