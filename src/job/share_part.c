/*
 * share_part.c
 *	  What each process does in a shared round: it reads partitions, and
 *	  helpers send what they have found to the leader.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/table.h"
#include "miscadmin.h"
#include "storage/shm_toc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "job/input.h"
#include "job/job.h"
#include "job/share.h"
#include "job/watermark.h"
#include "log/log.h"

/* most rows between two looks at the memory */
#define MEMORY_ROWS		16

/* what a message to the leader is */
#define MESSAGE_DATA	1		/* of the kind of job */
#define MESSAGE_PART	2		/* a JobPartResult, its steps, its late rows */

/* ---- rows ---- */

/*
 * Until all partitions have been read, the watermark is not known.  What is
 * known is how late it can be: all partitions hold it back, so it is not later
 * than that of this one, unless it was before the round.
 */
static void
limit_watermark(JobRound *round, const JobProgress *progress)
{
	const JobShare *share = round->part->share;

	if (!share->has_watermark)
		return;
	round->stats.watermark = share->watermark;
	if (progress->has_event)
		round->stats.watermark = Max(share->watermark,
									 job_watermark_of(round->batch, progress->max_event));
}

void
job_part_note_event(JobRound *round, const JobInput *input)
{
	JobPart    *part = round->part;
	JobPartResult *result = part->result;
	const JobProgress *progress = &round->progress[input->number];

	limit_watermark(round, progress);
	if (result->nsteps == 0 || result->steps[result->nsteps - 1].at != input->produced_at)
	{
		if (result->nsteps == part->max_steps)
		{
			part->max_steps *= 2;
			result->steps = repalloc_huge(result->steps, sizeof(JobStep) * part->max_steps);
		}
		result->steps[result->nsteps++].at = input->produced_at;
	}
	result->steps[result->nsteps - 1].max_event = progress->max_event;
}

void
job_part_note_late(JobRound *round, const JobInput *input, Timestamp late_at)
{
	JobPart    *part = round->part;
	JobPartResult *result = part->result;

	if (part->share->watermark >= late_at)
	{
		result->late_rows++;
		return;
	}
	if (result->nlate == part->max_late)
	{
		part->max_late *= 2;
		result->late = repalloc_huge(result->late, sizeof(JobLateRow) * part->max_late);
	}
	result->late[result->nlate].at = input->produced_at;
	result->late[result->nlate++].late_at = late_at;
}

static void
begin_result(JobRound *round, int input)
{
	JobPart    *part = round->part;
	MemoryContext old = MemoryContextSwitchTo(round->mcxt);

	part->result = palloc0(sizeof(JobPartResult));
	part->result->input = input;
	part->max_steps = part->max_late = 64;
	part->result->steps = palloc(sizeof(JobStep) * part->max_steps);
	part->result->late = palloc(sizeof(JobLateRow) * part->max_late);
	MemoryContextSwitchTo(old);
}

/* read a partition */
static void
take_input(JobRound *round, const JobShareInput *from)
{
	JobBatch   *batch = round->batch;
	const JobShare *share = round->part->share;
	JobPartResult *result = round->part->result;
	int			number = from->progress.partition;
	JobInputs	inputs;
	JobInput   *input;

	for (int i = 0; i < batch->ninputs; i++)
		round->blocked[i] = i != number;
	limit_watermark(round, &from->progress);
	job_inputs_open(&inputs, round);
	while ((input = job_inputs_first(&inputs)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (input->produced_at > share->until || input->off >= from->to)
			break;
		if (result->rows % MEMORY_ROWS == MEMORY_ROWS - 1 &&
			MemoryContextMemAllocated(round->mcxt, true) > share->memory)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("batch of job %d that workers share does not fit into \"streamq.work_mem\"",
							share->job_id)));
		round->clock = input->produced_at;
		round->progress[number].last_at = input->produced_at;
		batch->kind->take_row(round, input);
		result->rows++;
		job_input_advance(input);
	}
	round->stats.expired = 0;
	result->more = job_inputs_close(&inputs, round);
	result->expired = round->stats.expired;
	result->progress = round->progress[number];
}

/* ---- messages ---- */

static void
send_message(JobRound *round, shm_mq_iovec *iov, int n)
{
	if (shm_mq_sendv(round->part->queue, iov, n, false, false) != SHM_MQ_SUCCESS)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("lost connection to the process that runs the batch")));
}

void
job_part_send(JobRound *round, const void *data, Size size)
{
	int64		message = MESSAGE_DATA;
	shm_mq_iovec iov[] = {
		{(char *) &message, sizeof(message)},
		{data, size}
	};

	send_message(round, iov, lengthof(iov));
}

static void
send_result(JobRound *round, const JobPartResult *result)
{
	int64		message = MESSAGE_PART;
	shm_mq_iovec iov[] = {
		{(char *) &message, sizeof(message)},
		{(const char *) result, sizeof(JobPartResult)},
		{(char *) result->steps, sizeof(JobStep) * result->nsteps},
		{(char *) result->late, sizeof(JobLateRow) * result->nlate}
	};

	send_message(round, iov, lengthof(iov));
}

static void
receive_result(JobRound *round, const char *data)
{
	JobPartResult *result = palloc(sizeof(JobPartResult));

	memcpy(result, data, sizeof(JobPartResult));
	data += sizeof(JobPartResult);
	result->steps = palloc_extended(sizeof(JobStep) * Max(result->nsteps, 1), MCXT_ALLOC_HUGE);
	memcpy(result->steps, data, sizeof(JobStep) * result->nsteps);
	data += sizeof(JobStep) * result->nsteps;
	result->late = palloc_extended(sizeof(JobLateRow) * Max(result->nlate, 1), MCXT_ALLOC_HUGE);
	memcpy(result->late, data, sizeof(JobLateRow) * result->nlate);
	round->part->results = lappend(round->part->results, result);
}

void
job_part_receive(JobRound *round, shm_mq_handle *queue)
{
	for (;;)
	{
		Size		size;
		void	   *data;
		int64		message;

		if (shm_mq_receive(queue, &size, &data, false) != SHM_MQ_SUCCESS)
			return;
		memcpy(&message, data, sizeof(message));
		data = (char *) data + sizeof(message);
		size -= sizeof(message);
		if (message == MESSAGE_PART)
			receive_result(round, data);
		else
			round->batch->kind->take_part(round, data, size);
	}
}

/* ---- a process ---- */

/*
 * Take a partition that is free, or return false.  The leader has more to do
 * when all rows have been read, so it takes the small ones.
 */
static bool
claim_input(JobShare *share, bool leader, int *i)
{
	uint32		taken = pg_atomic_read_u32(&share->taken);
	uint32		more = leader ? JOB_SHARE_BACK : 1;

	do
	{
		int			front = taken % JOB_SHARE_BACK;
		int			back = taken / JOB_SHARE_BACK;

		if (front + back >= share->n)
			return false;
		*i = leader ? share->n - 1 - back : front;
	} while (!pg_atomic_compare_exchange_u32(&share->taken, &taken, taken + more));
	return true;
}

void
job_part_take_rows(JobRound *round)
{
	JobPart    *part = round->part;
	JobShare   *share = part->share;
	int			i;

	while (claim_input(share, part->queue == NULL, &i))
	{
		begin_result(round, share->inputs[i].progress.partition);
		take_input(round, &share->inputs[i]);
		if (part->queue)
			send_result(round, part->result);
		else
			part->results = lappend(part->results, part->result);
	}
}

/* what a helper has to know of the batch */
static JobBatch *
open_batch(const JobShare *share, const char *query_tree)
{
	JobBatch   *batch = palloc0(sizeof(JobBatch));

	batch->kind = job_find_kind(share->kind);
	batch->job.job_id = share->job_id;
	batch->job.source = share->source;
	batch->job.state = share->state;
	batch->job.event_time = share->event_time;
	batch->job.query_tree = pstrdup(query_tree);
	batch->owner = GetUserId();
	batch->source = log_open_stream(share->source, AccessShareLock);
	batch->npartitions = log_partition_count(batch->source);
	batch->ninputs = batch->npartitions;
	batch->snapshot = GetActiveSnapshot();
	batch->progress = palloc0(sizeof(JobProgress) * batch->ninputs);
	for (int i = 0; i < share->n; i++)
		batch->progress[share->inputs[i].progress.partition] = share->inputs[i].progress;
	batch->stats.has_watermark = share->has_watermark;
	batch->stats.watermark = share->watermark;
	batch->helping = true;
	batch->loaded = batch->kind->load(batch);
	return batch;
}

void
streamq_job_helper_main(dsm_segment *segment, shm_toc *toc)
{
	char	   *queues = shm_toc_lookup(toc, JOB_SHARE_KEY_QUEUES, false);
	shm_mq	   *queue = (shm_mq *) (queues + ParallelWorkerNumber * JOB_SHARE_QUEUE_SIZE);
	JobPart		part = {0};
	JobRound	round = {0};
	JobBatch   *batch;

	part.share = shm_toc_lookup(toc, JOB_SHARE_KEY_SHARE, false);
	shm_mq_set_sender(queue, MyProc);
	part.queue = shm_mq_attach(queue, segment, NULL);

	batch = open_batch(part.share, shm_toc_lookup(toc, JOB_SHARE_KEY_QUERY, false));
	round.batch = batch;
	round.part = &part;
	round.mcxt = AllocSetContextCreate(CurrentMemoryContext, "streamq round",
									   ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(round.mcxt);
	round.progress = batch->progress;
	round.stats = batch->stats;
	round.blocked = palloc0(sizeof(bool) * batch->ninputs);
	batch->kind->begin_round(&round);
	job_part_take_rows(&round);
	batch->kind->send_part(&round);
	shm_mq_detach(part.queue);
	if (batch->kind->close)
		batch->kind->close(batch);
	table_close(batch->source, NoLock);
}
