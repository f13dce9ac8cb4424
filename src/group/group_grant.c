/*
 * group_grant.c
 *	  Owners of groups, and the roles that may use a group.
 *
 * Both are stored in the row of the group.  roles.c keeps the dependencies
 * that PostgreSQL itself knows (pg_shdepend).
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/catalog.h"
#include "base/loaded.h"
#include "group/group_catalog.h"
#include "group/group_grant.h"
#include "group/group_lock.h"
#include "group/group_row.h"
#include "group/roles.h"

/* change the roles of the group in a row */
static void
set_roles(Relation rel, Relation catalog, HeapTuple tuple, const GroupRoles *now)
{
	TupleDesc	desc = RelationGetDescr(catalog);
	GroupRoles	before;
	Datum	   *grantees = palloc(sizeof(Datum) * (now->ngrantees + 1));
	Datum		values[Natts_consumer_group];
	bool		nulls[Natts_consumer_group] = {0};
	bool		replace[Natts_consumer_group] = {0};

	group_row_read_roles(desc, tuple, &before);
	for (int i = 0; i < now->ngrantees; i++)
		grantees[i] = ObjectIdGetDatum(now->grantees[i]);
	values[Anum_consumer_group_owner - 1] = ObjectIdGetDatum(now->owner);
	values[Anum_consumer_group_grantees - 1] =
		PointerGetDatum(construct_array(grantees, now->ngrantees, OIDOID, sizeof(Oid), true,
										TYPALIGN_INT));
	replace[Anum_consumer_group_owner - 1] = true;
	replace[Anum_consumer_group_grantees - 1] = true;
	base_catalog_update(catalog, tuple, values, nulls, replace);
	group_roles_changed(RelationGetRelid(rel), &before, now);
}

static void
remove_grantee(GroupRoles *roles, Oid grantee)
{
	int			n = 0;

	for (int i = 0; i < roles->ngrantees; i++)
		if (roles->grantees[i] != grantee)
			roles->grantees[n++] = roles->grantees[i];
	roles->ngrantees = n;
}

void
group_set_grant(Relation rel, const char *name, Oid grantee, bool grant)
{
	Relation	catalog;
	ConsumerGroup group;
	SysScanDesc scan;
	HeapTuple	tuple;
	GroupRoles	roles;

	for (int locked = 0; locked < 2; locked++)
	{
		group_find(rel, name, false, &group);
		group_check_owner(rel, &group);
		if (!locked)
			(void) group_lock_name(RelationGetRelid(rel), name, true);
	}

	catalog = group_row_open(RowExclusiveLock, false);
	scan = group_row_begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		group_row_report_missing(rel, name);
	group_row_read_roles(RelationGetDescr(catalog), tuple, &roles);
	remove_grantee(&roles, grantee);
	if (grant)
		roles.grantees[roles.ngrantees++] = grantee;
	set_roles(rel, catalog, tuple, &roles);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}

List *
group_list_of_role(Oid relid, Oid role, int max)
{
	Relation	catalog = group_row_open(AccessShareLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *groups = NIL;

	if (catalog == NULL)
		return NIL;
	scan = group_row_begin_scan(catalog, relid, NULL, NULL);
	while (list_length(groups) < max && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(catalog);
		GroupRoles	roles;
		GroupOfRole *group;
		bool		found;
		bool		isnull;

		group_row_read_roles(desc, tuple, &roles);
		found = roles.owner == role;
		for (int i = 0; i < roles.ngrantees && !found; i++)
			found = roles.grantees[i] == role;
		if (!found)
			continue;
		group = palloc(sizeof(GroupOfRole));
		group->name = TextDatumGetCString(heap_getattr(tuple, Anum_consumer_group_group_name, desc, &isnull));
		group->owned = roles.owner == role;
		groups = lappend(groups, group);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return groups;
}

void
group_take_from_role(Relation rel, const char *name, Oid role, Oid newrole)
{
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	tuple;
	GroupRoles	roles;
	bool		owned = false;

	(void) group_lock_name(RelationGetRelid(rel), name, true);
	catalog = group_row_open(RowExclusiveLock, false);
	scan = group_row_begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		group_row_read_roles(RelationGetDescr(catalog), tuple, &roles);
		owned = roles.owner == role;
		if (OidIsValid(newrole) && owned)
		{
			roles.owner = newrole;
			set_roles(rel, catalog, tuple, &roles);
		}
		else if (!OidIsValid(newrole) && !owned)
		{
			remove_grantee(&roles, role);
			set_roles(rel, catalog, tuple, &roles);
		}
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	if (owned && !OidIsValid(newrole))
		group_row_remove(rel, name);
}

void
group_each_roles(void (*func) (Oid relid, const GroupRoles *roles, void *arg), void *arg)
{
	Relation	catalog = group_row_open(AccessShareLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;

	if (catalog == NULL)
		return;
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(catalog);
		GroupRoles	roles;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		group_row_read_roles(desc, tuple, &roles);
		func(DatumGetObjectId(heap_getattr(tuple, Anum_consumer_group_stream, desc, &isnull)), &roles, arg);
		pfree(roles.grantees);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

void
group_lock_catalog(void)
{
	LockRelationOid(base_catalog_oid(GROUP_CATALOG, false), ShareLock);
}

/*
 * AFTER INSERT trigger on streamq.consumer_group.  Groups created here record
 * their dependencies themselves.  The trigger does so for rows inserted by
 * SQL, as by a restored dump.
 */
PG_FUNCTION_INFO_V1(streamq_consumer_group_restored);
Datum
streamq_consumer_group_restored(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	GroupRoles	roles;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ||
		RelationGetRelid(trigdata->tg_relation) != base_catalog_oid(GROUP_CATALOG, true))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" can only be called as a trigger of table \"%s\"",
						"consumer_group_restored", "streamq.consumer_group")));
	base_require_loaded();
	group_row_read_roles(RelationGetDescr(trigdata->tg_relation), trigdata->tg_trigtuple, &roles);
	group_roles_changed(DatumGetObjectId(heap_getattr(trigdata->tg_trigtuple, Anum_consumer_group_stream,
													  RelationGetDescr(trigdata->tg_relation),
													  &isnull)),
						NULL, &roles);
	return PointerGetDatum(NULL);
}
