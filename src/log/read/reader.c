/*
 * reader.c
 *	  The reader: rows of a partition in offset order.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "log/log.h"
#include "log/read/cursor.h"
#include "log/read/pagescan.h"
#include "log/reader.h"
#include "log/space.h"
#include "log/space/shared.h"

struct LogReader
{
	Relation	rel;
	int			partition;
	int64		to;
	Snapshot	snapshot;
	int			stop;
	int64		position;
	int64		expired_from;	/* expired before they could be returned */
	int64		expired_to;
	bool		loaded;			/* ps holds the cursor's page */
	bool		done;
	TransactionId blocked_by;
	TimestampTz blocked_since;
	LogCursor	cursor;
	LogPageScan ps;
};

/* Offsets below `first` can no longer be read; continue there. */
static void
note_expired(LogReader *reader, int64 first)
{
	int64		lost = log_expired_offset(reader->rel, reader->partition);

	if (reader->expired_to == 0)
		reader->expired_from = reader->position;
	reader->position = Min(first, reader->to);
	/* what expired since is still read, or noted when that fails */
	reader->expired_to = Min(lost, reader->position);
}

LogReader *
log_reader_begin(Relation rel, int partition, int64 from, int64 to,
				 Snapshot snapshot, bool stop_at_own)
{
	LogReader  *reader = palloc(sizeof(LogReader));
	int64		first;
	int64		next;

	/*
	 * The predicate lock must be taken before the end is looked at; see
	 * log_append_rows().
	 */
	PredicateLockRelation(rel, snapshot);
	first = log_first_offset(rel, partition);
	next = log_next_offset(rel, partition);

	reader->rel = rel;
	reader->partition = partition;
	/* read up to the current end, so as not to chase a busy producer */
	reader->to = Min(to, next);
	reader->snapshot = snapshot;
	reader->stop = stop_at_own ? LOG_STOP_OWN : LOG_STOP_IN_PROGRESS;
	reader->position = from;
	reader->expired_from = reader->expired_to = 0;
	if (from < first)
		note_expired(reader, first);
	from = reader->position;
	reader->loaded = false;
	reader->done = from >= reader->to;
	reader->blocked_by = InvalidTransactionId;
	reader->blocked_since = 0;
	log_cursor_init(&reader->cursor, rel, partition);
	log_page_scan_init(&reader->ps, rel);
	if (!reader->done && !log_cursor_seek(&reader->cursor, from))
	{
		reader->done = true;
		log_check_missing(rel, partition, from, reader->to);
	}
	return reader;
}

/* Load the page at the cursor; false at the end of the log. */
static bool
load_page(LogReader *reader)
{
	int64		expected = reader->position;
	bool		found = log_page_scan_load_forward(&reader->ps, &reader->cursor,
												   reader->snapshot, reader->stop,
												   &expected);

	if (expected > reader->position)
		note_expired(reader, expected);
	if (!found)
	{
		log_check_missing(reader->rel, reader->partition, reader->position, reader->to);
		return false;
	}
	if (reader->ps.base < reader->position)
		log_page_scan_position(&reader->ps, reader->position);
	reader->loaded = true;
	return true;
}

bool
log_reader_next(LogReader *reader, TupleTableSlot *slot)
{
	LogPageScan *ps = &reader->ps;
	bool		cut;

	while (!reader->done)
	{
		if (!reader->loaded && !load_page(reader))
			break;
		if (log_page_scan_step(ps, slot))
		{
			if (ps->off >= reader->to)
			{
				reader->position = reader->to;
				break;
			}
			reader->position = ps->off + 1;
			return true;
		}
		if (ps->stopped)
		{
			if (ps->stop_offset < reader->to)
			{
				reader->position = Max(reader->position, ps->stop_offset);
				reader->blocked_by = ps->stop_xid;
				reader->blocked_since = ps->stop_time;
			}
			else
				reader->position = reader->to;
			break;
		}
		reader->loaded = false;
		cut = ps->cut;
		if (cut)
		{
			/*
			 * the row continued on the next page, and expired together with
			 * what follows
			 */
			reader->position = ps->off;
			note_expired(reader, log_first_offset(reader->rel, reader->partition));
		}
		else
			reader->position = Min(Max(reader->position, ps->base + ps->nrows), reader->to);
		if (reader->position >= reader->to)
			break;
		CHECK_FOR_INTERRUPTS();
		if (!(cut ? log_cursor_seek(&reader->cursor, reader->position) :
			  log_cursor_next(&reader->cursor)))
		{
			log_check_missing(reader->rel, reader->partition, reader->position, reader->to);
			break;
		}
	}
	reader->done = true;
	log_page_scan_release(ps);
	ExecClearTuple(slot);
	return false;
}

int64
log_reader_offset(LogReader *reader)
{
	return reader->ps.off;
}

TimestampTz
log_reader_produced_at(LogReader *reader)
{
	return reader->ps.time;
}

int64
log_reader_position(LogReader *reader)
{
	return reader->position;
}

bool
log_reader_expired(LogReader *reader, int64 *from, int64 *to)
{
	if (reader->expired_to == 0)
		return false;
	*from = reader->expired_from;
	*to = reader->expired_to;
	reader->expired_to = 0;
	return *from < *to;
}

TransactionId
log_reader_blocked_by(LogReader *reader)
{
	return reader->blocked_by;
}

TimestampTz
log_reader_blocked_since(LogReader *reader)
{
	return reader->blocked_since;
}

void
log_reader_end(LogReader *reader)
{
	log_page_scan_release(&reader->ps);
	pfree(reader);
}
