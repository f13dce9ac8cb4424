/*
 * store.h
 *	  The state pages of consumer groups, except the list of consumers
 *	  (registry.h).
 *
 * The group's mode decides what the bytes mean, and which lock a writer holds.
 */
#ifndef STREAMQ_GROUP_STORE_H
#define STREAMQ_GROUP_STORE_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/group_catalog.h"

/* read the bytes into data (LOG_STATE_MAX bytes); false if there are none */
extern bool group_store_read(Relation rel, const ConsumerGroup *group, int partition,
							 char *data, int *len);

extern void group_store_write(Relation rel, const ConsumerGroup *group, int partition,
							  const char *data, int len);

/*
 * Free the pages of groups for which keep(group_id, arg) is false.  A rollback
 * must not bring such a group back.
 */
extern void group_store_free(Relation rel, bool (*keep) (int32 group_id, void *arg), void *arg);

/* number of state pages of the stream */
extern uint32 group_store_count(Relation rel);

/* register the callbacks of all kinds of pages with the log */
extern void group_store_init(void);

#endif
