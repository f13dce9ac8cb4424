/*
 * privilege.c
 *	  Checks of what the current user may do with a stream.
 */
#include "postgres.h"

#include "catalog/pg_authid_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "stream/privilege.h"
#include "stream/writer.h"

static void
check_privilege(Relation rel, AclMode mode)
{
	AclResult	result = pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), mode);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, RelationGetRelationName(rel));
}

/* check INSERT on a column; the writer refuses a column that does not exist */
static void
check_column(Relation rel, const char *name)
{
	Oid			relid = RelationGetRelid(rel);
	AttrNumber	attnum = get_attnum(relid, name);

	if (AttributeNumberIsValid(attnum) &&
		pg_attribute_aclcheck(relid, attnum, GetUserId(), ACL_INSERT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(rel));
}

void
stream_check_produce(Relation rel, int columns)
{
	if (columns == STREAM_WRITE_ROW)
		check_privilege(rel, ACL_INSERT);
	else if (pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_INSERT) != ACLCHECK_OK)
	{
		check_column(rel, "payload");
		if (columns & STREAM_WRITE_KEY)
			check_column(rel, "key");
		if (columns & STREAM_WRITE_HEADERS)
			check_column(rel, "headers");
	}
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot produce to stream \"%s\" under row-level security",
						RelationGetRelationName(rel)),
				 errhint("Use INSERT, which checks the policies.")));
}

void
stream_check_read(Relation rel)
{
	check_privilege(rel, ACL_SELECT);
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read stream \"%s\" under row-level security",
						RelationGetRelationName(rel)),
				 errhint("Use SELECT, which applies the policies.")));
}

bool
stream_may_read(Relation rel)
{
	return pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		check_enable_rls(RelationGetRelid(rel), InvalidOid, true) != RLS_ENABLED;
}

bool
stream_may_see(Oid relid)
{
	bool		gone = false;

	return pg_class_aclcheck_ext(relid, GetUserId(), ACL_SELECT, &gone) == ACLCHECK_OK ||
		(!gone && has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS));
}
