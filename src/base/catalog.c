/*
 * catalog.c
 *	  streamq's own tables: finding them, changing their rows.
 *
 * They are ordinary tables that belong to the extension.  C code changes them
 * without privilege checks, so that users of the functions need no privileges
 * on the tables.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "base/loaded.h"
#include "compat.h"

#define MAX_CACHED	32

typedef struct CachedOid
{
	const char *relname;
	Oid			relid;
} CachedOid;

static CachedOid cached[MAX_CACHED];
static int	ncached = 0;
static bool callback_registered = false;

/*
 * Relcache callback: a cached table was dropped, renamed or changed, or all
 * caches are reset (InvalidOid).
 */
static void
catalog_invalidated(Datum arg, Oid relid)
{
	for (int i = 0; i < ncached; i++)
		if (relid == InvalidOid || cached[i].relid == relid)
			cached[i].relid = InvalidOid;
}

/*
 * Find a table by name.  The library is loaded in every database, also in one
 * where anybody may have created a schema of this name.  So a table is valid
 * only if it is a member of the extension.
 */
static Oid
lookup_catalog(const char *relname)
{
	Oid			namespaceid = get_namespace_oid(STREAMQ_SCHEMA, true);
	Oid			relid;
	Oid			extension;

	if (!OidIsValid(namespaceid))
		return InvalidOid;
	relid = get_relname_relid(relname, namespaceid);
	if (!OidIsValid(relid))
		return InvalidOid;
	extension = getExtensionOfObject(RelationRelationId, relid);
	if (!OidIsValid(extension) || extension != get_extension_oid("streamq", true))
		return InvalidOid;
	return relid;
}

/* the objects of this database are of another version than the library */
static void
report_other_version(bool older)
{
	if (older)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"streamq\" of this database is older than the loaded library"),
				 errhint("Run ALTER EXTENSION streamq UPDATE.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension \"streamq\" of this database is newer than the loaded library"),
			 errhint("Install the newer streamq and restart the server.")));
}

Oid
base_catalog_oid(const char *relname, bool missing_ok)
{
	CachedOid  *entry = NULL;
	Oid			relid;

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(catalog_invalidated, (Datum) 0);
		callback_registered = true;
	}

	for (int i = 0; i < ncached; i++)
	{
		if (strcmp(cached[i].relname, relname) == 0)
		{
			if (OidIsValid(cached[i].relid))
				return cached[i].relid;
			entry = &cached[i];
			break;
		}
	}

	relid = lookup_catalog(relname);
	if (!OidIsValid(relid))
	{
		if (missing_ok)
			return InvalidOid;
		if (OidIsValid(get_extension_oid("streamq", true)))
			report_other_version(true);
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"streamq\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION streamq.")));
	}

	if (entry == NULL && ncached < MAX_CACHED)
	{
		entry = &cached[ncached++];
		entry->relname = relname;
	}
	if (entry != NULL)
		entry->relid = relid;
	return relid;
}

Relation
base_catalog_open(const char *relname, int natts, LOCKMODE lockmode, bool missing_ok)
{
	Oid			relid = base_catalog_oid(relname, missing_ok);
	Relation	catalog;

	if (!OidIsValid(relid))
		return NULL;
	/* the extension may have been dropped while we waited for the lock */
	catalog = try_table_open(relid, lockmode);
	if (catalog == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"streamq\" has been dropped")));
	if (catalog != NULL && RelationGetNumberOfAttributes(catalog) != natts)
		report_other_version(RelationGetNumberOfAttributes(catalog) < natts);
	return catalog;
}

Oid
base_catalog_index(Relation catalog, const char *indexname)
{
	Oid			indexid = get_relname_relid(indexname, RelationGetNamespace(catalog));

	if (!OidIsValid(indexid) ||
		IndexGetRelation(indexid, true) != RelationGetRelid(catalog))
		report_other_version(true);
	return indexid;
}

void
base_catalog_insert(Relation catalog, Datum *values, bool *nulls)
{
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(catalog), values, nulls);

	CatalogTupleInsert(catalog, tuple);
	heap_freetuple(tuple);
	CommandCounterIncrement();
}

void
base_catalog_update(Relation catalog, HeapTuple old,
					Datum *values, bool *nulls, bool *replaces)
{
	HeapTuple	tuple = heap_modify_tuple(old, RelationGetDescr(catalog),
										  values, nulls, replaces);

	CatalogTupleUpdate(catalog, &old->t_self, tuple);
	heap_freetuple(tuple);
	CommandCounterIncrement();
}

void
base_catalog_delete(Relation catalog, HeapTuple old)
{
	CatalogTupleDelete(catalog, &old->t_self);
	CommandCounterIncrement();
}

SysScanDesc
base_catalog_scan(Relation catalog, Oid index, AttrNumber column, Datum value,
				  Snapshot snapshot)
{
	Oid			type = TupleDescAttr(RelationGetDescr(catalog), column - 1)->atttypid;
	ScanKeyData key;

	Assert(type == INT4OID || type == OIDOID || type == REGCLASSOID);
	ScanKeyInit(&key, column, BTEqualStrategyNumber, type == INT4OID ? F_INT4EQ : F_OIDEQ,
				value);
	if (!OidIsValid(index))
		index = COMPAT_PRIMARY_KEY_INDEX(catalog);
	return systable_beginscan(catalog, index, true, snapshot, 1, &key);
}

/* copy the first row of a scan and end the scan */
static HeapTuple
copy_first(SysScanDesc scan)
{
	HeapTuple	tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

HeapTuple
base_catalog_fetch(Relation catalog, AttrNumber column, Datum value)
{
	return copy_first(base_catalog_scan(catalog, InvalidOid, column, value, NULL));
}

void
base_catalog_delete_by_key(Relation catalog, Oid index, AttrNumber column, Datum value)
{
	SysScanDesc scan = base_catalog_scan(catalog, index, column, value, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		CatalogTupleDelete(catalog, &tuple->t_self);
	systable_endscan(scan);
	CommandCounterIncrement();
}

HeapTuple
base_row_by_oid(Oid catalog, Oid index, AttrNumber oid_column, Oid oid)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	HeapTuple	tuple = copy_first(base_catalog_scan(rel, index, oid_column,
													 ObjectIdGetDatum(oid), SnapshotSelf));

	table_close(rel, AccessShareLock);
	return tuple;
}
