/*
 * dead_letter.c
 *	  Writing the dead letters of groups.
 *
 * The consumer runs as any role that the group was granted to, but the group's
 * owner has chosen the dead letter.  So the letter is written with the owner's
 * privileges.  Triggers of the dead letter run with them, too.  They must not
 * be misled by the consumer's settings, so search_path is safe there.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "base/try.h"
#include "group/dead_letter.h"
#include "group/group_live.h"
#include "group/as_owner.h"
#include "group/messages.h"
#include "group/mode.h"
#include "group/redrive.h"
#include "log/log.h"
#include "stream/letter.h"
#include "stream/message.h"

/* after so many equal errors in a batch, the other letters are not tried */
#define MAX_EQUAL_ERRORS	8

void
group_check_dead_letter(Relation rel, Oid dead_letter)
{
	Relation	target;

	if (dead_letter == RelationGetRelid(rel))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stream \"%s\" cannot be its own dead letter",
						RelationGetRelationName(rel))));
	target = log_open_stream(dead_letter, AccessShareLock);
	stream_letter_check(rel, target);
	table_close(target, NoLock);
}

/* ---- letters ---- */

/* messages whose letters are written together */
typedef struct Letters
{
	Relation	rel;
	const ConsumerGroup *group;
	const char *reason;			/* NULL: the number of deliveries */

	/* either one row */
	TupleTableSlot *slot;
	const LogKeptRow *row;

	/* or messages of a partition that are marked as done, too */
	int			partition;
	const int64 *offsets;
	int			n;

	int32		deliveries;		/* of the row */
	GroupBurial *buried;
	int64		nburied;
} Letters;

static const char *
get_reason(const Letters *letters, int32 deliveries)
{
	return letters->reason ? letters->reason : psprintf("delivered %d times", deliveries);
}

/* read the buried messages, as far as retention has left them */
static void
add_buried(const Letters *letters, StreamLetterWriter *writer)
{
	Snapshot	snapshot = group_message_snapshot();
	TupleTableSlot *slot = log_slot_create(letters->rel);
	const GroupBurial *buried = letters->buried;

	for (int64 i = 0, next; i < letters->nburied; i = next)
	{
		LogReader  *reader;

		for (next = i + 1; next < letters->nburied; next++)
			if (buried[next].off != buried[i].off + (next - i))
				break;
		reader = log_reader_begin(letters->rel, letters->partition, buried[i].off,
								  buried[next - 1].off + 1, snapshot, false);
		while (log_reader_next(reader, slot))
		{
			int64		off = log_reader_offset(reader);
			int32		deliveries = buried[i + (off - buried[i].off)].deliveries;

			stream_letter_add(writer, slot, LOG_MSG_ID(letters->partition, off),
							  log_reader_produced_at(reader), deliveries,
							  get_reason(letters, deliveries));
		}
		log_reader_end(reader);
	}
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
}

/* open the dead letter as the owner of the group may write to it */
static Relation
open_dead_letter(const Letters *letters)
{
	const ConsumerGroup *group = letters->group;
	Relation	target = try_table_open(group->dead_letter, RowExclusiveLock);

	if (target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the dead letter of consumer group \"%s\" of stream \"%s\" was dropped",
						group->name, RelationGetRelationName(letters->rel))));
	if (!log_is_stream(target))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream", RelationGetRelationName(target))));
	return target;
}

static void
write_as_owner(Letters *letters)
{
	Relation	target = open_dead_letter(letters);
	StreamLetterWriter *writer =
	stream_letter_begin(letters->rel, target, letters->group->name,
						letters->slot ? 1 : letters->nburied);

	if (letters->slot != NULL)
		stream_letter_add(writer, letters->slot, letters->row->msg_id,
						  letters->row->produced_at, letters->deliveries,
						  get_reason(letters, letters->deliveries));
	else
		add_buried(letters, writer);
	stream_letter_end(writer);
	table_close(target, NoLock);
}

static void
record_letters(const Letters *letters)
{
	if (letters->slot != NULL)
		group_remember_buried(letters->group, letters->row->msg_id, letters->deliveries,
							  get_reason(letters, letters->deliveries));
	for (int64 i = 0; i < letters->nburied; i++)
		group_remember_buried(letters->group,
							  LOG_MSG_ID(letters->partition, letters->buried[i].off),
							  letters->buried[i].deliveries,
							  get_reason(letters, letters->buried[i].deliveries));
}

/* mark messages as done, if asked for, and write the letters */
static void
write_letters(void *arg)
{
	Letters    *letters = arg;
	const ConsumerGroup *group = letters->group;

	if (letters->slot == NULL)
	{
		letters->nburied = group->mode->bury(letters->rel, group, letters->partition,
											 letters->offsets, letters->n, letters->buried);
		if (letters->nburied == 0)
			return;
	}
	if (group->has_dead_letter)
	{
		GroupIdentity identity;

		group_become_owner(group, &identity);
		PushActiveSnapshot(GetTransactionSnapshot());
		write_as_owner(letters);
		PopActiveSnapshot();
		group_become_caller(&identity);
	}
	record_letters(letters);
}

/*
 * Is it an error of the dead letter?  Others, such as a cancelled query, end
 * the consumer's transaction.
 */
static bool
is_letter_error(const ErrorData *error)
{
	return stream_message_is_own_error(error->sqlerrcode) ||
		error->sqlerrcode == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;	/* backlog_policy */
}

/*
 * Report that letters could not be written.  An error that lasts is reported
 * once, not for each message; streamq.consumer_groups shows it.
 */
static void
report_error(const Letters *letters, const ErrorData *error)
{
	if (group_live_set_error(letters->group->group_id, error->message))
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not write a dead letter of consumer group \"%s\" of stream \"%s\"",
						letters->group->name, RelationGetRelationName(letters->rel)),
				 errdetail("%s", error->message),
				 errhint("The message stays in the group.")));
}

static ErrorData *
try_letters(Letters *letters)
{
	MemoryContext context;
	MemoryContext old;
	ErrorData  *error;

	if (!letters->group->has_dead_letter)
	{
		write_letters(letters);
		return NULL;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "streamq dead letters",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	error = base_try(write_letters, letters, BASE_TRY_KEEP, is_letter_error);
	MemoryContextSwitchTo(old);
	if (error == NULL)
	{
		group_live_clear_error(letters->group->group_id);
		MemoryContextDelete(context);
	}
	return error;
}

bool
group_write_letter(Relation rel, const ConsumerGroup *group, TupleTableSlot *slot,
				   const LogKeptRow *row, int32 deliveries, const char *reason)
{
	Letters		letters = {
		.rel = rel,
		.group = group,
		.reason = reason,
		.slot = slot,
		.row = row,
		.deliveries = deliveries
	};
	ErrorData  *error = try_letters(&letters);

	if (error != NULL)
		report_error(&letters, error);
	return error == NULL;
}

int64
group_bury(Relation rel, const ConsumerGroup *group, int partition,
		   const int64 *offsets, int n, const char *reason,
		   int64 *failed, int *nfailed)
{
	Letters		letters = {
		.rel = rel,
		.group = group,
		.reason = reason,
		.partition = partition,
		.offsets = offsets,
		.n = n,
		.buried = palloc(sizeof(GroupBurial) * Max(n, 1))
	};
	int64		count = 0;
	int			nequal = 0;
	ErrorData  *last;

	*nfailed = 0;
	last = try_letters(&letters);
	if (last == NULL)
		return letters.nburied;

	/* one bad message must not keep the others */
	letters.n = 1;
	for (int i = 0; i < n; i++)
	{
		letters.offsets = offsets + i;
		if (n > 1 && nequal < MAX_EQUAL_ERRORS)
		{
			ErrorData  *error = try_letters(&letters);

			if (error == NULL)
			{
				count += letters.nburied;
				nequal = 0;
				continue;
			}
			nequal = strcmp(error->message, last->message) == 0 ? nequal + 1 : 0;
			last = error;
		}
		failed[(*nfailed)++] = offsets[i];
	}

	/* after the others, because writing a letter clears the error */
	report_error(&letters, last);
	return count;
}
