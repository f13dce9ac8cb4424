/*
 * as_owner.c
 *	  Acting with the privileges of a group's owner.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "base/condition.h"
#include "group/as_owner.h"

void
group_become_owner(const ConsumerGroup *group, GroupIdentity *identity)
{
	identity->changed = group->owner != GetUserId();
	if (!identity->changed)
		return;
	GetUserIdAndSecContext(&identity->user, &identity->context);
	SetUserIdAndSecContext(group->owner,
						   identity->context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	identity->nestlevel = NewGUCNestLevel();
	base_set_safe_path();
}

void
group_become_caller(const GroupIdentity *identity)
{
	if (!identity->changed)
		return;
	AtEOXact_GUC(false, identity->nestlevel);
	SetUserIdAndSecContext(identity->user, identity->context);
}
