/*
 * job_catalog.c
 *	  Rows of streamq.job, and the locks of jobs.
 *
 * They are read and written directly, without privilege checks; the callers
 * check privileges.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/elog.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "base/catalog.h"
#include "base/dump.h"
#include "compat.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "job/job_counters.h"
#include "job/job_retry.h"

/*
 * version of the contents of streamq.job; job_format() adds the server's
 * version
 */
#define JOB_FORMAT	3

enum
{
	Anum_job_job_id = 1,
	Anum_job_kind,
	Anum_job_name,
	Anum_job_target,
	Anum_job_source,
	Anum_job_other_source,
	Anum_job_state_table,
	Anum_job_result_table,
	Anum_job_emit_into,
	Anum_job_late_stream,
	Anum_job_dead_letter,
	Anum_job_enabled,
	Anum_job_created_at,
	Anum_job_start_at,
	Anum_job_watermark_delay,
	Anum_job_late_rows_policy,
	Anum_job_allowed_lateness,
	Anum_job_idle_timeout,
	Anum_job_retention,
	Anum_job_job_timeout,
	Anum_job_error_limit,
	Anum_job_batch_size,
	Anum_job_max_deliveries,
	Anum_job_retry_backoff,
	Anum_job_retry_backoff_max,
	Anum_job_format,
	Anum_job_settings,
	Anum_job_query,
	Anum_job_query_tree,
	Anum_job_definition,
	Anum_job_restored_done,
	Anum_job_restored_other_done,
	Anum_job_restored_events,
	Anum_job_restored_other_events,
	Anum_job_restored_watermark,
	Natts_job = Anum_job_restored_watermark
};

int32
job_format(void)
{
	return COMPAT_SERVER_MAJOR * 100 + JOB_FORMAT;
}

/* scan the rows of a job; attno, the first column of the index, is job_id */
static SysScanDesc
scan_job(Relation rel, const char *index, int attno, int32 job_id, Snapshot snapshot)
{
	return base_catalog_scan(rel, base_catalog_index(rel, index), attno,
							 Int32GetDatum(job_id), snapshot);
}

static char *
get_text(HeapTuple tup, int attno, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tup, attno, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* a month counts as 30 days, as in comparisons of intervals */
static int64
interval_micros(Datum value)
{
	Interval   *interval = DatumGetIntervalP(value);

	return interval->time + (interval->day + interval->month * (int64) DAYS_PER_MONTH) * USECS_PER_DAY;
}

static Oid
get_oid(HeapTuple tup, int attno, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tup, attno, desc, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

/* an interval in microseconds; null is JOB_NO_LIMIT */
static int64
get_micros(HeapTuple tup, int attno, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tup, attno, desc, &isnull);

	return isnull ? JOB_NO_LIMIT : interval_micros(value);
}

static int32
get_int4(HeapTuple tup, int attno, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tup, attno, desc, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

static void
read_options(HeapTuple tup, TupleDesc desc, JobRow *job)
{
	char	   *late = get_text(tup, Anum_job_late_rows_policy, desc);
	Datum		value;
	bool		isnull;

	job->event_time.delay = get_micros(tup, Anum_job_watermark_delay, desc);
	job->event_time.late = strcmp(late, "drop") == 0 ? JOB_LATE_DROP :
		strcmp(late, "route") == 0 ? JOB_LATE_ROUTE : JOB_LATE_UPDATE;
	job->event_time.lateness = get_micros(tup, Anum_job_allowed_lateness, desc);
	job->event_time.idle_timeout = get_micros(tup, Anum_job_idle_timeout, desc);
	job->event_time.retention = get_micros(tup, Anum_job_retention, desc);
	job->handling.batch_size = get_int4(tup, Anum_job_batch_size, desc);
	job->handling.max_deliveries = get_int4(tup, Anum_job_max_deliveries, desc);
	job->handling.backoff = Max(0, get_micros(tup, Anum_job_retry_backoff, desc));
	job->handling.backoff_max = get_micros(tup, Anum_job_retry_backoff_max, desc);

	value = heap_getattr(tup, Anum_job_error_limit, desc, &isnull);
	job->error_limit = isnull ? JOB_NO_LIMIT : DatumGetInt64(value);
	value = heap_getattr(tup, Anum_job_job_timeout, desc, &isnull);
	if (!isnull)
	{
		job->timeout = palloc(sizeof(Interval));
		*job->timeout = *DatumGetIntervalP(value);
	}
}

/* what the dump of a restored job says about its progress */
static void
read_restored(HeapTuple tup, TupleDesc desc, JobRow *job)
{
	bool		isnull;
	Datum		value;

	for (int i = 0; i < lengthof(job->restored); i++)
	{
		JobRestored *restored = &job->restored[i];

		value = heap_getattr(tup, i == 0 ? Anum_job_restored_done : Anum_job_restored_other_done,
							 desc, &isnull);
		if (isnull)
			continue;
		restored->n = base_count_numbers(value);
		restored->done = palloc(sizeof(int64) * Max(restored->n, 1));
		restored->max_event = palloc(sizeof(Timestamp) * Max(restored->n, 1));
		(void) base_read_numbers(value, restored->n, restored->done);
		for (int p = 0; p < restored->n; p++)
			restored->max_event[p] = DT_NOBEGIN;
		value = heap_getattr(tup, i == 0 ? Anum_job_restored_events : Anum_job_restored_other_events,
							 desc, &isnull);
		if (!isnull)
			(void) base_read_times(value, restored->n, restored->max_event);
	}
	value = heap_getattr(tup, Anum_job_restored_watermark, desc, &isnull);
	job->restored_watermark = isnull ? DT_NOBEGIN : DatumGetTimestamp(value);
}

/*
 * Read a row of streamq.job.  Everything is copied, because the caller ends
 * the scan before it uses the job.
 */
static void
read_job_tuple(HeapTuple tup, TupleDesc desc, JobRow *job)
{
	bool		isnull;

	memset(job, 0, sizeof(*job));
	job->job_id = get_int4(tup, Anum_job_job_id, desc);
	job->kind = get_text(tup, Anum_job_kind, desc);
	job->name = get_text(tup, Anum_job_name, desc);
	job->target = get_oid(tup, Anum_job_target, desc);
	job->source = get_oid(tup, Anum_job_source, desc);
	job->other_source = get_oid(tup, Anum_job_other_source, desc);
	job->state = get_oid(tup, Anum_job_state_table, desc);
	job->results = get_oid(tup, Anum_job_result_table, desc);
	job->emit_into = get_oid(tup, Anum_job_emit_into, desc);
	job->late_stream = get_oid(tup, Anum_job_late_stream, desc);
	job->dead_letter = get_oid(tup, Anum_job_dead_letter, desc);
	job->enabled = DatumGetBool(heap_getattr(tup, Anum_job_enabled, desc, &isnull));
	read_options(tup, desc, job);
	job->format = get_int4(tup, Anum_job_format, desc);
	job->settings = DatumGetArrayTypePCopy(heap_getattr(tup, Anum_job_settings, desc, &isnull));
	job->query = get_text(tup, Anum_job_query, desc);
	job->query_tree = get_text(tup, Anum_job_query_tree, desc);
	job->definition = get_text(tup, Anum_job_definition, desc);
	read_restored(tup, desc, job);
}

const char *
job_name(const JobRow *job)
{
	return job->name ? job->name : get_rel_name(job->target);
}

int32
job_next_id(void)
{
	/* the caller may create a job, but has no privileges on our sequence */
	return (int32) nextval_internal(base_catalog_oid("job_job_id_seq", false), false);
}

static void
set_oid(Datum *values, bool *nulls, int attno, Oid value)
{
	values[attno - 1] = ObjectIdGetDatum(value);
	nulls[attno - 1] = !OidIsValid(value);
}

static void
set_interval(Datum *values, bool *nulls, int attno, Interval *value)
{
	values[attno - 1] = IntervalPGetDatum(value);
	nulls[attno - 1] = value == NULL;
}

/* set the columns of a new row to the options */
static void
set_options(Datum *values, bool *nulls, const JobOptions *options)
{
	Interval   *zero = palloc0(sizeof(Interval));

	values[Anum_job_start_at - 1] = CStringGetTextDatum(options->start_at);
	set_interval(values, nulls, Anum_job_watermark_delay,
				 options->watermark_delay ? options->watermark_delay : zero);
	values[Anum_job_late_rows_policy - 1] =
		CStringGetTextDatum(options->late_rows ? options->late_rows : "update");
	set_interval(values, nulls, Anum_job_allowed_lateness,
				 options->allowed_lateness ? options->allowed_lateness : zero);
	set_interval(values, nulls, Anum_job_idle_timeout, options->idle_timeout);
	set_interval(values, nulls, Anum_job_retention, options->retention);
	set_interval(values, nulls, Anum_job_job_timeout, options->job_timeout);
	values[Anum_job_error_limit - 1] = Int64GetDatum(options->error_limit);
	nulls[Anum_job_error_limit - 1] = options->error_limit == 0;
	values[Anum_job_batch_size - 1] = Int32GetDatum(options->batch_size);
	nulls[Anum_job_batch_size - 1] = options->batch_size == 0;
	values[Anum_job_max_deliveries - 1] = Int32GetDatum(options->max_deliveries);
	nulls[Anum_job_max_deliveries - 1] = options->max_deliveries == 0;
	set_interval(values, nulls, Anum_job_retry_backoff, options->retry_backoff);
	set_interval(values, nulls, Anum_job_retry_backoff_max, options->retry_backoff_max);
}

void
job_insert(JobRow *job, const JobOptions *options)
{
	Relation	rel = base_catalog_open("job", Natts_job, RowExclusiveLock, false);
	Datum		values[Natts_job] = {0};
	bool		nulls[Natts_job] = {0};

	values[Anum_job_job_id - 1] = Int32GetDatum(job->job_id);
	values[Anum_job_kind - 1] = CStringGetTextDatum(job->kind);
	if (job->name)
		values[Anum_job_name - 1] = CStringGetTextDatum(job->name);
	else
		nulls[Anum_job_name - 1] = true;
	values[Anum_job_target - 1] = ObjectIdGetDatum(job->target);
	values[Anum_job_source - 1] = ObjectIdGetDatum(job->source);
	set_oid(values, nulls, Anum_job_other_source, job->other_source);
	set_oid(values, nulls, Anum_job_state_table, job->state);
	set_oid(values, nulls, Anum_job_result_table, job->results);
	set_oid(values, nulls, Anum_job_emit_into, job->emit_into);
	set_oid(values, nulls, Anum_job_late_stream, job->late_stream);
	set_oid(values, nulls, Anum_job_dead_letter, job->dead_letter);
	values[Anum_job_enabled - 1] = BoolGetDatum(true);
	values[Anum_job_created_at - 1] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	set_options(values, nulls, options);
	values[Anum_job_format - 1] = Int32GetDatum(job_format());
	values[Anum_job_settings - 1] = PointerGetDatum(job->settings);
	values[Anum_job_query - 1] = CStringGetTextDatum(job->query);
	values[Anum_job_query_tree - 1] = CStringGetTextDatum(job->query_tree);
	nulls[Anum_job_definition - 1] = true;
	nulls[Anum_job_restored_done - 1] = true;
	nulls[Anum_job_restored_other_done - 1] = true;
	nulls[Anum_job_restored_events - 1] = true;
	nulls[Anum_job_restored_other_events - 1] = true;
	nulls[Anum_job_restored_watermark - 1] = true;
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);

	job_insert_stats(job->job_id);
}

bool
job_read(int32 job_id, JobRow *job)
{
	Relation	rel = base_catalog_open("job", Natts_job, AccessShareLock, false);
	SysScanDesc scan = scan_job(rel, "job_pkey", Anum_job_job_id, job_id, NULL);
	HeapTuple	tup = systable_getnext(scan);
	bool		found = HeapTupleIsValid(tup);

	if (found)
		read_job_tuple(tup, RelationGetDescr(rel), job);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* find a job by a column with a relation, using an index if there is one */
static bool
find_by_relation(int attno, Oid value, const char *index, JobRow *job)
{
	Relation	rel = base_catalog_open("job", Natts_job, AccessShareLock, true);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;
	bool		found;

	if (rel == NULL)
		return false;
	ScanKeyInit(&key, attno, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
	scan = systable_beginscan(rel, index ? base_catalog_index(rel, index) : InvalidOid,
							  index != NULL, NULL, 1, &key);
	tup = systable_getnext(scan);
	found = HeapTupleIsValid(tup);
	if (found)
		read_job_tuple(tup, RelationGetDescr(rel), job);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

bool
job_find_by_target(Oid target, JobRow *job)
{
	return find_by_relation(Anum_job_target, target, "job_target_key", job);
}

bool
job_may_have_target(Oid target)
{
	Oid			relid = base_catalog_oid("job", true);
	Relation	rel = OidIsValid(relid) ? try_table_open(relid, AccessShareLock) : NULL;
	AttrNumber	attno;
	Oid			index;
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	if (rel == NULL)
		return false;
	attno = get_attnum(relid, "target");
	if (attno == InvalidAttrNumber)
	{
		table_close(rel, AccessShareLock);
		return true;
	}
	index = get_relname_relid("job_target_key", RelationGetNamespace(rel));
	if (OidIsValid(index) && IndexGetRelation(index, true) != relid)
		index = InvalidOid;
	ScanKeyInit(&key, attno, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(target));
	scan = systable_beginscan(rel, index, OidIsValid(index), NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

bool
job_is_view(Oid relid)
{
	JobRow		job;

	return job_find_by_target(relid, &job);
}

bool
job_find_by_state(Oid state, JobRow *job)
{
	return find_by_relation(Anum_job_state_table, state, NULL, job) ||
		find_by_relation(Anum_job_result_table, state, NULL, job);
}

bool
job_find_named(const char *name, JobRow *job)
{
	Relation	rel = base_catalog_open("job", Natts_job, AccessShareLock, true);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;
	bool		found;

	if (rel == NULL)
		return false;
	ScanKeyEntryInitialize(&key, 0, Anum_job_name, BTEqualStrategyNumber, InvalidOid,
						   C_COLLATION_OID, F_TEXTEQ, CStringGetTextDatum(name));
	scan = systable_beginscan(rel, base_catalog_index(rel, "job_name_key"), true, NULL, 1, &key);
	tup = systable_getnext(scan);
	found = HeapTupleIsValid(tup);
	if (found)
		read_job_tuple(tup, RelationGetDescr(rel), job);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* find the job of a view that users call by the view's name */
static bool
find_view_named(const char *name, JobRow *job)
{
	List	   *names = NIL;
	Oid			relid;

	/* a name of a pipe or handler may be no name of a relation */
	if (!SplitIdentifierString(pstrdup(name), '.', &names) || names == NIL)
		return false;
	names = textToQualifiedNameList(cstring_to_text(name));
	relid = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	return OidIsValid(relid) && job_find_by_target(relid, job) && job->name == NULL;
}

void
job_find_by_name(const char *name, JobRow *job)
{
	if (!job_find_named(name, job) && !find_view_named(name, job))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("job \"%s\" does not exist", name),
				 errhint("The view streamq.jobs lists the jobs of this database.")));
}

static int
compare_job_ids(const ListCell *a, const ListCell *b)
{
	int32		first = ((JobInfo *) lfirst(a))->job_id;
	int32		second = ((JobInfo *) lfirst(b))->job_id;

	return first < second ? -1 : first > second;
}

List *
job_list(void)
{
	List	   *result = NIL;
	Relation	rel = base_catalog_open("job", Natts_job, AccessShareLock, true);
	SysScanDesc scan;
	HeapTuple	tup;

	if (rel == NULL)
		return NIL;
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		JobInfo    *info = palloc0(sizeof(JobInfo));
		TupleDesc	desc = RelationGetDescr(rel);
		int64		timeout;
		bool		isnull;

		info->job_id = DatumGetInt32(heap_getattr(tup, Anum_job_job_id, desc, &isnull));
		info->source = get_oid(tup, Anum_job_source, desc);
		info->other_source = get_oid(tup, Anum_job_other_source, desc);
		info->enabled = DatumGetBool(heap_getattr(tup, Anum_job_enabled, desc, &isnull));
		timeout = get_micros(tup, Anum_job_job_timeout, desc);
		info->timeout = timeout == JOB_NO_LIMIT ? -1 : (int) Min(INT_MAX, (timeout + 999) / 1000);
		result = lappend(result, info);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	list_sort(result, compare_job_ids);
	return result;
}

/* change one column of a job */
static void
set_column(int32 job_id, int attno, Datum value, bool isnull)
{
	Relation	rel = base_catalog_open("job", Natts_job, RowExclusiveLock, false);
	SysScanDesc scan = scan_job(rel, "job_pkey", Anum_job_job_id, job_id, NULL);
	HeapTuple	tup = systable_getnext(scan);

	if (HeapTupleIsValid(tup))
	{
		Datum		values[Natts_job] = {0};
		bool		nulls[Natts_job] = {0};
		bool		replace[Natts_job] = {0};

		values[attno - 1] = value;
		nulls[attno - 1] = isnull;
		replace[attno - 1] = true;
		tup = heap_modify_tuple(tup, RelationGetDescr(rel), values, nulls, replace);
		CatalogTupleUpdate(rel, &tup->t_self, tup);
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/* columns of a row of streamq.job that are changed */
typedef struct JobChange
{
	Datum		values[Natts_job];
	bool		nulls[Natts_job];
	bool		replaces[Natts_job];
} JobChange;

static void
change_value(JobChange *change, int attno, Datum value, bool isnull)
{
	change->values[attno - 1] = value;
	change->nulls[attno - 1] = isnull;
	change->replaces[attno - 1] = true;
}

/* with `removable`, zero means null */
static void
change_interval(JobChange *change, int attno, Interval *value, bool removable)
{
	if (value)
		change_value(change, attno, IntervalPGetDatum(value),
					 removable && interval_micros(IntervalPGetDatum(value)) == 0);
}

static void
change_row(int32 job_id, JobChange *change)
{
	Relation	rel = base_catalog_open("job", Natts_job, RowExclusiveLock, false);
	SysScanDesc scan = scan_job(rel, "job_pkey", Anum_job_job_id, job_id, NULL);
	HeapTuple	tup = systable_getnext(scan);

	if (HeapTupleIsValid(tup))
		base_catalog_update(rel, tup, change->values, change->nulls, change->replaces);
	systable_endscan(scan);
	table_close(rel, NoLock);
}

void
job_change_options(int32 job_id, const JobOptions *options, bool default_timeout)
{
	JobChange	change = {0};

	if (default_timeout)
		change_value(&change, Anum_job_job_timeout, (Datum) 0, true);
	change_interval(&change, Anum_job_job_timeout, options->job_timeout, false);
	if (options->error_limit != 0)
		change_value(&change, Anum_job_error_limit, Int64GetDatum(options->error_limit),
					 options->error_limit == JOB_NO_LIMIT);
	change_interval(&change, Anum_job_watermark_delay, options->watermark_delay, false);
	change_interval(&change, Anum_job_allowed_lateness, options->allowed_lateness, false);
	change_interval(&change, Anum_job_idle_timeout, options->idle_timeout, true);
	change_interval(&change, Anum_job_retention, options->retention, true);
	if (options->batch_size != 0)
		change_value(&change, Anum_job_batch_size, Int32GetDatum(options->batch_size), false);
	if (options->max_deliveries != 0)
		change_value(&change, Anum_job_max_deliveries, Int32GetDatum(options->max_deliveries),
					 false);
	change_interval(&change, Anum_job_retry_backoff, options->retry_backoff, false);
	change_interval(&change, Anum_job_retry_backoff_max, options->retry_backoff_max, true);
	change_row(job_id, &change);
}

void
job_set_dead_letter(int32 job_id, Oid dead_letter)
{
	set_column(job_id, Anum_job_dead_letter, ObjectIdGetDatum(dead_letter),
			   !OidIsValid(dead_letter));
}

void
job_delete(int32 job_id)
{
	Relation	rel;

	job_delete_errors(job_id);
	job_delete_progress(job_id);
	job_delete_stats(job_id);
	job_delete_retries(job_id);

	/* when the extension is dropped, the table may be gone already */
	rel = base_catalog_open("job", Natts_job, RowExclusiveLock, true);
	if (rel == NULL)
		return;
	base_catalog_delete_by_key(rel, base_catalog_index(rel, "job_pkey"), Anum_job_job_id,
							   Int32GetDatum(job_id));
	table_close(rel, NoLock);
}

void
job_set_current(JobRow *job)
{
	job->format = job_format();
	set_column(job->job_id, Anum_job_format, Int32GetDatum(job->format), false);
	set_column(job->job_id, Anum_job_query_tree, CStringGetTextDatum(job->query_tree), false);
	for (int attno = Anum_job_restored_done; attno <= Anum_job_restored_watermark; attno++)
		set_column(job->job_id, attno, (Datum) 0, true);
}

void
job_reset(JobRow *job)
{
	JobStats	stats;
	ItemPointerData tid;

	job_delete_errors(job->job_id);
	job_delete_progress(job->job_id);
	job_delete_retries(job->job_id);
	CommandCounterIncrement();
	job_set_current(job);
	if (job_read_stats(job->job_id, &stats, &tid))
	{
		memset(&stats, 0, sizeof(stats));
		stats.emitted_until = DT_NOBEGIN;
		job_write_stats(job->job_id, &stats, &tid);
	}
	CommandCounterIncrement();
}

void
job_set_enabled(int32 job_id, bool enabled)
{
	JobStats	stats;
	ItemPointerData tid;

	set_column(job_id, Anum_job_enabled, BoolGetDatum(enabled), false);
	if (enabled && job_read_stats(job_id, &stats, &tid) && stats.errors_before != stats.errors)
	{
		stats.errors_before = stats.errors;
		job_write_stats(job_id, &stats, &tid);
		CommandCounterIncrement();
	}
}

static bool
lock_job_tag(int32 job_id, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, base_catalog_oid("job", false), job_id, 0);
	return LockAcquire(&tag, mode, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

bool
job_lock(int32 job_id, bool wait)
{
	return lock_job_tag(job_id, ExclusiveLock, wait);
}

void
job_lock_out(int32 job_id)
{
	/*
	 * A batch that starts after this is canceled by the scheduler, because of
	 * the lock mode for which we wait (worker/watch.c).
	 */
	(void) job_cancel_batch(job_id);
	(void) lock_job_tag(job_id, AccessExclusiveLock, true);
}
