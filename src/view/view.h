/*
 * view.h
 *	  Continuous views: initialization.  The other entry points are SQL
 *	  functions, the kind of job that view_init() registers, and
 *	  view_guard.h.
 */
#ifndef STREAMQ_VIEW_H
#define STREAMQ_VIEW_H

#include "postgres.h"

#define VIEW_JOB_KIND	"continuous view"

/* called by _PG_init: registers the kind of job */
extern void view_init(void);

#endif
