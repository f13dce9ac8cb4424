/*
 * message_read.h
 *	  Messages of a stream one after the other, without a consumer group.
 */
#ifndef STREAMQ_STREAM_MESSAGE_READ_H
#define STREAMQ_STREAM_MESSAGE_READ_H

#include "postgres.h"

#include "utils/snapshot.h"

/*
 * read(): messages from an id on, one after the other.  Arguments are checked,
 * and the privilege; the stream stays open (locked to the end of the
 * transaction), the snapshot must stay registered.
 */
typedef struct StreamRead StreamRead;

/* args are those of streamq.read(): stream, from_msg_id, max_messages */
extern StreamRead *stream_read_begin(const NullableDatum *args, Snapshot snapshot);

/*
 * The next one, its values as stream_message_form leaves them: good until the next call
 * or the reset of the current memory context.
 */
extern bool stream_read_next(StreamRead *read, uint32 wanted, Datum *values, bool *nulls);
extern void stream_read_end(StreamRead *read);

#endif
