/*
 * writer.h
 *	  Appending messages to a stream from C.
 *
 * A writer does for a message what INSERT does for a row: defaults, generated
 * columns, domains, triggers, constraints.  It checks no privileges and no
 * policies of row-level security, see stream/privilege.h, and does not look
 * whether the transaction is read-only or the query is parallel.
 *
 * The life of a writer: begin, add and flush as often as wanted, end.
 *
 *	- A stream without triggers, constraints and defaults takes a message when
 *	  it is added.  For any other stream add only keeps a copy, and flush
 *	  does the rest.  Each flush is one statement to triggers, so the writer
 *	  has nothing open between two calls.
 *	- A writer lives in a memory context of its own, a child of the context that
 *	  was current at begin.  It is freed by end, or with its parent.
 *	- add and flush belong to the subtransaction in which the writer was begun.
 *	  Subtransactions may begin and end between the calls.
 *	- An error in any call leaves the writer to the abort of that
 *	  subtransaction, which also takes back the messages.  The writer is not
 *	  used again, nor ended.
 *	- There may be any number of writers at a time, also for the same stream,
 *	  and they need not end in any order.  Triggers that write to the stream
 *	  are an example.  The second writer of a stream costs more to begin,
 *	  because what is kept about the stream serves one at a time.
 *	- The caller keeps the stream open, with RowExclusiveLock or more, until
 *	  end.  flush needs an active snapshot, as it may run triggers.
 *	- Messages become visible to the transaction as inserted rows do, with the
 *	  next CommandCounterIncrement().
 */
#ifndef STREAMQ_STREAM_WRITER_H
#define STREAMQ_STREAM_WRITER_H

#include "postgres.h"

#include "utils/rel.h"

typedef struct StreamWriter StreamWriter;

/* the columns that the messages of a writer set */
#define STREAM_WRITE_PAYLOAD	0x01
#define STREAM_WRITE_KEY		0x02
#define STREAM_WRITE_HEADERS	0x04
/* all columns, with stream_writer_add_row */
#define STREAM_WRITE_ROW		0x08

/*
 * A value for a column, of type text, json, jsonb or bytea.  Whatever the
 * column's type is, the value goes through its input function unless it
 * has that type already.
 */
typedef struct StreamValue
{
	Oid			type;
	bool		isnull;
	Datum		value;
} StreamValue;

/* a null key, and null headers, stand for the default of the column */
typedef struct StreamMessage
{
	StreamValue payload;
	StreamValue key;
	StreamValue headers;
} StreamMessage;

/* in place of a partition: wherever INSERT would put the message */
#define STREAM_ANY_PARTITION	PG_INT32_MIN

/* in place of the id of a message that a trigger left out */
#define STREAM_NOT_WRITTEN	INT64CONST(-1)

/*
 * Begin to write messages that set these columns.  nmessages is an estimate of
 * how many are added between two flushes.  Errors: ERRCODE_UNDEFINED_COLUMN for a column that
 * the stream does not have, ERRCODE_DATATYPE_MISMATCH for a payload that is
 * neither text nor jsonb nor bytea, ERRCODE_INVALID_PARAMETER_VALUE for a
 * partition that does not exist.
 */
extern StreamWriter *stream_writer_begin(Relation rel, int nmessages, int partition,
										 int columns);

/* The message is not needed any longer when this returns. */
extern void stream_writer_add(StreamWriter *writer, const StreamMessage *message);

/*
 * The same for a row, with a value for each attribute of the stream.  Nulls are
 * nulls; generated columns are computed.  The values are of the columns'
 * types, domains included.
 */
extern void stream_writer_add_row(StreamWriter *writer, const Datum *values,
								  const bool *isnull);

/*
 * Append what was added since the last flush.  Returns how many messages were
 * written.  msg_ids has an element for each one added, in that order; it is
 * good until the next call.
 */
extern int	stream_writer_flush(StreamWriter *writer, const int64 **msg_ids);

/* Everything that was added must have been flushed. */
extern void stream_writer_end(StreamWriter *writer);

#endif
