/*
 * delivery.c
 *	  Appending messages that waited for their deliver_at.
 *
 * Messages are appended, and removed from the table, in one transaction.  So a
 * crash cannot lose or repeat a message.
 *
 * The rows that were removed leave old versions, in the table and in its
 * index.  While somebody holds a snapshot they stay, and an index scan from
 * the beginning would read all of them each time.  So the process remembers up
 * to which time everything is done, and transactions that add messages before
 * that time tell it (stream_register_delay_waker).
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/try.h"
#include "compat.h"
#include "log/log.h"
#include "log/options.h"
#include "log/reader.h"
#include "stream/dedup.h"
#include "stream/delivery.h"
#include "stream/flow.h"
#include "stream/writer.h"

/* messages appended in one transaction, and bytes of their payloads */
#define MAX_MESSAGES	1000
#define MAX_BYTES		(16 * 1024 * 1024)

/* ms until a stream whose lock was not free is tried again */
#define BUSY_RETRY		200

/* ms after which one that has no room in its max_rate is tried again at most */
#define RATE_RETRY		10000

/* ms until a message that somebody has locked is looked at again */
#define LOCKED_RETRY	1000

/* ms for which messages of a dump wait for the messages before them */
#define RESTORE_PATIENCE	(3600 * 1000)

/* a message that is due */
typedef struct DueMessage
{
	int			number;			/* in the order of time */
	ItemPointerData tid;		/* of its row */
	Oid			stream;
	TimestampTz due_at;
	int			partition;
	StreamMessage message;
	Datum		dedup_id;
	bool		has_dedup_id;
	int			attempts;
	int64		after_messages; /* 0: does not come from a dump */
	TimestampTz restored_at;

	/* results */
	bool		done;
	int64		msg_id;			/* or STREAM_NOT_WRITTEN */
	char	   *error;			/* why it could not be appended */
} DueMessage;

/* messages of one stream that are appended together */
typedef struct DueBatch
{
	Relation	rel;
	DueMessage *messages;
	int			n;
} DueBatch;

/* streams that cannot be written to now, until when they are left alone */
typedef struct BusyStream
{
	Oid			relid;
	TimestampTz until;
} BusyStream;

static List *busy = NIL;

/* ---- streams that are left alone ---- */

static void
note_busy(Oid relid, TimestampTz until)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	BusyStream *entry = palloc(sizeof(BusyStream));

	entry->relid = relid;
	entry->until = until;
	busy = lappend(busy, entry);
	MemoryContextSwitchTo(old);
}

/* an array of the streams to leave alone now */
static Datum
busy_streams(TimestampTz now)
{
	Datum	   *oids;
	int			n = 0;
	ListCell   *lc;

	oids = palloc(Max(list_length(busy), 1) * sizeof(Datum));
	foreach(lc, busy)
	{
		BusyStream *entry = lfirst(lc);

		if (entry->until > now)
			oids[n++] = ObjectIdGetDatum(entry->relid);
		else
		{
			pfree(entry);
			busy = foreach_delete_current(busy, lc);
		}
	}
	return PointerGetDatum(construct_array(oids, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

/* when the first of them is tried again */
static TimestampTz
busy_until(void)
{
	TimestampTz until = DT_NOEND;
	ListCell   *lc;

	foreach(lc, busy)
		until = Min(until, ((BusyStream *) lfirst(lc))->until);
	return until;
}

/* ---- reading ---- */

/* run a query with a plan that is kept */
static void
run_plan(SPIPlanPtr *plan, const char *sql, int nargs, Oid *types, Datum *args,
		 const char *nulls, int expected)
{
	int			result;

	if (*plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare(sql, nargs, types);

		if (prepared == NULL || SPI_keepplan(prepared) != 0)
			elog(ERROR, "could not prepare \"%s\"", sql);
		*plan = prepared;
	}
	result = SPI_execute_plan(*plan, args, nulls, false, 0);
	if (result != expected)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(result));
}

static void
read_value(StreamValue *value, Oid type, HeapTuple row, TupleDesc desc, int column)
{
	value->type = type;
	value->value = SPI_getbinval(row, desc, column, &value->isnull);
}

static void
read_message(DueMessage *message, HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	Datum		value;

	message->tid = *(ItemPointer) DatumGetPointer(SPI_getbinval(row, desc, 1, &isnull));
	message->stream = DatumGetObjectId(SPI_getbinval(row, desc, 2, &isnull));
	message->due_at = DatumGetTimestampTz(SPI_getbinval(row, desc, 3, &isnull));
	value = SPI_getbinval(row, desc, 4, &isnull);
	message->partition = isnull ? STREAM_ANY_PARTITION : DatumGetInt32(value);
	read_value(&message->message.key, TEXTOID, row, desc, 5);
	read_value(&message->message.payload, TEXTOID, row, desc, 6);
	read_value(&message->message.headers, JSONBOID, row, desc, 7);
	message->dedup_id = SPI_getbinval(row, desc, 8, &isnull);
	message->has_dedup_id = !isnull;
	message->attempts = DatumGetInt32(SPI_getbinval(row, desc, 9, &isnull));
	value = SPI_getbinval(row, desc, 10, &isnull);
	message->after_messages = isnull ? 0 : DatumGetInt64(value);
	value = SPI_getbinval(row, desc, 11, &isnull);
	message->restored_at = isnull ? 0 : DatumGetTimestampTz(value);
}

/*
 * Read and lock messages that are due; *more is true if there may be others.
 * Rows that another transaction has locked are skipped, because it is cancelling
 * these messages.
 */
static DueMessage *
read_due(TimestampTz from, TimestampTz now, int *n, bool *more)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TIMESTAMPTZOID, TIMESTAMPTZOID, OIDARRAYOID};
	Datum		args[3] = {TimestampTzGetDatum(from), TimestampTzGetDatum(now), busy_streams(now)};
	DueMessage *messages;
	Size		bytes = 0;

	run_plan(&plan,
			 "SELECT ctid, stream::pg_catalog.oid, due_at, partition, key, payload, headers, "
			 "dedup_id, attempts, after_messages, restored_at FROM streamq.delayed_message "
			 "WHERE due_at OPERATOR(pg_catalog.>=) $1 AND due_at OPERATOR(pg_catalog.<=) $2 "
			 "AND stream::pg_catalog.oid OPERATOR(pg_catalog.<>) ALL ($3) "
			 "ORDER BY due_at, delayed_id LIMIT " CppAsString2(MAX_MESSAGES)
			 " FOR UPDATE SKIP LOCKED",
			 3, types, args, NULL, SPI_OK_SELECT);
	*n = SPI_processed;
	*more = *n == MAX_MESSAGES;
	messages = palloc0(Max(*n, 1) * sizeof(DueMessage));
	for (int i = 0; i < *n; i++)
	{
		StreamValue *payload = &messages[i].message.payload;

		messages[i].number = i;
		read_message(&messages[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
		if (!payload->isnull)
			bytes += toast_raw_datum_size(payload->value);
		if (bytes > MAX_BYTES && i > 0)
		{
			*n = i;
			*more = true;
		}
	}
	return messages;
}

/* when is the next message due? */
static TimestampTz
read_next(TimestampTz from)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		args[1] = {TimestampTzGetDatum(from)};
	bool		isnull;

	run_plan(&plan,
			 "SELECT due_at FROM streamq.delayed_message "
			 "WHERE due_at OPERATOR(pg_catalog.>=) $1 ORDER BY due_at LIMIT 1",
			 1, types, args, NULL, SPI_OK_SELECT);
	if (SPI_processed == 0)
		return DT_NOEND;
	return DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
											 1, &isnull));
}

/*
 * When should the process look again?  A message that is due and still there
 * belongs to a busy stream, or is being cancelled.  A transaction that cancels
 * a message wakes the process when it ends.  But the row may be locked for
 * another reason, so the process also looks again after some time.
 */
static TimestampTz
find_next(TimestampTz from, TimestampTz now)
{
	TimestampTz retry = busy_until();
	TimestampTz next = read_next(busy == NIL ? from : now + 1);

	if (next <= now)
	{
		next = read_next(now + 1);
		retry = Min(retry, TimestampTzPlusMilliseconds(now, LOCKED_RETRY));
	}
	return Min(next, retry);
}

/* ---- appending ---- */

static int
compare_streams(const void *a, const void *b)
{
	const DueMessage *one = a;
	const DueMessage *two = b;

	if (one->stream != two->stream)
		return one->stream < two->stream ? -1 : 1;
	return one->number - two->number;
}

/* append messages that go to the same partition, or to any */
static void
append_run(Relation rel, DueMessage *messages, int n)
{
	int			columns = STREAM_WRITE_PAYLOAD;
	StreamWriter *writer;
	const int64 *msg_ids;

	for (int i = 0; i < n; i++)
	{
		if (!messages[i].message.key.isnull)
			columns |= STREAM_WRITE_KEY;
		if (!messages[i].message.headers.isnull)
			columns |= STREAM_WRITE_HEADERS;
	}
	writer = stream_writer_begin(rel, n, messages[0].partition, columns);
	for (int i = 0; i < n; i++)
		stream_writer_add(writer, &messages[i].message);
	(void) stream_writer_flush(writer, &msg_ids);
	for (int i = 0; i < n; i++)
		messages[i].msg_id = msg_ids[i];
	stream_writer_end(writer);
}

/*
 * Append as the stream's owner, who runs its triggers and expressions.  What
 * they set must not reach the streams of other owners.
 */
static void
append_batch(void *arg)
{
	DueBatch   *batch = arg;
	Oid			save_user;
	int			save_context;
	int			nestlevel;
	int			first = 0;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(batch->rel->rd_rel->relowner,
						   save_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	for (int i = 1; i <= batch->n; i++)
	{
		if (i < batch->n && batch->messages[i].partition == batch->messages[first].partition)
			continue;
		append_run(batch->rel, batch->messages + first, i - first);
		first = i;
	}
	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(save_user, save_context);
	for (int i = 0; i < batch->n; i++)
	{
		DueMessage *message = &batch->messages[i];

		if (message->has_dedup_id)
			stream_dedup_settle(batch->rel, message->dedup_id, message->msg_id);
	}
}

/* append all messages, or each one that can be */
static void
append_stream(DueBatch *batch)
{
	ErrorData  *error = base_try(append_batch, batch, BASE_TRY_KEEP, base_try_is_any);

	if (error == NULL)
	{
		for (int i = 0; i < batch->n; i++)
			batch->messages[i].done = true;
		return;
	}
	for (int i = 0; i < batch->n; i++)
	{
		DueBatch	one = {batch->rel, &batch->messages[i], 1};

		CHECK_FOR_INTERRUPTS();
		if (batch->n > 1)
			error = base_try(append_batch, &one, BASE_TRY_KEEP, base_try_is_any);
		if (error == NULL)
			batch->messages[i].done = true;
		else
		{
			batch->messages[i].error = error->message;
			ereport(LOG,
					(errmsg("could not append a delayed message to stream \"%s\": %s",
							RelationGetRelationName(batch->rel), error->message)));
		}
	}
}

/* is the stream still being restored? */
static bool
is_being_restored(const DueBatch *batch, TimestampTz now)
{
	int64		expected = 0;
	int64		found = 0;

	for (int i = 0; i < batch->n; i++)
	{
		DueMessage *message = &batch->messages[i];

		if (!TimestampDifferenceExceeds(message->restored_at, now, RESTORE_PATIENCE))
			expected = Max(expected, message->after_messages);
	}
	if (expected == 0)
		return false;
	for (int p = 0; p < log_partition_count(batch->rel); p++)
		found += log_count_messages(batch->rel, p, GetActiveSnapshot());
	return found < expected;
}

/*
 * Does max_rate allow to append now?  If not, *until is the time to ask again.
 */
static bool
has_rate(Relation rel, TimestampTz now, TimestampTz *until)
{
	double		max_rate = log_options_flow(rel).max_rate;
	TimestampTz ready;

	if (max_rate == 0 || (ready = stream_rate_ready_at(rel, max_rate)) <= now)
		return true;
	*until = Min(ready, TimestampTzPlusMilliseconds(now, RATE_RETRY));
	return false;
}

/* the messages of one stream, unless they have to wait */
static void
deliver_stream(DueMessage *messages, int n, TimestampTz now)
{
	DueBatch	batch = {NULL, messages, n};
	TimestampTz until = TimestampTzPlusMilliseconds(now, BUSY_RETRY);
	bool		ok = false;

	/* neither DDL nor max_rate must stop the messages of other streams */
	if (ConditionalLockRelationOid(messages[0].stream, RowExclusiveLock))
	{
		batch.rel = try_table_open(messages[0].stream, NoLock);
		if (batch.rel == NULL)
		{
			/* the stream is gone, and with it its messages */
			for (int i = 0; i < n; i++)
				messages[i].done = true;
			return;
		}
		ok = log_is_accessible(batch.rel) && !is_being_restored(&batch, now) &&
			has_rate(batch.rel, now, &until);
		if (ok)
			append_stream(&batch);
		table_close(batch.rel, NoLock);
	}
	if (!ok)
		note_busy(messages[0].stream, until);
}

/* ---- changing the table ---- */

static void
delete_done(const DueMessage *messages, int n)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TIDARRAYOID};
	Datum		args[1];
	Datum	   *tids = palloc(Max(n, 1) * sizeof(Datum));
	int			ndone = 0;

	for (int i = 0; i < n; i++)
	{
		if (messages[i].done)
			tids[ndone++] = PointerGetDatum(&messages[i].tid);
	}
	if (ndone == 0)
		return;
	args[0] = PointerGetDatum(construct_array(tids, ndone, TIDOID, sizeof(ItemPointerData),
											  false, TYPALIGN_SHORT));
	run_plan(&plan, "DELETE FROM streamq.delayed_message WHERE ctid OPERATOR(pg_catalog.=) ANY ($1)",
			 1, types, args, NULL, SPI_OK_DELETE);
}

/* put off messages that failed, each time for longer */
static void
put_off_failed(const DueMessage *messages, int n)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {TIDOID, TEXTOID};

	for (int i = 0; i < n; i++)
	{
		Datum		args[2];

		if (messages[i].error == NULL)
			continue;
		args[0] = PointerGetDatum(&messages[i].tid);
		args[1] = CStringGetTextDatum(messages[i].error);
		run_plan(&plan,
				 "UPDATE streamq.delayed_message SET attempts = attempts OPERATOR(pg_catalog.+) 1, "
				 "last_error = $2, due_at = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) "
				 "('1 s'::pg_catalog.interval OPERATOR(pg_catalog.*) "
				 "LEAST(pg_catalog.power(2, LEAST(attempts, 20)), 600)) "
				 "WHERE ctid OPERATOR(pg_catalog.=) $1",
				 2, types, args, NULL, SPI_OK_UPDATE);
	}
}

void
stream_delivery_run(StreamDelivery *delivery)
{
	TimestampTz now = GetCurrentTimestamp();
	DueMessage *messages;
	int			n;
	int			first = 0;
	TimestampTz last;

	stream_rate_never_sleep();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	messages = read_due(delivery->from, now, &n, &delivery->more);
	last = n > 0 ? messages[n - 1].due_at : delivery->from;
	qsort(messages, n, sizeof(DueMessage), compare_streams);
	for (int i = 1; i <= n; i++)
	{
		if (i < n && messages[i].stream == messages[first].stream)
			continue;
		deliver_stream(messages + first, i - first, now);
		first = i;
	}
	delete_done(messages, n);
	put_off_failed(messages, n);

	/* messages of busy streams stay where they are */
	if (busy == NIL)
		delivery->from = last;
	delivery->next = delivery->more ? now : find_next(delivery->from, now);
	SPI_finish();
	PopActiveSnapshot();
}
