/*
 * seek.c
 *	  Places in a stream: streamq.seek(), and where a new group starts.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/group_catalog.h"
#include "group/group_ring.h"
#include "group/mode.h"
#include "group/registry.h"
#include "group/seek.h"
#include "log/log.h"
#include "log/reader.h"
#include "stream/flow.h"

void
group_parse_start(const char *text, const char *argname, GroupPlace *place)
{
	memset(place, 0, sizeof(GroupPlace));
	if (strcmp(text, "earliest") == 0)
		place->kind = GROUP_EARLIEST;
	else if (strcmp(text, "latest") == 0)
		place->kind = GROUP_LATEST;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", argname, text),
				 errhint("Use \"earliest\" or \"latest\".")));
}

int64
group_find_place(Relation rel, int partition, const GroupPlace *place)
{
	switch (place->kind)
	{
		case GROUP_EARLIEST:
			return log_first_offset(rel, partition);
		case GROUP_LATEST:

			/*
			 * The end is before the first message of a transaction in
			 * progress, because that message may still be committed.
			 */
			return log_stable_offset(rel, partition, NULL, NULL);
		case GROUP_AT_OFFSET:
			return Max(place->off, log_first_offset(rel, partition));
		case GROUP_AT_TIME:
			return log_offset_at_time(rel, partition, place->time);
	}
	pg_unreachable();
}

void
group_start(Relation rel, const ConsumerGroup *group, const GroupPlace *place)
{
	int			npartitions = log_partition_count(rel);

	stream_flow_change_mark(RelationGetRelid(rel));
	group_registry_create(rel, group);
	for (int p = 0; p < npartitions; p++)
	{
		GroupProgress progress = {.position = group_find_place(rel, p, place)};

		group->mode->start(rel, group, p, &progress);
	}
}

/*
 * seek(stream regclass, group_name text, to_position text, to_msg_id int8,
 *	 to_time timestamptz)
 *
 * Moves a group: with to_msg_id in the partition of that message, otherwise in
 * all partitions.  22023 unless exactly one place is given and it exists.
 */
PG_FUNCTION_INFO_V1(streamq_seek);
Datum
streamq_seek(PG_FUNCTION_ARGS)
{
	ConsumerGroup group;
	Relation	rel;
	int			npartitions;
	int			ngiven = !PG_ARGISNULL(2) + !PG_ARGISNULL(3) + !PG_ARGISNULL(4);
	GroupPlace	place = {0};

	group_begin_change("seek()");
	if (ngiven != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("exactly one of \"to_position\", \"to_msg_id\" and \"to_time\" must be given")));
	rel = group_open(fcinfo, &group);
	npartitions = log_partition_count(rel);

	if (!PG_ARGISNULL(3))
	{
		int64		msg_id = group_check_msg_id(PG_GETARG_INT64(3));
		int			partition = LOG_MSG_PARTITION(msg_id);

		place.kind = GROUP_AT_OFFSET;
		place.off = LOG_MSG_OFFSET(msg_id);
		if (partition >= npartitions || place.off > log_next_offset(rel, partition))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("message %lld of stream \"%s\" does not exist",
							(long long) msg_id, RelationGetRelationName(rel)),
					 errhint("Use to_position => 'latest' to go to the end of the stream.")));
		group.mode->move(rel, &group, partition, &place);
	}
	else
	{
		if (!PG_ARGISNULL(2))
			group_parse_start(text_to_cstring(PG_GETARG_TEXT_PP(2)), "to_position", &place);
		else
		{
			place.kind = GROUP_AT_TIME;
			place.time = PG_GETARG_TIMESTAMPTZ(4);
		}
		for (int p = 0; p < npartitions; p++)
			group.mode->move(rel, &group, p, &place);
	}
	group_ring_at_end(RelationGetRelid(rel), true);
	group_ring_note_change(RelationGetRelid(rel), true);
	stream_flow_change_mark(RelationGetRelid(rel));
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}
