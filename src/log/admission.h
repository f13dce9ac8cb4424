/*
 * admission.h
 *	  Flow control: what appending does before and after, for streams with
 *	  limits for producers.
 */
#ifndef STREAMQ_LOG_ADMISSION_H
#define STREAMQ_LOG_ADMISSION_H

#include "postgres.h"

#include "port/atomics.h"
#include "utils/rel.h"

/*
 * Shared memory for flow control of one stream.  The log keeps it with the
 * stream's file; the hooks below know what it means.
 */
typedef struct LogFlow
{
	pg_atomic_uint64 room;		/* messages that may be appended, if */
	pg_atomic_uint64 mark;		/* this is the current mark */
	pg_atomic_uint64 due;		/* when the token bucket will be full */
	pg_atomic_uint64 rate;		/* the max_rate for which that was computed */
} LogFlow;

/* of a stream that is open and locked */
extern LogFlow *log_flow(Relation rel);

/*
 * If the stream has options of flow control, log_enter_hook is called before
 * so many rows are appended together.  It may wait, or fail.  After they were
 * appended, log_leave_hook is called.  If appending fails, it is not called,
 * so what it would release must be released by the abort of the transaction.
 */
extern PGDLLIMPORT void (*log_enter_hook) (Relation rel, int64 nrows);
extern PGDLLIMPORT void (*log_leave_hook) (Relation rel);

/*
 * Is there room for so many rows?  If not, log_enter_hook would have to wait.
 * With `wait`, wait until there is room.  Others may take the room before the
 * rows are appended.
 */
extern PGDLLIMPORT bool (*log_room_hook) (Relation rel, int64 nrows, bool wait);

#endif
