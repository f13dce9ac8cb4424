/*
 * load.c
 *	  Messages of a partition by their number, and their prints.
 *
 * Offsets are not the same in a restored stream, but the number of a message
 * within its partition is.  A print, a hash of some messages, tells whether
 * these are the messages that were dumped.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "log/load.h"
#include "log/log.h"
#include "log/page/page.h"
#include "log/page/run.h"
#include "log/read/cursor.h"
#include "log/read/visibility.h"
#include "log/reader.h"

typedef struct LoadRun
{
	TransactionId xid;
	int			nrows;
	int64		off;
} LoadRun;

typedef struct LoadRuns
{
	int			n;
	int			max;
	LoadRun    *runs;
} LoadRuns;

/* Collect the visible runs of a page; false if there is no page. */
static bool
collect_page(LogCursor *cursor, Snapshot snapshot, LoadRuns *result)
{
	Buffer		buffer = log_cursor_read(cursor);
	LogRunWalk	walk;
	LogRun	   *run;
	int64		frozen;

	if (!BufferIsValid(buffer))
		return false;
	frozen = log_frozen_offset(cursor->rel, cursor->partition);
	log_run_begin(&walk, BufferGetPage(buffer));
	while ((run = log_run_next(&walk)) != NULL)
	{
		log_run_check(&walk, run, cursor->rel, buffer);
		if (run->nrows > 0 &&
			log_run_visibility(cursor->rel, cursor->partition, run, walk.off, frozen,
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
			r->xid = run->xid;
			r->nrows = run->nrows;
			r->off = walk.off;
		}
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

bool
log_ends_load(Relation rel, int partition, int64 n, Snapshot snapshot)
{
	LogCursor	cursor;
	LoadRuns	runs = {0};
	TransactionId xid = InvalidTransactionId;
	int64		before = 0;
	bool		result = false;
	bool		decided = n == 0;

	if (decided)
		return true;
	log_cursor_init(&cursor, rel, partition);
	if (!log_cursor_seek(&cursor, log_first_offset(rel, partition)))
		return false;
	do
	{
		CHECK_FOR_INTERRUPTS();
		runs.n = 0;
		if (!collect_page(&cursor, snapshot, &runs))
			break;
		for (int i = 0; i < runs.n && !decided; i++)
		{
			if (before == n)
			{
				result = runs.runs[i].xid != xid;
				decided = true;
			}
			else if (before + runs.runs[i].nrows > n)
				decided = true;
			else
			{
				before += runs.runs[i].nrows;
				xid = runs.runs[i].xid;
			}
		}
	} while (!decided && log_cursor_next(&cursor));
	if (runs.runs)
		pfree(runs.runs);
	return decided ? result : before == n;
}

void
log_count_below(Relation rel, int partition, const int64 *offsets, int n, Snapshot snapshot,
				int64 *counts)
{
	LogCursor	cursor;
	LoadRuns	runs = {0};
	int64		before = 0;
	int			found = 0;

	log_cursor_init(&cursor, rel, partition);
	if (n > 0 && log_cursor_seek(&cursor, log_first_offset(rel, partition)))
	{
		do
		{
			CHECK_FOR_INTERRUPTS();
			runs.n = 0;
			if (!collect_page(&cursor, snapshot, &runs))
				break;
			for (int i = 0; i < runs.n; i++)
			{
				LoadRun    *run = &runs.runs[i];

				while (found < n && offsets[found] < run->off + run->nrows)
				{
					counts[found] = before + Max(0, offsets[found] - run->off);
					found++;
				}
				before += run->nrows;
			}
		} while (found < n && log_cursor_next(&cursor));
	}
	while (found < n)
		counts[found++] = before;
	if (runs.runs)
		pfree(runs.runs);
}

/* ---- prints ---- */

/*
 * Does the binary form of the type's values mean the same in every database?
 * Some types have OIDs in it.
 */
static bool
has_portable_form(Oid type)
{
	Oid			element;

	type = getBaseType(type);
	element = get_element_type(type);
	if (OidIsValid(element))
		return element < FirstNormalObjectId && has_portable_form(element);
	switch (type)
	{
		case OIDOID:
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGTYPEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case REGNAMESPACEOID:
		case REGROLEOID:
		case REGCOLLATIONOID:
			return false;
		default:
			break;
	}
	switch (get_typtype(type))
	{
		case TYPTYPE_BASE:
		case TYPTYPE_ENUM:
			return true;
		case TYPTYPE_RANGE:
			return has_portable_form(get_range_subtype(type));
		case TYPTYPE_MULTIRANGE:
			return has_portable_form(get_multirange_range(type));
		default:
			return false;
	}
}

/* Hash the binary form of the values, which no setting changes. */
uint64
log_hash_slot(TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	uint64		hash = 0;

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		HeapTuple	tuple;
		Oid			send;
		uint64		h = 0;

		if (att->attisdropped || COMPAT_IS_VIRTUAL_COLUMN(att))
			continue;
		if (!slot->tts_isnull[i])
		{
			tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(att->atttypid));
			if (!HeapTupleIsValid(tuple))
				elog(ERROR, "cache lookup failed for type %u", att->atttypid);
			send = ((Form_pg_type) GETSTRUCT(tuple))->typsend;
			ReleaseSysCache(tuple);
			h = 1;
			if (OidIsValid(send) && has_portable_form(att->atttypid))
			{
				bytea	   *bytes = OidSendFunctionCall(send, slot->tts_values[i]);

				h = hash_bytes_extended((unsigned char *) VARDATA(bytes),
										VARSIZE(bytes) - VARHDRSZ, 1);
				pfree(bytes);
			}
		}
		hash = hash_combine64(hash, h);
	}
	return hash;
}

int
log_print_samples(int64 n, int64 *ns)
{
	int			nsamples = (int) Min(n, LOG_PRINT_SAMPLES);

	for (int i = 0; i < nsamples; i++)
		ns[i] = nsamples == 1 ? 1 :
			1 + (int64) ((double) (n - 1) * i / (nsamples - 1));
	return nsamples;
}

int64
log_print(Relation rel, int partition, int64 n, Snapshot snapshot)
{
	TupleTableSlot *slot = log_slot_create(rel);
	int64		ns[LOG_PRINT_SAMPLES] = {0};
	int64		offsets[LOG_PRINT_SAMPLES];
	int			nsamples = log_print_samples(n, ns);
	uint64		hash = 0;

	log_nth_rows(rel, partition, ns, nsamples, snapshot, offsets);
	for (int i = 0; i < nsamples; i++)
	{
		LogReader  *reader;

		if (offsets[i] < 0)
		{
			hash = 0;
			break;
		}
		reader = log_reader_begin(rel, partition, offsets[i], offsets[i] + 1, snapshot, false);
		if (log_reader_next(reader, slot))
			hash = hash_combine64(hash, log_hash_slot(slot));
		log_reader_end(reader);
	}
	ExecDropSingleTupleTableSlot(slot);
	return (int64) hash;
}
