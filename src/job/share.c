/*
 * share.c
 *	  Rounds that several processes share: when, which rows, and the process
 *	  that runs the batch.
 *
 * One worker cannot process more than one core can.  A job that is far behind
 * therefore lets other processes help, each with partitions of its own.  They
 * read only: all results are written by the process that runs the batch, in
 * its transaction.  So nothing can be there twice or be missing, whatever
 * process dies, and a batch is still one step from one position to another.
 *
 * If a shared round fails, the batch goes on without helpers.  Then a row that
 * raises an error is found as usual.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/shm_toc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/try.h"
#include "job/input.h"
#include "job/job.h"
#include "job/share.h"
#include "job/watermark.h"
#include "log/log.h"
#include "log/reader.h"

/* streamq.share_after */
int			job_share_after = 200;

/*
 * A shared round should take about so long.  Starting helpers takes some
 * milliseconds, so it is longer than a batch of one process.
 */
#define SHARED_USECS	(300 * 1000)

/* after an error, so many batches are not shared */
#define HOLD_OFF		50

/* the same if no helper could be started */
#define NONE_LAUNCHED	10

/* a row of a job that this process has not run yet is assumed to take this */
#define FIRST_USECS		10.0

/* the speed of jobs that this process has run */
typedef struct JobPace
{
	int32		job_id;
	double		usecs;			/* for a row; 0: not known */
	double		memory;			/* for a row */
	int			hold_off;		/* batches that will not be shared */
} JobPace;

#define NPACES			64

static JobPace paces[NPACES];

/* a round that is to be shared */
typedef struct SharedRound
{
	JobRound	round;
	JobPart		part;
	JobShare   *share;			/* as planned; then in shared memory */
	int			nhelpers;
	int			nlaunched;
	int64		rows;
	bool		more;
} SharedRound;

static JobPace *
find_pace(int32 job_id)
{
	JobPace    *pace = &paces[(uint32) job_id % NPACES];

	if (pace->job_id != job_id)
	{
		memset(pace, 0, sizeof(JobPace));
		pace->job_id = job_id;
	}
	return pace;
}

void
job_share_note_pace(const JobBatch *batch, int64 rows, int64 usecs, Size memory)
{
	JobPace    *pace = find_pace(batch->job.job_id);

	/* in a short round, beginning and end count too much */
	if (rows == 0 || usecs < USECS_PER_SEC / 50)
		return;
	pace->usecs = (double) usecs / rows;
	pace->memory = (double) memory / rows;
}

/* ---- planning ---- */

static int64
unread(const JobBatch *batch, int input)
{
	return log_next_offset(batch->source, input) - batch->progress[input].next_offset;
}

/*
 * Lateness depends on the order in which rows were appended.  So all processes
 * read up to the same time: the earliest at which one of the partitions has
 * `most` rows.
 */
static bool
limit_time(const JobBatch *batch, JobShare *share, int64 most)
{
	for (int i = 0; i < share->n; i++)
	{
		int			input = share->inputs[i].progress.partition;
		TimestampTz at;

		if (unread(batch, input) <= most)
			continue;
		at = log_produced_at(batch->source, input, batch->progress[input].next_offset + most - 1);
		if (TIMESTAMP_IS_NOBEGIN(at))
			return false;
		share->until = Min(share->until, at);
	}
	return true;
}

/* have two partitions so many rows that it pays to share them? */
static bool
is_spread(const JobBatch *batch, const JobShare *share)
{
	int64		total = 0;
	int64		greatest = 0;

	for (int i = 0; i < share->n; i++)
	{
		const JobShareInput *from = &share->inputs[i];
		int			input = from->progress.partition;
		int64		to = from->to;
		int64		rows;

		if (!TIMESTAMP_IS_NOEND(share->until))
			to = Min(to, log_offset_at_time(batch->source, input, share->until + 1));
		rows = Max(to - from->progress.next_offset, 0);
		total += rows;
		greatest = Max(greatest, rows);
	}
	return total - greatest >= total / 5;
}

/* those with most rows first */
static int
compare_inputs(const void *a, const void *b)
{
	const JobShareInput *x = a;
	const JobShareInput *y = b;
	int64		nx = x->to - x->progress.next_offset;
	int64		ny = y->to - y->progress.next_offset;

	return nx == ny ? x->progress.partition - y->progress.partition : nx < ny ? 1 : -1;
}

/* list the partitions with rows; false if they cannot be shared */
static bool
list_inputs(const JobBatch *batch, JobShare *share, JobSharing sharing, int64 *total)
{
	*total = 0;
	for (int i = 0; i < batch->npartitions; i++)
	{
		JobShareInput *input = &share->inputs[share->n];
		int64		n = unread(batch, i);

		if (n <= 0)
			continue;

		/*
		 * the first event of a partition holds the watermark back from then
		 * on
		 */
		if (sharing == JOB_SHARE_BY_TIME && !batch->progress[i].has_event)
			return false;
		input->progress = batch->progress[i];
		input->to = batch->progress[i].next_offset + n;
		*total += n;
		share->n++;
	}
	return share->n > 1;
}

/* fill in the share of a round; NULL if it is not to be shared */
static JobShare *
plan_share(const JobBatch *batch, int *nhelpers)
{
	JobPace    *pace = find_pace(batch->job.job_id);
	double		usecs = pace->usecs > 0 ? pace->usecs : FIRST_USECS;
	JobShare   *share;
	JobSharing	sharing;
	int64		total;
	double		rows;
	int64		most;

	if (batch->deadline == 0 || batch->kind->sharing == NULL || batch->other_source ||
		batch->npartitions < 2 || job_share_after < 0 || max_parallel_workers <= 0)
		return NULL;
	if (pace->hold_off > 0)
	{
		pace->hold_off--;
		return NULL;
	}
	if (job_share_after > 0 && pace->usecs == 0)
		return NULL;
	sharing = batch->kind->sharing(batch);
	if (sharing == JOB_SHARE_NEVER ||
		(sharing == JOB_SHARE_BY_TIME && !batch->stats.has_watermark))
		return NULL;
	share = palloc0(offsetof(JobShare, inputs) + sizeof(JobShareInput) * batch->npartitions);
	if (!list_inputs(batch, share, sharing, &total) || total * usecs < job_share_after * 1000.0)
		return NULL;
	qsort(share->inputs, share->n, sizeof(JobShareInput), compare_inputs);

	/* the leader gets the results of all */
	rows = SHARED_USECS / usecs * share->n;
	if (pace->memory > 0)
		rows = Min(rows, job_work_mem * 1024.0 / 2 / pace->memory);
	most = Max((int64) (rows / share->n), 1);
	share->until = DT_NOEND;
	if (sharing == JOB_SHARE_FREELY)
	{
		for (int i = 0; i < share->n; i++)
			share->inputs[i].to = Min(share->inputs[i].to,
									  share->inputs[i].progress.next_offset + most);
	}
	else if (!limit_time(batch, share, most))
		return NULL;
	if (!is_spread(batch, share))
		return NULL;
	*nhelpers = job_take_helpers(Min(share->n - 1, max_parallel_workers));
	return *nhelpers > 0 ? share : NULL;
}

/* ---- the leader ---- */

/* put what helpers need into shared memory, and start them */
static ParallelContext *
start_helpers(SharedRound *shared)
{
	JobBatch   *batch = shared->round.batch;
	Size		share_size = offsetof(JobShare, inputs) + sizeof(JobShareInput) * shared->share->n;
	Size		query_size = strlen(batch->job.query_tree) + 1;
	ParallelContext *context;
	JobShare   *share;
	char	   *query;
	char	   *queues;

	context = CreateParallelContext("streamq", "streamq_job_helper_main", shared->nhelpers);
	shm_toc_estimate_chunk(&context->estimator, share_size);
	shm_toc_estimate_chunk(&context->estimator, query_size);
	shm_toc_estimate_chunk(&context->estimator,
						   mul_size(JOB_SHARE_QUEUE_SIZE, shared->nhelpers));
	shm_toc_estimate_keys(&context->estimator, 3);
	InitializeParallelDSM(context);

	share = shm_toc_allocate(context->toc, share_size);
	memcpy(share, shared->share, share_size);
	pg_atomic_init_u32(&share->taken, 0);
	shm_toc_insert(context->toc, JOB_SHARE_KEY_SHARE, share);
	query = shm_toc_allocate(context->toc, query_size);
	memcpy(query, batch->job.query_tree, query_size);
	shm_toc_insert(context->toc, JOB_SHARE_KEY_QUERY, query);
	queues = shm_toc_allocate(context->toc, mul_size(JOB_SHARE_QUEUE_SIZE, shared->nhelpers));
	for (int i = 0; i < context->nworkers; i++)
	{
		shm_mq	   *queue = shm_mq_create(queues + (Size) i * JOB_SHARE_QUEUE_SIZE,
										  JOB_SHARE_QUEUE_SIZE);

		shm_mq_set_receiver(queue, MyProc);
	}
	shm_toc_insert(context->toc, JOB_SHARE_KEY_QUEUES, queues);
	shared->share = shared->part.share = share;
	LaunchParallelWorkers(context);
	shared->nlaunched = context->nworkers_launched;
	return context;
}

static void
receive_all(SharedRound *shared, ParallelContext *context)
{
	char	   *queues = shm_toc_lookup(context->toc, JOB_SHARE_KEY_QUEUES, false);

	for (int i = 0; i < context->nworkers_launched; i++)
	{
		shm_mq	   *queue = (shm_mq *) (queues + (Size) i * JOB_SHARE_QUEUE_SIZE);

		job_part_receive(&shared->round,
						 shm_mq_attach(queue, context->seg, context->worker[i].bgwhandle));
	}
}

/* all partitions were read: positions, counters, the watermark */
static void
add_results(SharedRound *shared)
{
	JobRound   *round = &shared->round;
	JobBatch   *batch = round->batch;
	ListCell   *lc;

	if (list_length(shared->part.results) != shared->share->n)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("lost connection to a process that helped with the batch")));
	round->stats = batch->stats;
	foreach(lc, shared->part.results)
	{
		const JobPartResult *result = lfirst(lc);
		JobProgress *progress = &round->progress[result->input];

		*progress = result->progress;
		progress->tid = batch->progress[result->input].tid;
		round->stats.rows_processed += result->rows;
		round->stats.expired += result->expired;
		shared->rows += result->rows;
		shared->more |= result->more;
	}
	round->stats.late_rows += job_share_count_late(batch, shared->part.results);
	round->part = NULL;
	job_compute_watermark(round);
}

/* as the body of a round that is not shared, in round.c */
static void
run_shared(void *arg)
{
	SharedRound *shared = arg;
	JobRound   *round = &shared->round;
	JobBatch   *batch = round->batch;
	MemoryContext old = MemoryContextSwitchTo(round->mcxt);
	ParallelContext *context;

	/* helpers get the snapshot that decides which messages are visible */
	PushActiveSnapshot(batch->snapshot);
	round->part = &shared->part;
	round->progress = palloc(sizeof(JobProgress) * batch->ninputs);
	memcpy(round->progress, batch->progress, sizeof(JobProgress) * batch->ninputs);
	round->stats = batch->stats;
	round->blocked = palloc0(sizeof(bool) * batch->ninputs);
	EnterParallelMode();
	context = start_helpers(shared);
	PopActiveSnapshot();

	PushActiveSnapshot(GetTransactionSnapshot());
	batch->kind->begin_round(round);
	job_part_take_rows(round);
	receive_all(shared, context);
	WaitForParallelWorkersToFinish(context);
	add_results(shared);
	DestroyParallelContext(context);
	ExitParallelMode();

	batch->kind->flush_round(round);
	PopActiveSnapshot();
	CommandCounterIncrement();
	memcpy(batch->progress, round->progress, sizeof(JobProgress) * batch->ninputs);
	batch->stats = round->stats;
	MemoryContextSwitchTo(old);
}

bool
job_share_round(JobBatch *batch, int64 *rows, bool *more)
{
	SharedRound shared = {0};
	JobPace    *pace = find_pace(batch->job.job_id);
	TimestampTz start = GetCurrentTimestamp();
	ErrorData  *error;

	shared.share = plan_share(batch, &shared.nhelpers);
	if (shared.share == NULL)
		return false;
	shared.share->job_id = batch->job.job_id;
	strlcpy(shared.share->kind, batch->kind->name, NAMEDATALEN);
	shared.share->source = batch->job.source;
	shared.share->state = batch->job.state;
	shared.share->event_time = batch->job.event_time;
	shared.share->has_watermark = batch->stats.has_watermark;
	shared.share->watermark = batch->stats.watermark;
	shared.share->memory = (Size) job_work_mem * 1024;
	shared.round.batch = batch;
	shared.round.mcxt = AllocSetContextCreate(CurrentMemoryContext, "streamq round",
											  ALLOCSET_DEFAULT_SIZES);
	error = base_try(run_shared, &shared, BASE_TRY_KEEP, base_try_is_any);
	if (error)
	{
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		pace->hold_off = HOLD_OFF;
		ereport(DEBUG1,
				(errmsg_internal("batch of job %d is not shared: %s", batch->job.job_id,
								 error->message)));
	}
	else if (shared.rows > 0)
	{
		/* what a process needs for a row, with its share of the overhead */
		pace->usecs = (double) (GetCurrentTimestamp() - start) * (shared.nlaunched + 1) / shared.rows;
		pace->memory = (double) MemoryContextMemAllocated(shared.round.mcxt, true) / shared.rows;
	}
	if (error == NULL && shared.nlaunched == 0)
		pace->hold_off = NONE_LAUNCHED;
	MemoryContextDelete(shared.round.mcxt);
	*rows = shared.rows;
	*more = shared.more;
	return error == NULL;
}
