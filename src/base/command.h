/*
 * command.h
 *	  Running a utility command from C, and acting as another role.
 */
#ifndef STREAMQ_BASE_COMMAND_H
#define STREAMQ_BASE_COMMAND_H

#include "postgres.h"

#include "nodes/nodes.h"

/* run a utility statement as if the caller had sent it; sql is its text */
extern void base_run_utility(Node *stmt, const char *sql);

/* what base_become_role() changed */
typedef struct BaseIdentity
{
	Oid			user;
	int			context;
	int			nestlevel;
} BaseIdentity;

/*
 * Act with the privileges of a role, in a security-restricted operation.
 * Settings that are changed meanwhile are reset at the end.  After an error,
 * the end of the (sub)transaction restores the identity.
 */
extern void base_become_role(Oid role, BaseIdentity *identity);

/* the same for the owner of the extension, with a safe search_path */
extern void base_become_extension_owner(BaseIdentity *identity);
extern void base_become_caller(const BaseIdentity *identity);
extern Oid	base_extension_owner(void);

/* the qualified name of a collation */
extern char *base_collation_name(Oid collation);

#endif
