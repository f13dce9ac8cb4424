/*
 * delivery_worker.h
 *	  The process that appends messages that waited for their deliver_at.
 */
#ifndef STREAMQ_WORKER_DELIVERY_WORKER_H
#define STREAMQ_WORKER_DELIVERY_WORKER_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* for worker_kinds.c */
extern void worker_delivery_look(void);
extern int	worker_delivery_wanted(void);

/* messages that are due at this time were added, or wait again */
extern void worker_delivery_wake(TimestampTz due);

/*
 * A prepared transaction has ended.  Nobody knows which messages it had added,
 * or taken back if it was rolled back.  If there is no process yet, the
 * scheduler will find the messages soon.
 */
extern void worker_delivery_look_again(void);

#endif
