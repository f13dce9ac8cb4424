/*
 * roles.h
 *	  The roles of groups, owners and those they are shared with, as PostgreSQL
 *	  knows them: in pg_shdepend.
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
 * A group of the stream had the roles before (NULL: it is new) and has them now (NULL: it is
 * gone).  Waits for who is dropping one of the new roles; 42704 if it is gone.
 */
extern void group_roles_changed(Oid relid, const GroupRoles *before, const GroupRoles *now);

/*
 * Around a utility command: REASSIGN OWNED and DROP OWNED change groups before
 * PostgreSQL gets to its own rows; what DROP ROLE reports names the groups.
 */
typedef struct GroupCommand
{
	bool		drop_role;
	ErrorContextCallback callback;
} GroupCommand;

extern void group_roles_begin_command(Node *stmt, GroupCommand *command);
extern void group_roles_end_command(GroupCommand *command);

#endif
