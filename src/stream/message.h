/*
 * message.h
 *	  Converting rows of a stream into rows of streamq.message.
 */
#ifndef STREAMQ_STREAM_MESSAGE_H
#define STREAMQ_STREAM_MESSAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

/*
 * How to convert rows of one stream: which columns are payload, key and
 * headers.  Created once for each call, in the memory context of the call.
 */
typedef struct MessageFormat MessageFormat;

extern MessageFormat *stream_message_format_create(Relation rel);

/* a message that was read: a row of the stream, and what the log knows of it */
typedef struct MessageRow
{
	MessageFormat *format;
	TupleTableSlot *slot;
	int64		msg_id;
	TimestampTz produced_at;
	int			deliveries;
} MessageRow;

/*
 * Fill the values of a streamq.message row (8 columns: msg_id, partition,
 * msg_offset, produced_at, deliveries, key, payload, headers).  The values are
 * in the current memory context or in the slot, so they are valid until the
 * context is reset or the slot is changed.
 *
 * If a message cannot be converted because of its contents, the error names
 * the message.
 */
#define MESSAGE_NATTS	8

/* bits of wanted columns, counted from 0; the other columns are set to null */
#define MESSAGE_COLUMN(i)	((uint32) 1 << (i))
#define MESSAGE_ALL			PG_UINT32_MAX

extern void stream_message_form(const MessageRow *row, uint32 wanted,
								Datum *values, bool *nulls);

/*
 * Not every value can be stored in a jsonb.  Returns true if a quick look
 * shows that the wanted columns of the row can be converted; false means
 * unknown.
 */
extern bool stream_message_is_sure(MessageFormat *format, TupleTableSlot *slot, uint32 wanted);

/*
 * is an error of stream_message_form caused by the message, so that it will
 * happen again?
 */
extern bool stream_message_is_own_error(int sqlerrcode);

/* can produce() write a column "payload" of this type? */
extern bool stream_is_payload_type(Oid type);

#endif
