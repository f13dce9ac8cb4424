/*
 * catalog.c
 *	  The groups of streams: rows of streamq.consumer_group.
 *
 * Rows are written when a group is created, shared or dropped, never when
 * messages are consumed.  They are read and written here without privilege
 * checks of the table, so that who may read a stream can have groups on it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "base/loaded.h"
#include "compat.h"
#include "group/group.h"
#include "group/group_catalog.h"
#include "group/group_dump.h"
#include "group/ordered.h"
#include "group/roles.h"
#include "group/store.h"
#include "log/log.h"
#include "log/state_page.h"

#define GROUP_CATALOG				"consumer_group"

/* its columns */
#define COL_GROUP_ID		1
#define COL_STREAM			2
#define COL_NAME			3
#define COL_MODE			4
#define COL_START_AT		5
#define COL_LEASE			6
#define COL_MAX_IN_FLIGHT	7
#define COL_OWNER			8
#define COL_CREATED_AT		9
#define COL_GRANTEES		10
#define NCOLUMNS			10

/* with many groups, one of so many calls for each page of the directory frees pages */
#define FREE_INTERVAL		4

void
group_default_options(GroupOptions *options)
{
	options->mode = "ordered";
	options->start_at = "earliest";
	memset(&options->lease, 0, sizeof(Interval));
	options->lease.time = 30 * USECS_PER_SEC;
	options->max_in_flight = GROUP_DEFAULT_IN_FLIGHT;
}

char *
group_check_name(const text *name)
{
	int			len = VARSIZE_ANY_EXHDR(name);

	if (len == 0 || len > GROUP_NAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid consumer group name \"%s\"",
						text_to_cstring(name)),
				 errhint("A name must be 1 to %d bytes long.", GROUP_NAME_MAX)));
	return text_to_cstring(name);
}

/* ---- reading ---- */

/* the rows of a stream, or only the one of that name; the primary key is both */
static SysScanDesc
begin_scan(Relation catalog, Oid relid, const char *name, Snapshot snapshot)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], COL_STREAM, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	if (name != NULL)
		ScanKeyEntryInitialize(&keys[1], 0, COL_NAME, BTEqualStrategyNumber,
							   InvalidOid, C_COLLATION_OID, F_TEXTEQ,
							   CStringGetTextDatum(name));
	return systable_beginscan(catalog, COMPAT_PRIMARY_KEY_INDEX(catalog), true,
							  snapshot, name != NULL ? 2 : 1, keys);
}

/* with room for one more grantee */
static void
read_roles(TupleDesc desc, HeapTuple tuple, GroupRoles *roles)
{
	Datum	   *values;
	bool		isnull;
	Datum		value = heap_getattr(tuple, COL_GRANTEES, desc, &isnull);

	deconstruct_array(DatumGetArrayTypeP(value), OIDOID, sizeof(Oid), true,
					  TYPALIGN_INT, &values, NULL, &roles->ngrantees);
	roles->grantees = palloc(sizeof(Oid) * (roles->ngrantees + 1));
	for (int i = 0; i < roles->ngrantees; i++)
		roles->grantees[i] = DatumGetObjectId(values[i]);
	roles->owner = DatumGetObjectId(heap_getattr(tuple, COL_OWNER, desc, &isnull));
}

static void
read_group(Relation catalog, HeapTuple tuple, ConsumerGroup *group)
{
	TupleDesc	desc = RelationGetDescr(catalog);
	bool		isnull;
	GroupRoles	roles;

	group->group_id = DatumGetInt32(heap_getattr(tuple, COL_GROUP_ID,
												 desc, &isnull));
	group->owner = DatumGetObjectId(heap_getattr(tuple, COL_OWNER,
												 desc, &isnull));
	group->lease = *DatumGetIntervalP(heap_getattr(tuple, COL_LEASE,
												   desc, &isnull));
	group->max_in_flight = DatumGetInt32(heap_getattr(tuple, COL_MAX_IN_FLIGHT,
													  desc, &isnull));

	group->usable = has_privs_of_role(GetUserId(), group->owner);
	if (!group->usable)
	{
		read_roles(desc, tuple, &roles);
		for (int i = 0; i < roles.ngrantees && !group->usable; i++)
			group->usable = !OidIsValid(roles.grantees[i]) ||
				has_privs_of_role(GetUserId(), roles.grantees[i]);
	}
}

static void
report_missing(Relation rel, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("consumer group \"%s\" of stream \"%s\" does not exist",
					name, RelationGetRelationName(rel)),
			 errhint("A group is created by streamq.create_group() or by its first streamq.consume().")));
}

bool
group_find(Relation rel, const char *name, bool missing_ok,
		   ConsumerGroup *group)
{
	Relation	catalog = base_catalog_open(GROUP_CATALOG, NCOLUMNS, AccessShareLock, false);
	SysScanDesc scan = begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	HeapTuple	tuple = systable_getnext(scan);
	bool		found = HeapTupleIsValid(tuple);

	if (found)
		read_group(catalog, tuple, group);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);

	if (!found && !missing_ok)
		report_missing(rel, name);
	return found;
}

void
group_check_usable(Relation rel, const char *name, const ConsumerGroup *group)
{
	if (!group->usable)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for consumer group \"%s\" of stream \"%s\"",
						name, RelationGetRelationName(rel)),
				 errhint("Its owner can share it with streamq.grant_group().")));
}

void
group_get(Relation rel, const char *name, ConsumerGroup *group)
{
	group_find(rel, name, false, group);
	group_check_usable(rel, name, group);
}

StoreLock
group_lock_partition(Relation rel, const char *name,
					 const ConsumerGroup *group, int partition)
{
	StoreLock	lock = group_lock_state(group->group_id, partition, false);
	ConsumerGroup now;

	if (lock != STORE_LOCK_BUSY)
		return lock;
	lock = group_lock_state(group->group_id, partition, true);
	group_find(rel, name, false, &now);
	if (now.group_id != group->group_id)
		report_missing(rel, name);
	return lock;
}

void
group_hold_retention(Relation rel, int npartitions, int64 *least)
{
	Relation	catalog = base_catalog_open(GROUP_CATALOG, NCOLUMNS, AccessShareLock, false);
	SysScanDesc scan = begin_scan(catalog, RelationGetRelid(rel), NULL, NULL);
	HeapTuple	tuple;
	List	   *ids = NIL;
	ListCell   *lc;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		ids = lappend_int(ids, DatumGetInt32(heap_getattr(tuple, COL_GROUP_ID,
														  RelationGetDescr(catalog), &isnull)));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);

	for (int p = 0; p < npartitions; p++)
	{
		foreach(lc, ids)
		{
			PartitionState state;

			group_read_state(rel, lfirst_int(lc), p, &state);
			least[p] = Min(least[p], state.position);
		}
	}
	list_free(ids);
}

/* ---- writing ---- */

/* can this version of a row be seen by anybody, now or after a rollback? */
static bool
may_be_alive(HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;
	TransactionId xmin = HeapTupleHeaderGetXmin(header);
	TransactionId xmax;

	if (TransactionIdIsNormal(xmin) &&
		!TransactionIdIsCurrentTransactionId(xmin) &&
		!TransactionIdDidCommit(xmin))
		return false;
	if ((header->t_infomask & HEAP_XMAX_INVALID) != 0 ||
		HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		return true;
	xmax = HeapTupleHeaderGetUpdateXid(header);
	return TransactionIdIsCurrentTransactionId(xmax) ||
		!TransactionIdDidCommit(xmax);
}

static bool
is_known_group(uint32 owner, void *arg)
{
	int32		group_id = (int32) owner;

	return hash_search((HTAB *) arg, &group_id, HASH_FIND, NULL) != NULL;
}

/*
 * Give back the pages of groups that were dropped, or whose creation was
 * rolled back, if nobody else is about to create or drop one: what other
 * transactions did to the set of groups is decided then.  What this one did is
 * not, so the pages of a dropped group are freed by a later call.
 *
 * All groups are looked at.  With many of them not each call does that, so that
 * the cost of a call is about the same.
 */
static void
free_pages(Relation catalog, Relation rel)
{
	int			npages = log_state_directory_pages(rel);
	SysScanDesc scan;
	HeapTuple	tuple;
	HASHCTL		ctl;
	HTAB	   *known;

	if (npages == 0 ||
		pg_prng_uint32(&pg_global_prng_state) % (FREE_INTERVAL * (npages - 1) + 1) != 0 ||
		!group_lock_set(RelationGetRelid(rel)))
		return;

	ctl.keysize = sizeof(int32);
	ctl.entrysize = sizeof(int32);
	ctl.hcxt = CurrentMemoryContext;
	known = hash_create("streamq groups", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	scan = begin_scan(catalog, RelationGetRelid(rel), NULL, SnapshotAny);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int32		group_id = DatumGetInt32(heap_getattr(tuple, COL_GROUP_ID,
														  RelationGetDescr(catalog), &isnull));

		if (may_be_alive(tuple))
			(void) hash_search(known, &group_id, HASH_ENTER, NULL);
	}
	systable_endscan(scan);

	log_state_free(rel, is_known_group, known);
	hash_destroy(known);
	group_unlock_set(RelationGetRelid(rel));
}

GroupCreated
group_create(Relation rel, const char *name, const GroupOptions *options,
			 bool wait, ConsumerGroup *group)
{
	Relation	catalog;
	GroupRoles	roles = {0};
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS] = {0};

	if (!group_lock_name(RelationGetRelid(rel), name, wait))
		return GROUP_BUSY;
	if (group_find(rel, name, true, group))
		return GROUP_EXISTS;

	catalog = base_catalog_open(GROUP_CATALOG, NCOLUMNS, RowExclusiveLock, false);
	free_pages(catalog, rel);

	roles.owner = GetUserId();
	values[COL_GROUP_ID - 1] =
		Int32GetDatum((int32) nextval_internal(base_catalog_oid("consumer_group_id", false),
											   false));
	values[COL_STREAM - 1] = ObjectIdGetDatum(RelationGetRelid(rel));
	values[COL_NAME - 1] = CStringGetTextDatum(name);
	values[COL_MODE - 1] = CStringGetTextDatum(options->mode);
	values[COL_START_AT - 1] = CStringGetTextDatum(options->start_at);
	values[COL_LEASE - 1] = IntervalPGetDatum(&options->lease);
	values[COL_MAX_IN_FLIGHT - 1] = Int32GetDatum(options->max_in_flight);
	values[COL_OWNER - 1] = ObjectIdGetDatum(roles.owner);
	values[COL_CREATED_AT - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[COL_GRANTEES - 1] = PointerGetDatum(construct_empty_array(OIDOID));
	base_catalog_insert(catalog, values, nulls);
	table_close(catalog, RowExclusiveLock);
	group_roles_changed(RelationGetRelid(rel), NULL, &roles);

	(void) group_find(rel, name, false, group);
	return GROUP_CREATED;
}

/* the name is locked */
static void
remove_group(Relation rel, const char *name)
{
	Relation	catalog;
	ConsumerGroup group;
	GroupRoles	roles;
	SysScanDesc scan;
	HeapTuple	tuple;

	group_find(rel, name, false, &group);

	/* consumers and acknowledgements in progress come first */
	for (int p = 0; p < log_partition_count(rel); p++)
		group_lock_state(group.group_id, p, true);

	catalog = base_catalog_open(GROUP_CATALOG, NCOLUMNS, RowExclusiveLock, false);
	if (log_is_accessible(rel))
		free_pages(catalog, rel);
	scan = begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		report_missing(rel, name);
	read_roles(RelationGetDescr(catalog), tuple, &roles);
	base_catalog_delete(catalog, tuple);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	group_roles_changed(RelationGetRelid(rel), &roles, NULL);
	group_forget_restored(group.group_id);
}

void
group_drop(Relation rel, const char *name)
{
	ConsumerGroup group;

	/* not a way to hold up others without the right to */
	group_find(rel, name, false, &group);
	if (!has_privs_of_role(GetUserId(), rel->rd_rel->relowner))
		group_check_usable(rel, name, &group);

	(void) group_lock_name(RelationGetRelid(rel), name, true);
	remove_group(rel, name);
}

/* ---- roles ---- */

/* give the group of a row other roles */
static void
set_roles(Relation rel, Relation catalog, HeapTuple tuple, const GroupRoles *now)
{
	TupleDesc	desc = RelationGetDescr(catalog);
	GroupRoles	before;
	Datum	   *grantees = palloc(sizeof(Datum) * (now->ngrantees + 1));
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS] = {0};
	bool		replace[NCOLUMNS] = {0};

	read_roles(desc, tuple, &before);
	for (int i = 0; i < now->ngrantees; i++)
		grantees[i] = ObjectIdGetDatum(now->grantees[i]);
	values[COL_OWNER - 1] = ObjectIdGetDatum(now->owner);
	values[COL_GRANTEES - 1] =
		PointerGetDatum(construct_array(grantees, now->ngrantees, OIDOID, sizeof(Oid), true,
										TYPALIGN_INT));
	replace[COL_OWNER - 1] = true;
	replace[COL_GRANTEES - 1] = true;
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
		if (!has_privs_of_role(GetUserId(), group.owner))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be owner of consumer group \"%s\" of stream \"%s\"",
							name, RelationGetRelationName(rel))));
		if (!locked)
			(void) group_lock_name(RelationGetRelid(rel), name, true);
	}

	catalog = base_catalog_open(GROUP_CATALOG, NCOLUMNS, RowExclusiveLock, false);
	scan = begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		report_missing(rel, name);
	read_roles(RelationGetDescr(catalog), tuple, &roles);
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
	Relation	catalog = base_catalog_open(GROUP_CATALOG, NCOLUMNS, AccessShareLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *groups = NIL;

	if (catalog == NULL)
		return NIL;
	scan = begin_scan(catalog, relid, NULL, NULL);
	while (list_length(groups) < max && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(catalog);
		GroupRoles	roles;
		GroupOfRole *group;
		bool		found;
		bool		isnull;

		read_roles(desc, tuple, &roles);
		found = roles.owner == role;
		for (int i = 0; i < roles.ngrantees && !found; i++)
			found = roles.grantees[i] == role;
		if (!found)
			continue;
		group = palloc(sizeof(GroupOfRole));
		group->name = TextDatumGetCString(heap_getattr(tuple, COL_NAME, desc, &isnull));
		group->owned = roles.owner == role;
		groups = lappend(groups, group);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return groups;
}

void
group_take(Relation rel, const char *name, Oid role, Oid newrole)
{
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	tuple;
	GroupRoles	roles;
	bool		owned = false;

	(void) group_lock_name(RelationGetRelid(rel), name, true);
	catalog = base_catalog_open(GROUP_CATALOG, NCOLUMNS, RowExclusiveLock, false);
	scan = begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		read_roles(RelationGetDescr(catalog), tuple, &roles);
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
		remove_group(rel, name);
}

void
group_each_roles(void (*func) (Oid relid, const GroupRoles *roles, void *arg), void *arg)
{
	Relation	catalog = base_catalog_open(GROUP_CATALOG, NCOLUMNS, AccessShareLock, true);
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
		read_roles(desc, tuple, &roles);
		func(DatumGetObjectId(heap_getattr(tuple, COL_STREAM, desc, &isnull)), &roles, arg);
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
 * AFTER INSERT on streamq.consumer_group, for rows that come by SQL: those of a
 * restored dump do.
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
	read_roles(RelationGetDescr(trigdata->tg_relation), trigdata->tg_trigtuple, &roles);
	group_roles_changed(DatumGetObjectId(heap_getattr(trigdata->tg_trigtuple, COL_STREAM,
													  RelationGetDescr(trigdata->tg_relation),
													  &isnull)),
						NULL, &roles);
	return PointerGetDatum(NULL);
}

/*
 * The stream and its pages are gone; the rows go with it.  What PostgreSQL knows of their
 * roles goes with the stream's row type.
 */
void
group_stream_dropped(Oid relid)
{
	Relation	catalog = base_catalog_open(GROUP_CATALOG, NCOLUMNS, RowExclusiveLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;

	/* who waits for messages learns that there will be none */
	group_ring_at_end(relid, true);
	if (catalog == NULL)
		return;
	scan = begin_scan(catalog, relid, NULL, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		group_forget_restored(DatumGetInt32(heap_getattr(tuple, COL_GROUP_ID,
														 RelationGetDescr(catalog), &isnull)));
		base_catalog_delete(catalog, tuple);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}
