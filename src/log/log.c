/*
 * log.c
 *	  Initialization of the log's rooms.
 */
#include "postgres.h"

#include "log/dump/load_plan.h"
#include "log/log.h"
#include "log/page/log_xlog.h"
#include "log/space/shared.h"

void
log_init(void)
{
	log_xlog_init();
	log_shared_init();
	log_load_init();
}
