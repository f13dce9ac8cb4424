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
#ifndef STREAMQ_SIGNAL_DOORBELL_H
#define STREAMQ_SIGNAL_DOORBELL_H

#include "postgres.h"

/* the stream's ring count; remember it before looking for messages */
extern uint64 signal_count(Oid relid);

/*
 * Sleep until the stream's ring count differs from `seen`, timeout_ms have
 * passed, or something else sets this process's latch: callers loop.  Serves
 * interrupts.
 */
extern void signal_wait(Oid relid, uint64 seen, long timeout_ms);

/*
 * Ring by hand, at once: after an acknowledgement released a lease, and so
 * another consumer may go on.
 */
extern void signal_ring(Oid relid);

/* ring every doorbell of the server: for when it is not known which */
extern void signal_ring_all(void);

/*
 * Sessions that listen on the stream's or view's channel, at least: 0 means
 * that nobody does and no notification need be kept.  A session counts once for each
 * channel, from its LISTEN to its end.
 */
extern uint32 signal_listeners(Oid relid);
extern void signal_add_listener(Oid relid, int n);

/*
 * So many jobs more, or less, wait for input of the stream without a process
 * that sleeps on its doorbell: a ring then wakes a job worker of the database.
 */
extern void signal_add_job(Oid dboid, Oid relid, int n);

/*
 * Called when a doorbell rings at which a job is counted, in any process, with
 * no lock held.  Must not fail.
 */
extern void signal_register_job_waker(void (*waker) (void));

/* start-up of all of signal/ */
extern void signal_shmem_request(void);
extern void signal_shmem_startup(void);
extern void signal_init(void);	/* from _PG_init: transaction callbacks */

#endif
