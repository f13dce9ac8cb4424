/*
 * job_counters.c
 *	  Rows of streamq.job_progress, job_stats and job_error_log: what changes
 *	  while a job runs.
 *
 * They are read and written directly, without privilege checks; the callers
 * check privileges.  Rows that change with every batch have no index on the
 * columns that change.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/elog.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "base/tidcache.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "job/job_counters.h"

enum
{
	Anum_progress_job_id = 1,
	Anum_progress_partition,
	Anum_progress_next_offset,
	Anum_progress_max_event_time,
	Anum_progress_last_message_at,
	Anum_progress_replay_to,
	Anum_progress_start_offset,
	Natts_progress = Anum_progress_start_offset
};

enum
{
	Anum_stats_job_id = 1,
	Anum_stats_rows_processed,
	Anum_stats_late_rows,
	Anum_stats_errors,
	Anum_stats_errors_before,
	Anum_stats_failing,
	Anum_stats_last_error,
	Anum_stats_watermark,
	Anum_stats_expired,
	Anum_stats_rows_written,
	Anum_stats_emitted_until,
	Natts_stats = Anum_stats_emitted_until
};

enum
{
	Anum_error_job_id = 1,
	Anum_error_stream,
	Anum_error_msg_id,
	Anum_error_at,
	Anum_error_sqlstate,
	Anum_error_message,
	Natts_error = Anum_error_message
};

/* longest error message to store: messages may quote whole values */
#define MESSAGE_MAX		1000

static char *
clip_message(const char *message)
{
	return pnstrdup(message, pg_mbcliplen(message, strlen(message), MESSAGE_MAX));
}

/* scan the rows of a job; attno, the first column of the index, is job_id */
static SysScanDesc
scan_job(Relation rel, const char *index, int attno, int32 job_id, Snapshot snapshot)
{
	return base_catalog_scan(rel, base_catalog_index(rel, index), attno,
							 Int32GetDatum(job_id), snapshot);
}

/* ---- counters ---- */

void
job_insert_stats(int32 job_id)
{
	Relation	rel = base_catalog_open("job_stats", Natts_stats, RowExclusiveLock, false);
	Datum		values[Natts_stats] = {0};
	bool		nulls[Natts_stats] = {0};

	values[Anum_stats_job_id - 1] = Int32GetDatum(job_id);
	nulls[Anum_stats_last_error - 1] = true;
	nulls[Anum_stats_watermark - 1] = true;
	nulls[Anum_stats_emitted_until - 1] = true;
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

static void
read_stats_tuple(HeapTuple tup, TupleDesc desc, JobStats *stats)
{
	Datum		value;
	bool		isnull;

	stats->rows_processed = DatumGetInt64(heap_getattr(tup, Anum_stats_rows_processed, desc, &isnull));
	stats->late_rows = DatumGetInt64(heap_getattr(tup, Anum_stats_late_rows, desc, &isnull));
	stats->errors = DatumGetInt64(heap_getattr(tup, Anum_stats_errors, desc, &isnull));
	stats->errors_before = DatumGetInt64(heap_getattr(tup, Anum_stats_errors_before, desc, &isnull));
	stats->failing = DatumGetBool(heap_getattr(tup, Anum_stats_failing, desc, &isnull));
	value = heap_getattr(tup, Anum_stats_last_error, desc, &isnull);
	stats->last_error = isnull ? NULL : TextDatumGetCString(value);
	stats->watermark = DatumGetTimestamp(heap_getattr(tup, Anum_stats_watermark, desc, &isnull));
	stats->has_watermark = !isnull;
	stats->expired = DatumGetInt64(heap_getattr(tup, Anum_stats_expired, desc, &isnull));
	stats->rows_written = DatumGetInt64(heap_getattr(tup, Anum_stats_rows_written, desc, &isnull));
	stats->emitted_until = DatumGetTimestamp(heap_getattr(tup, Anum_stats_emitted_until, desc, &isnull));
	if (isnull)
		stats->emitted_until = DT_NOBEGIN;
}

static bool
is_row_of(HeapTuple tup, TupleDesc desc, int attno, int32 value)
{
	bool		isnull;

	return DatumGetInt32(heap_getattr(tup, attno, desc, &isnull)) == value;
}

bool
job_read_stats(int32 job_id, JobStats *stats, ItemPointer tid)
{
	Relation	rel = base_catalog_open("job_stats", Natts_stats, AccessShareLock, false);
	TupleDesc	desc = RelationGetDescr(rel);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = NULL;
	HeapTuple	tup;
	bool		found;

	memset(stats, 0, sizeof(*stats));
	tup = base_tidcache_fetch(rel, job_id, snapshot);
	if (tup == NULL || !is_row_of(tup, desc, Anum_stats_job_id, job_id))
	{
		scan = scan_job(rel, "job_stats_pkey", Anum_stats_job_id, job_id, snapshot);
		tup = systable_getnext(scan);
	}
	found = HeapTupleIsValid(tup);
	if (found)
	{
		read_stats_tuple(tup, desc, stats);
		*tid = tup->t_self;
	}
	if (scan)
		systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return found;
}

void
job_write_stats(int32 job_id, JobStats *stats, ItemPointer tid)
{
	Relation	rel = base_catalog_open("job_stats", Natts_stats, RowExclusiveLock, false);
	Datum		values[Natts_stats] = {0};
	bool		nulls[Natts_stats] = {0};
	HeapTuple	tup;

	values[Anum_stats_job_id - 1] = Int32GetDatum(job_id);
	values[Anum_stats_rows_processed - 1] = Int64GetDatum(stats->rows_processed);
	values[Anum_stats_late_rows - 1] = Int64GetDatum(stats->late_rows);
	values[Anum_stats_errors - 1] = Int64GetDatum(stats->errors);
	values[Anum_stats_errors_before - 1] = Int64GetDatum(stats->errors_before);
	values[Anum_stats_failing - 1] = BoolGetDatum(stats->failing);
	if (stats->last_error)
		values[Anum_stats_last_error - 1] = CStringGetTextDatum(clip_message(stats->last_error));
	else
		nulls[Anum_stats_last_error - 1] = true;
	values[Anum_stats_watermark - 1] = TimestampTzGetDatum(stats->watermark);
	nulls[Anum_stats_watermark - 1] = !stats->has_watermark;
	values[Anum_stats_expired - 1] = Int64GetDatum(stats->expired);
	values[Anum_stats_rows_written - 1] = Int64GetDatum(stats->rows_written);
	values[Anum_stats_emitted_until - 1] = TimestampTzGetDatum(stats->emitted_until);
	nulls[Anum_stats_emitted_until - 1] = TIMESTAMP_IS_NOBEGIN(stats->emitted_until);

	tup = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleUpdate(rel, tid, tup);
	base_tidcache_store(rel, job_id, &tup->t_self);
	table_close(rel, NoLock);
}

/* ---- positions ---- */

/* key of a row of job_progress in the cache of TIDs */
#define PROGRESS_KEY(job_id, partition) \
	(((uint64) (uint32) (job_id) << 32) | (uint32) (partition))

static void
read_progress_tuple(HeapTuple tup, TupleDesc desc, JobProgress *progress)
{
	bool		isnull;

	progress->next_offset = DatumGetInt64(heap_getattr(tup, Anum_progress_next_offset, desc, &isnull));
	progress->max_event = DatumGetTimestamp(heap_getattr(tup, Anum_progress_max_event_time, desc, &isnull));
	progress->has_event = !isnull;
	progress->last_at = DatumGetTimestampTz(heap_getattr(tup, Anum_progress_last_message_at, desc,
														 &isnull));
	if (isnull)
		progress->last_at = DT_NOBEGIN;
	progress->replay_to = DatumGetInt64(heap_getattr(tup, Anum_progress_replay_to, desc, &isnull));
	if (isnull)
		progress->replay_to = 0;
	progress->start_offset = DatumGetInt64(heap_getattr(tup, Anum_progress_start_offset, desc,
														&isnull));
	if (isnull)
		progress->start_offset = 0;
	progress->stored = true;
	progress->tid = tup->t_self;
}

JobProgress *
job_read_progress(int32 job_id, int npartitions, int nother)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	JobProgress *result = job_read_progress_as_of(job_id, npartitions, nother, snapshot);

	UnregisterSnapshot(snapshot);
	return result;
}

JobProgress *
job_read_progress_as_of(int32 job_id, int npartitions, int nother, Snapshot snapshot)
{
	Relation	rel = base_catalog_open("job_progress", Natts_progress, AccessShareLock, false);
	TupleDesc	desc = RelationGetDescr(rel);
	JobProgress *result = palloc0(sizeof(JobProgress) * (npartitions + nother));
	bool		all = true;

	for (int i = 0; i < npartitions + nother; i++)
	{
		int			input = i < npartitions ? i : JOB_OTHER_INPUT(i - npartitions);
		HeapTuple	tup = base_tidcache_fetch(rel, PROGRESS_KEY(job_id, input), snapshot);

		result[i].partition = input;
		result[i].last_at = DT_NOBEGIN;
		if (tup && is_row_of(tup, desc, Anum_progress_job_id, job_id) &&
			is_row_of(tup, desc, Anum_progress_partition, input))
			read_progress_tuple(tup, desc, &result[i]);
		else
			all = false;
	}
	if (!all)
	{
		SysScanDesc scan = scan_job(rel, "job_progress_pkey", Anum_progress_job_id,
									job_id, snapshot);
		HeapTuple	tup;

		while (HeapTupleIsValid(tup = systable_getnext(scan)))
		{
			bool		isnull;
			int			input = DatumGetInt32(heap_getattr(tup, Anum_progress_partition,
														   desc, &isnull));
			int			i = input;

			if (input >= JOB_OTHER_INPUT(0))
				i = input < JOB_OTHER_INPUT(nother) ? npartitions + input - JOB_OTHER_INPUT(0) : -1;
			else if (input >= npartitions)
				i = -1;
			if (i < 0)
				continue;
			read_progress_tuple(tup, desc, &result[i]);
			base_tidcache_store(rel, PROGRESS_KEY(job_id, input), &tup->t_self);
		}
		systable_endscan(scan);
	}
	table_close(rel, AccessShareLock);
	return result;
}

void
job_hold_retention(Relation rel, int npartitions, int64 *least)
{
	Oid			relid = RelationGetRelid(rel);
	ListCell   *lc;

	foreach(lc, job_list())
	{
		JobInfo    *info = lfirst(lc);
		JobProgress *progress;

		if (info->source == relid)
			progress = job_read_progress(info->job_id, npartitions, 0);
		else if (info->other_source == relid)
			progress = job_read_progress(info->job_id, 0, npartitions);
		else
			continue;
		for (int p = 0; p < npartitions; p++)
			least[p] = Min(least[p], progress[p].next_offset);
		pfree(progress);
	}
}

void
job_write_progress(int32 job_id, JobProgress *progress, int n)
{
	Relation	rel = base_catalog_open("job_progress", Natts_progress, RowExclusiveLock, false);

	for (int i = 0; i < n; i++)
	{
		JobProgress *p = &progress[i];
		Datum		values[Natts_progress] = {0};
		bool		nulls[Natts_progress] = {0};
		HeapTuple	tup;

		if (!p->changed)
			continue;
		values[Anum_progress_job_id - 1] = Int32GetDatum(job_id);
		values[Anum_progress_partition - 1] = Int32GetDatum(p->partition);
		values[Anum_progress_next_offset - 1] = Int64GetDatum(p->next_offset);
		values[Anum_progress_max_event_time - 1] = TimestampTzGetDatum(p->max_event);
		nulls[Anum_progress_max_event_time - 1] = !p->has_event;
		values[Anum_progress_last_message_at - 1] = TimestampTzGetDatum(p->last_at);
		values[Anum_progress_replay_to - 1] = Int64GetDatum(p->replay_to);
		nulls[Anum_progress_replay_to - 1] = p->replay_to <= p->next_offset;
		values[Anum_progress_start_offset - 1] = Int64GetDatum(p->start_offset);
		nulls[Anum_progress_start_offset - 1] = p->start_offset == 0;
		nulls[Anum_progress_last_message_at - 1] = TIMESTAMP_IS_NOBEGIN(p->last_at);
		tup = heap_form_tuple(RelationGetDescr(rel), values, nulls);
		if (p->stored)
			CatalogTupleUpdate(rel, &p->tid, tup);
		else
			CatalogTupleInsert(rel, tup);
		base_tidcache_store(rel, PROGRESS_KEY(job_id, p->partition), &tup->t_self);
		p->tid = tup->t_self;
		p->stored = true;
		p->changed = false;
	}
	table_close(rel, NoLock);
}

/* ---- errors ---- */

void
job_add_error(int32 job_id, Oid stream, int64 msg_id, int sqlerrcode, const char *message)
{
	Relation	rel = base_catalog_open("job_error_log", Natts_error, RowExclusiveLock, false);
	Datum		values[Natts_error] = {0};
	bool		nulls[Natts_error] = {0};

	values[Anum_error_job_id - 1] = Int32GetDatum(job_id);
	values[Anum_error_stream - 1] = ObjectIdGetDatum(stream);
	values[Anum_error_msg_id - 1] = Int64GetDatum(msg_id);
	values[Anum_error_at - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[Anum_error_sqlstate - 1] = CStringGetTextDatum(unpack_sql_state(sqlerrcode));
	values[Anum_error_message - 1] = CStringGetTextDatum(clip_message(message));
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);
}

List *
job_failed_messages(int32 job_id, Oid stream, Snapshot snapshot)
{
	Relation	rel = base_catalog_open("job_error_log", Natts_error, AccessShareLock, false);
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = scan_job(rel, "job_error_log_job_id_idx", Anum_error_job_id, job_id,
								snapshot);
	List	   *result = NIL;
	HeapTuple	tup;

	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		bool		isnull;
		int64	   *msg_id;

		if (DatumGetObjectId(heap_getattr(tup, Anum_error_stream, desc, &isnull)) != stream)
			continue;
		msg_id = palloc(sizeof(int64));
		*msg_id = DatumGetInt64(heap_getattr(tup, Anum_error_msg_id, desc, &isnull));
		result = lappend(result, msg_id);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/* called in a new transaction, because that of the batch was aborted */
void
job_note_error(int32 job_id, int sqlerrcode, const char *message)
{
	JobStats	stats;
	ItemPointerData tid;

	if (!OidIsValid(base_catalog_oid("job_stats", true)))
		return;
	job_lock(job_id, true);
	if (!job_read_stats(job_id, &stats, &tid))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	stats.errors++;
	stats.failing = true;
	stats.last_error = psprintf("%s (SQLSTATE %s)", message, unpack_sql_state(sqlerrcode));
	job_write_stats(job_id, &stats, &tid);
	PopActiveSnapshot();
}

/* ---- deleting ---- */

/* delete the rows of a job from a table */
static void
delete_rows(int32 job_id, const char *table, int natts, const char *index)
{
	/* when the extension is dropped, some tables may be gone already */
	Relation	rel = base_catalog_open(table, natts, RowExclusiveLock, true);

	if (rel == NULL)
		return;
	base_catalog_delete_by_key(rel, base_catalog_index(rel, index), 1, Int32GetDatum(job_id));
	table_close(rel, NoLock);
}

void
job_delete_errors(int32 job_id)
{
	delete_rows(job_id, "job_error_log", Natts_error, "job_error_log_job_id_idx");
}

void
job_delete_progress(int32 job_id)
{
	delete_rows(job_id, "job_progress", Natts_progress, "job_progress_pkey");
}

void
job_delete_stats(int32 job_id)
{
	delete_rows(job_id, "job_stats", Natts_stats, "job_stats_pkey");
}
