/*
 * notifier.c
 *	  The process that sends notifications to LISTENers.
 *
 * A transaction that uses NOTIFY takes a lock at commit that covers the whole
 * server.  Producers must not take it.  So committed transactions leave news in
 * shared memory (signal/news.c), and the notifier of the database sends the
 * notifications in transactions of its own.  The first one on a channel is sent
 * at once, later ones at most once per streamq.notify_interval.  They tell about
 * the partition that was written last.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/try.h"
#include "job/job.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/scan.h"
#include "signal/channel.h"
#include "signal/doorbell.h"
#include "signal/news.h"
#include "worker/notifier.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define IDLE_WAKEUP		(60 * 1000) /* ms */
#define RETRY_MIN		1000	/* ms after a failure */
#define RETRY_MAX		(60 * 1000)
#define CHANNELS_KEPT	1024	/* remembered after their interval is over */

typedef struct NotifierChannel
{
	Oid			relid;			/* hash key */
	bool		pending;
	bool		details;		/* news is valid */
	bool		is_view;
	SignalNews	news;
	TimestampTz due;			/* end of the interval after the last
								 * notification */
} NotifierChannel;

static HTAB *channels = NULL;

int
worker_notifier_wanted(void)
{
	return 1;
}

static NotifierChannel *
get_channel(Oid relid, bool is_view)
{
	bool		found;
	NotifierChannel *channel = hash_search(channels, &relid, HASH_ENTER, &found);

	if (!found)
	{
		memset(channel, 0, sizeof(*channel));
		channel->relid = relid;
	}
	channel->is_view = is_view;
	return channel;
}

static void
take_news(const SignalNews *entry, void *arg)
{
	NotifierChannel *channel = get_channel(entry->relid, entry->is_view);

	if (channel->pending && channel->details)
		signal_merge(&channel->news, entry);
	else
		channel->news = *entry;
	channel->pending = channel->details = true;
}

/*
 * News was lost.  Send a notification without details on every channel with
 * listeners, so that these look for messages themselves.
 */
static void
notify_everybody(void *arg)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	Oid			amoid = get_table_am_oid("streamq", true);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
		bool		is_view = form->relkind == RELKIND_VIEW;

		if (!is_view &&
			(form->relkind != RELKIND_RELATION || form->relam != amoid))
			continue;
		if (signal_listeners(form->oid) == 0 ||
			(is_view && !job_is_view(form->oid)))
			continue;
		get_channel(form->oid, is_view)->pending = true;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* ---- details for notifications whose news was lost ---- */

/* last visible message of the partition that was written last; -1: none */
static int64
read_last_message(Relation rel)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = log_range_scan_begin(rel, snapshot);
	TupleTableSlot *slot = log_slot_create(rel);
	int			npartitions = log_partition_count(rel);
	TimestampTz last_time = DT_NOBEGIN;
	int64		last = -1;

	for (int p = 0; p < npartitions; p++)
	{
		LogMessageRange range = LOG_WHOLE_RANGE;
		int64		msg_id;
		TimestampTz time;

		range.from = LOG_MSG_ID(p, 0);
		range.to = LOG_MSG_ID(p, LOG_OFFSET_MASK);
		log_range_scan_set(scan, &range);
		if (!log_range_scan_next(scan, BackwardScanDirection, slot))
			continue;
		msg_id = log_tid_msg_id(rel, &slot->tts_tid);
		time = log_produced_at(rel, p, LOG_MSG_OFFSET(msg_id));
		if (last < 0 || time >= last_time)
		{
			last = msg_id;
			last_time = time;
		}
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	return last;
}

/* a stream that may be gone, and its last message */
typedef struct LastMessage
{
	Oid			relid;
	int64		msg_id;
} LastMessage;

static void
look_for_last_message(void *arg)
{
	LastMessage *last = arg;
	Relation	rel = try_relation_open(last->relid, NoLock);

	if (rel == NULL)
		return;
	if (log_is_stream(rel) && log_is_accessible(rel))
		last->msg_id = read_last_message(rel);
	relation_close(rel, NoLock);
}

static bool
log_error(const ErrorData *error)
{
	EmitErrorReport();
	return true;
}

/*
 * Like read_last_message, but -1 if the stream is gone, locked or damaged.  This
 * must not wait, and must not make other notifications fail.
 */
static int64
find_last_message(Oid relid)
{
	LastMessage last = {relid, -1};

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return -1;
	(void) base_try(look_for_last_message, &last, BASE_TRY_KEEP, log_error);
	UnlockRelationOid(relid, AccessShareLock);
	return last.msg_id;
}

/* NULL if the relation is gone; must not wait for a lock, as of DROP TABLE */
static char *
form_payload(const NotifierChannel *channel)
{
	int64		last_msg_id = -1;
	StringInfoData buf;
	HeapTuple	tuple;
	Form_pg_class form;
	char	   *schema;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(channel->relid));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_class) GETSTRUCT(tuple);
	schema = get_namespace_name(form->relnamespace);
	if (schema == NULL)
	{
		ReleaseSysCache(tuple);
		return NULL;
	}

	if (channel->details && !channel->is_view)
		last_msg_id = channel->news.msg_id;
	else if (!channel->is_view)
		last_msg_id = find_last_message(channel->relid);

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"%s\": ", channel->is_view ? "view" : "stream");
	escape_json(&buf, quote_qualified_identifier(schema, NameStr(form->relname)));
	ReleaseSysCache(tuple);

	if (!channel->is_view)
	{
		if (last_msg_id < 0)
			appendStringInfoString(&buf, ", \"partition\": null, \"last_msg_id\": null}");
		else
			appendStringInfo(&buf, ", \"partition\": %d, \"last_msg_id\": " INT64_FORMAT "}",
							 LOG_MSG_PARTITION(last_msg_id), last_msg_id);
	}
	else if (!channel->details)
		appendStringInfoString(&buf, ", \"watermark\": null, \"closed\": null}");
	else
	{
		char		at[MAXDATELEN + 1];

		JsonEncodeDateTime(at, TimestampTzGetDatum(channel->news.watermark),
						   TIMESTAMPTZOID, NULL);
		appendStringInfo(&buf, ", \"watermark\": \"%s\", \"closed\": " INT64_FORMAT "}",
						 at, channel->news.closed);
	}
	return buf.data;
}

/* send all notifications that are due, in one transaction */
static void
send_due(void *arg)
{
	TimestampTz now = *(TimestampTz *) arg;
	HASH_SEQ_STATUS status;
	NotifierChannel *channel;

	hash_seq_init(&status, channels);
	while ((channel = hash_seq_search(&status)) != NULL)
	{
		char	   *payload;

		if (!channel->pending || channel->due > now)
			continue;
		payload = form_payload(channel);
		if (payload != NULL)
			Async_Notify(signal_channel_name(channel->relid), payload);
	}
}

/*
 * After send_due: note what was sent, and remove channels that need not be
 * remembered.  Returns when the next notification is due, 0 if none waits.
 */
static TimestampTz
note_sent(TimestampTz now, bool sent)
{
	HASH_SEQ_STATUS status;
	NotifierChannel *channel;
	TimestampTz next = 0;
	TimestampTz due = TimestampTzPlusMilliseconds(now, worker_notify_interval);
	bool		prune = hash_get_num_entries(channels) > CHANNELS_KEPT;

	hash_seq_init(&status, channels);
	while ((channel = hash_seq_search(&status)) != NULL)
	{
		if (channel->pending && channel->due <= now && sent)
		{
			channel->pending = channel->details = false;
			channel->due = due;
		}
		/* the setting may have been made shorter meanwhile */
		channel->due = Max(Min(channel->due, due), 1);

		if (channel->pending)
			next = next == 0 ? channel->due : Min(next, channel->due);
		else if (prune && channel->due <= now)
			hash_search(channels, &channel->relid, HASH_REMOVE, NULL);
	}
	return next;
}

/* at exit: give news that was not sent to the next notifier */
static void
give_back(int code, Datum arg)
{
	HASH_SEQ_STATUS status;
	NotifierChannel *channel;

	hash_seq_init(&status, channels);
	while ((channel = hash_seq_search(&status)) != NULL)
	{
		if (channel->pending && channel->details)
			signal_post(&channel->news);
		else if (channel->pending)
			signal_lost(MyDatabaseId);
	}
}

void
streamq_notifier_main(Datum arg)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(NotifierChannel)};
	MemoryContext loop_context;
	uint32		lost_seen = 0;
	int			retry_delay = RETRY_MIN;

	worker_start();

	/* a crash may lose notifications, because listeners are gone then, too */
	SetConfigOption("synchronous_commit", "off", PGC_SUSET, PGC_S_OVERRIDE);

	channels = hash_create("streamq notifications", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	before_shmem_exit(give_back, (Datum) 0);
	loop_context = AllocSetContextCreate(TopMemoryContext, "streamq notifier",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);

	for (;;)
	{
		uint64		seen = signal_count(InvalidOid);
		uint32		lost = signal_lost_count(MyDatabaseId);
		bool		ok = true;
		TimestampTz now;
		TimestampTz next;

		MemoryContextReset(loop_context);
		signal_take(take_news, NULL);
		if (lost != lost_seen)
		{
			ok = worker_run(notify_everybody, NULL, "looking for listeners", NULL);
			if (ok)
				lost_seen = lost;
		}

		now = GetCurrentTimestamp();
		next = note_sent(now, false);
		if (ok && next != 0 && next <= now)
		{
			ok = worker_run(send_due, &now, "sending notifications", NULL);
			next = note_sent(now, ok);
		}

		if (!ok)
		{
			worker_sleep(retry_delay);
			retry_delay = Min(retry_delay * 2, RETRY_MAX);
			continue;
		}
		retry_delay = RETRY_MIN;

		if (next != 0)
		{
			/*
			 * News that arrives meanwhile ends the sleep and is merged; a new
			 * channel does not wait for the others.
			 */
			long		wait = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);

			if (wait > 0)
				worker_sleep_on(InvalidOid, seen, wait);
			else
				worker_check();
		}
		else
			worker_sleep_on(InvalidOid, seen, IDLE_WAKEUP);
	}
}
