/*
 * sql.h
 *	  SQL functions of streams that the planner recognizes by their
 *	  addresses.
 */
#ifndef STREAMQ_SQL_H
#define STREAMQ_SQL_H

#include "postgres.h"

#include "fmgr.h"

extern PGDLLEXPORT Datum streamq_msg_id(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum streamq_produced_at(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum streamq_read(PG_FUNCTION_ARGS);

#endif
