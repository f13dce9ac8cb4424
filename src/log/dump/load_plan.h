/*
 * load_plan.h
 *	  Start-up of the restore of messages.
 */
#ifndef STREAMQ_LOG_DUMP_LOAD_PLAN_H
#define STREAMQ_LOG_DUMP_LOAD_PLAN_H

#include "postgres.h"

/* from log_init */
extern void log_load_init(void);

#endif
