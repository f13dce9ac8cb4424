/*
 * extension.c
 *	  The schema that CREATE EXTENSION finds.
 *
 * The objects of streamq live in a schema of a fixed name.  CREATE EXTENSION
 * creates the schema, but uses one that already exists.  The owner of such a
 * schema could add functions that match a call better than streamq's own, and
 * they would run with the privileges of the caller.  The owner could also drop
 * the schema with everything in it.  So the schema must be empty, and nobody
 * else may create objects in it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "base/loaded.h"
#include "hooks/hooks_internal.h"

#define SCHEMA_HINT "Drop or rename the schema; CREATE EXTENSION creates it."

/* may a role other than the owner create objects in the schema? */
static bool
others_may_create(Oid namespaceid, Oid owner)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(namespaceid));
	bool		isnull;
	Datum		value;
	bool		found = false;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", namespaceid);
	value = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl, &isnull);
	if (!isnull)
	{
		Acl		   *acl = DatumGetAclPCopy(value);

		for (int i = 0; i < ACL_NUM(acl); i++)
		{
			AclItem    *item = &ACL_DAT(acl)[i];

			if (item->ai_grantee != owner && (item->ai_privs & ACL_CREATE) != 0)
				found = true;
		}
	}
	ReleaseSysCache(tuple);
	return found;
}

/*
 * Description of an object that depends on the schema, other than the extension
 * that is being created.  NULL if there is none.  Every object in a schema
 * depends on it, and default privileges for it do, too.
 */
static char *
find_content(Oid namespaceid, Oid extension)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *found = NULL;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(NamespaceRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(namespaceid));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, SnapshotSelf, 2, keys);
	while (found == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress object;

		if (form->classid == ExtensionRelationId && form->objid == extension)
			continue;
		ObjectAddressSubSet(object, form->classid, form->objid, form->objsubid);
		found = getObjectDescription(&object, false);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}

void
hooks_check_extension_schema(Oid extension)
{
	HeapTuple	tuple = base_row_by_oid(ExtensionRelationId, ExtensionOidIndexId,
										Anum_pg_extension_oid, extension);
	Form_pg_extension form;
	Oid			namespaceid;
	Oid			owner;
	char	   *content;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_extension) GETSTRUCT(tuple);
	namespaceid = strcmp(NameStr(form->extname), "streamq") == 0 ||
		strcmp(NameStr(form->extname), "streamq_pgmq") == 0 ?
		form->extnamespace : InvalidOid;
	heap_freetuple(tuple);
	if (!OidIsValid(namespaceid))
		return;

	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(namespaceid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", namespaceid);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);

	/*
	 * A schema of a superuser is as safe as one's own.  It must be accepted:
	 * in a dump the schema belongs to the role that created it, not to the
	 * one that restores it.
	 */
	if (owner != GetUserId() && !superuser_arg(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("schema \"%s\" belongs to role \"%s\"", get_namespace_name(namespaceid),
						GetUserNameFromId(owner, false)),
				 errdetail("Its owner could create functions in it that run in place of the extension's."),
				 errhint(SCHEMA_HINT)));
	if (others_may_create(namespaceid, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("roles other than the owner of schema \"%s\" may create objects in it",
						get_namespace_name(namespaceid)),
				 errdetail("They could create functions in it that run in place of the extension's."),
				 errhint(SCHEMA_HINT)));
	content = find_content(namespaceid, extension);
	if (content != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_SCHEMA),
				 errmsg("schema \"%s\" is not empty", get_namespace_name(namespaceid)),
				 errdetail("It has %s.", content),
				 errhint(SCHEMA_HINT)));
}

/*
 * Clients of pgmq create its extension when they connect.  That of pgmq itself
 * could not be created beside streamq_pgmq, which has the same objects.
 */
bool
hooks_skip_extension(Node *stmt)
{
	CreateExtensionStmt *create = (CreateExtensionStmt *) stmt;

	if (!IsA(stmt, CreateExtensionStmt) || !create->if_not_exists ||
		strcmp(create->extname, "pgmq") != 0 ||
		!OidIsValid(get_extension_oid("streamq_pgmq", true)))
		return false;
	ereport(NOTICE,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("extension \"%s\" is here in place of \"%s\", skipping",
					"streamq_pgmq", "pgmq")));
	return true;
}
