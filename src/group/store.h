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
#include "log/state_page.h"

/* read the bytes into data (LOG_STATE_MAX bytes); false if there are none */
extern bool group_store_read(Relation rel, const ConsumerGroup *group, int partition,
							 char *data, int *len);

extern void group_store_write(Relation rel, const ConsumerGroup *group, int partition,
							  const char *data, int len);

/*
 * A group in a mode that needs several pages in a partition numbers them.  The
 * functions above use number 0.
 */
extern LogStateKey group_store_key(uint8 page_kind, const ConsumerGroup *group, int partition,
								   uint32 number);

/*
 * Access to the page with a key: as log_state_read(), log_state_lock(),
 * log_state_replace() and log_state_unlock().
 */
extern bool group_store_read_page(Relation rel, LogStateKey key, char *data, int *len);
extern bool group_store_lock_page(Relation rel, LogStateKey key, LogStatePage *page);
extern void group_store_replace_page(Relation rel, LogStatePage *page, const char *data,
									 int len);
extern void group_store_unlock_page(LogStatePage *page);

/* make empty pages, except those that exist; may wait for other sessions */
extern void group_store_create_pages(Relation rel, const LogStateKey *keys, int n);

/* free the pages of one partition of a group that are not to be kept */
extern void group_store_free_pages(Relation rel, LogStateKey key,
								   bool (*keep) (uint32 number, void *arg), void *arg);

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
