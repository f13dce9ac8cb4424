/*
 * input.c
 *	  The rows that a round reads: the partitions of its sources, merged by
 *	  the time at which the rows were appended.
 *
 * Each partition is read up to the first offset of a transaction in progress,
 * so that rows that commit later are not skipped.
 */
#include "postgres.h"

#include "executor/tuptable.h"

#include "job/input.h"
#include "job/job_catalog.h"
#include "job/job_kind.h"
#include "log/log.h"
#include "log/reader.h"

Relation
job_input_source(const JobBatch *batch, int number, int *partition)
{
	if (number < batch->npartitions)
	{
		*partition = number;
		return batch->source;
	}
	*partition = number - batch->npartitions;
	return batch->other_source;
}

void
job_inputs_open(JobInputs *inputs, JobRound *round)
{
	JobBatch   *batch = round->batch;

	memset(inputs, 0, sizeof(*inputs));
	inputs->inputs = palloc0(sizeof(JobInput) * batch->ninputs);
	for (int i = 0; i < batch->ninputs; i++)
	{
		JobInput   *input = &inputs->inputs[inputs->n];
		Relation	source = job_input_source(batch, i, &input->partition);
		int64		next = log_next_offset(source, input->partition);

		if (next <= round->progress[i].next_offset ||
			(round->blocked && round->blocked[i]))
			continue;
		input->number = i;
		input->source = source;
		input->slot = log_slot_create(source);
		input->reader = log_reader_begin(source, input->partition,
										 round->progress[i].next_offset, next,
										 batch->snapshot, true);
		job_input_advance(input);

		/*
		 * a job that has not started yet starts with what is there, so
		 * nothing expired
		 */
		if (!round->progress[i].stored)
			input->expired = 0;
		inputs->n++;
	}
}

JobInput *
job_inputs_choose(JobInputs *inputs)
{
	inputs->first = inputs->second = NULL;
	for (int i = 0; i < inputs->n; i++)
	{
		JobInput   *input = &inputs->inputs[i];

		if (!input->has_row)
			continue;
		if (inputs->first == NULL || job_input_precedes(input, inputs->first))
		{
			inputs->second = inputs->first;
			inputs->first = input;
		}
		else if (inputs->second == NULL || job_input_precedes(input, inputs->second))
			inputs->second = input;
	}
	return inputs->first;
}

bool
job_inputs_close(JobInputs *inputs, JobRound *round)
{
	bool		more = false;

	for (int i = 0; i < inputs->n; i++)
	{
		JobInput   *input = &inputs->inputs[i];
		JobProgress *progress = &round->progress[input->number];
		int64		position = input->has_row || input->blocked ? input->off :
			log_reader_position(input->reader);

		if (position > progress->next_offset)
		{
			progress->next_offset = position;
			progress->changed = true;
		}
		more |= input->has_row;
		round->stats.expired += input->expired;
		log_reader_end(input->reader);
		ExecDropSingleTupleTableSlot(input->slot);
	}
	return more;
}
