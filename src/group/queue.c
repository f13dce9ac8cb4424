/*
 * queue.c
 *	  SQL functions of the extension streamq_pgmq, whose queues are streams
 *	  with a group in shared mode.
 *
 * A consumer of such a queue names messages by their ids, and may change any
 * of them, also those that another session has or that nobody has had.  So a
 * lease belongs to the queue and not to a session, and ends only by time.
 * Its token is the time at which the message was read.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/group.h"
#include "group/group_catalog.h"
#include "group/group_restored.h"
#include "group/group_ring.h"
#include "group/inflight.h"
#include "group/messages.h"
#include "group/queue.h"
#include "group/registry.h"
#include "group/shared_mode.h"
#include "log/log.h"
#include "log/space.h"
#include "stream/message.h"
#include "stream/privilege.h"

/* the consumer that has the messages, and the column with the delay */
#define QUEUE_CONSUMER	"pgmq"
#define QUEUE_DUE		"vt"

static int64
read_time(uint64 token)
{
	return (int64) token;
}

/*
 * queue_consume(stream regclass, group_name text, max_messages int4,
 *		wait interval, lease interval, auto_ack bool)
 *	returns setof streamq.message
 *
 * As consume().  New messages whose column vt has a time in the future are
 * left out, and do not count as delivered.
 */
PG_FUNCTION_INFO_V1(streamq_queue_consume);
Datum
streamq_queue_consume(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	GroupQueue	queue = {QUEUE_CONSUMER, QUEUE_DUE, (uint64) GetCurrentTimestamp()};
	GroupMessages *messages;
	Datum		values[MESSAGE_NATTS];
	bool		nulls[MESSAGE_NATTS];

	group_begin_change("queue_consume()");
	InitMaterializedSRF(fcinfo, 0);
	messages = group_consume_queue(PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
								   PG_GETARG_INT32(2), PG_GETARG_INTERVAL_P(3),
								   PG_GETARG_INTERVAL_P(4), PG_GETARG_BOOL(5), &queue);
	while (group_messages_next(messages, MESSAGE_ALL, values, nulls))
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	group_messages_end(messages);
	return (Datum) 0;
}

static GroupPickKind
pick_kind(const char *name)
{
	if (strcmp(name, "take") == 0)
		return GROUP_PICK_TAKE;
	if (strcmp(name, "postpone") == 0)
		return GROUP_PICK_POSTPONE;
	if (strcmp(name, "finish") == 0)
		return GROUP_PICK_FINISH;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid change of messages \"%s\"", name)));
}

/* open the stream, and check that its group is the one of a queue */
static Relation
open_queue(FunctionCallInfo fcinfo, ConsumerGroup *group)
{
	Relation	rel = group_open(fcinfo, group);

	stream_check_read(rel);
	if (group->mode != &group_shared_mode || log_partition_count(rel) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("stream \"%s\" is not the stream of a queue", RelationGetRelationName(rel)),
				 errdetail("A queue has one partition and a group in shared mode.")));
	return rel;
}

/*
 * queue_change(stream regclass, group_name text, msg_ids int8[], change text,
 *		at timestamptz)
 *	returns table (msg_id int8, deliveries int4, vt timestamptz,
 *		last_read_at timestamptz)
 *
 * Takes, postpones or finishes these messages, and returns those that were
 * changed: their deliveries, when they were visible before, and when they were
 * read last.
 */
PG_FUNCTION_INFO_V1(streamq_queue_change);
Datum
streamq_queue_change(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ConsumerGroup group;
	Relation	rel;
	GroupPick	pick;
	GroupPicked *picked;
	int64	   *ids;
	int			n;
	int			first = 0;

	group_begin_change("queue_change()");
	InitMaterializedSRF(fcinfo, 0);
	rel = open_queue(fcinfo, &group);
	ids = group_get_msg_ids_arg(fcinfo, 2, &n);
	while (n > 0 && LOG_MSG_PARTITION(ids[n - 1]) != 0)
		n--;
	while (first < n && ids[first] < 0)
		first++;
	pick.kind = pick_kind(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	pick.time = PG_GETARG_TIMESTAMPTZ(4);
	pick.token = (uint64) GetCurrentTimestamp();
	pick.consumer = pick.kind == GROUP_PICK_TAKE ?
		group_registry_enter(rel, &group, QUEUE_CONSUMER) : 0;
	picked = palloc(sizeof(GroupPicked) * Max(n - first, 1));
	n = group_shared_pick(rel, &group, 0, ids + first, n - first, &pick, picked);
	for (int i = 0; i < n; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false, false, picked[i].time == 0, picked[i].token == 0};

		values[0] = Int64GetDatum(picked[i].off);
		values[1] = Int32GetDatum(picked[i].deliveries);
		values[2] = TimestampTzGetDatum(picked[i].time);
		values[3] = TimestampTzGetDatum(read_time(picked[i].token));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	group_ring_note_change(RelationGetRelid(rel), n > 0);
	table_close(rel, NoLock);
	return (Datum) 0;
}

/* ---- looking ---- */

typedef struct QueueRows
{
	ReturnSetInfo *rsinfo;
	int64		first;
	int64		frontier;
} QueueRows;

static void
put_messages(QueueRows *rows, int64 from, int64 to, const InflightLevel *level)
{
	Datum		values[4] = {0};
	bool		nulls[4] = {false, false, level->time == 0, level->token == 0};

	values[1] = Int32GetDatum(level->deliveries);
	values[2] = TimestampTzGetDatum(level->time);
	values[3] = TimestampTzGetDatum(read_time(level->token));
	for (int64 off = Max(from, rows->first); off < to; off++)
	{
		values[0] = Int64GetDatum(off);
		tuplestore_putvalues(rows->rsinfo->setResult, rows->rsinfo->setDesc, values, nulls);
	}
}

/*
 * What another transaction has done counts when it commits.
 */
static void
add_entry(const InflightEntry *entry, void *arg)
{
	QueueRows  *rows = arg;
	const InflightLevel *level = group_inflight_is_foreign(entry) ? &entry->levels[0] :
		group_inflight_top(entry);

	if (level->kind != INFLIGHT_DONE && entry->from < rows->frontier)
		put_messages(rows, entry->from, entry->from + entry->count, level);
}

/*
 * queue_messages(stream regclass, group_name text)
 *	returns table (msg_id int8, deliveries int4, vt timestamptz,
 *		last_read_at timestamptz)
 *
 * The ids of all messages in the queue, and of some that were rolled back.
 * vt is null if the message does not wait.
 */
PG_FUNCTION_INFO_V1(streamq_queue_messages);
Datum
streamq_queue_messages(PG_FUNCTION_ARGS)
{
	static const InflightLevel fresh = {.kind = INFLIGHT_AVAILABLE};
	QueueRows	rows = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};
	ConsumerGroup group;
	Relation	rel;
	InflightHead head;
	int64		position;
	TimestampTz due;

	InitMaterializedSRF(fcinfo, 0);
	rel = open_queue(fcinfo, &group);
	rows.first = log_first_offset(rel, 0);
	if (group_inflight_look(rel, &group, 0, group_shared_rules(&group), &head, &position, &due))
	{
		rows.frontier = head.frontier;
		(void) group_inflight_each(rel, &group, 0, group_shared_rules(&group), NULL,
								   add_entry, &rows);
	}
	else
	{
		GroupProgress progress;

		/* a restored queue that nobody has used yet */
		group_restored_progress(rel, &group, 0, &progress);
		rows.frontier = progress.position;
		for (int i = 0; i < progress.ndone; i++)
		{
			put_messages(&rows, rows.frontier, progress.done[i].from, &fresh);
			rows.frontier = progress.done[i].to;
		}
	}
	put_messages(&rows, rows.frontier, log_next_offset(rel, 0), &fresh);
	table_close(rel, NoLock);
	return (Datum) 0;
}
