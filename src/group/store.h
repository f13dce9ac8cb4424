/*
 * store.h
 *	  The state pages of consumer groups: the only file of group/ that uses those
 *	  of the log.
 *
 * What is in the bytes, and which lock its writers hold, is up to the group's
 * mode.
 */
#ifndef STREAMQ_GROUP_STORE_H
#define STREAMQ_GROUP_STORE_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/group_catalog.h"

/* copy the bytes to data (LOG_STATE_MAX bytes); false if there are none */
extern bool group_store_read(Relation rel, const ConsumerGroup *group, int partition,
							 char *data, int *len);

extern void group_store_write(Relation rel, const ConsumerGroup *group, int partition,
							  const char *data, int len);

/*
 * Free the pages of groups for which keep(group_id, arg) is false.  Such a group
 * must not come back by rollback.
 */
extern void group_store_free(Relation rel, bool (*keep) (int32 group_id, void *arg), void *arg);

/* how many state pages the stream has */
extern uint32 group_store_count(Relation rel);

/* registers what the modes do with pages for the log */
extern void group_store_init(void);

#endif
