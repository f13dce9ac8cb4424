/*
 * writer.h
 *	  Appending messages to a stream from C.
 *
 * A writer does for a message what INSERT does for a row: defaults, generated
 * columns, domains, triggers, constraints.  It does not check privileges and
 * row-level security (see stream/privilege.h), nor whether the transaction is
 * read-only or the query is parallel.
 *
 * A writer is begun, then messages are added and flushed any number of times,
 * then it is ended.
 *
 *	- A stream without triggers, constraints and defaults takes a message when
 *	  it is added.  For any other stream, add only copies the message, and
 *	  flush writes it.  For triggers, each flush is one statement, so the
 *	  writer has nothing open between two calls.
 *	- A writer has its own memory context, a child of the context that was
 *	  current at begin.  It is freed by end, or with its parent.
 *	- add and flush must run in the subtransaction in which the writer was
 *	  begun.  Subtransactions may begin and end between the calls.
 *	- After an error in any call, the abort of that subtransaction cleans up
 *	  the writer and removes the messages.  The writer must not be used
 *	  again, nor be ended.
 *	- There may be any number of writers at a time, also for one stream, and
 *	  they may end in any order.  For example, a trigger may write to the
 *	  stream that fired it.  A second writer of the same stream costs more
 *	  to begin, because the cached data about a stream serves one writer.
 *	- The caller keeps the stream open with RowExclusiveLock, or a stronger
 *	  lock, until end.  flush needs an active snapshot, as it may run
 *	  triggers.
 *	- Messages become visible to the transaction like inserted rows, by the
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
 * A value for a column, of type text, json, jsonb or bytea.  It is converted
 * by the column's input function, unless it has the type of the column.
 */
typedef struct StreamValue
{
	Oid			type;
	bool		isnull;
	Datum		value;
} StreamValue;

/* null key and null headers mean the defaults of these columns */
typedef struct StreamMessage
{
	StreamValue payload;
	StreamValue key;
	StreamValue headers;
} StreamMessage;

/* as a partition: where INSERT would put the message */
#define STREAM_ANY_PARTITION	PG_INT32_MIN

/* as a message id: a trigger suppressed the message */
#define STREAM_NOT_WRITTEN	INT64CONST(-1)

/*
 * Begin to write messages that set these columns.  nmessages estimates the
 * number of messages between two flushes.  Fails with 42703 if the stream does
 * not have one of the columns, with 42804 if its payload is neither text nor
 * jsonb nor bytea, and with 22023 if the partition does not exist.
 */
extern StreamWriter *stream_writer_begin(Relation rel, int nmessages, int partition,
										 int columns);

/* add a message; the caller may free it afterwards */
extern void stream_writer_add(StreamWriter *writer, const StreamMessage *message);

/*
 * Add a row, with a value for each attribute of the stream.  The values have
 * the types of the columns, including domains.  A null is stored as null, not
 * as the default.  Generated columns are computed.
 */
extern void stream_writer_add_row(StreamWriter *writer, const Datum *values,
								  const bool *isnull);

/*
 * Write the messages added since the last flush, and return how many were
 * written.  *msg_ids has an element for each added message, in the same order,
 * and is valid until the next call.
 */
extern int	stream_writer_flush(StreamWriter *writer, const int64 **msg_ids);

/* end a writer; all messages must have been flushed */
extern void stream_writer_end(StreamWriter *writer);

#endif
