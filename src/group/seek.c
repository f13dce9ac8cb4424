/*
 * seek.c
 *	  Where a group stands in its stream: at its creation, and moved by hand.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/seek.h"
#include "group/store.h"
#include "log/log.h"

/*
 * Behind the last message that is committed, but not behind one that may still
 * be: a message whose transaction ends later is delivered.
 */
static int64
latest_offset(Relation rel, int partition)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = log_slot_create(rel);
	LogBounds	bounds;
	LogReader  *reader;
	int64		off;

	log_get_bounds(rel, partition, &bounds);
	reader = log_reader_begin(rel, partition,
							  Max(bounds.first_offset, bounds.frozen_offset),
							  PG_INT64_MAX, snapshot, true);
	while (log_reader_next(reader, slot))
		;
	off = log_reader_position(reader);
	log_reader_end(reader);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	return off;
}

GroupStart
seek_parse_start(const char *text, const char *argname)
{
	if (strcmp(text, "earliest") == 0)
		return START_EARLIEST;
	if (strcmp(text, "latest") == 0)
		return START_LATEST;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\": \"%s\"", argname, text),
			 errhint("Use \"earliest\" or \"latest\".")));
}

int64
seek_find_start(Relation rel, int partition, GroupStart start)
{
	return start == START_EARLIEST ? log_first_offset(rel, partition) :
		latest_offset(rel, partition);
}

/* forget what is outstanding, and go on at off */
static void
move_partition(Relation rel, const Group *group, int partition, int64 off)
{
	GroupState	state;

	store_read_state(rel, group->group_id, partition, &state);
	state_move(&state, off);
	store_write_state(rel, group->group_id, partition, &state);
}

PG_FUNCTION_INFO_V1(streamq_seek);
Datum
streamq_seek(PG_FUNCTION_ARGS)
{
	char	   *name;
	Group		group;
	Relation	rel;
	int			npartitions;
	int			ngiven = !PG_ARGISNULL(2) + !PG_ARGISNULL(3) + !PG_ARGISNULL(4);

	args_begin_change("streamq.seek()");
	if (ngiven != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("exactly one of \"to_position\", \"to_msg_id\" and \"to_time\" must be given")));
	rel = args_open_group(fcinfo, &name, &group);
	npartitions = log_partition_count(rel);

	if (!PG_ARGISNULL(3))
	{
		int64		msg_id = args_check_msg_id(PG_GETARG_INT64(3));
		int			partition = LOG_MSG_PARTITION(msg_id);
		int64		off = LOG_MSG_OFFSET(msg_id);

		if (partition >= npartitions || off > log_next_offset(rel, partition))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("message %lld of stream \"%s\" does not exist",
							(long long) msg_id, RelationGetRelationName(rel)),
					 errhint("Use to_position => 'latest' to go to the end of the stream.")));
		store_lock_state(group.group_id, partition, true);
		move_partition(rel, &group, partition,
					   Max(off, log_first_offset(rel, partition)));
	}
	else
	{
		GroupStart	start = START_EARLIEST;

		if (!PG_ARGISNULL(2))
			start = seek_parse_start(text_to_cstring(PG_GETARG_TEXT_PP(2)),
									 "to_position");
		for (int p = 0; p < npartitions; p++)
		{
			store_lock_state(group.group_id, p, true);
			if (!PG_ARGISNULL(2))
				move_partition(rel, &group, p, seek_find_start(rel, p, start));
			else
				move_partition(rel, &group, p,
							   log_offset_at_time(rel, p, PG_GETARG_TIMESTAMPTZ(4)));
		}
	}
	store_ring_at_end(RelationGetRelid(rel), true);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}
