/*
 * group.h
 *	  Consumer groups: start-up of the part; its entry points are SQL functions.
 */
#ifndef STREAMQ_GROUP_H
#define STREAMQ_GROUP_H

#include "postgres.h"

extern void group_init(void);	/* from _PG_init: state callbacks, hooks */

/*
 * The stream was dropped in this transaction: remove its groups' catalog rows.
 */
extern void group_stream_dropped(Oid relid);

#endif
