/*
 * xact_note.h
 *	  What a transaction has to tell others when it ends.
 *
 * Notes are taken while it runs and acted upon at its end: doorbells are rung,
 * notifications are handed to the notifier.  Notes of a rolled-back
 * subtransaction are dropped.
 */
#ifndef STREAMQ_SIGNAL_XACT_NOTE_H
#define STREAMQ_SIGNAL_XACT_NOTE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* registers the transaction callbacks; harmless to call twice */
extern void signal_note_init(void);

/*
 * The transaction appended to this partition of the stream, up to and
 * including this offset: ring at its end.  Cheap; called for every append.
 */
extern void signal_note_append(Oid relid, int partition, int64 last_offset);

/*
 * The transaction closed windows of a continuous view: after its commit the
 * notifier sends {"view": ..., "watermark": ..., "closed": n} on the view's
 * channel, coalesced (n adds up, the latest watermark wins).
 */
extern void signal_note_closed(Oid view, TimestampTz watermark, int64 closed);

/* a transaction was prepared of which nobody will know what it did */
extern void signal_note_prepared(void);

/*
 * COMMIT PREPARED was executed: if a prepared transaction had notes, others
 * have to look for themselves.
 */
extern void signal_note_commit_prepared(void);

#endif
