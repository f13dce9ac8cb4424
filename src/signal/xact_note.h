/*
 * xact_note.h
 *	  What a transaction has to tell others when it ends.
 *
 * Notes are taken while the transaction runs.  At its end doorbells are rung
 * and, if it committed, news is entered for the notifier.  Notes of a
 * subtransaction that is rolled back are dropped.
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

/* a transaction with notes was prepared, so its notes are lost */
extern void signal_note_prepared(void);

/*
 * COMMIT PREPARED was executed.  If any prepared transaction had notes, all
 * doorbells ring, and the notifier has to look at all streams with listeners.
 */
extern void signal_note_commit_prepared(void);

#endif
