/*
 * xactnote.h
 *	  What a transaction has to tell others when it ends.
 *
 * Notes are taken while it runs and acted upon at its end: doorbells are rung,
 * notifications are handed to the notifier.  Notes of a rolled-back
 * subtransaction are dropped.
 */
#ifndef STREAMQ_XACTNOTE_H
#define STREAMQ_XACTNOTE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* registers the transaction callbacks; harmless to call twice */
extern void xactnote_init(void);

/* windows closed; see notify_note_closed */
extern void xactnote_closed(Oid view, TimestampTz watermark, int64 closed);

/*
 * COMMIT PREPARED was executed: if a prepared transaction had notes, others
 * have to look for themselves.
 */
extern void xactnote_commit_prepared(void);

#endif
