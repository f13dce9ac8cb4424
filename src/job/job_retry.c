/*
 * job_retry.c
 *	  Rows of streamq.job_retry: messages that a job tries again.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "job/job_retry.h"

enum
{
	Anum_retry_job_id = 1,
	Anum_retry_partition,
	Anum_retry_msg_offset,
	Anum_retry_deliveries,
	Anum_retry_retry_at,
	Anum_retry_message,
	Natts_retry = Anum_retry_message
};

static Relation
open_catalog(LOCKMODE lockmode)
{
	return base_catalog_open("job_retry", Natts_retry, lockmode, true);
}

static int
get_partition(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;

	return DatumGetInt32(heap_getattr(tuple, Anum_retry_partition, desc, &isnull));
}

int
job_read_retries(int32 job_id, JobRetry *retries, int max)
{
	Relation	rel = open_catalog(AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = base_catalog_scan(rel, InvalidOid, Anum_retry_job_id,
										 Int32GetDatum(job_id), NULL);
	HeapTuple	tuple;
	int			n = 0;

	while (n < max && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		JobRetry   *retry = &retries[n++];
		bool		isnull;

		retry->partition = get_partition(tuple, desc);
		retry->off = DatumGetInt64(heap_getattr(tuple, Anum_retry_msg_offset, desc, &isnull));
		retry->deliveries = DatumGetInt32(heap_getattr(tuple, Anum_retry_deliveries, desc, &isnull));
		retry->retry_at = DatumGetTimestampTz(heap_getattr(tuple, Anum_retry_retry_at, desc, &isnull));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return n;
}

void
job_delete_retry(int32 job_id, int partition)
{
	Relation	rel = open_catalog(RowExclusiveLock);
	SysScanDesc scan = base_catalog_scan(rel, InvalidOid, Anum_retry_job_id,
										 Int32GetDatum(job_id), NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		if (get_partition(tuple, RelationGetDescr(rel)) == partition)
			CatalogTupleDelete(rel, &tuple->t_self);
	systable_endscan(scan);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

void
job_write_retry(int32 job_id, const JobRetry *retry, const char *message)
{
	Relation	rel = open_catalog(RowExclusiveLock);
	Datum		values[Natts_retry];
	bool		nulls[Natts_retry] = {0};

	job_delete_retry(job_id, retry->partition);
	values[Anum_retry_job_id - 1] = Int32GetDatum(job_id);
	values[Anum_retry_partition - 1] = Int32GetDatum(retry->partition);
	values[Anum_retry_msg_offset - 1] = Int64GetDatum(retry->off);
	values[Anum_retry_deliveries - 1] = Int32GetDatum(retry->deliveries);
	values[Anum_retry_retry_at - 1] = TimestampTzGetDatum(retry->retry_at);
	values[Anum_retry_message - 1] = CStringGetTextDatum(message);
	base_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);
}

void
job_delete_retries(int32 job_id)
{
	Relation	rel = open_catalog(RowExclusiveLock);

	/* when the extension is dropped, the table may be gone already */
	if (rel == NULL)
		return;
	base_catalog_delete_by_key(rel, InvalidOid, Anum_retry_job_id, Int32GetDatum(job_id));
	table_close(rel, NoLock);
}
