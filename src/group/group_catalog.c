/*
 * group_catalog.c
 *	  The groups of streams: rows of streamq.consumer_group.
 *
 * Rows are written when a group is created, shared or dropped, never when
 * messages are consumed.  Functions here do not check privileges on the table:
 * a role that may read a stream may have groups on it, without any privilege
 * on the catalog.
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
#include "common/pg_prng.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "compat.h"
#include "group/group.h"
#include "group/group_catalog.h"
#include "group/group_live.h"
#include "group/group_lock.h"
#include "group/group_restored.h"
#include "group/group_ring.h"
#include "group/group_row.h"
#include "group/mode.h"
#include "group/redrive.h"
#include "group/roles.h"
#include "group/store.h"
#include "log/log.h"
#include "stream/flow.h"

/* with n * FREE_PAGES pages, one of n * FREE_INTERVAL + 1 calls frees pages */
#define FREE_INTERVAL		4
#define FREE_PAGES			500

void
group_default_options(GroupOptions *options)
{
	memset(options, 0, sizeof(GroupOptions));
	options->mode = group_mode_find(GROUP_DEFAULT_MODE);
	options->start_at = "earliest";
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

Relation
group_row_open(LOCKMODE lockmode, bool missing_ok)
{
	return base_catalog_open(GROUP_CATALOG, Natts_consumer_group, lockmode, missing_ok);
}

SysScanDesc
group_row_begin_scan(Relation catalog, Oid relid, const char *name, Snapshot snapshot)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], Anum_consumer_group_stream, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	if (name != NULL)
		ScanKeyEntryInitialize(&keys[1], 0, Anum_consumer_group_group_name, BTEqualStrategyNumber,
							   InvalidOid, C_COLLATION_OID, F_TEXTEQ,
							   CStringGetTextDatum(name));
	return systable_beginscan(catalog, COMPAT_PRIMARY_KEY_INDEX(catalog), true,
							  snapshot, name != NULL ? 2 : 1, keys);
}

void
group_row_read_roles(TupleDesc desc, HeapTuple tuple, GroupRoles *roles)
{
	Datum	   *values;
	bool		isnull;
	Datum		value = heap_getattr(tuple, Anum_consumer_group_grantees, desc, &isnull);

	deconstruct_array(DatumGetArrayTypeP(value), OIDOID, sizeof(Oid), true,
					  TYPALIGN_INT, &values, NULL, &roles->ngrantees);
	roles->grantees = palloc(sizeof(Oid) * (roles->ngrantees + 1));
	for (int i = 0; i < roles->ngrantees; i++)
		roles->grantees[i] = DatumGetObjectId(values[i]);
	roles->owner = DatumGetObjectId(heap_getattr(tuple, Anum_consumer_group_owner, desc, &isnull));
}

/* an interval in microseconds, with months of 30 days; 0 for null */
static int64
read_interval(Datum value, bool isnull)
{
	const Interval *interval = isnull ? NULL : DatumGetIntervalP(value);

	if (isnull)
		return 0;
	return interval->time + (interval->month * (int64) DAYS_PER_MONTH + interval->day) * USECS_PER_DAY;
}

/* columns of options that may be missing are null then; no others are null */
static void
read_options(const Datum *values, const bool *nulls, ConsumerGroup *group)
{
	bool		isnull;

#define OPTION(name, get, missing) \
	(isnull = nulls[Anum_consumer_group_##name - 1], \
	 isnull ? (missing) : get(values[Anum_consumer_group_##name - 1]))

	group->lease = *DatumGetIntervalP(values[Anum_consumer_group_lease - 1]);
	group->max_in_flight = DatumGetInt32(values[Anum_consumer_group_max_in_flight - 1]);
	group->max_deliveries = OPTION(max_deliveries, DatumGetInt32, 0);
	group->dead_letter = OPTION(dead_letter, DatumGetObjectId, InvalidOid);
	group->has_dead_letter = !isnull;
	group->filter = OPTION(filter, TextDatumGetCString, NULL);
	group->paused = DatumGetBool(values[Anum_consumer_group_paused - 1]);
	group->retry_backoff = read_interval(values[Anum_consumer_group_retry_backoff - 1],
										 nulls[Anum_consumer_group_retry_backoff - 1]);
	group->retry_backoff_max = read_interval(values[Anum_consumer_group_retry_backoff_max - 1],
											 nulls[Anum_consumer_group_retry_backoff_max - 1]);
	group->max_rate = OPTION(max_rate, DatumGetFloat8, 0);
	group->max_per_key = OPTION(max_per_key, DatumGetInt32, 0);
#undef OPTION
}

/* read a row, for the current user */
static void
read_group(Relation catalog, HeapTuple tuple, ConsumerGroup *group)
{
	Datum		values[Natts_consumer_group];
	bool		nulls[Natts_consumer_group];
	GroupRoles	roles;
	char	   *mode;

	heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
	group->group_id = DatumGetInt32(values[Anum_consumer_group_group_id - 1]);
	text_to_cstring_buffer(DatumGetTextPP(values[Anum_consumer_group_group_name - 1]),
						   group->name, sizeof(group->name));
	mode = TextDatumGetCString(values[Anum_consumer_group_mode - 1]);
	group->mode = group_mode_find(mode);
	if (group->mode == NULL)
		elog(ERROR, "unknown mode of consumer group: \"%s\"", mode);
	pfree(mode);
	group->owner = DatumGetObjectId(values[Anum_consumer_group_owner - 1]);
	read_options(values, nulls, group);
	group->is_changed = (tuple->t_data->t_infomask & HEAP_UPDATED) != 0 &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));

	group->usable = has_privs_of_role(GetUserId(), group->owner);
	if (!group->usable)
	{
		group_row_read_roles(RelationGetDescr(catalog), tuple, &roles);
		for (int i = 0; i < roles.ngrantees && !group->usable; i++)
			group->usable = !OidIsValid(roles.grantees[i]) ||
				has_privs_of_role(GetUserId(), roles.grantees[i]);
	}
}

void
group_row_report_missing(Relation rel, const char *name)
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
	uint64		mark = stream_flow_mark(RelationGetRelid(rel));
	Relation	catalog = group_row_open(AccessShareLock, false);
	SysScanDesc scan = group_row_begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	HeapTuple	tuple = systable_getnext(scan);
	bool		found = HeapTupleIsValid(tuple);

	if (found)
	{
		read_group(catalog, tuple, group);
		group->mark = mark;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);

	if (!found && !missing_ok)
		group_row_report_missing(rel, name);
	return found;
}

bool
group_find_by_id(Relation rel, int32 group_id, Snapshot snapshot, ConsumerGroup *group)
{
	Relation	catalog = group_row_open(AccessShareLock, false);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, Anum_consumer_group_group_id, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(group_id));
	scan = systable_beginscan(catalog,
							  base_catalog_index(catalog, "consumer_group_group_id_key"),
							  true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;

		found = DatumGetObjectId(heap_getattr(tuple, Anum_consumer_group_stream,
											  RelationGetDescr(catalog), &isnull)) ==
			RelationGetRelid(rel);
		if (found)
			read_group(catalog, tuple, group);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

List *
group_list(Relation rel)
{
	Relation	catalog = group_row_open(AccessShareLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *groups = NIL;

	if (catalog == NULL)
		return NIL;
	scan = group_row_begin_scan(catalog, RelationGetRelid(rel), NULL, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ConsumerGroup *group = palloc(sizeof(ConsumerGroup));

		read_group(catalog, tuple, group);
		groups = lappend(groups, group);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return groups;
}

void
group_check_exists(Relation rel, const ConsumerGroup *group)
{
	ConsumerGroup now;

	group_find(rel, group->name, false, &now);
	if (now.group_id != group->group_id)
		group_row_report_missing(rel, group->name);
}

bool
group_is_current(Relation rel, const ConsumerGroup *group)
{
	ConsumerGroup now;

	return stream_flow_mark(RelationGetRelid(rel)) == group->mark ||
		(group_find(rel, group->name, true, &now) &&
		 now.group_id == group->group_id && now.mode == group->mode);
}

void
group_check_current(Relation rel, const ConsumerGroup *group)
{
	if (group_is_current(rel, group))
		return;
	group_check_exists(rel, group);
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access to consumer group \"%s\" of stream \"%s\" due to a change of its mode",
					group->name, RelationGetRelationName(rel)),
			 errhint("The transaction might succeed if retried.")));
}

void
group_check_usable(Relation rel, const ConsumerGroup *group)
{
	if (!group->usable)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for consumer group \"%s\" of stream \"%s\"",
						group->name, RelationGetRelationName(rel)),
				 errhint("Its owner can share it with streamq.grant_group().")));
}

void
group_check_owner(Relation rel, const ConsumerGroup *group)
{
	if (!has_privs_of_role(GetUserId(), group->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of consumer group \"%s\" of stream \"%s\"",
						group->name, RelationGetRelationName(rel))));
}

void
group_get(Relation rel, const char *name, ConsumerGroup *group)
{
	group_find(rel, name, false, group);
	group_check_usable(rel, group);
}

void
group_hold_retention(Relation rel, int npartitions, int64 *least)
{
	List	   *groups = group_list(rel);
	ListCell   *lc;

	for (int p = 0; p < npartitions; p++)
	{
		foreach(lc, groups)
		{
			const ConsumerGroup *group = lfirst(lc);
			int64		needed = group->mode->needed_offset(rel, group, p);

			least[p] = Min(least[p], needed);
		}
	}
	list_free_deep(groups);
}

/* ---- writing ---- */

/* may this version of a row be visible to anyone, now or after a rollback? */
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
is_known_group(int32 group_id, void *arg)
{
	return hash_search((HTAB *) arg, &group_id, HASH_FIND, NULL) != NULL;
}

/*
 * Free the state pages of groups that were dropped, or whose creation was
 * rolled back.  This is possible only while no other transaction is creating
 * or dropping a group of the stream, because only then is the set of groups
 * decided, apart from changes of this transaction.  The pages of a group
 * dropped in this transaction are left to a later call.
 *
 * A call looks at all groups.  With many groups only some calls do so, to keep
 * the average cost of a call constant.
 */
static void
free_pages(Relation catalog, Relation rel)
{
	uint32		npages = group_store_count(rel);
	SysScanDesc scan;
	HeapTuple	tuple;
	HASHCTL		ctl;
	HTAB	   *known;

	if (npages == 0 ||
		pg_prng_uint32(&pg_global_prng_state) %
		(FREE_INTERVAL * (npages / FREE_PAGES) + 1) != 0 ||
		!group_lock_set(RelationGetRelid(rel)))
		return;

	ctl.keysize = sizeof(int32);
	ctl.entrysize = sizeof(int32);
	ctl.hcxt = CurrentMemoryContext;
	known = hash_create("streamq groups", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	scan = group_row_begin_scan(catalog, RelationGetRelid(rel), NULL, SnapshotAny);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int32		group_id = DatumGetInt32(heap_getattr(tuple, Anum_consumer_group_group_id,
														  RelationGetDescr(catalog), &isnull));

		if (may_be_alive(tuple))
			(void) hash_search(known, &group_id, HASH_ENTER, NULL);
	}
	systable_endscan(scan);

	group_store_free(rel, is_known_group, known);
	hash_destroy(known);
	group_unlock_set(RelationGetRelid(rel));
}

/* set the columns of options; those that are not set become null */
void
group_row_set_options(const GroupOptions *options, Datum *values, bool *nulls)
{
#define SET_OPTION(name, value, missing) \
	do { \
		nulls[Anum_consumer_group_##name - 1] = (missing); \
		if (!(missing)) \
			values[Anum_consumer_group_##name - 1] = (value); \
	} while (0)

	SET_OPTION(mode, CStringGetTextDatum(options->mode->name), false);
	SET_OPTION(start_at, CStringGetTextDatum(options->start_at), false);
	SET_OPTION(lease, IntervalPGetDatum(&options->lease), false);
	SET_OPTION(max_in_flight, Int32GetDatum(options->max_in_flight), false);
	SET_OPTION(max_deliveries, Int32GetDatum(options->max_deliveries), options->max_deliveries == 0);
	SET_OPTION(dead_letter, ObjectIdGetDatum(options->dead_letter),
			   !OidIsValid(options->dead_letter) && !options->lost_dead_letter);
	SET_OPTION(filter, CStringGetTextDatum(options->filter), options->filter == NULL);
	SET_OPTION(retry_backoff, IntervalPGetDatum(options->retry_backoff), options->retry_backoff == NULL);
	SET_OPTION(retry_backoff_max, IntervalPGetDatum(options->retry_backoff_max),
			   options->retry_backoff_max == NULL);
	SET_OPTION(max_rate, Float8GetDatum(options->max_rate), options->max_rate == 0);
	SET_OPTION(max_per_key, Int32GetDatum(options->max_per_key), options->max_per_key == 0);
#undef SET_OPTION
}

void
group_get_options(Relation rel, const char *name, GroupOptions *options)
{
	Relation	catalog = group_row_open(AccessShareLock, false);
	SysScanDesc scan = group_row_begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	HeapTuple	tuple = systable_getnext(scan);
	Datum		values[Natts_consumer_group];
	bool		nulls[Natts_consumer_group];
	ConsumerGroup group;

	if (!HeapTupleIsValid(tuple))
		group_row_report_missing(rel, name);
	tuple = heap_copytuple(tuple);	/* the options point into it */
	systable_endscan(scan);
	heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
	read_group(catalog, tuple, &group);
	table_close(catalog, AccessShareLock);

	memset(options, 0, sizeof(GroupOptions));
	options->mode = group.mode;
	options->start_at = TextDatumGetCString(values[Anum_consumer_group_start_at - 1]);
	options->lease = group.lease;
	options->max_in_flight = group.max_in_flight;
	options->max_deliveries = group.max_deliveries;
	options->dead_letter = group.dead_letter;
	options->lost_dead_letter = group.has_dead_letter && !OidIsValid(group.dead_letter);
	options->filter = group.filter;
	if (!nulls[Anum_consumer_group_retry_backoff - 1])
		options->retry_backoff = DatumGetIntervalP(values[Anum_consumer_group_retry_backoff - 1]);
	if (!nulls[Anum_consumer_group_retry_backoff_max - 1])
		options->retry_backoff_max = DatumGetIntervalP(values[Anum_consumer_group_retry_backoff_max - 1]);
	options->max_rate = group.max_rate;
	options->max_per_key = group.max_per_key;
}

/* update the row of a group */
static void
update_row(Relation rel, const char *name, Datum *values, bool *nulls, bool *replaces)
{
	Relation	catalog = group_row_open(RowExclusiveLock, false);
	SysScanDesc scan = group_row_begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	HeapTuple	tuple = systable_getnext(scan);

	if (!HeapTupleIsValid(tuple))
		group_row_report_missing(rel, name);
	base_catalog_update(catalog, tuple, values, nulls, replaces);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}

void
group_set_options(Relation rel, const char *name, const GroupOptions *options)
{
	Datum		values[Natts_consumer_group] = {0};
	bool		nulls[Natts_consumer_group] = {0};
	bool		replaces[Natts_consumer_group] = {0};

	group_row_set_options(options, values, nulls);
	replaces[Anum_consumer_group_mode - 1] = true;
	replaces[Anum_consumer_group_lease - 1] = true;
	replaces[Anum_consumer_group_max_in_flight - 1] = true;
	for (int i = Anum_consumer_group_max_deliveries; i <= Anum_consumer_group_max_per_key; i++)
		replaces[i - 1] = true;
	update_row(rel, name, values, nulls, replaces);
}

void
group_set_paused(Relation rel, const char *name, bool paused)
{
	Datum		values[Natts_consumer_group] = {0};
	bool		nulls[Natts_consumer_group] = {0};
	bool		replaces[Natts_consumer_group] = {0};

	values[Anum_consumer_group_paused - 1] = BoolGetDatum(paused);
	replaces[Anum_consumer_group_paused - 1] = true;
	update_row(rel, name, values, nulls, replaces);
}

GroupCreated
group_create(Relation rel, const char *name, const GroupOptions *options,
			 bool wait, ConsumerGroup *group)
{
	Relation	catalog;
	GroupRoles	roles = {0};
	Datum		values[Natts_consumer_group];
	bool		nulls[Natts_consumer_group] = {0};

	if (!group_lock_name(RelationGetRelid(rel), name, wait))
		return GROUP_BUSY;
	if (group_find(rel, name, true, group))
		return GROUP_EXISTS;

	catalog = group_row_open(RowExclusiveLock, false);
	free_pages(catalog, rel);

	roles.owner = GetUserId();
	values[Anum_consumer_group_group_id - 1] =
		Int32GetDatum((int32) nextval_internal(base_catalog_oid("consumer_group_id", false),
											   false));
	values[Anum_consumer_group_stream - 1] = ObjectIdGetDatum(RelationGetRelid(rel));
	values[Anum_consumer_group_group_name - 1] = CStringGetTextDatum(name);
	group_row_set_options(options, values, nulls);
	values[Anum_consumer_group_owner - 1] = ObjectIdGetDatum(roles.owner);
	values[Anum_consumer_group_created_at - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[Anum_consumer_group_grantees - 1] = PointerGetDatum(construct_empty_array(OIDOID));
	values[Anum_consumer_group_paused - 1] = BoolGetDatum(false);
	base_catalog_insert(catalog, values, nulls);
	table_close(catalog, RowExclusiveLock);
	group_roles_changed(RelationGetRelid(rel), NULL, &roles);

	(void) group_find(rel, name, false, group);
	return GROUP_CREATED;
}

void
group_row_remove(Relation rel, const char *name)
{
	Relation	catalog;
	ConsumerGroup group;
	GroupRoles	roles;
	SysScanDesc scan;
	HeapTuple	tuple;

	group_find(rel, name, false, &group);

	/* wait for consumers and acknowledgements in progress */
	group.mode->close(rel, &group);
	stream_flow_change_mark(RelationGetRelid(rel));
	group_ring_note_change(RelationGetRelid(rel), true);

	catalog = group_row_open(RowExclusiveLock, false);
	if (log_is_accessible(rel))
		free_pages(catalog, rel);
	scan = group_row_begin_scan(catalog, RelationGetRelid(rel), name, NULL);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		group_row_report_missing(rel, name);
	group_row_read_roles(RelationGetDescr(catalog), tuple, &roles);
	base_catalog_delete(catalog, tuple);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	group_roles_changed(RelationGetRelid(rel), &roles, NULL);
	group_forget_restored(group.group_id);
	group_forget_buried(group.group_id);
	group_live_forget(group.group_id);
}

void
group_drop(Relation rel, const char *name)
{
	ConsumerGroup group;

	/*
	 * check before locking: without privileges the caller must not block
	 * others
	 */
	group_find(rel, name, false, &group);
	if (!has_privs_of_role(GetUserId(), rel->rd_rel->relowner))
		group_check_usable(rel, &group);

	(void) group_lock_name(RelationGetRelid(rel), name, true);
	group_row_remove(rel, name);
}

/*
 * The pages went with the stream.  Remove the rows of its groups.  PostgreSQL
 * itself removes the dependencies on roles together with the row type.
 */
void
group_stream_dropped(Oid relid)
{
	Relation	catalog = group_row_open(RowExclusiveLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;

	/* wake up waiting consumers: they fail */
	group_ring_at_end(relid, true);
	if (catalog == NULL)
		return;
	scan = group_row_begin_scan(catalog, relid, NULL, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		int32		group_id = DatumGetInt32(heap_getattr(tuple, Anum_consumer_group_group_id,
														  RelationGetDescr(catalog), &isnull));

		group_forget_restored(group_id);
		group_forget_buried(group_id);
		base_catalog_delete(catalog, tuple);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}
