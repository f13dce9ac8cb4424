/*
 * handler.h
 *	  Handlers: initialization.  The other entry points are SQL functions and
 *	  the kind of job that handler_init() registers.
 */
#ifndef STREAMQ_HANDLER_H
#define STREAMQ_HANDLER_H

#include "postgres.h"

#define HANDLER_JOB_KIND	"handler"

/* called by _PG_init: registers the kind of job */
extern void handler_init(void);

#endif
