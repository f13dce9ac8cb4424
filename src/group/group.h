/*
 * group.h
 *	  Consumer groups: start-up of the part; its entry points are SQL functions.
 */
#ifndef STREAMQ_GROUP_H
#define STREAMQ_GROUP_H

#include "postgres.h"

#include "utils/rel.h"

extern void group_init(void);	/* from _PG_init: state callbacks, hooks */

/*
 * The stream was dropped in this transaction: remove its groups' catalog rows.
 */
extern void group_stream_dropped(Oid relid);

/*
 * For each of npartitions the least offset that any group of the stream has not
 * acknowledged, PG_INT64_MAX where there is no group.
 */
extern void group_least_acked(Relation rel, int npartitions, int64 *acked);

#endif
