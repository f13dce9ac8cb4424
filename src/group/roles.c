/*
 * roles.c
 *	  Roles of groups in pg_shdepend, and the commands that change or need
 *	  them.
 *
 * DROP ROLE has to fail for a role that has groups, even in another database,
 * but PostgreSQL does not know groups.  Therefore owners and grantees of
 * groups are recorded as dependencies of the stream's array type, in the form
 * of privileges on it.  There is one row for each group and role, so equal
 * rows may exist.  No other rows refer to the array type, because it has
 * neither an owner nor privileges of its own.  Error messages describe it by
 * the stream's name.  If the stream is dropped, PostgreSQL removes the rows
 * together with the type.
 *
 * REASSIGN OWNED and DROP OWNED cannot handle such rows.  The groups are
 * changed here before PostgreSQL looks at the rows.  The error of DROP ROLE
 * gets a detail that names the groups.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_shdepend.h"
#include "catalog/pg_type.h"
#include "commands/user.h"
#include "lib/qunique.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "group/group.h"
#include "group/group_grant.h"
#include "group/roles.h"

/* most groups that DROP ROLE lists: as many as it lists of other objects */
#define MAX_NAMED	100
#define MAX_ALL		PG_INT32_MAX

/* ---- dependencies ---- */

static int
compare_oids(const void *a, const void *b)
{
	Oid			x = *(const Oid *) a;
	Oid			y = *(const Oid *) b;

	return (x > y) - (x < y);
}

/* list the roles in order, without duplicates; NULL has none */
static Oid *
list_roles(const GroupRoles *roles, int *n)
{
	Oid		   *list = palloc(sizeof(Oid) * (roles ? roles->ngrantees + 1 : 1));

	*n = 0;
	if (roles == NULL)
		return list;
	if (OidIsValid(roles->owner))
		list[(*n)++] = roles->owner;
	for (int i = 0; i < roles->ngrantees; i++)
		if (OidIsValid(roles->grantees[i]))
			list[(*n)++] = roles->grantees[i];
	qsort(list, *n, sizeof(Oid), compare_oids);
	*n = (int) qunique(list, *n, sizeof(Oid), compare_oids);
	return list;
}

static Oid
array_type(Oid relid)
{
	Oid			type = get_rel_type_id(relid);

	return OidIsValid(type) ? get_array_type(type) : InvalidOid;
}

static void
add_dependency(Oid type, Oid role)
{
	Oid		   *roles = palloc(sizeof(Oid));

	roles[0] = role;
	updateAclDependencies(TypeRelationId, type, 0, InvalidOid, 0, NULL, 1, roles);
}

/* scan all rows of a type */
static SysScanDesc
begin_dependencies(Relation depend, Oid type)
{
	ScanKeyData keys[4];

	ScanKeyInit(&keys[0], Anum_pg_shdepend_dbid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(MyDatabaseId));
	ScanKeyInit(&keys[1], Anum_pg_shdepend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&keys[2], Anum_pg_shdepend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	ScanKeyInit(&keys[3], Anum_pg_shdepend_objsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(0));
	return systable_beginscan(depend, SharedDependDependerIndexId, true, NULL, 4, keys);
}

/*
 * Delete one of the equal rows of a type and role.  Other transactions may be
 * deleting some of these rows at the same time, one for each group, so at
 * least one row is free.  If the tuple lock of a row cannot be taken, another
 * transaction is deleting it.  The lock is kept until the end of the
 * transaction.
 */
static void
delete_dependency(Oid type, Oid role)
{
	Relation	depend = table_open(SharedDependRelationId, RowExclusiveLock);
	SysScanDesc scan = begin_dependencies(depend, type);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_shdepend form = (Form_pg_shdepend) GETSTRUCT(tuple);

		if (form->refclassid != AuthIdRelationId || form->refobjid != role ||
			!COMPAT_TRY_LOCK_TUPLE(depend, &tuple->t_self, ExclusiveLock) ||
			!systable_recheck_tuple(scan, tuple))
			continue;
		CatalogTupleDelete(depend, &tuple->t_self);
		break;
	}
	systable_endscan(scan);
	table_close(depend, RowExclusiveLock);
	CommandCounterIncrement();
}

void
group_roles_changed(Oid relid, const GroupRoles *before, const GroupRoles *now)
{
	Oid			type = array_type(relid);
	int			nbefore;
	Oid		   *list_before = list_roles(before, &nbefore);
	int			nnow;
	Oid		   *list_now = list_roles(now, &nnow);
	int			i = 0;
	int			j = 0;

	/* like PostgreSQL, record no dependencies on pinned roles */
	while (i < nbefore || j < nnow)
	{
		if (j == nnow || (i < nbefore && list_before[i] < list_now[j]))
		{
			if (!IsPinnedObject(AuthIdRelationId, list_before[i]))
				delete_dependency(type, list_before[i]);
			i++;
		}
		else if (i == nbefore || list_now[j] < list_before[i])
			add_dependency(type, list_now[j++]);
		else
		{
			i++;
			j++;
		}
	}
}

/* ---- after pg_upgrade ---- */

/*
 * pg_upgrade copies our tables, but not the dependencies.  This counts the
 * missing rows of a stream and role: up for each group, down for each row of
 * pg_shdepend.
 */
typedef struct RoleCount
{
	struct
	{
		Oid			type;
		Oid			role;
	}			key;
	int			missing;
} RoleCount;

static void
count_group(Oid relid, const GroupRoles *roles, void *arg)
{
	Oid			type = array_type(relid);
	int			n;
	Oid		   *list = list_roles(roles, &n);

	for (int i = 0; i < n; i++)
	{
		RoleCount	wanted = {.key = {type, list[i]}};
		RoleCount  *count;
		bool		found;

		/* the role was dropped while it had no dependency */
		if (!OidIsValid(type) || IsPinnedObject(AuthIdRelationId, list[i]) ||
			!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(list[i])))
			continue;
		count = hash_search((HTAB *) arg, &wanted.key, HASH_ENTER, &found);
		count->missing = found ? count->missing + 1 : 1;
	}
	pfree(list);
}

/* count the missing rows; true if there are any */
static bool
count_missing(HTAB *counts)
{
	Relation	depend = table_open(SharedDependRelationId, AccessShareLock);
	HASH_SEQ_STATUS status;
	RoleCount  *count;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *types = NIL;
	ListCell   *lc;
	bool		missing = false;

	group_each_roles(count_group, counts);
	hash_seq_init(&status, counts);
	while ((count = hash_seq_search(&status)) != NULL)
		types = lappend_oid(types, count->key.type);
	list_sort(types, list_oid_cmp);
	list_deduplicate_oid(types);

	foreach(lc, types)
	{
		scan = begin_dependencies(depend, lfirst_oid(lc));
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			RoleCount	wanted = {.key = {lfirst_oid(lc),
			((Form_pg_shdepend) GETSTRUCT(tuple))->refobjid}};

			count = hash_search(counts, &wanted.key, HASH_FIND, NULL);
			if (count != NULL)
				count->missing--;
		}
		systable_endscan(scan);
	}
	table_close(depend, AccessShareLock);

	hash_seq_init(&status, counts);
	while ((count = hash_seq_search(&status)) != NULL)
		missing |= count->missing > 0;
	return missing;
}

static HTAB *
make_counts(void)
{
	HASHCTL		ctl;

	ctl.keysize = sizeof(((RoleCount *) NULL)->key);
	ctl.entrysize = sizeof(RoleCount);
	ctl.hcxt = CurrentMemoryContext;
	return hash_create("streamq roles", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
group_record_roles(void)
{
	HTAB	   *counts = make_counts();
	HASH_SEQ_STATUS status;
	RoleCount  *count;

	/*
	 * a transaction in progress may make a row look missing, so count again
	 * after locking
	 */
	if (!count_missing(counts))
		return;
	group_lock_catalog();
	counts = make_counts();
	(void) count_missing(counts);
	hash_seq_init(&status, counts);
	while ((count = hash_seq_search(&status)) != NULL)
		for (int i = 0; i < count->missing; i++)
			add_dependency(count->key.type, count->key.role);
}

/* ---- groups of a role ---- */

/* streams of this database with groups that the role owns or may use */
static List *
find_streams(Oid role)
{
	Relation	depend = table_open(SharedDependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *streams = NIL;

	ScanKeyInit(&keys[0], Anum_pg_shdepend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(AuthIdRelationId));
	ScanKeyInit(&keys[1], Anum_pg_shdepend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(role));
	scan = systable_beginscan(depend, SharedDependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_shdepend form = (Form_pg_shdepend) GETSTRUCT(tuple);
		Oid			type;

		if (form->dbid != MyDatabaseId || form->classid != TypeRelationId)
			continue;
		type = get_element_type(form->objid);
		if (OidIsValid(type))
			streams = lappend_oid(streams, get_typ_typrelid(type));
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	list_sort(streams, list_oid_cmp);
	list_deduplicate_oid(streams);
	return streams;
}

/* ---- commands ---- */

/* May the user run the command?  If not, PostgreSQL raises the error. */
static bool
may_act_for(List *roles)
{
	ListCell   *lc;

	if (XactReadOnly)
		return false;
	foreach(lc, roles)
		if (!has_privs_of_role(GetUserId(), lfirst_oid(lc)))
		return false;
	return true;
}

/* give the groups of some roles to newrole, or drop them */
static void
change_groups(List *roles, Oid newrole)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, roles)
	{
		foreach(lc2, find_streams(lfirst_oid(lc)))
		{
			Relation	rel = try_table_open(lfirst_oid(lc2), AccessShareLock);
			List	   *groups;
			ListCell   *lc3;

			/* dropped meanwhile */
			if (rel == NULL)
				continue;
			groups = group_list_of_role(RelationGetRelid(rel), lfirst_oid(lc), MAX_ALL);
			foreach(lc3, groups)
				group_take_from_role(rel, ((GroupOfRole *) lfirst(lc3))->name, lfirst_oid(lc), newrole);
			table_close(rel, NoLock);
		}
	}
}

/* list the groups that keep roles from being dropped; NULL if none */
static char *
describe_groups(List *roles)
{
	StringInfoData buf;
	int			n = 0;
	ListCell   *lc;
	ListCell   *lc2;

	initStringInfo(&buf);
	foreach(lc, roles)
	{
		RoleSpec   *spec = lfirst_node(RoleSpec, lc);
		Oid			role = spec->roletype == ROLESPEC_CSTRING ?
			get_role_oid(spec->rolename, true) : InvalidOid;

		if (!OidIsValid(role))
			continue;
		foreach(lc2, find_streams(role))
		{
			char	   *relname = get_rel_name(lfirst_oid(lc2));
			ListCell   *lc3;

			foreach(lc3, group_list_of_role(lfirst_oid(lc2), role, MAX_NAMED - n))
			{
				GroupOfRole *group = lfirst(lc3);

				if (n++ > 0)
					appendStringInfoChar(&buf, '\n');
				appendStringInfo(&buf, group->owned ?
								 "role \"%s\" owns consumer group \"%s\" of stream \"%s\"" :
								 "role \"%s\" may use consumer group \"%s\" of stream \"%s\"",
								 spec->rolename, group->name, relname);
			}
		}
	}
	return n > 0 ? buf.data : NULL;
}

static void
drop_role_error_callback(void *arg)
{
	if (arg != NULL && geterrcode() == ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST)
		errcontext("%s", (char *) arg);
}

void
group_roles_begin_command(Node *stmt, GroupCommand *command)
{
	command->drop_role = IsA(stmt, DropRoleStmt);
	if (IsA(stmt, ReassignOwnedStmt))
	{
		List	   *roles = roleSpecsToIds(((ReassignOwnedStmt *) stmt)->roles);
		Oid			newrole = get_rolespec_oid(((ReassignOwnedStmt *) stmt)->newrole, false);

		if (may_act_for(lappend_oid(list_copy(roles), newrole)))
			change_groups(roles, newrole);
	}
	else if (IsA(stmt, DropOwnedStmt))
	{
		List	   *roles = roleSpecsToIds(((DropOwnedStmt *) stmt)->roles);

		if (may_act_for(roles))
			change_groups(roles, InvalidOid);
	}
	else if (command->drop_role)
	{
		command->callback.callback = drop_role_error_callback;
		command->callback.arg = describe_groups(((DropRoleStmt *) stmt)->roles);
		command->callback.previous = error_context_stack;
		error_context_stack = &command->callback;
	}
}

void
group_roles_end_command(GroupCommand *command)
{
	if (command->drop_role)
		error_context_stack = command->callback.previous;
}
