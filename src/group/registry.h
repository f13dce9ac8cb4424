/*
 * registry.h
 *	  The consumers of a group, and their numbers.
 *
 * Modes that have many leases at a time store the number of a consumer instead
 * of its name.  The registry also knows which session used a name last, and
 * when.  It is in state pages of the stream.  It is not transactional: a
 * consumer stays in it if the transaction that entered it aborts.
 *
 * No function may be called with an LWLock or a buffer lock held.
 */
#ifndef STREAMQ_GROUP_REGISTRY_H
#define STREAMQ_GROUP_REGISTRY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "group/group_catalog.h"
#include "group/mode.h"

/* what the registry knows about a consumer */
typedef struct GroupRegistered
{
	uint32		number;
	int			pid;			/* session that used the name last */
	TimestampTz session_start;	/* start of that session */
	TimestampTz last_seen;
	char		name[GROUP_CONSUMER_MAX + 1];
} GroupRegistered;

/*
 * Make the registry of a new group, so that its first consumers need no space
 * in the file.
 */
extern void group_registry_create(Relation rel, const ConsumerGroup *group);

/*
 * Return the number of a consumer in the group, and note that this session
 * uses the name.  Numbers begin with 1 and are never reused in a group.
 * consume() calls this once, before it takes messages (GroupConsumer.number).
 *
 * Consumers leave the registry if they have no leases and their sessions have
 * ended.  Such a consumer gets a new number when it comes again.
 */
extern uint32 group_registry_enter(Relation rel, const ConsumerGroup *group, const char *name);

/*
 * Copy the name of a consumer, GROUP_CONSUMER_MAX + 1 bytes with the zero; if
 * the number is not known, return false and set an empty name.
 */
extern bool group_registry_name(Relation rel, const ConsumerGroup *group, uint32 number,
								char *name);

/* all consumers, palloc'd, by number; returns how many */
extern int	group_registry_list(Relation rel, const ConsumerGroup *group,
								GroupRegistered **consumers);

/* callbacks of the log for the pages of the registry */
#define GROUP_REGISTRY_PAGE_KIND	4
extern const LogStateKind group_registry_pages;

#endif
