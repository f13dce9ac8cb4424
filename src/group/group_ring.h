/*
 * group_ring.h
 *	  Ringing doorbells of streams at the end of a transaction.
 */
#ifndef STREAMQ_GROUP_RING_H
#define STREAMQ_GROUP_RING_H

#include "postgres.h"

/*
 * Ring the stream's doorbell once this transaction has aborted and released
 * its locks, because other consumers may find messages then.  With on_commit,
 * also if it commits.
 */
extern void group_ring_at_end(Oid relid, bool on_commit);

/*
 * This transaction changes what a group has done.  If it commits, producers
 * that wait for room in the stream are woken.  With `undoable`, an abort undoes
 * the change.
 */
extern void group_ring_note_change(Oid relid, bool undoable);

/* may an abort of this transaction undo what a group of the stream has done? */
extern bool group_ring_is_undoable(Oid relid);

extern void group_ring_init(void);	/* resource owner callback */

#endif
