/*
 * group_grant.h
 *	  Owners of groups, and the roles that may use a group.
 */
#ifndef STREAMQ_GROUP_GRANT_H
#define STREAMQ_GROUP_GRANT_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "group/roles.h"

/*
 * Let a role use the group, or revoke that.  InvalidOid as grantee is PUBLIC.
 * Fails with 42501 unless the current user owns the group.
 */
extern void group_set_grant(Relation rel, const char *name, Oid grantee,
							bool grant);

/* a group that a role owns, or that is shared with it */
typedef struct GroupOfRole
{
	char	   *name;
	bool		owned;
} GroupOfRole;

/* list at most max groups of a stream that a role owns or may use */
extern List *group_list_of_role(Oid relid, Oid role, int max);

/*
 * Take a group from a role.  If the role owns the group, newrole becomes its
 * owner; without a newrole the group is dropped.  If the group is only shared
 * with the role and there is no newrole, the role may not use it any more.
 * Does not check privileges.
 */
extern void group_take_from_role(Relation rel, const char *name, Oid role, Oid newrole);

/* call func for each group of the database */
extern void group_each_roles(void (*func) (Oid relid, const GroupRoles *roles, void *arg),
							 void *arg);

/* block creating, sharing and dropping groups until the transaction ends */
extern void group_lock_catalog(void);

#endif
