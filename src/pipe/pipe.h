/*
 * pipe.h
 *	  Pipes: initialization.  The other entry points are SQL functions and the
 *	  kind of job that pipe_init() registers.
 */
#ifndef STREAMQ_PIPE_H
#define STREAMQ_PIPE_H

#include "postgres.h"

#define PIPE_JOB_KIND	"pipe"

/* called by _PG_init: registers the kind of job */
extern void pipe_init(void);

#endif
