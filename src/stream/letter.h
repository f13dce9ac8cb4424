/*
 * letter.h
 *	  Writing dead letters: messages that their reader gave up.
 *
 * A dead letter that has the columns of the stream gets the row itself.  Any
 * other one has a payload, like the streams that produce() writes to.  If it
 * has a column "headers", the headers say where the message comes from.
 */
#ifndef STREAMQ_STREAM_LETTER_H
#define STREAMQ_STREAM_LETTER_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

/*
 * Check that the current user may write messages of the source to the target,
 * and that they can be written.  Fails with 42501, 42804 or 0A000.
 */
extern void stream_letter_check(Relation source, Relation target);

/*
 * Write letters, as the current user.  begin raises the errors of the check;
 * `reader` is who gave the messages up, in the header "streamq_group".  The
 * rules of stream/writer.h apply.
 */
typedef struct StreamLetterWriter StreamLetterWriter;

extern StreamLetterWriter *stream_letter_begin(Relation source, Relation target,
											   const char *reader, int nletters);

/* add a message of the source, whose row is in the slot */
extern void stream_letter_add(StreamLetterWriter *writer, TupleTableSlot *slot, int64 msg_id,
							  TimestampTz produced_at, int32 deliveries, const char *reason);

/* write them */
extern void stream_letter_end(StreamLetterWriter *writer);

#endif
