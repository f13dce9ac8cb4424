/*
 * freeze.h
 *	  VACUUM.
 */
#ifndef STREAMQ_LOG_WRITE_FREEZE_H
#define STREAMQ_LOG_WRITE_FREEZE_H

#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/rel.h"

struct VacuumParams;
extern void log_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy strategy);

#endif
