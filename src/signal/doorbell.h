/*
 * doorbell.h
 *	  Wake-ups between producers, consumers and workers.
 *
 * Every stream has a doorbell in shared memory.  A transaction that appended
 * rings it once at its end, when its xid has left the proc array and its locks
 * are released.  A process that wakes up and takes a new snapshot therefore
 * sees the rows.  A transaction that rolls back rings, too: readers may be
 * waiting for messages after its rows.
 *
 * Rings can be lost (prepared transactions, standbys), so every sleeper also
 * wakes up by itself after a while.
 */
#ifndef STREAMQ_SIGNAL_DOORBELL_H
#define STREAMQ_SIGNAL_DOORBELL_H

#include "postgres.h"

/* the stream's ring count, to be read before looking for messages */
extern uint64 signal_count(Oid relid);

/*
 * Sleep until the stream's ring count differs from `seen`, timeout_ms have
 * passed, or something else sets this process's latch.  Callers loop.
 * Interrupts are served.
 */
extern void signal_wait(Oid relid, uint64 seen, long timeout_ms);

/* ring now: an acknowledgement released a lease, so other consumers may go on */
extern void signal_ring(Oid relid);

/* ring every doorbell of the server, if it is not known which one to ring */
extern void signal_ring_all(void);

/*
 * Upper bound of the number of sessions that listen on the channel of a stream
 * or view.  If it is 0, notifications need not be kept.  A session counts once
 * for each channel, from its LISTEN to its end.
 */
extern uint32 signal_listeners(Oid relid);
extern void signal_add_listener(Oid relid, int n);

/*
 * Add n, which may be negative, to the number of jobs that wait for input of
 * the stream while no process sleeps on its doorbell.  If there are any, a ring
 * calls the job waker.
 */
extern void signal_add_job(Oid dboid, Oid relid, int n);

/*
 * Set the function that wakes a job worker of this database.  It is called by
 * the process that rings, with no lock held, and must not fail.
 */
extern void signal_register_job_waker(void (*waker) (void));

/* start-up of all of signal/ */
extern void signal_shmem_request(void);
extern void signal_shmem_startup(void);
extern void signal_init(void);	/* from _PG_init: transaction callbacks */

#endif
