/*
 * as_owner.h
 *	  Acting with the privileges of a group's owner.
 */
#ifndef STREAMQ_GROUP_AS_OWNER_H
#define STREAMQ_GROUP_AS_OWNER_H

#include "postgres.h"

#include "group/group_catalog.h"

typedef struct GroupIdentity
{
	Oid			user;
	int			context;
	int			nestlevel;
	bool		changed;
} GroupIdentity;

/*
 * What a group does on behalf of its owner must not run with the privileges of
 * another role that consumes, and must not depend on the settings of that
 * role.  Nothing changes if the owner is the current user.  After an error,
 * the end of the (sub)transaction restores the identity.
 */
extern void group_become_owner(const ConsumerGroup *group, GroupIdentity *identity);
extern void group_become_caller(const GroupIdentity *identity);

#endif
