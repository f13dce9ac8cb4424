/*
 * load_plan.h
 *	  Initialization of the restore of messages.
 */
#ifndef STREAMQ_LOG_DUMP_LOAD_PLAN_H
#define STREAMQ_LOG_DUMP_LOAD_PLAN_H

#include "postgres.h"

/* called by log_init() */
extern void log_load_init(void);

#endif
