/*
 * flow.h
 *	  Flow control of streams: the rate at which producers append, and what
 *	  producers and consumers tell each other about a full stream.
 *
 * How full a stream is depends on its groups, so that is decided in group/.
 */
#ifndef STREAMQ_STREAM_FLOW_H
#define STREAMQ_STREAM_FLOW_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

/*
 * Sleep until so many messages may be appended by the stream's max_rate.
 * Interrupts are served.
 */
extern void stream_rate_wait(Relation rel, double max_rate, int64 nmessages);

/*
 * For a process that appends to many streams: from now on it does not sleep,
 * but counts what it appends.  It asks when it may append without exceeding
 * max_rate, which may be in the past.
 */
extern void stream_rate_never_sleep(void);
extern TimestampTz stream_rate_ready_at(Relation rel, double max_rate);

/*
 * The room that a producer counted in a stream is valid while the stream has
 * the same mark.
 */
extern uint64 stream_flow_mark(Oid relid);

/*
 * This transaction may make the slowest group slower, or changes the stream's
 * options.  At commit, give the stream a new mark and wake its producers.
 */
extern void stream_flow_change_mark(Oid relid);

/* COMMIT PREPARED of a transaction that may have changed any stream */
extern void stream_flow_commit_prepared(void);

/*
 * A producer waits for room in the stream, or does so no longer.  The end of
 * the (sub)transaction by an error ends waiting, too.
 */
extern void stream_flow_block(Oid relid);
extern bool stream_flow_is_blocking(void);
extern void stream_flow_unblock(void);

/* may a producer be waiting for room in the stream? */
extern bool stream_flow_is_blocked(Oid relid);

extern void stream_shmem_request(void);
extern void stream_shmem_startup(void);
extern void stream_flow_init(void);

#endif
