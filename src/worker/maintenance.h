/*
 * maintenance.h
 *	  When is a process needed that drops expired messages?
 */
#ifndef STREAMQ_WORKER_MAINTENANCE_H
#define STREAMQ_WORKER_MAINTENANCE_H

#include "postgres.h"

/* functions of the kind, for the scheduler (WorkerKindInfo) */
extern void worker_maintenance_look(void);
extern int	worker_maintenance_wanted(void);

#endif
