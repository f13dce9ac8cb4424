/*
 * load.c
 *	  How a restored dump has filled a stream.
 *
 * A dump holds a stream's messages partition after partition, each in offset
 * order, and is loaded by one COPY, hence one transaction, the first that wrote to the
 * stream.  Its rows may have got other places than they had: when the stream's options
 * came later all are in the first partition, in the dump's order; when rows
 * without a key were spread anew nothing can be told of their order.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"

#include "log/log_internal.h"

typedef struct LoadRun
{
	TimestampTz time;
	TransactionId xid;
	int			partition;
	int			nrows;
	int64		off;
} LoadRun;

typedef struct LoadRuns
{
	int			n;
	int			max;
	LoadRun    *runs;
} LoadRuns;

/* the visible runs of a page; false when there is no page */
static bool
collect_page(LogCursor *cursor, Snapshot snapshot, LoadRuns *result)
{
	Buffer		buffer = log_cursor_read(cursor);
	Page		page;
	uint32		pos;
	int64		off;
	int64		frozen;

	if (!BufferIsValid(buffer))
		return false;
	page = BufferGetPage(buffer);
	pos = LOG_PAGE_START + LOG_OPAQUE(page)->cont_len;
	off = LOG_OPAQUE(page)->base;
	frozen = log_frozen_offset(cursor->rel, cursor->partition);
	while (MAXALIGN(pos) + sizeof(LogRun) <= ((PageHeader) page)->pd_lower)
	{
		LogRun	   *run = (LogRun *) ((char *) page + MAXALIGN(pos));

		if (run->nrows > 0 &&
			log_run_visibility(cursor->rel, cursor->partition, run, off, frozen,
							   snapshot, buffer) == LOG_VISIBLE)
		{
			LoadRun    *r;

			if (result->n == result->max)
			{
				result->max = Max(64, result->max * 2);
				result->runs = result->runs == NULL ?
					palloc(result->max * sizeof(LoadRun)) :
					repalloc_huge(result->runs, result->max * sizeof(LoadRun));
			}
			r = &result->runs[result->n++];
			r->time = run->time;
			r->xid = run->xid;
			r->partition = cursor->partition;
			r->nrows = run->nrows;
			r->off = off;
		}
		off += run->nrows;
		pos = MAXALIGN(pos) + sizeof(LogRun) + run->nbytes;
	}
	UnlockReleaseBuffer(buffer);
	return true;
}

void
log_nth_rows(Relation rel, int partition, const int64 *ns, int n, Snapshot snapshot,
			 int64 *offsets)
{
	LogCursor	cursor;
	LoadRuns	runs = {0};
	int64		before = 0;
	int			found = 0;

	for (int i = 0; i < n; i++)
		offsets[i] = -1;
	log_cursor_init(&cursor, rel, partition);
	if (n == 0 || !log_cursor_seek(&cursor, log_first_offset(rel, partition)))
		return;
	do
	{
		CHECK_FOR_INTERRUPTS();
		runs.n = 0;
		if (!collect_page(&cursor, snapshot, &runs))
			break;
		for (int i = 0; i < runs.n; i++)
		{
			LoadRun    *run = &runs.runs[i];

			while (found < n && ns[found] <= before + run->nrows)
			{
				offsets[found] = run->off + ns[found] - before - 1;
				found++;
			}
			before += run->nrows;
		}
	} while (found < n && log_cursor_next(&cursor));
	if (runs.runs)
		pfree(runs.runs);
}

LogLoad *
log_load_read(Relation rel, Snapshot snapshot)
{
	LogLoad    *load = palloc0(sizeof(LogLoad));
	LoadRuns	runs = {0};
	TransactionId xid = InvalidTransactionId;
	TimestampTz first_time = DT_NOEND;

	load->npartitions = log_partition_count(rel);
	/* the first run of all tells whose load it is */
	for (int p = 0; p < load->npartitions; p++)
	{
		LogCursor	cursor;
		int			begin = runs.n;

		log_cursor_init(&cursor, rel, p);
		if (!log_cursor_seek(&cursor, log_first_offset(rel, p)))
			continue;
		do
		{
			CHECK_FOR_INTERRUPTS();
			if (!collect_page(&cursor, snapshot, &runs))
				break;
			/* other transactions came after it */
		} while ((runs.n == begin ||
				  runs.runs[runs.n - 1].xid == runs.runs[begin].xid) &&
				 log_cursor_next(&cursor));
		for (int i = begin; i < runs.n; i++)
			if (runs.runs[i].xid != runs.runs[begin].xid)
				runs.n = i;
		if (runs.n > begin && runs.runs[begin].time < first_time)
		{
			first_time = runs.runs[begin].time;
			xid = runs.runs[begin].xid;
		}
	}
	for (int i = 0; i < runs.n; i++)
	{
		LoadRun    *run = &runs.runs[i];

		if (run->xid == xid)
		{
			load->rows[run->partition] += run->nrows;
			load->total += run->nrows;
		}
	}
	return load;
}

void
log_load_prefix(const LogLoad *load, int64 done, int64 *rows)
{
	memset(rows, 0, sizeof(int64) * load->npartitions);
	for (int p = 0; p < load->npartitions; p++)
	{
		if (done >= load->total)
			rows[p] = load->rows[p];
		/* all in one place: their order is the dump's */
		else if (load->rows[p] == load->total)
		{
			rows[p] = done;
			return;
		}
	}
}
