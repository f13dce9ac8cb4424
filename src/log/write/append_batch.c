/*
 * append_batch.c
 *	  Batches of rows: encoded one by one, shared out among the partitions,
 *	  and appended together.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "log/admission.h"
#include "log/log.h"
#include "log/page/row_codec.h"
#include "log/read/slot.h"
#include "log/reader.h"
#include "log/space/relcache.h"
#include "log/space/tid.h"
#include "log/write/append.h"
#include "log/write/append_batch.h"
#include "log/write/route.h"
#include "base/loaded.h"

/* Memory for encoded rows. */
typedef struct RowMemory
{
	char	   *chunk;			/* begins with a pointer to the previous chunk */
	Size		used;
	Size		size;
} RowMemory;

#define ROW_CHUNK	65536

struct LogBatch
{
	Relation	rel;
	int			partition;		/* of all rows; -1: each is routed */
	int			npartitions;
	int			nrows;
	LogRow	   *rows;
	int16	   *partitions;		/* of each row, if they are routed; -1: any */
	LogRoute   *route;
	bool		note;			/* tell the placement callback where rows went */
	RowMemory	memory;
};

/* most rows of a batch that needs no allocation */
#define SMALL_BATCH 16

static const LogPlacement *placement = NULL;

void		(*log_enter_hook) (Relation rel, int64 nrows) = NULL;
void		(*log_leave_hook) (Relation rel) = NULL;
bool		(*log_room_hook) (Relation rel, int64 nrows, bool wait) = NULL;

void
log_register_placement(const LogPlacement *callbacks)
{
	placement = callbacks;
}

void
log_placement_file_changed(void)
{
	if (placement != NULL)
		placement->file_changed();
}

static char *
reserve_row(void *arg, Size len)
{
	RowMemory  *memory = arg;
	char	   *p;

	if (memory->size - memory->used < len)
	{
		/* a single row gets no more memory than it needs */
		Size		size = memory->chunk ? Max(ROW_CHUNK, len) : len;
		char	   *chunk = MemoryContextAllocHuge(CurrentMemoryContext,
												   sizeof(char *) + size);

		*(char **) chunk = memory->chunk;
		memory->chunk = chunk;
		memory->used = sizeof(char *);
		memory->size = sizeof(char *) + size;
	}
	p = memory->chunk + memory->used;
	memory->used += MAXALIGN(len);
	memory->used = Min(memory->used, memory->size);
	return p;
}

static void
release_rows(RowMemory *memory)
{
	while (memory->chunk)
	{
		char	   *before = *(char **) memory->chunk;

		pfree(memory->chunk);
		memory->chunk = before;
	}
}

/*
 * Ask flow control, if the stream has any, whether rows may be appended.
 * Returns true if leave_flow() must be called afterwards.  The relcache entry
 * may be built again meanwhile.
 */
static inline bool
enter_flow(Relation rel, int64 nrows)
{
	LogFlowOptions *flow = &log_relcache(rel)->options.flow;

	if (likely(flow->backlog_policy == LOG_BACKLOG_NONE && flow->max_rate == 0) ||
		log_enter_hook == NULL)
		return false;
	log_enter_hook(rel, nrows);
	return true;
}

/*
 * Choose partitions for the rows that may go anywhere.  They get contiguous
 * shares, so that a batch makes few runs.
 */
static void
spread_rows(LogBatch *batch)
{
	int			npartitions = batch->npartitions;
	int			nspread = 0;
	int			start;
	int			k = 0;

	for (int i = 0; i < batch->nrows; i++)
		if (batch->partitions[i] < 0)
			nspread++;
	if (nspread == 0)
		return;
	start = log_route_spread(npartitions, Min(nspread, npartitions));
	for (int i = 0; i < batch->nrows; i++)
		if (batch->partitions[i] < 0)
		{
			int			share = nspread <= npartitions ? k :
				(int) ((int64) k * npartitions / nspread);

			batch->partitions[i] = (start + share) % npartitions;
			k++;
		}
}

/*
 * Append the rows of each partition together, and return the message id of
 * each row.
 */
static void
append_routed(LogBatch *batch, CommandId cid, int64 *msg_ids)
{
	int			ends[LOG_MAX_PARTITIONS] = {0};
	LogRow	   *rows = palloc_extended(sizeof(LogRow) * batch->nrows, MCXT_ALLOC_HUGE);
	int		   *order = palloc_extended(sizeof(int) * batch->nrows, MCXT_ALLOC_HUGE);
	int			done = 0;

	spread_rows(batch);
	for (int i = 0; i < batch->nrows; i++)
		ends[batch->partitions[i]]++;
	for (int p = 0; p < batch->npartitions; p++)
	{
		int			n = ends[p];

		ends[p] = done;
		done += n;
	}
	for (int i = 0; i < batch->nrows; i++)
	{
		int			place = ends[batch->partitions[i]]++;

		rows[place] = batch->rows[i];
		order[place] = i;
	}
	done = 0;
	for (int p = 0; p < batch->npartitions; p++)
	{
		int64		first;

		if (ends[p] == done)
			continue;
		first = log_append_rows(batch->rel, p, rows + done, ends[p] - done, cid);
		for (int64 off = first; done < ends[p]; done++)
			msg_ids[order[done]] = LOG_MSG_ID(p, off++);
	}
	pfree(order);
	pfree(rows);
	if (batch->note)
		placement->note(batch->rel, batch->partitions, batch->nrows);
}

LogBatch *
log_batch_begin(Relation rel, int max_rows, int partition)
{
	LogBatch   *batch;

	base_require_loaded();
	batch = palloc0(sizeof(LogBatch));
	if (partition < 0 && log_relcache(rel)->options.npartitions == 1)
		partition = 0;
	batch->rel = rel;
	batch->partition = partition;
	batch->npartitions = log_relcache(rel)->options.npartitions;
	batch->rows = palloc_extended(sizeof(LogRow) * Max(max_rows, 1), MCXT_ALLOC_HUGE);
	if (partition < 0)
	{
		batch->partitions = palloc_extended(sizeof(int16) * Max(max_rows, 1), MCXT_ALLOC_HUGE);
		batch->route = log_route_copy(rel);
	}
	return batch;
}

void
log_batch_add(LogBatch *batch, const Datum *values, const bool *isnull)
{
	int			i = batch->nrows;

	if (batch->partitions)
		batch->partitions[i] = log_route_values(batch->route, values, isnull);
	log_row_encode(RelationGetDescr(batch->rel), values, isnull,
				   reserve_row, &batch->memory, &batch->rows[i]);
	batch->nrows++;
}

void
log_batch_append(LogBatch *batch, CommandId cid, int64 *msg_ids)
{
	bool		entered = batch->nrows > 0 && enter_flow(batch->rel, batch->nrows);

	if (batch->nrows == 0)
		 /* nothing to append */ ;
	else if (batch->partitions)
		append_routed(batch, cid, msg_ids);
	else
	{
		int64		first = log_append_rows(batch->rel, batch->partition, batch->rows,
											batch->nrows, cid);

		for (int i = 0; i < batch->nrows; i++)
			msg_ids[i] = LOG_MSG_ID(batch->partition, first + i);
	}
	if (entered)
		log_leave_hook(batch->rel);
	release_rows(&batch->memory);
	pfree(batch->rows);
	if (batch->partitions)
	{
		pfree(batch->partitions);
		pfree(batch->route);
	}
	pfree(batch);
}

/* ---- slots ---- */

static inline void
get_row(TupleTableSlot *slot, LogRow *row, RowMemory *memory)
{
	if (slot->tts_ops == &log_slot_ops)
		log_slot_get_row(slot, row);
	else
	{
		slot_getallattrs(slot);
		log_row_encode(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull,
					   reserve_row, memory, row);
	}
}

static inline void
set_identity(Relation rel, TupleTableSlot *slot, int partition, int64 off)
{
	log_set_tid(partition, off, &slot->tts_tid);
	slot->tts_tableOid = RelationGetRelid(rel);
}

static void
append_slots_routed(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid)
{
	LogBatch   *batch = log_batch_begin(rel, nslots, -1);
	int64	   *msg_ids = palloc_extended(sizeof(int64) * nslots, MCXT_ALLOC_HUGE);

	for (int i = 0; i < nslots; i++)
	{
		if (batch->partitions)
			batch->partitions[i] = log_route_slot(batch->route, slots[i]);
		get_row(slots[i], &batch->rows[i], &batch->memory);
	}
	batch->nrows = nslots;
	if (batch->partitions && placement != NULL)
		placement->place(rel, slots, nslots, batch->partitions, &batch->note);
	log_batch_append(batch, cid, msg_ids);
	for (int i = 0; i < nslots; i++)
		set_identity(rel, slots[i], LOG_MSG_PARTITION(msg_ids[i]), LOG_MSG_OFFSET(msg_ids[i]));
	pfree(msg_ids);
}

void
log_append(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid, int partition)
{
	LogRow		small[SMALL_BATCH];
	LogRow	   *rows = small;
	RowMemory	memory = {NULL, 0, 0};
	int64		first;
	bool		entered;

	if (nslots == 0)
		return;
	base_require_loaded();
	if (partition < 0 && log_relcache(rel)->options.npartitions == 1)
		partition = 0;
	if (partition < 0)
	{
		append_slots_routed(rel, slots, nslots, cid);
		return;
	}

	if (nslots > SMALL_BATCH)
		rows = palloc_extended(sizeof(LogRow) * nslots, MCXT_ALLOC_HUGE);
	for (int i = 0; i < nslots; i++)
		get_row(slots[i], &rows[i], &memory);
	entered = enter_flow(rel, nslots);
	first = log_append_rows(rel, partition, rows, nslots, cid);
	if (entered)
		log_leave_hook(rel);
	for (int i = 0; i < nslots; i++)
		set_identity(rel, slots[i], partition, first + i);
	release_rows(&memory);
	if (rows != small)
		pfree(rows);
}
