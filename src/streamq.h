/*
 * streamq.h
 *	  What every part of streamq may use: settings and the check that the
 *	  library was loaded at server start.
 */
#ifndef STREAMQ_H
#define STREAMQ_H

#include "postgres.h"

#define STREAMQ_VERSION "1.0"
#define STREAMQ_SCHEMA "streamq"

/* settings (streamq.c) */
extern PGDLLIMPORT int streamq_naptime; /* ms, streamq.naptime */
extern PGDLLIMPORT int streamq_notify_interval; /* ms, streamq.notify_interval */
extern PGDLLIMPORT int streamq_max_workers; /* streamq.max_workers */
extern PGDLLIMPORT int streamq_job_timeout; /* ms, streamq.job_timeout */

/* true if loaded through shared_preload_libraries */
extern PGDLLIMPORT bool streamq_loaded;

/* ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, with the line to add, if not */
extern void streamq_require_loaded(void);

#endif
