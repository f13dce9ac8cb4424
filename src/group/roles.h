/*
 * roles.h
 *	  The roles of groups, owners and those they are shared with, as PostgreSQL
 *	  knows them: in pg_shdepend.
 */
#ifndef STREAMQ_GROUP_ROLES_H
#define STREAMQ_GROUP_ROLES_H

#include "postgres.h"

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

extern void group_roles_init(void);

#endif
