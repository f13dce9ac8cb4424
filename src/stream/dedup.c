/*
 * dedup.c
 *	  Recognizing messages that were produced before, by their dedup_id.
 *
 * An id is stored with the msg_id of its message, which is known only after
 * the message was appended.  If a producer found a duplicate only then, it
 * would be too late.  So a producer locks its ids, looks them up, appends the
 * new messages, stores their ids, and unlocks the ids.
 *
 * Locks are held during one call, not to the end of the transaction.  After
 * that, another producer of the same id finds the stored id.  If its
 * transaction is in progress, the producer releases its locks, waits for that
 * transaction, and looks again.  With locks held, a third producer would have
 * to wait, too.  For the same reason a producer that has to wait for room in
 * the stream does so without locks, and looks again afterwards.
 *
 * A few ids are locked one by one, by a hash.  For a larger number, the set of
 * all ids of the stream is locked.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "compat.h"
#include "log/admission.h"
#include "log/log.h"
#include "log/options.h"
#include "log/reader.h"
#include "log/space.h"
#include "stream/dedup.h"
#include "stream/dedup_table.h"
#include "stream/writer.h"

/* more ids than this are not locked one by one */
#define MAX_ID_LOCKS		8

/*
 * These are locks on database objects, with streamq.dedup_state as the class.
 * The stream's OID is the set of its ids, and a sub-object is a hash of ids.
 */
#define LOCK_SUBID_ALL		0

/* a message with an id */
typedef struct DedupMessage
{
	int			row;			/* number of the message */
	bytea	   *key;
	bool		is_new;
	int			first;			/* if not new: the message of this call with
								 * the same id, or -1 */
	int64		msg_id;			/* if not new, and first is -1 */
	bool		is_forgotten;	/* new, and this entry is too old */
	DedupEntry	entry;
} DedupMessage;

struct StreamDedup
{
	Relation	rel;
	int			nrows;
	int			nnew;			/* messages to be written, also without id */
	bool	   *is_new;			/* for each row */
	int			n;
	DedupMessage *messages;		/* by id, then by row */

	bool		locked;
	int			nlocks;			/* 0: the set of all ids is locked */
	uint16		locks[MAX_ID_LOCKS];
};

/* ---- locks ---- */

static void
set_locktag(LOCKTAG *tag, Oid relid, uint16 subid)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, base_catalog_oid("dedup_state", false),
					   relid, subid);
}

static int
compare_subids(const void *a, const void *b)
{
	return (int) *(const uint16 *) a - (int) *(const uint16 *) b;
}

/* choose the locks, in the order in which everybody takes them */
static void
choose_locks(StreamDedup *dedup)
{
	dedup->nlocks = 0;
	for (int i = 0; i < dedup->n; i++)
	{
		bytea	   *key = dedup->messages[i].key;
		uint32		hash;

		if (!dedup->messages[i].is_new)
			continue;
		if (dedup->nlocks == MAX_ID_LOCKS)
		{
			dedup->nlocks = 0;
			return;
		}
		hash = DatumGetUInt32(hash_any((unsigned char *) VARDATA(key), VARSIZE(key) - VARHDRSZ));
		dedup->locks[dedup->nlocks++] = 1 + hash % PG_UINT16_MAX;
	}
	qsort(dedup->locks, dedup->nlocks, sizeof(uint16), compare_subids);
}

static void
lock_ids(StreamDedup *dedup)
{
	Oid			relid = RelationGetRelid(dedup->rel);
	LOCKTAG		tag;

	set_locktag(&tag, relid, LOCK_SUBID_ALL);
	(void) LockAcquire(&tag, dedup->nlocks > 0 ? RowExclusiveLock : ExclusiveLock, false, false);
	for (int i = 0; i < dedup->nlocks; i++)
	{
		set_locktag(&tag, relid, dedup->locks[i]);
		(void) LockAcquire(&tag, ExclusiveLock, false, false);
	}
	dedup->locked = true;
}

static void
unlock_ids(StreamDedup *dedup)
{
	Oid			relid = RelationGetRelid(dedup->rel);
	LOCKTAG		tag;

	for (int i = 0; i < dedup->nlocks; i++)
	{
		set_locktag(&tag, relid, dedup->locks[i]);
		LockRelease(&tag, ExclusiveLock, false);
	}
	set_locktag(&tag, relid, LOCK_SUBID_ALL);
	LockRelease(&tag, dedup->nlocks > 0 ? RowExclusiveLock : ExclusiveLock, false);
	dedup->locked = false;
}

/* ---- ids ---- */

static int
compare_keys(const bytea *a, const bytea *b)
{
	int			result = memcmp(VARDATA(a), VARDATA(b), Min(VARSIZE(a), VARSIZE(b)) - VARHDRSZ);

	return result != 0 ? result : (int) VARSIZE(a) - (int) VARSIZE(b);
}

static int
compare_messages(const void *a, const void *b)
{
	const DedupMessage *one = a;
	const DedupMessage *two = b;
	int			result = compare_keys(one->key, two->key);

	return result != 0 ? result : one->row - two->row;
}

/*
 * Collect the messages with an id, in the order of the index, and find
 * duplicates among them.
 */
static void
collect_messages(StreamDedup *dedup, const Datum *ids, const bool *nulls)
{
	dedup->messages = palloc(Max(dedup->nrows, 1) * sizeof(DedupMessage));
	for (int i = 0; i < dedup->nrows; i++)
	{
		DedupMessage *message = &dedup->messages[dedup->n];

		if (nulls[i])
			continue;
		message->row = i;
		message->key = stream_dedup_key(RelationGetRelid(dedup->rel), ids[i]);
		dedup->n++;
	}
	qsort(dedup->messages, dedup->n, sizeof(DedupMessage), compare_messages);
	for (int i = 0; i < dedup->n; i++)
	{
		DedupMessage *message = &dedup->messages[i];
		DedupMessage *last = message - 1;

		message->first = -1;
		message->is_forgotten = false;
		if (i > 0 && compare_keys(message->key, last->key) == 0)
			message->first = last->first >= 0 ? last->first : i - 1;
		message->is_new = message->first < 0;
	}
}

/*
 * Is it remembered?  Not after dedup_window, nor if TRUNCATE, or a crash in the
 * case of an unlogged stream, has taken the message.
 */
static bool
is_remembered(Relation rel, const DedupEntry *entry, TimestampTz oldest)
{
	int			partition;
	LogBounds	bounds;

	if (entry->produced_at < oldest)
		return false;
	if (entry->msg_id == STREAM_WAITING)
		return true;
	partition = LOG_MSG_PARTITION(entry->msg_id);
	if (LOG_MSG_OFFSET(entry->msg_id) < log_origin_offset(rel, partition))
		return false;
	log_get_bounds(rel, partition, &bounds);
	return LOG_MSG_OFFSET(entry->msg_id) < bounds.next_offset;
}

/* ids that were produced before this time are forgotten */
static TimestampTz
oldest_remembered(Relation rel)
{
	StreamOptions options;

	log_options_get(rel, &options);
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
												   TimestampTzGetDatum(GetCurrentTimestamp()),
												   IntervalPGetDatum(&options.dedup_window)));
}

/*
 * Look up the ids.  Returns the id of a transaction in progress for which the
 * caller has to wait, or InvalidTransactionId.
 */
static TransactionId
search_ids(StreamDedup *dedup, TimestampTz oldest)
{
	TransactionId writer = InvalidTransactionId;
	DedupSearch search;

	stream_dedup_search_begin(&search);
	for (int i = 0; i < dedup->n; i++)
	{
		DedupMessage *message = &dedup->messages[i];
		DedupEntry	entry;

		if (message->first >= 0)
			continue;
		message->is_new = true;
		message->is_forgotten = false;
		if (!stream_dedup_search(&search, message->key, &entry))
			continue;
		writer = entry.writer;
		if (TransactionIdIsValid(writer))
			break;
		if (!entry.seen)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access to the ids of stream \"%s\" due to concurrent producing",
							RelationGetRelationName(dedup->rel))));
		if (is_remembered(dedup->rel, &entry, oldest))
		{
			message->is_new = false;
			message->msg_id = entry.msg_id;
		}
		else
		{
			message->is_forgotten = true;
			message->entry = entry;
		}
	}
	stream_dedup_search_end(&search);
	return writer;
}

/* delete the entries that were found and do not count */
static void
delete_forgotten(StreamDedup *dedup)
{
	for (int i = 0; i < dedup->n; i++)
	{
		DedupMessage *message = &dedup->messages[i];

		if (message->is_new && message->is_forgotten)
			stream_dedup_delete(&message->entry);
	}
}

/* note which messages are to be written */
static void
mark_new(StreamDedup *dedup)
{
	dedup->nnew = dedup->nrows;
	memset(dedup->is_new, true, dedup->nrows * sizeof(bool));
	for (int i = 0; i < dedup->n; i++)
	{
		dedup->is_new[dedup->messages[i].row] = dedup->messages[i].is_new;
		if (!dedup->messages[i].is_new)
			dedup->nnew--;
	}
}

/*
 * Is there room for the new messages?  The consumer that will make room may be
 * about to produce one of these ids.  So a producer must not wait for room while
 * it has the ids locked.
 */
static bool
has_room(StreamDedup *dedup, bool wait)
{
	return dedup->nnew == 0 || log_room_hook == NULL ||
		log_options_flow(dedup->rel).backlog_messages == 0 ||
		log_room_hook(dedup->rel, dedup->nnew, wait);
}

StreamDedup *
stream_dedup_begin(Relation rel, const Datum *ids, const bool *nulls, int n, bool append)
{
	StreamDedup *dedup = palloc0(sizeof(StreamDedup));
	TimestampTz oldest = oldest_remembered(rel);

	dedup->rel = rel;
	dedup->nrows = n;
	dedup->is_new = palloc(Max(n, 1) * sizeof(bool));
	collect_messages(dedup, ids, nulls);
	choose_locks(dedup);
	mark_new(dedup);
	while (dedup->n > 0)
	{
		TransactionId writer;

		lock_ids(dedup);
		writer = search_ids(dedup, oldest);
		if (TransactionIdIsValid(writer))
		{
			unlock_ids(dedup);
			XactLockTableWait(writer, NULL, NULL, XLTW_None);
			continue;
		}
		mark_new(dedup);
		if (!append || has_room(dedup, false))
		{
			delete_forgotten(dedup);
			break;
		}
		unlock_ids(dedup);
		(void) has_room(dedup, true);
	}
	return dedup;
}

bool
stream_dedup_is_new(const StreamDedup *dedup, int i)
{
	return dedup->is_new[i];
}

int
stream_dedup_count_new(const StreamDedup *dedup)
{
	return dedup->nnew;
}

void
stream_dedup_end(StreamDedup *dedup, int64 *msg_ids)
{
	DedupNewEntry *entries = palloc(Max(dedup->n, 1) * sizeof(DedupNewEntry));
	int			n = 0;

	for (int i = 0; i < dedup->n; i++)
	{
		DedupMessage *message = &dedup->messages[i];

		if (message->first >= 0)
			msg_ids[message->row] = msg_ids[dedup->messages[message->first].row];
		else if (!message->is_new)
			msg_ids[message->row] = message->msg_id;
		else if (msg_ids[message->row] != STREAM_NOT_WRITTEN)
		{
			entries[n].key = message->key;
			entries[n++].msg_id = msg_ids[message->row];
		}
	}
	stream_dedup_insert(entries, n);
	if (dedup->locked)
		unlock_ids(dedup);
}

void
stream_dedup_settle(Relation rel, Datum id, int64 msg_id)
{
	StreamDedup dedup = {.rel = rel, .nrows = 1};
	bool		isnull = false;
	DedupSearch search;
	DedupEntry	entry;

	collect_messages(&dedup, &id, &isnull);
	choose_locks(&dedup);
	lock_ids(&dedup);
	stream_dedup_search_begin(&search);
	/* the id may have been forgotten, and produced again */
	if (stream_dedup_search(&search, dedup.messages[0].key, &entry) &&
		entry.msg_id == STREAM_WAITING && !TransactionIdIsValid(entry.writer))
	{
		if (msg_id == STREAM_NOT_WRITTEN)
			stream_dedup_delete(&entry);
		else
			stream_dedup_set_msg_id(&entry, msg_id);
	}
	stream_dedup_search_end(&search);
	unlock_ids(&dedup);
}
