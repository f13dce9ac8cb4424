/*
 * doorbell.h
 *	  Wake-ups between producers, consumers and workers.
 *
 * Every stream that is written to or waited on has a doorbell in shared memory.  A
 * transaction that appended rings it once at its end, when its xid has left
 * the proc array and its locks are released, so whoever wakes up and takes a
 * new snapshot sees the rows.  A transaction that rolls back rings too: it may
 * have held back readers that wait for what lies behind its rows.  Rings can be
 * lost (prepared transactions, replicas): every sleeper also wakes up by
 * itself after a while.
 */
#ifndef STREAMQ_DOORBELL_H
#define STREAMQ_DOORBELL_H

#include "postgres.h"

/*
 * The transaction appended to this partition of the stream, up to and
 * including this offset: ring at its end.  Cheap; called for every append.
 */
extern void doorbell_note_append(Oid relid, int partition, int64 last_offset);

/* the stream's ring count; remember it before looking for messages */
extern uint64 doorbell_count(Oid relid);

/*
 * Sleep until the stream's ring count differs from `seen`, timeout_ms have
 * passed, or something else sets this process's latch: callers loop.  Serves
 * interrupts.
 */
extern void doorbell_wait(Oid relid, uint64 seen, long timeout_ms);

/*
 * Ring by hand, at once: after an acknowledgement released a lease, and so
 * another consumer may go on.
 */
extern void doorbell_ring(Oid relid);

/* ring every doorbell of the server: for when it is not known which */
extern void doorbell_ring_all(void);

/*
 * Sessions that listen on the stream's or view's channel, at least: 0 means
 * that nobody does and no notification need be kept.  A session counts once for each
 * channel, from its LISTEN to its end.
 */
extern uint32 doorbell_listeners(Oid relid);
extern void doorbell_add_listener(Oid relid, int n);

/*
 * So many jobs more, or less, wait for input of the stream without a process
 * that sleeps on its doorbell: a ring then wakes a job worker of the database.
 */
extern void doorbell_add_job(Oid dboid, Oid relid, int n);

extern void doorbell_shmem_request(void);
extern void doorbell_shmem_startup(void);
extern void doorbell_init(void);	/* from _PG_init: transaction callbacks */

#endif
