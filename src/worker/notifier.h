/*
 * notifier.h
 *	  When is a process needed that sends notifications?
 */
#ifndef STREAMQ_WORKER_NOTIFIER_H
#define STREAMQ_WORKER_NOTIFIER_H

#include "postgres.h"

/* function of the kind, for the scheduler (WorkerKindInfo) */
extern int	worker_notifier_wanted(void);

#endif
