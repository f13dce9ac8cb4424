/*
 * delay.h
 *	  Messages that wait for their deliver_at: the table
 *	  streamq.delayed_message.
 *
 * A background process appends them when they are due (stream/delivery.h).
 */
#ifndef STREAMQ_STREAM_DELAY_H
#define STREAMQ_STREAM_DELAY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "stream/writer.h"

/* a message that is to wait */
typedef struct StreamDelayed
{
	StreamMessage message;
	int			columns;		/* that the message sets: STREAM_WRITE_* */
	int			partition;		/* or STREAM_ANY_PARTITION */
	Datum		dedup_id;		/* text */
	bool		has_dedup_id;
	TimestampTz deliver_at;
} StreamDelayed;

/*
 * Keep a message until it is due.  Fails like stream_writer_begin() and
 * stream_writer_add(), but does not check constraints.
 */
extern void stream_delay_add(Relation rel, const StreamDelayed *delayed);

/*
 * Take back a message.  False if it does not wait.  Waits if somebody else
 * takes it back, or if it is being appended.
 */
extern bool stream_delay_cancel(Relation rel, int64 delayed_id);

/* the stream is being dropped */
extern void stream_delay_forget(Oid relid);

/* the table was changed by SQL */
extern void stream_delay_changed(void);

/* does anything wait? */
extern bool stream_delay_is_used(void);

/*
 * Set the function that is called after a transaction that changed messages
 * that wait, with the earliest time at which one of them is due; called by
 * _PG_init.
 */
extern void stream_register_delay_waker(void (*function) (TimestampTz due));

/* called by _PG_init */
extern void stream_delay_init(void);

#endif
