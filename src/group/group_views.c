/*
 * views.c
 *	  What the views streamq.consumer_groups and streamq.leases are made of.
 *	  They show the groups of streams that the caller may see.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/loaded.h"
#include "group/ordered.h"
#include "group/store.h"
#include "log/log.h"
#include "log/options.h"
#include "log/reader.h"
#include "log/space.h"
#include "stream/privilege.h"

/*
 * How many messages there are from some offsets on to the partition's end, as far as
 * counted by one query: groups that are close together need not count the same
 * messages again.
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
	int64		next;			/* the end, as it was at first */
	int			npoints;
	int			maxpoints;
	LagPoint   *points;			/* by offset */
} LagCounts;

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

/* messages in [from, counts->next) */
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

/* messages to come and to acknowledge; *oldest is put to the first one's offset */
static int64
count_lag(Relation rel, int partition, const PartitionState *state,
		  LagCounts *counts, Snapshot snapshot, int64 *oldest)
{
	int64		first = log_first_offset(rel, partition);
	int64		from = Max(first, state->delivered);
	int64		count = group_state_count_undone(state, state->delivered) -
		group_state_count_undone(state, first);
	StateRange	run;

	*oldest = -1;
	if (group_state_next_undone(state, first, state->delivered, &run))
		*oldest = run.from;
	if (from < counts->next)
	{
		int64		fresh = count_fresh(counts, rel, from, snapshot);

		if (fresh > 0 && *oldest < 0)
			*oldest = from;
		count += fresh;
	}
	return count;
}

/* what the next consume will count as expired */
static void
show_expired(Relation rel, int partition, PartitionState *state, TimestampTz now)
{
	int64		first = log_first_offset(rel, partition);
	int64		lost;

	if (state->position >= first)
		return;
	lost = log_lost_offset(rel, partition);
	if (group_state_is_leased(state, now))
		group_state_lose(state, state->cursor, lost);
	else
		group_state_expire(state, first, lost);
}

/*
 * The stream whose groups are to be shown, the first argument, and its options; NULL if it is
 * gone, the caller may not see its figures, or they are not here.  The result is begun.
 */
static Relation
begin_showing(FunctionCallInfo fcinfo, StreamOptions *options)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel;

	base_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	if (!stream_may_see(relid))
		return NULL;
	rel = try_table_open(relid, AccessShareLock);
	if (rel != NULL && (!log_is_stream(rel) || !log_is_accessible(rel)))
	{
		table_close(rel, AccessShareLock);
		return NULL;
	}
	if (rel != NULL)
		log_options_get(rel, options);
	return rel;
}

/*
 * group_stats(stream oid, group_id int4): a row for each partition
 */
PG_FUNCTION_INFO_V1(streamq_group_stats);
Datum
streamq_group_stats(PG_FUNCTION_ARGS)
{
	Relation	rel;
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StreamOptions options;
	TimestampTz now = GetCurrentTimestamp();

	rel = begin_showing(fcinfo, &options);
	if (rel == NULL)
		return (Datum) 0;

	for (int p = 0; p < options.npartitions; p++)
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		PartitionState state;
		int64		oldest;
		int64		lag;
		Datum		values[9];
		bool		nulls[9] = {0};
		Interval	age = {0};

		group_read_state(rel, PG_GETARG_INT32(1), p, &state);
		show_expired(rel, p, &state, now);
		lag = count_lag(rel, p, &state, get_counts(fcinfo, rel, p), snapshot, &oldest);
		UnregisterSnapshot(snapshot);

		if (oldest >= 0)
		{
			TimestampTz since = log_produced_at(rel, p, oldest);

			if (!TIMESTAMP_NOT_FINITE(since) && since < now)
				age.time = now - since;
		}
		values[0] = Int32GetDatum(p);
		values[1] = Int64GetDatum(state.position);
		values[2] = Int64GetDatum(lag);
		values[3] = DirectFunctionCall1(interval_justify_hours,
										IntervalPGetDatum(&age));
		values[4] = Int64GetDatum(group_state_is_leased(&state, now) ?
								  group_state_in_flight(&state) : 0);
		values[5] = Int64GetDatum(state.redelivered_count);
		values[6] = Int64GetDatum(state.dead_lettered_count);
		values[7] = Int64GetDatum(state.expired_count);
		values[8] = TimestampTzGetDatum(state.last_consumed_at);
		nulls[8] = state.last_consumed_at == 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}

/*
 * group_leases(stream oid, group_id int4): a row for each lease that has not run out
 * and number of deliveries of the messages under it
 */
PG_FUNCTION_INFO_V1(streamq_group_leases);
Datum
streamq_group_leases(PG_FUNCTION_ARGS)
{
	Relation	rel;
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StreamOptions options;
	TimestampTz now = GetCurrentTimestamp();

	rel = begin_showing(fcinfo, &options);
	if (rel == NULL)
		return (Datum) 0;

	for (int p = 0; p < options.npartitions; p++)
	{
		PartitionState state;
		int64		from;

		group_read_state(rel, PG_GETARG_INT32(1), p, &state);
		if (!group_state_is_leased(&state, now))
			continue;
		from = state.position;
		for (int i = 0; i < state.ndeliveries && from < state.cursor; i++)
		{
			int64		to = Min(state.deliveries[i].to, state.cursor);
			StateRange	run;
			int64		first;
			int64		last;
			Datum		values[6];
			bool		nulls[6] = {0};

			if (!group_state_next_undone(&state, from, to, &run))
			{
				from = to;
				continue;
			}
			first = run.from;
			do
				last = run.to - 1;
			while (group_state_next_undone(&state, run.to, to, &run));
			from = to;

			values[0] = Int32GetDatum(p);
			values[1] = Int64GetDatum(LOG_MSG_ID(p, first));
			values[2] = Int64GetDatum(LOG_MSG_ID(p, last));
			values[3] = CStringGetTextDatum(state.consumer);
			values[4] = TimestampTzGetDatum(state.deadline);
			values[5] = Int32GetDatum(state.deliveries[i].deliveries);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}
