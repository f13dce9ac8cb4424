/*
 * message_read.h
 *	  Reading the messages of a stream in sequence, without a consumer
 *	  group.
 */
#ifndef STREAMQ_STREAM_MESSAGE_READ_H
#define STREAMQ_STREAM_MESSAGE_READ_H

#include "postgres.h"

#include "utils/snapshot.h"

#include "stream/message.h"

/*
 * State of a call of streamq.read().  It keeps the stream open, and locked
 * until the end of the transaction.  The snapshot must stay registered.
 */
typedef struct StreamRead StreamRead;

/*
 * Begin to read.  args are the arguments of streamq.read(): stream,
 * from_msg_id, max_messages.  Checks the arguments and the privilege to read.
 */
extern StreamRead *stream_read_begin(const NullableDatum *args, Snapshot snapshot);

/*
 * Read the next message; false at the end.  The row is valid until the next
 * call, and the values as long as those of stream_message_form().
 */
extern bool stream_read_fetch(StreamRead *read, MessageRow *row);
extern bool stream_read_next(StreamRead *read, uint32 wanted, Datum *values, bool *nulls);
extern void stream_read_end(StreamRead *read);

#endif
