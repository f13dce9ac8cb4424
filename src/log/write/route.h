/*
 * route.h
 *	  Which partition a row goes to.
 */
#ifndef STREAMQ_LOG_WRITE_ROUTE_H
#define STREAMQ_LOG_WRITE_ROUTE_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

#include "log/space/relcache.h"

/*
 * A copy of what the stream's rows are routed by, palloc'd.  Hash functions
 * may load catalogs, and so let the relcache entry's own go.
 */
extern LogRoute *log_route_copy(Relation rel);

extern int	log_route_slot(const LogRoute *route, TupleTableSlot *slot);	/* -1: spread */
extern int	log_route_values(const LogRoute *route, const Datum *values, const bool *isnull);
extern int	log_route_spread(int npartitions, int n);	/* partition to begin
														 * with */

#endif
