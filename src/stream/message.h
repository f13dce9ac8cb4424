/*
 * message.h
 *	  Rows of a stream in the form of streamq.message.
 */
#ifndef STREAMQ_STREAM_MESSAGE_H
#define STREAMQ_STREAM_MESSAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

/*
 * How rows of one stream become streamq.message rows: which column is the
 * payload, the key, the headers.  Made once per call, lives in the memory context of
 * the call.
 */
typedef struct MessageFormat MessageFormat;

extern MessageFormat *stream_message_format_create(Relation rel);

/*
 * Fill the values of a streamq.message row (8 columns: msg_id, partition,
 * msg_offset, produced_at, deliveries, key, payload, headers) from a slot of
 * the stream.  Results live in the current memory context or in the slot:
 * they are good until the context is reset or the slot gets another row.
 */
#define MESSAGE_NATTS	8

/* columns of a row, counted from 0, as bits; those that are not wanted are null */
#define MESSAGE_COLUMN(i)	((uint32) 1 << (i))
#define MESSAGE_ALL			PG_UINT32_MAX

extern void stream_message_form(MessageFormat *format, TupleTableSlot *slot,
								int partition, int64 off, TimestampTz produced_at,
								int deliveries, uint32 wanted, Datum *values, bool *nulls);

/*
 * Not every value can be in a jsonb.  Is it sure, by a quick look, that this one's
 * columns can?  If stream_message_form fails for what the message holds, the error names it.
 */
extern bool stream_message_is_sure(MessageFormat *format, TupleTableSlot *slot, uint32 wanted);

/* is an error of stream_message_form the message's own, so that it comes each time? */
extern bool stream_message_is_own_error(int sqlerrcode);

/* can a column "payload" of this type be written by produce()? */
extern bool stream_is_payload_type(Oid type);

#endif
