/*
 * consume.c
 *	  Handing out messages: ordered mode.
 *
 * One call looks at the states of all partitions without a lock, and then, at
 * those that promise something, again with their lock: first at those the
 * consumer holds already, then at the others, beginning with a different one each
 * time.  A partition locked by somebody else is passed over, never waited
 * for.
 *
 * The snapshot for reading messages is taken after the lock was obtained: it sees
 * everything the position that was read is based on, also under REPEATABLE READ.
 * A SERIALIZABLE transaction gets what its own snapshot sees, and fails if
 * the group's state is based on more.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/group.h"
#include "group/group_catalog.h"
#include "group/memory.h"
#include "group/messages.h"
#include "group/ordered.h"
#include "group/seek.h"
#include "group/store.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/space.h"
#include "signal/doorbell.h"
#include "stream/message.h"
#include "stream/privilege.h"

/* look again after so long without a ring (ms), and when a partition is locked */
#define POLL_INTERVAL		1000
#define BUSY_INTERVAL		100

/*
 * How long a group that another transaction is just creating is waited for (ms), when
 * `wait` is less: two consumers that begin at the same time should both find it.
 */
#define CREATE_PATIENCE		1000
#define CREATE_INTERVAL		20

/* acknowledged messages in a row that are worth a new search in the log */
#define JUMP_MESSAGES		256

typedef struct Consume
{
	/* arguments */
	char	   *group_name;
	int			max_messages;
	const Interval *lease;		/* NULL: the group's */
	char		consumer[STATE_CONSUMER_MAX + 1];
	bool		auto_ack;

	GroupMessages *messages;

	bool		group_seen;		/* it existed in an earlier attempt */

	/* this attempt */
	Relation	rel;
	ConsumerGroup group;
	int			npartitions;
	TupleTableSlot *slot;
	int64		positions[LOG_MAX_PARTITIONS];
	bool		limited;		/* by what others must finish first */
	int64		limits[LOG_MAX_PARTITIONS];
	bool		advanced;		/* a position moved */
	bool		waits_for_parent;
	bool		busy;			/* a partition was locked by somebody else */
	bool		creating;		/* the group's name was */
	TimestampTz wake_at;		/* something may change by itself then */
} Consume;

typedef enum Outlook
{
	OUTLOOK_NOTHING,
	OUTLOOK_SOME,
	OUTLOOK_HELD				/* some, and we hold the partition */
} Outlook;

/* who consumes if the caller does not say: this session, the same all its life */
static void
name_session(char *consumer)
{
	snprintf(consumer, STATE_CONSUMER_MAX + 1, "pid %d/%lld.%06d", MyProcPid,
			 (long long) (MyStartTimestamp / USECS_PER_SEC +
						  (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY),
			 (int) (MyStartTimestamp % USECS_PER_SEC));
}

static uint64
make_token(void)
{
	uint64		token;

	do
		token = pg_prng_uint64(&pg_global_prng_state);
	while (token == 0);
	return token;
}

/* to read messages by */
static Snapshot
message_snapshot(void)
{
	return RegisterSnapshot(IsolationIsSerializable() ? GetTransactionSnapshot() :
							GetLatestSnapshot());
}

/* is everything this partition's messages come after acknowledged? */
static bool
parents_are_done(Consume *c, int partition)
{
	int			parents[LOG_MAX_PARTITIONS];
	int64		offsets[LOG_MAX_PARTITIONS];
	int			n = log_get_parents(c->rel, partition, parents, offsets);

	for (int i = 0; i < n; i++)
		if (parents[i] < c->npartitions && c->positions[parents[i]] < offsets[i])
			return false;
	return true;
}

/*
 * What does the state promise?  Messages that may be in the log count as some.
 */
static Outlook
look_at_state(Consume *c, int partition, const PartitionState *state,
			  TimestampTz now)
{
	bool		held = false;
	int64		from = state->position;
	int64		next = log_next_offset(c->rel, partition);
	StateRange	run;

	if (group_state_is_leased(state, now))
	{
		held = strcmp(state->consumer, c->consumer) == 0;
		if (!held)
		{
			c->wake_at = Min(c->wake_at, state->deadline);
			return OUTLOOK_NOTHING;
		}
		from = state->cursor;
		if (!c->auto_ack && group_state_in_flight(state) >= c->group.max_in_flight)
			return OUTLOOK_NOTHING;
	}

	/* what was handed out before comes first, then what is new */
	if (group_state_next_undone(state, from, state->delivered, &run))
		from = run.from;
	else
		from = Max(from, state->delivered);
	if (from >= next)
		return OUTLOOK_NOTHING;
	if (state->retry_at > now && from >= state->retry_offset)
	{
		c->wake_at = Min(c->wake_at, state->retry_at);
		return OUTLOOK_NOTHING;
	}
	if ((c->limited && from >= c->limits[partition]) ||
		(partition > 0 && !parents_are_done(c, partition)))
	{
		c->waits_for_parent = true;
		return OUTLOOK_NOTHING;
	}
	return held ? OUTLOOK_HELD : OUTLOOK_SOME;
}

/* may more messages be taken? */
static inline bool
wants_more(const Consume *c)
{
	return group_messages_count(c->messages) < c->max_messages;
}

/*
 * Read the log from the cursor on and hand out what the rules allow.  Returns
 * the number of messages.
 */
static int
deliver_messages(Consume *c, int partition, PartitionState *state, uint64 token,
				 TimestampTz now)
{
	Snapshot	snapshot = message_snapshot();
	LogReader  *reader;
	StateRoom	room;
	int64		limit = PG_INT64_MAX;
	int64		in_flight = group_state_in_flight(state);
	int			n = 0;

	if (state->retry_at > now)
		limit = Max(state->cursor, state->retry_offset);
	if (c->limited)
		limit = Min(limit, c->limits[partition]);
	group_state_room_init(&room, state);

	reader = log_reader_begin(c->rel, partition, state->cursor, limit, snapshot, true);
	while (wants_more(c) &&
		   (c->auto_ack || in_flight < c->group.max_in_flight))
	{
		int64		off;
		LogKeptRow	row;
		bool		found = log_reader_next(reader, c->slot);
		int64		from;
		int64		to;

		off = found ? log_reader_offset(reader) : log_reader_position(reader);

		/* new offsets take room in the state, unless nothing is outstanding */
		if (off >= state->delivered)
		{
			if (state->position == state->delivered)
				memset(&room, 0, sizeof(room));
			if (!group_state_room_take(&room, state->position == state->delivered ? 0 :
									   off - state->delivered))
				break;
		}
		if (log_reader_expired(reader, &from, &to))
			group_state_lose(state, Max(from, state->cursor), to);
		if (!found)
		{
			c->waits_for_parent |= c->limited && off >= c->limits[partition];
			group_state_skip(state, off);
			break;
		}

		if (off < state->delivered && !group_state_is_undone(state, off))
		{
			StateRange	run;

			/* acknowledged out of order */
			if (!group_state_next_undone(state, off, state->delivered, &run))
				run.from = state->delivered;
			if (run.from - off >= JUMP_MESSAGES)
			{
				log_reader_end(reader);
				reader = log_reader_begin(c->rel, partition, run.from, limit,
										  snapshot, true);
			}
			continue;
		}

		row.msg_id = LOG_MSG_ID(partition, off);
		row.produced_at = log_reader_produced_at(reader);
		row.note = 1;
		if (!group_messages_try(c->messages, c->rel, c->slot, &row))
			break;
		row.note = group_state_deliver(state, off, token);
		group_messages_add(c->messages, c->rel, c->slot, &row);
		n++;
		if (c->auto_ack)
		{
			group_state_mark_done(state, off, off + 1);
			state->acked_count++;
		}
		else
			in_flight++;
	}
	log_reader_end(reader);
	ExecClearTuple(c->slot);
	UnregisterSnapshot(snapshot);

	return n;
}

/*
 * Take what there is in one partition.
 */
static void
consume_partition(Consume *c, int partition)
{
	StoreLock	lock = group_lock_state(c->group.group_id, partition, false);
	TimestampTz now = GetCurrentTimestamp();
	PartitionState state;
	int64		position;
	int64		delivered;
	int64		first;
	uint64		token;
	int			n;

	if (lock == STORE_LOCK_BUSY)
	{
		c->busy = true;
		return;
	}
	group_check_serializable(c->rel, c->group.group_id, partition);
	group_read_state(c->rel, c->group.group_id, partition, &state);
	if (look_at_state(c, partition, &state, now) == OUTLOOK_NOTHING)
	{
		if (lock == STORE_LOCK_TAKEN)
			group_unlock_state(c->group.group_id, partition);
		return;
	}

	position = state.position;
	delivered = state.delivered;
	if (!group_state_is_leased(&state, now))
	{
		/* what is with a consumer is not lost yet, even if it has expired */
		group_state_end_lease(&state);
		first = log_first_offset(c->rel, partition);
		if (state.position < first)
			group_state_expire(&state, first, log_lost_offset(c->rel, partition));
	}
	token = state.leased ? state.token : make_token();
	first = state.cursor;

	n = deliver_messages(c, partition, &state, token, now);
	if (n > 0)
	{
		if (!c->auto_ack)
		{
			TimestampTz deadline = group_add_interval(now,
													  c->lease ? c->lease : &c->group.lease,
													  "lease", false);

			if (!state.leased || state.deadline < deadline)
				state.deadline = deadline;
			state.leased = true;
			state.token = token;
			strlcpy(state.consumer, c->consumer, sizeof(state.consumer));
			group_memory_note(c->group.group_id, partition, first, state.cursor, token);
		}
		state.last_consumed_at = now;
		group_write_state(c->rel, c->group.group_id, partition, &state);
		group_ring_at_end(RelationGetRelid(c->rel),
						  !state.leased &&
						  (c->npartitions > 1 ||
						   state.cursor < log_next_offset(c->rel, partition)));
	}
	else
	{
		/* only rolled-back or expired messages: no need to read them again */
		if (state.position != position || state.delivered != delivered)
			group_write_settled(c->rel, c->group.group_id, partition, &state);
		if (lock == STORE_LOCK_TAKEN)
			group_unlock_state(c->group.group_id, partition);
	}

	if (state.position != position)
	{
		group_memory_forget(c->group.group_id, partition, state.position);
		c->positions[partition] = state.position;
		c->advanced = true;
	}
}

/*
 * One look at all partitions.
 */
static void
consume_partitions(Consume *c)
{
	static uint32 rotation = 0;
	int			held[LOG_MAX_PARTITIONS];
	int			others[LOG_MAX_PARTITIONS];
	int			nheld = 0;
	int			nothers = 0;
	uint32		start;
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext pass_context = AllocSetContextCreate(CurrentMemoryContext,
													   "streamq consume",
													   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(pass_context);

	if (rotation == 0)
		rotation = (uint32) MyProcPid;
	start = rotation++ % c->npartitions;

	/*
	 * A partition's parents have lower numbers: their positions are known
	 * then.  Limits depend on all positions; they are looked at below.
	 */
	c->limited = false;
	for (int p = 0; p < c->npartitions; p++)
	{
		PartitionState state;
		Outlook		outlook;

		group_check_serializable(c->rel, c->group.group_id, p);
		group_read_state(c->rel, c->group.group_id, p, &state);
		c->positions[p] = state.position;
		outlook = look_at_state(c, p, &state, now);
		if (outlook == OUTLOOK_HELD)
			held[nheld++] = p;
		else if (outlook == OUTLOOK_SOME)
			others[nothers++] = p;
		MemoryContextReset(pass_context);
	}

	c->limited = log_barrier_limits(c->rel, c->npartitions, c->positions, c->limits);

	for (int i = 0; i < nheld && wants_more(c); i++)
	{
		consume_partition(c, held[i]);
		MemoryContextReset(pass_context);
	}

	/* the others in a circle, from the first one at or after `start` */
	for (int i = 0, at = 0; i < nothers && wants_more(c); i++)
	{
		if (i == 0)
			while (at < nothers - 1 && others[at] < (int) start)
				at++;
		consume_partition(c, others[(at + i) % nothers]);
		MemoryContextReset(pass_context);
	}

	MemoryContextSwitchTo(old);
	MemoryContextDelete(pass_context);
}

/* is there a message to deliver for a group that does not exist yet? */
static bool
has_messages(Consume *c)
{
	bool		found = false;

	for (int p = 0; p < c->npartitions && !found; p++)
	{
		Snapshot	snapshot;
		LogReader  *reader;

		if (log_first_offset(c->rel, p) >= log_next_offset(c->rel, p))
			continue;
		snapshot = message_snapshot();
		reader = log_reader_begin(c->rel, p, 0, PG_INT64_MAX, snapshot, true);
		found = log_reader_next(reader, c->slot);
		log_reader_end(reader);
		ExecClearTuple(c->slot);
		UnregisterSnapshot(snapshot);
	}
	return found;
}

/*
 * Try once.  A group that does not exist is created when there is something to
 * deliver or no more time to wait, not before: its creator would keep others
 * from using it until his transaction ends.
 */
static void
try_consume(Consume *c, bool last)
{
	bool		exists;

	c->busy = c->creating = false;
	c->wake_at = DT_NOEND;
	c->npartitions = log_partition_count(c->rel);
	c->slot = log_slot_create(c->rel);

	/* a group that is dropped while we wait does not come back by itself */
	exists = group_find(c->rel, c->group_name, !c->group_seen, &c->group);
	if (!exists && (last || has_messages(c)))
	{
		GroupOptions options;
		GroupCreated created;

		group_default_options(&options);
		created = group_create(c->rel, c->group_name, &options, false, &c->group);
		if (created == GROUP_CREATED)
			group_init_states(c->rel, &c->group, START_EARLIEST);
		exists = created != GROUP_BUSY;
		c->creating = !exists;
	}
	if (exists)
	{
		c->group_seen = true;
		group_check_usable(c->rel, c->group_name, &c->group);
		do
		{
			c->advanced = false;
			c->waits_for_parent = false;
			consume_partitions(c);
			/* what is done now may have been what another partition waits for */
		} while (c->waits_for_parent && c->advanced && wants_more(c));
	}
	ExecDropSingleTupleTableSlot(c->slot);
}

/* milliseconds to sleep before the next try */
static long
sleep_time(Consume *c, TimestampTz now, TimestampTz end)
{
	TimestampTz until = Min(end, c->wake_at);
	long		timeout = c->busy ? BUSY_INTERVAL : POLL_INTERVAL;

	if (c->creating)
		timeout = CREATE_INTERVAL;
	if (until <= now)
		return 1;
	if (until - now < timeout * INT64CONST(1000))
		timeout = (long) ((until - now + 999) / 1000);
	return timeout;
}

/* open the stream again after waiting: its name is for who finds it gone */
static void
reopen_stream(Consume *c, Oid relid, const char *name)
{
	/* what another transaction is just doing to it comes first */
	LockRelationOid(relid, AccessShareLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream \"%s\" was dropped by another session", name)));
	c->rel = log_open_stream(relid, NoLock);
}

static void
consume(Consume *c, Oid relid, const Interval *wait)
{
	NameData	name;
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz end = group_add_interval(start, wait, "wait", true);
	TimestampTz patience = Max(end, TimestampTzPlusMilliseconds(start, CREATE_PATIENCE));
	MemoryContext try_context;
	bool		stale = false;
	bool		waited = false;

	if (c->lease)
		(void) group_add_interval(GetCurrentTimestamp(), c->lease, "lease", false);
	try_context = AllocSetContextCreate(CurrentMemoryContext,
										"streamq attempt to consume",
										ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		last = now >= end || stale;
		uint64		seen;
		MemoryContext old;

		if (waited)
			reopen_stream(c, relid, NameStr(name));
		else
			c->rel = log_open_stream(relid, AccessShareLock);
		namestrcpy(&name, RelationGetRelationName(c->rel));
		stream_check_read(c->rel);
		seen = signal_count(relid);
		old = MemoryContextSwitchTo(try_context);
		try_consume(c, last);
		MemoryContextSwitchTo(old);
		MemoryContextReset(try_context);
		group_messages_throw(c->messages);
		if (group_messages_count(c->messages) > 0 || (last && !(c->creating && !stale && now < patience)))
		{
			table_close(c->rel, NoLock);
			break;
		}
		/* the stream may be truncated or dropped while we sleep */
		table_close(c->rel, AccessShareLock);
		InvalidateCatalogSnapshot();
		signal_wait(relid, seen, sleep_time(c, now, last ? patience : end));
		waited = true;
		/* what is new is for the next transaction: this one cannot see it */
		stale = IsolationIsSerializable() && signal_count(relid) != seen;
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextDelete(try_context);
}

/* the arguments that both forms have, from max_messages on */
static void
get_arguments(FunctionCallInfo fcinfo, Consume *c)
{
	memset(c, 0, sizeof(Consume));
	c->group_name = group_get_name_arg(fcinfo);
	group_require_arg(fcinfo, 2, "max_messages");
	group_require_arg(fcinfo, 3, "wait");
	group_require_arg(fcinfo, 6, "auto_ack");
	c->max_messages = PG_GETARG_INT32(2);
	if (c->max_messages < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", "max_messages"),
				 errhint("Ask for at least one message.")));
	if (!PG_ARGISNULL(4))
		c->lease = PG_GETARG_INTERVAL_P(4);
	if (PG_ARGISNULL(5))
		name_session(c->consumer);
	else
	{
		text	   *name = PG_GETARG_TEXT_PP(5);

		if (VARSIZE_ANY_EXHDR(name) == 0 ||
			VARSIZE_ANY_EXHDR(name) > STATE_CONSUMER_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_NAME),
					 errmsg("invalid consumer name \"%s\"", text_to_cstring(name)),
					 errhint("A name must be 1 to %d bytes long.", STATE_CONSUMER_MAX)));
		text_to_cstring_buffer(name, c->consumer, sizeof(c->consumer));
	}
	c->auto_ack = PG_GETARG_BOOL(6);
}

GroupMessages *
group_consume(FunctionCallInfo fcinfo, uint32 wanted)
{
	Consume		c;

	group_begin_change("consume()");
	group_require_arg(fcinfo, 0, "stream");
	get_arguments(fcinfo, &c);
	c.messages = group_messages_create(false, wanted);
	consume(&c, PG_GETARG_OID(0), PG_GETARG_INTERVAL_P(3));
	return c.messages;
}

GroupMessages *
group_consume_as(FunctionCallInfo fcinfo, Oid row_type)
{
	Consume		c;
	Oid			relid = OidIsValid(row_type) ? get_typ_typrelid(row_type) : InvalidOid;

	group_begin_change("consume_as()");
	get_arguments(fcinfo, &c);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("argument \"%s\" must be of the row type of a stream", "row_type"),
				 errhint("Call it as streamq.consume_as(NULL::stream_name, ...).")));
	c.messages = group_messages_create(true, MESSAGE_ALL);
	consume(&c, relid, PG_GETARG_INTERVAL_P(3));
	return c.messages;
}

/* called as a function: collect the rows */
static void
return_messages(FunctionCallInfo fcinfo, GroupMessages *messages)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "streamq message",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row);
	Datum		values[MESSAGE_NATTS];
	bool		nulls[MESSAGE_NATTS];

	while (group_messages_next(messages, MESSAGE_ALL, values, nulls))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row);
	group_messages_end(messages);
}

PG_FUNCTION_INFO_V1(streamq_consume);
Datum
streamq_consume(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	return_messages(fcinfo, group_consume(fcinfo, MESSAGE_ALL));
	return (Datum) 0;
}

/*
 * The typed form: the stream is the one whose rows have the first argument's
 * type; its value does not matter.
 */
PG_FUNCTION_INFO_V1(streamq_consume_as);
Datum
streamq_consume_as(PG_FUNCTION_ARGS)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);

	InitMaterializedSRF(fcinfo, 0);
	return_messages(fcinfo, group_consume_as(fcinfo, type));
	return (Datum) 0;
}
