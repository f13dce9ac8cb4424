/*
 * handler.h
 *	  Handlers: initialization.  The other entry points are SQL functions and
 *	  the kind of job that handler_init() registers.
 */
#ifndef STREAMQ_HANDLER_H
#define STREAMQ_HANDLER_H

#include "postgres.h"

#include "utils/rel.h"

#define HANDLER_JOB_KIND	"handler"

/* called by _PG_init: registers the kind of job */
extern void handler_init(void);

/*
 * Check a dead letter for the messages of a stream; InvalidOid is none.  Fails
 * with 42501, 42804, 42809 or 22023.
 */
extern void handler_check_dead_letter(Relation source, Oid dead_letter);

#endif
