/*
 * capture_dependency.c
 *	  The triggers of captures, and what they depend on.
 *
 * A captured table and each of its descendants have five triggers.  Three
 * statement triggers with transition tables see what INSERT, UPDATE, DELETE,
 * COPY and MERGE change.  A fourth one is for TRUNCATE.
 *
 * The apply process of logical replication fires no statement triggers for
 * rows.  The fifth trigger is for it, a row trigger that fires only if
 * session_replication_role is replica.  The first three do not fire then.  The
 * function checks that, too, so that no change is written twice.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "base/dependency.h"
#include "base/loaded.h"
#include "capture/capture_dependency.h"

#define FUNCTION_NAME	"capture_change"

/* ---- looking at triggers ---- */

int32
capture_trigger_number(int nargs, char **args)
{
	char	   *end;
	long		number;

	if (nargs != 1)
		return 0;
	number = strtol(args[0], &end, 10);
	return *end == '\0' && number > 0 && number <= PG_INT32_MAX ? (int32) number : 0;
}

static bool
is_capture_function(Oid funcid)
{
	char	   *name = get_func_name(funcid);

	return name != NULL && strcmp(name, FUNCTION_NAME) == 0 &&
		get_func_namespace(funcid) == get_namespace_oid(STREAMQ_SCHEMA, true);
}

/* returns false if the row is no trigger of a capture */
static bool
read_trigger(HeapTuple tuple, TupleDesc desc, CaptureTrigger *trigger)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
	char	   *args[1];
	Datum		value;
	bool		isnull;

	if (form->tgnargs != 1 || !is_capture_function(form->tgfoid))
		return false;
	value = heap_getattr(tuple, Anum_pg_trigger_tgargs, desc, &isnull);
	if (isnull)
		return false;
	/* the arguments end with null bytes */
	args[0] = VARDATA_ANY(DatumGetByteaPP(value));
	trigger->oid = form->oid;
	trigger->relid = form->tgrelid;
	trigger->number = capture_trigger_number(1, args);
	trigger->is_clone = OidIsValid(form->tgparentid);
	return trigger->number > 0;
}

bool
capture_trigger_by_oid(Oid triggerid, CaptureTrigger *trigger)
{
	HeapTuple	tuple = base_row_by_oid(TriggerRelationId, TriggerOidIndexId,
										Anum_pg_trigger_oid, triggerid);
	Relation	catalog;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	catalog = table_open(TriggerRelationId, AccessShareLock);
	result = read_trigger(tuple, RelationGetDescr(catalog), trigger);
	table_close(catalog, AccessShareLock);
	heap_freetuple(tuple);
	return result;
}

List *
capture_triggers(Oid relid)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = base_catalog_scan(catalog, TriggerRelidNameIndexId,
										 Anum_pg_trigger_tgrelid, ObjectIdGetDatum(relid),
										 SnapshotSelf);
	HeapTuple	tuple;
	List	   *list = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CaptureTrigger *trigger = palloc(sizeof(CaptureTrigger));

		if (read_trigger(tuple, RelationGetDescr(catalog), trigger))
			list = lappend(list, trigger);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return list;
}

/* ---- creating and dropping them ---- */

static TriggerTransition *
make_transition(const char *name, bool is_new)
{
	TriggerTransition *transition = makeNode(TriggerTransition);

	transition->name = pstrdup(name);
	transition->isNew = is_new;
	transition->isTable = true;
	return transition;
}

static void
create_trigger(Relation rel, int32 number, const char *kind, int events, List *transitions,
			   bool row, char fires)
{
	CreateTrigStmt *stmt = makeNode(CreateTrigStmt);

	stmt->trigname = psprintf("streamq_capture_%d_%s", number, kind);
	stmt->funcname = list_make2(makeString(STREAMQ_SCHEMA), makeString(FUNCTION_NAME));
	stmt->args = list_make1(makeString(psprintf("%d", number)));
	stmt->row = row;
	stmt->timing = TRIGGER_TYPE_AFTER;
	stmt->events = events;
	stmt->transitionRels = transitions;
	CreateTriggerFiringOn(stmt, NULL, RelationGetRelid(rel), InvalidOid, InvalidOid,
						  InvalidOid, InvalidOid, InvalidOid, NULL, false, false, fires);
	CommandCounterIncrement();
}

static bool
has_row_trigger(Relation rel, int32 number)
{
	ListCell   *lc;

	foreach(lc, capture_triggers(RelationGetRelid(rel)))
		if (((CaptureTrigger *) lfirst(lc))->number == number)
		return true;
	return false;
}

void
capture_create_triggers(Relation rel, int32 number)
{
	/* PostgreSQL copies row triggers to partitions */
	if (!has_row_trigger(rel, number))
		create_trigger(rel, number, "replica",
					   TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE, NIL,
					   true, TRIGGER_FIRES_ON_REPLICA);
	create_trigger(rel, number, "insert", TRIGGER_TYPE_INSERT,
				   list_make1(make_transition("new_rows", true)),
				   false, TRIGGER_FIRES_ON_ORIGIN);
	create_trigger(rel, number, "update", TRIGGER_TYPE_UPDATE,
				   list_make2(make_transition("old_rows", false),
							  make_transition("new_rows", true)),
				   false, TRIGGER_FIRES_ON_ORIGIN);
	create_trigger(rel, number, "delete", TRIGGER_TYPE_DELETE,
				   list_make1(make_transition("old_rows", false)),
				   false, TRIGGER_FIRES_ON_ORIGIN);
	create_trigger(rel, number, "truncate", TRIGGER_TYPE_TRUNCATE, NIL,
				   false, TRIGGER_FIRES_ALWAYS);
}

void
capture_drop_triggers(Oid relid, int32 number)
{
	ListCell   *lc;

	foreach(lc, capture_triggers(relid))
	{
		CaptureTrigger *trigger = lfirst(lc);
		ObjectAddress address;

		/* a clone is dropped with its original */
		if (trigger->number != number || trigger->is_clone)
			continue;
		ObjectAddressSet(address, TriggerRelationId, trigger->oid);
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
		CommandCounterIncrement();
	}
}

/* when a trigger of a capture should fire, unless it is disabled */
static char
intended_firing(Form_pg_trigger form)
{
	if (TRIGGER_FOR_ROW(form->tgtype))
		return TRIGGER_FIRES_ON_REPLICA;
	return TRIGGER_FOR_TRUNCATE(form->tgtype) ? TRIGGER_FIRES_ALWAYS : TRIGGER_FIRES_ON_ORIGIN;
}

void
capture_restore_firing(Oid relid)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	SysScanDesc scan = base_catalog_scan(catalog, TriggerRelidNameIndexId,
										 Anum_pg_trigger_tgrelid, ObjectIdGetDatum(relid), NULL);
	HeapTuple	tuple;
	CaptureTrigger trigger;
	bool		changed = false;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (form->tgenabled != TRIGGER_FIRES_ON_ORIGIN ||
			intended_firing(form) == TRIGGER_FIRES_ON_ORIGIN ||
			!read_trigger(tuple, RelationGetDescr(catalog), &trigger))
			continue;
		tuple = heap_copytuple(tuple);
		form = (Form_pg_trigger) GETSTRUCT(tuple);
		form->tgenabled = intended_firing(form);
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		heap_freetuple(tuple);
		changed = true;
	}
	systable_endscan(scan);
	table_close(catalog, NoLock);
	if (changed)
	{
		CacheInvalidateRelcacheByRelid(relid);
		CommandCounterIncrement();
	}
}

/* ---- dependencies ---- */

void
capture_record_dependencies(Relation rel, const Capture *capture, Relation source,
							Node *condition)
{
	ListCell   *lc;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(capture->stream)))
		return;
	foreach(lc, capture_triggers(RelationGetRelid(rel)))
	{
		CaptureTrigger *trigger = lfirst(lc);
		ObjectAddress myself;
		ObjectAddress stream;

		if (trigger->number != capture->number || base_depends_on(TriggerRelationId, trigger->oid, RelationRelationId,
																  capture->stream, BASE_ANY_DEPENDENCY))
			continue;
		ObjectAddressSet(myself, TriggerRelationId, trigger->oid);
		ObjectAddressSet(stream, RelationRelationId, capture->stream);
		recordDependencyOn(&myself, &stream, DEPENDENCY_NORMAL);
		if (condition != NULL)
			recordDependencyOnSingleRelExpr(&myself, condition, RelationGetRelid(source),
											DEPENDENCY_NORMAL, DEPENDENCY_NORMAL, false);
	}
}
