/*
 * stream_views.c
 *	  The function of the views streamq.streams and streamq.partitions.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "access/subtrans.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/loaded.h"
#include "log/log.h"
#include "log/options.h"
#include "log/reader.h"
#include "stream/privilege.h"

#define PARTITION_NATTS	12

/*
 * The backend that runs the transaction; 0 for a prepared transaction, or one
 * that has just ended.
 */
static int
pid_of_transaction(TransactionId xid)
{
	int			pid = BackendXidGetPid(xid);

	/* a backend shows its top-level transaction only */
	if (pid == 0 && TransactionIdFollowsOrEquals(xid, TransactionXmin))
	{
		TransactionId top = SubTransGetTopmostTransaction(xid);

		if (top != xid)
			pid = BackendXidGetPid(top);
	}
	return pid;
}

static void
set_time(Datum *value, bool *isnull, TimestampTz time)
{
	*value = TimestampTzGetDatum(time);
	*isnull = TIMESTAMP_IS_NOBEGIN(time);
}

/* add a row for a partition */
static void
put_partition(ReturnSetInfo *rsinfo, Relation rel, int partition, Snapshot snapshot)
{
	LogBounds	bounds;
	TransactionId blocked_by;
	TimestampTz blocked_since;
	int64		stable;
	int			pid;
	Datum		values[PARTITION_NATTS];
	bool		nulls[PARTITION_NATTS] = {false};

	log_get_bounds(rel, partition, &bounds);
	stable = log_stable_offset(rel, partition, &blocked_by, &blocked_since);
	pid = TransactionIdIsValid(blocked_by) ? pid_of_transaction(blocked_by) : 0;

	values[0] = Int32GetDatum(partition);
	values[1] = Int64GetDatum(bounds.first_offset);
	values[2] = Int64GetDatum(bounds.next_offset);
	/* the stable offset may have advanced since the bounds were read */
	values[3] = Int64GetDatum(Min(stable, bounds.next_offset));
	values[4] = Int32GetDatum(pid);
	nulls[4] = pid == 0;
	values[5] = TimestampTzGetDatum(blocked_since);
	nulls[5] = !TransactionIdIsValid(blocked_by);
	values[6] = Int64GetDatum(bounds.bytes);
	values[7] = Int32GetDatum(bounds.extents);
	values[8] = Int32GetDatum(bounds.reserved_extents);
	values[9] = Int64GetDatum(log_count_messages(rel, partition, snapshot));
	set_time(&values[10], &nulls[10], log_produced_at(rel, partition, bounds.first_offset));
	set_time(&values[11], &nulls[11], log_produced_at(rel, partition, bounds.next_offset - 1));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * partition_stats(stream oid) returns setof record
 *
 * A row for each partition.  No rows if it is not a stream, is gone, or the
 * caller may not read it; members of pg_read_all_stats see all streams.
 */
PG_FUNCTION_INFO_V1(streamq_partition_stats);
Datum
streamq_partition_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel;
	StreamOptions options;
	Snapshot	snapshot;

	base_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	if (!stream_may_see(relid))
		return (Datum) 0;
	rel = try_relation_open(relid, AccessShareLock);
	if (rel == NULL)
		return (Datum) 0;
	if (log_is_stream(rel) && log_is_accessible(rel))
	{
		log_options_get(rel, &options);
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		for (int p = 0; p < options.npartitions; p++)
			put_partition(rsinfo, rel, p, snapshot);
		UnregisterSnapshot(snapshot);
	}
	relation_close(rel, AccessShareLock);
	return (Datum) 0;
}
