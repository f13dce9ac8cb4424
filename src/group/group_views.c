/*
 * group_views.c
 *	  Functions of the views streamq.consumer_groups, streamq.leases and
 *	  streamq.consumers.  They show the groups of streams that the caller may
 *	  see.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/loaded.h"
#include "group/floor.h"
#include "group/group_catalog.h"
#include "group/group_live.h"
#include "group/mode.h"
#include "group/registry.h"
#include "group/session.h"
#include "log/log.h"
#include "log/options.h"
#include "log/reader.h"
#include "stream/privilege.h"

/*
 * Numbers of messages from some offsets to the end of a partition, kept for
 * the length of one query.  Many groups of a stream are close to each other;
 * without this, the same messages would be counted for each of them.
 */
typedef struct LagKey
{
	Oid			relid;
	int32		partition;
} LagKey;

typedef struct LagPoint
{
	int64		off;
	int64		count;
} LagPoint;

typedef struct LagCounts
{
	LagKey		key;
	int64		next;			/* the end of the partition, as first seen */
	int			npoints;
	int			maxpoints;
	LagPoint   *points;			/* by offset */
} LagCounts;

/*
 * Find or create the counts of a partition, in the memory of the function
 * call.  The end of the partition is read only once, so that all groups of a
 * query are measured against the same end.
 */
static LagCounts *
get_counts(FunctionCallInfo fcinfo, Relation rel, int partition)
{
	HTAB	   *all = fcinfo->flinfo->fn_extra;
	LagKey		key;
	LagCounts  *counts;
	bool		found;

	if (all == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(LagKey);
		ctl.entrysize = sizeof(LagCounts);
		ctl.hcxt = fcinfo->flinfo->fn_mcxt;
		all = hash_create("streamq lag", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		fcinfo->flinfo->fn_extra = all;
	}
	memset(&key, 0, sizeof(key));
	key.relid = RelationGetRelid(rel);
	key.partition = partition;
	counts = hash_search(all, &key, HASH_ENTER, &found);
	if (!found)
	{
		counts->next = log_next_offset(rel, partition);
		counts->npoints = 0;
		counts->maxpoints = 16;
		counts->points = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt,
											counts->maxpoints * sizeof(LagPoint));
	}
	return counts;
}

/*
 * count the messages in [from, counts->next), using and adding to the known
 * counts
 */
static int64
count_fresh(LagCounts *counts, Relation rel, int64 from, Snapshot snapshot)
{
	int			low = 0;
	int			high = counts->npoints;
	int64		to = counts->next;
	int64		count = 0;

	if (from >= counts->next)
		return 0;
	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (counts->points[mid].off < from)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < counts->npoints)
	{
		if (counts->points[low].off == from)
			return counts->points[low].count;
		to = counts->points[low].off;
		count = counts->points[low].count;
	}
	count += log_count_rows(rel, counts->key.partition, from, to, snapshot);

	if (counts->npoints == counts->maxpoints)
	{
		counts->maxpoints *= 2;
		counts->points = repalloc(counts->points, counts->maxpoints * sizeof(LagPoint));
	}
	memmove(&counts->points[low + 1], &counts->points[low],
			(counts->npoints - low) * sizeof(LagPoint));
	counts->points[low].off = from;
	counts->points[low].count = count;
	counts->npoints++;
	return count;
}

/* count undone messages; *oldest is set to the offset of the first one */
static int64
count_lag(Relation rel, const ConsumerGroup *group, int partition, const GroupFigures *figures,
		  LagCounts *counts, Snapshot snapshot, int64 *oldest)
{
	int64		from = Max(group_first_offset(rel, group, partition), figures->fresh);
	int64		count = figures->undone;

	*oldest = figures->oldest;
	if (from < counts->next)
	{
		int64		fresh = count_fresh(counts, rel, from, snapshot);

		if (fresh > 0 && *oldest < 0)
			*oldest = from;
		count += fresh;
	}
	return count;
}

/*
 * Open the stream and find the group in the arguments, as the query's snapshot
 * sees it, and begin the result.  Returns NULL if the stream or group is gone,
 * if the caller may not see its figures, or if they are not available here.
 */
static Relation
begin_showing(FunctionCallInfo fcinfo, StreamOptions *options, ConsumerGroup *group)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel;

	base_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	if (!stream_may_see(relid))
		return NULL;
	rel = try_table_open(relid, AccessShareLock);
	if (rel != NULL && (!log_is_stream(rel) || !log_is_accessible(rel) ||
						!group_find_by_id(rel, PG_GETARG_INT32(1), GetActiveSnapshot(), group)))
	{
		table_close(rel, AccessShareLock);
		return NULL;
	}
	if (rel != NULL)
		log_options_get(rel, options);
	return rel;
}

/*
 * group_stats(stream oid, group_id int4) returns table (...)
 *
 * A row for each partition.
 */
PG_FUNCTION_INFO_V1(streamq_group_stats);
Datum
streamq_group_stats(PG_FUNCTION_ARGS)
{
	Relation	rel;
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StreamOptions options;
	ConsumerGroup group;
	TimestampTz now = GetCurrentTimestamp();
	char		error[GROUP_ERROR_MAX + 1];
	TimestampTz error_at;
	bool		has_error;

	rel = begin_showing(fcinfo, &options, &group);
	if (rel == NULL)
		return (Datum) 0;
	has_error = group_live_get_error(group.group_id, error, &error_at);

	for (int p = 0; p < options.npartitions; p++)
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		GroupFigures figures;
		int64		oldest;
		int64		lag;
		Datum		values[11];
		bool		nulls[11] = {0};
		Interval	age = {0};

		group.mode->figures(rel, &group, p, now, &figures);
		lag = count_lag(rel, &group, p, &figures, get_counts(fcinfo, rel, p), snapshot, &oldest);
		UnregisterSnapshot(snapshot);

		if (oldest >= 0)
		{
			TimestampTz since = log_produced_at(rel, p, oldest);

			if (!TIMESTAMP_NOT_FINITE(since) && since < now)
				age.time = now - since;
		}
		values[0] = Int32GetDatum(p);
		values[1] = Int64GetDatum(figures.position);
		values[2] = Int64GetDatum(lag);
		values[3] = DirectFunctionCall1(interval_justify_hours,
										IntervalPGetDatum(&age));
		values[4] = Int64GetDatum(figures.in_flight);
		values[5] = Int64GetDatum(figures.redelivered);
		values[6] = Int64GetDatum(figures.dead_lettered);
		values[7] = Int64GetDatum(figures.expired);
		values[8] = TimestampTzGetDatum(figures.last_consumed_at);
		nulls[8] = figures.last_consumed_at == 0;
		nulls[9] = nulls[10] = !has_error;
		values[9] = has_error ? CStringGetTextDatum(error) : (Datum) 0;
		values[10] = TimestampTzGetDatum(error_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}

typedef struct LeaseRows
{
	ReturnSetInfo *rsinfo;
	int			partition;
} LeaseRows;

static void
add_lease(const GroupLease *lease, void *arg)
{
	LeaseRows  *rows = arg;
	Datum		values[6];
	bool		nulls[6] = {0};

	values[0] = Int32GetDatum(rows->partition);
	values[1] = Int64GetDatum(LOG_MSG_ID(rows->partition, lease->first));
	values[2] = Int64GetDatum(LOG_MSG_ID(rows->partition, lease->last));
	values[3] = CStringGetTextDatum(lease->consumer);
	values[4] = TimestampTzGetDatum(lease->expires_at);
	values[5] = Int32GetDatum(lease->deliveries);
	tuplestore_putvalues(rows->rsinfo->setResult, rows->rsinfo->setDesc, values, nulls);
}

/*
 * group_leases(stream oid, group_id int4) returns table (...)
 *
 * A row for each lease that has not expired and each delivery count of
 * messages under it.
 */
PG_FUNCTION_INFO_V1(streamq_group_leases);
Datum
streamq_group_leases(PG_FUNCTION_ARGS)
{
	Relation	rel;
	LeaseRows	rows = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};
	StreamOptions options;
	ConsumerGroup group;
	TimestampTz now = GetCurrentTimestamp();

	rel = begin_showing(fcinfo, &options, &group);
	if (rel == NULL)
		return (Datum) 0;

	for (int p = 0; p < options.npartitions; p++)
	{
		rows.partition = p;
		group.mode->leases(rel, &group, p, now, add_lease, &rows);
	}
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}

/* ---- consumers ---- */

/* what one consumer holds, by its name */
typedef struct Holding
{
	char		name[GROUP_CONSUMER_MAX + 1];
	bool		shown;
	int64		in_flight;
	TimestampTz oldest_expires_at;
	int			npartitions;
	int16		partitions[LOG_MAX_PARTITIONS];
} Holding;

typedef struct Holdings
{
	HTAB	   *table;
	int			partition;		/* whose leases are being added */
} Holdings;

static void
add_holding(const GroupLease *lease, void *arg)
{
	Holdings   *holdings = arg;
	char		name[GROUP_CONSUMER_MAX + 1] = {0};
	Holding    *holding;
	bool		found;

	strlcpy(name, lease->consumer, sizeof(name));
	holding = hash_search(holdings->table, name, HASH_ENTER, &found);
	if (!found)
	{
		holding->shown = false;
		holding->in_flight = 0;
		holding->oldest_expires_at = lease->expires_at;
		holding->npartitions = 0;
	}
	holding->in_flight += lease->count;
	holding->oldest_expires_at = Min(holding->oldest_expires_at, lease->expires_at);
	if (holding->npartitions == 0 ||
		holding->partitions[holding->npartitions - 1] != holdings->partition)
		holding->partitions[holding->npartitions++] = (int16) holdings->partition;
}

/*
 * Add a row.  A consumer without leases has no holding.  One that has left the
 * registry, or whose lease was restored, is not registered.
 */
static void
put_consumer(ReturnSetInfo *rsinfo, const char *name, const GroupRegistered *registered,
			 const Holding *holding)
{
	int			n = holding ? holding->npartitions : 0;
	Datum	   *partitions = palloc(sizeof(Datum) * Max(n, 1));
	bool		alive = registered != NULL && !RecoveryInProgress() &&
		!group_session_has_ended(registered->pid, registered->session_start);
	Datum		values[6] = {0};
	bool		nulls[6] = {0};

	for (int i = 0; i < n; i++)
		partitions[i] = Int32GetDatum(holding->partitions[i]);
	values[0] = CStringGetTextDatum(name);
	nulls[1] = !alive;
	if (alive)
		values[1] = Int32GetDatum(registered->pid);
	values[2] = PointerGetDatum(construct_array(partitions, n, INT4OID, sizeof(int32),
												true, TYPALIGN_INT));
	values[3] = Int64GetDatum(holding ? holding->in_flight : 0);
	nulls[4] = holding == NULL;
	if (holding)
		values[4] = TimestampTzGetDatum(holding->oldest_expires_at);
	nulls[5] = registered == NULL;
	if (registered)
		values[5] = TimestampTzGetDatum(registered->last_seen);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * group_consumers(stream oid, group_id int4) returns table (...)
 *
 * A row for each consumer.  Consumers whose names are those of sessions that
 * are gone are left out, unless they have leases.
 */
PG_FUNCTION_INFO_V1(streamq_group_consumers);
Datum
streamq_group_consumers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	rel;
	StreamOptions options;
	ConsumerGroup group;
	TimestampTz now = GetCurrentTimestamp();
	HASHCTL		ctl;
	Holdings	holdings;
	HASH_SEQ_STATUS scan;
	Holding    *holding;
	GroupRegistered *registered;
	int			n;

	rel = begin_showing(fcinfo, &options, &group);
	if (rel == NULL)
		return (Datum) 0;

	ctl.keysize = GROUP_CONSUMER_MAX + 1;
	ctl.entrysize = sizeof(Holding);
	ctl.hcxt = CurrentMemoryContext;
	holdings.table = hash_create("streamq holdings", 64, &ctl,
								 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (int p = 0; p < options.npartitions; p++)
	{
		holdings.partition = p;
		group.mode->leases(rel, &group, p, now, add_holding, &holdings);
	}

	n = group_registry_list(rel, &group, &registered);
	for (int i = 0; i < n; i++)
	{
		holding = hash_search(holdings.table, registered[i].name, HASH_FIND, NULL);
		if (holding != NULL)
			holding->shown = true;
		else if (group_session_is_gone(registered[i].name))
			continue;
		put_consumer(rsinfo, registered[i].name, &registered[i], holding);
	}
	hash_seq_init(&scan, holdings.table);
	while ((holding = hash_seq_search(&scan)) != NULL)
		if (!holding->shown)
			put_consumer(rsinfo, holding->name, NULL, holding);
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}
