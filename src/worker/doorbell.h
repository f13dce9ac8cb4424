/*
 * doorbell.h
 *	  Wake-ups between producers, consumers and workers.
 *
 * Every stream that is written to or waited on has a doorbell in shared memory.  A
 * transaction that appended rings it once after its commit, when its xid has
 * left the proc array, so whoever wakes up and takes a new snapshot sees the
 * rows.  Rings can be lost (prepared transactions, replicas, crashes): every
 * sleeper also wakes up by itself after a while.
 */
#ifndef STREAMQ_DOORBELL_H
#define STREAMQ_DOORBELL_H

#include "postgres.h"

/*
 * The transaction appended to this partition of the stream, up to and
 * including this offset: ring at commit.  Cheap; called for every append.
 */
extern void doorbell_note_append(Oid relid, int partition, int64 last_offset);

/* the stream's ring count; remember it before looking for messages */
extern uint64 doorbell_count(Oid relid);

/*
 * Sleep until the stream's ring count differs from `seen` or timeout_ms have
 * passed (or something else woke us: callers loop).  Serves interrupts.
 */
extern void doorbell_wait(Oid relid, uint64 seen, long timeout_ms);

/*
 * Ring by hand, at once: after an acknowledgement released a lease, and so
 * another consumer may go on.
 */
extern void doorbell_ring(Oid relid);

extern void doorbell_shmem_request(void);
extern void doorbell_shmem_startup(void);
extern void doorbell_init(void);	/* from _PG_init: transaction callbacks */

#endif
