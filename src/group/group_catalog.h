/*
 * catalog.h
 *	  The groups of streams: rows of streamq.consumer_group.
 */
#ifndef STREAMQ_GROUP_CATALOG_H
#define STREAMQ_GROUP_CATALOG_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "group/roles.h"
#include "group/store.h"

#define GROUP_NAME_MAX		63	/* bytes */
#define GROUP_DEFAULT_IN_FLIGHT 1000

typedef struct ConsumerGroup
{
	int32		group_id;
	Oid			owner;
	bool		usable;			/* by the current user */
	Interval	lease;
	int32		max_in_flight;
} ConsumerGroup;

typedef struct GroupOptions
{
	const char *mode;
	const char *start_at;
	Interval	lease;
	int32		max_in_flight;
} GroupOptions;

/* what a group gets that is created by its first consume */
extern void group_default_options(GroupOptions *options);

/* the name as a C string; 42602 if it is empty or too long */
extern char *group_check_name(const text *name);

/*
 * Find a group by the stream and its name as it is committed now.  False if
 * there is none and missing_ok, 42704 otherwise.
 */
extern bool group_find(Relation rel, const char *name, bool missing_ok,
					   ConsumerGroup *group);

/* find it, and fail with 42501 unless the current user may use it */
extern void group_get(Relation rel, const char *name, ConsumerGroup *group);
extern void group_check_usable(Relation rel, const char *name,
							   const ConsumerGroup *group);

/*
 * Wait for the lock of a partition's state.  The group may be dropped by the one
 * that is waited for: 42704 then.
 */
extern StoreLock group_lock_partition(Relation rel, const char *name,
									  const ConsumerGroup *group, int partition);

/*
 * Retention holder: a group needs what it has not acknowledged (see
 * stream_register_retention_holder).
 */
extern void group_hold_retention(Relation rel, int npartitions, int64 *least);

typedef enum GroupCreated
{
	GROUP_CREATED,
	GROUP_EXISTS,				/* there is one of that name */
	GROUP_BUSY					/* another transaction is creating or dropping
								 * it, and was not waited for */
} GroupCreated;

/*
 * These three lock the group's name to the end of the transaction.
 * Create a group owned by the current user.  *group is filled in unless it is busy.
 */
extern GroupCreated group_create(Relation rel, const char *name, const GroupOptions *options,
								 bool wait, ConsumerGroup *group);

/* 42704 unless it exists, 42501 unless the current user may use the group or owns the stream */
extern void group_drop(Relation rel, const char *name);

/* 42501 unless the current user owns the group; grantee InvalidOid is PUBLIC */
extern void group_set_grant(Relation rel, const char *name, Oid grantee,
							bool grant);

/* a group that belongs to a role, or is shared with it */
typedef struct GroupOfRole
{
	char	   *name;
	bool		owned;
} GroupOfRole;

/* those of a stream, at most so many */
extern List *group_list_of_role(Oid relid, Oid role, int max);

/*
 * Take a group from a role.  Its groups get the new owner; without one they are dropped, and
 * it may no longer use those of others.  No privileges are checked.
 */
extern void group_take(Relation rel, const char *name, Oid role, Oid newrole);

/* call a function for each group of the database */
extern void group_each_roles(void (*func) (Oid relid, const GroupRoles *roles, void *arg),
							 void *arg);

/* keep others from creating, sharing and dropping groups until the transaction is over */
extern void group_lock_catalog(void);

#endif
