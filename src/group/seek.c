/*
 * seek.c
 *	  Where a group stands in its stream: at its creation, and moved by hand.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/group_catalog.h"
#include "group/ordered.h"
#include "group/seek.h"
#include "group/store.h"
#include "log/log.h"
#include "log/reader.h"

GroupStart
group_parse_start(const char *text, const char *argname)
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

static int64
find_start(Relation rel, int partition, GroupStart start)
{
	if (start == START_EARLIEST)
		return log_first_offset(rel, partition);

	/*
	 * not behind a message whose transaction is in progress: it may commit
	 * yet
	 */
	return log_stable_offset(rel, partition, NULL, NULL);
}

void
group_init_states(Relation rel, const ConsumerGroup *group, GroupStart start)
{
	int			npartitions = log_partition_count(rel);

	/* nobody else sees the group yet: there is no state to go back to */
	for (int p = 0; p < npartitions; p++)
	{
		PartitionState state;

		group_state_init(&state, find_start(rel, p, start));
		group_write_settled(rel, group->group_id, p, &state);
	}
}

/* forget what is outstanding, and go on at off */
static void
move_partition(Relation rel, const ConsumerGroup *group, int partition, int64 off)
{
	PartitionState state;

	group_check_serializable(rel, group->group_id, partition);
	group_read_state(rel, group->group_id, partition, &state);
	group_state_move(&state, off);
	group_write_state(rel, group->group_id, partition, &state);
}

PG_FUNCTION_INFO_V1(streamq_seek);
Datum
streamq_seek(PG_FUNCTION_ARGS)
{
	char	   *name;
	ConsumerGroup group;
	Relation	rel;
	int			npartitions;
	int			ngiven = !PG_ARGISNULL(2) + !PG_ARGISNULL(3) + !PG_ARGISNULL(4);

	group_begin_change("seek()");
	if (ngiven != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("exactly one of \"to_position\", \"to_msg_id\" and \"to_time\" must be given")));
	rel = group_open(fcinfo, &name, &group);
	npartitions = log_partition_count(rel);

	if (!PG_ARGISNULL(3))
	{
		int64		msg_id = group_check_msg_id(PG_GETARG_INT64(3));
		int			partition = LOG_MSG_PARTITION(msg_id);
		int64		off = LOG_MSG_OFFSET(msg_id);

		if (partition >= npartitions || off > log_next_offset(rel, partition))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("message %lld of stream \"%s\" does not exist",
							(long long) msg_id, RelationGetRelationName(rel)),
					 errhint("Use to_position => 'latest' to go to the end of the stream.")));
		group_lock_partition(rel, name, &group, partition);
		move_partition(rel, &group, partition,
					   Max(off, log_first_offset(rel, partition)));
	}
	else
	{
		GroupStart	start = START_EARLIEST;

		if (!PG_ARGISNULL(2))
			start = group_parse_start(text_to_cstring(PG_GETARG_TEXT_PP(2)),
									  "to_position");
		for (int p = 0; p < npartitions; p++)
		{
			group_lock_partition(rel, name, &group, p);
			if (!PG_ARGISNULL(2))
				move_partition(rel, &group, p, find_start(rel, p, start));
			else
				move_partition(rel, &group, p,
							   log_offset_at_time(rel, p, PG_GETARG_TIMESTAMPTZ(4)));
		}
	}
	group_ring_at_end(RelationGetRelid(rel), true);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}
