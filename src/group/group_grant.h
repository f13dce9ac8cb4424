/*
 * group_grant.h
 *	  Owners of groups, and roles that may use them.
 */
#ifndef STREAMQ_GROUP_GRANT_H
#define STREAMQ_GROUP_GRANT_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "group/roles.h"

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
 * Take a group from a role.  Its own groups get the new owner.  Without a new owner
 * they are dropped, and the role may no longer use those of others.  No
 * privileges are checked.
 */
extern void group_take_from_role(Relation rel, const char *name, Oid role, Oid newrole);

/* call a function for each group of the database */
extern void group_each_roles(void (*func) (Oid relid, const GroupRoles *roles, void *arg),
							 void *arg);

/* keep others from creating, sharing and dropping groups until the transaction is over */
extern void group_lock_catalog(void);

#endif
