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
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "api/api.h"
#include "group/store.h"
#include "log/log.h"
#include "streamq.h"

/* messages to come and to acknowledge; *oldest is put to the first one's offset */
static int64
count_lag(Relation rel, int partition, const PartitionState *state,
		  Snapshot snapshot, int64 *oldest)
{
	int64		first = log_first_offset(rel, partition);
	int64		next = log_next_offset(rel, partition);
	int64		from = Max(first, state->delivered);
	int64		count = group_state_count_undone(state, state->delivered) -
	group_state_count_undone(state, first);
	StateRange	run;

	*oldest = -1;
	if (group_state_next_undone(state, first, state->delivered, &run))
		*oldest = run.from;
	if (from < next)
	{
		int64		fresh = log_count_rows(rel, partition, from, next, snapshot);

		if (fresh > 0 && *oldest < 0)
			*oldest = from;
		count += fresh;
	}
	return count;
}

/* what the next consume will find to be lost */
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
 * The stream whose groups are to be shown; NULL if it is gone, the caller may not
 * see its figures, or they are not here.
 */
static Relation
open_shown_stream(Oid relid)
{
	Relation	rel;

	if (!api_may_see(relid))
		return NULL;
	rel = try_table_open(relid, AccessShareLock);
	if (rel != NULL && (!log_is_stream(rel) || !log_is_accessible(rel)))
	{
		table_close(rel, AccessShareLock);
		return NULL;
	}
	return rel;
}

/*
 * group_status(relid oid, group_id int4): a row for each partition
 */
PG_FUNCTION_INFO_V1(streamq_group_status);
Datum
streamq_group_status(PG_FUNCTION_ARGS)
{
	Relation	rel;
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz now = GetCurrentTimestamp();

	streamq_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	rel = open_shown_stream(PG_GETARG_OID(0));
	if (rel == NULL)
		return (Datum) 0;

	for (int p = 0; p < log_partition_count(rel); p++)
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
		lag = count_lag(rel, p, &state, snapshot, &oldest);
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
		values[7] = Int64GetDatum(state.lost_count);
		values[8] = TimestampTzGetDatum(state.last_consumed_at);
		nulls[8] = state.last_consumed_at == 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}

/*
 * group_leases(relid oid, group_id int4): a row for each lease that has not run out
 * and number of deliveries of the messages under it
 */
PG_FUNCTION_INFO_V1(streamq_group_leases);
Datum
streamq_group_leases(PG_FUNCTION_ARGS)
{
	Relation	rel;
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz now = GetCurrentTimestamp();

	streamq_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	rel = open_shown_stream(PG_GETARG_OID(0));
	if (rel == NULL)
		return (Datum) 0;

	for (int p = 0; p < log_partition_count(rel); p++)
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
