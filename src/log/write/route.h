/*
 * route.h
 *	  Routing: which partition a row goes to.
 */
#ifndef STREAMQ_LOG_WRITE_ROUTE_H
#define STREAMQ_LOG_WRITE_ROUTE_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

#include "log/space/relcache.h"

/*
 * Copy of the routing information of a stream, palloc'd.  Hash functions may
 * load catalogs, which may drop the original in the relcache entry.
 */
extern LogRoute *log_route_copy(Relation rel);

extern int	log_route_slot(const LogRoute *route, TupleTableSlot *slot);	/* -1: spread */
extern int	log_route_values(const LogRoute *route, const Datum *values, const bool *isnull);
extern int	log_route_spread(int npartitions, int n);	/* first partition to
														 * use */

#endif
