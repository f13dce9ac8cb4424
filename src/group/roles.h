/*
 * roles.h
 *	  The roles of groups (owners and grantees) as PostgreSQL knows them:
 *	  rows of pg_shdepend.
 */
#ifndef STREAMQ_GROUP_ROLES_H
#define STREAMQ_GROUP_ROLES_H

#include "postgres.h"

#include "nodes/nodes.h"

/* an owner and grantees; InvalidOid among them is PUBLIC */
typedef struct GroupRoles
{
	Oid			owner;
	Oid		   *grantees;
	int			ngrantees;
} GroupRoles;

/*
 * Record that the roles of a group changed.  `before` is NULL for a new group,
 * and `now` is NULL for a dropped one.  Waits for a transaction that is
 * dropping one of the new roles, and fails with 42704 if the role is gone.
 */
extern void group_roles_changed(Oid relid, const GroupRoles *before, const GroupRoles *now);

/*
 * Called before and after a utility command.  REASSIGN OWNED and DROP OWNED
 * must change groups before PostgreSQL processes its own dependencies.  The
 * errors of DROP ROLE must name the groups.
 */
typedef struct GroupCommand
{
	bool		drop_role;
	ErrorContextCallback callback;
} GroupCommand;

extern void group_roles_begin_command(Node *stmt, GroupCommand *command);
extern void group_roles_end_command(GroupCommand *command);

#endif
