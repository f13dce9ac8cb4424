/*
 * capture_tree.c
 *	  Captures of tables with partitions and children.
 *
 * Statement triggers fire only for the table that a statement names.  A capture
 * therefore has triggers on the table and on all its descendants.  Tables that
 * become descendants later get them at the end of the command, because the
 * hook is called in the middle of it.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "capture/capture.h"
#include "capture/capture_condition.h"
#include "capture/capture_count.h"
#include "capture/capture_dependency.h"
#include "capture/capture_tree.h"
#include "log/log.h"

/* ---- the triggers of one table ---- */

static void
check_descendant(Relation rel)
{
	if (log_is_stream(rel) || rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot capture changes of \"%s\"", RelationGetRelationName(rel)),
				 log_is_stream(rel) ?
				 errdetail("A captured table cannot have a stream as partition or child.") :
				 errdetail("A captured table cannot have a foreign table as partition or child.")));
	if (rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot capture unlogged or temporary table \"%s\"",
						RelationGetRelationName(rel))));
}

/* the numbers of the captures of a table and its ancestors */
static List *
wanted_numbers(Oid relid)
{
	List	   *numbers = NIL;
	ListCell   *lc;
	ListCell   *row;

	foreach(lc, capture_lineage(relid))
		foreach(row, capture_list(lfirst_oid(lc)))
		numbers = list_append_unique_int(numbers, ((Capture *) lfirst(row))->number);
	return numbers;
}

/* the numbers of the captures whose statement triggers a table has */
static List *
present_numbers(Oid relid)
{
	List	   *numbers = NIL;
	ListCell   *lc;

	foreach(lc, capture_triggers(relid))
	{
		CaptureTrigger *trigger = lfirst(lc);

		if (!trigger->is_clone)
			numbers = list_append_unique_int(numbers, trigger->number);
	}
	return numbers;
}

void
capture_follow(Oid relid)
{
	List	   *wanted = wanted_numbers(relid);
	List	   *present = present_numbers(relid);
	ListCell   *lc;
	Relation	rel;

	if (wanted == NIL && present == NIL)
		return;
	rel = relation_open(relid, ShareRowExclusiveLock);
	if (wanted != NIL)
		check_descendant(rel);
	foreach(lc, wanted)
		if (!list_member_int(present, lfirst_int(lc)))
		capture_create_triggers(rel, lfirst_int(lc));
	relation_close(rel, NoLock);
	foreach(lc, present)
		if (!list_member_int(wanted, lfirst_int(lc)))
		capture_drop_triggers(relid, lfirst_int(lc));
}

static void
tie(Oid relid, Relation source, const Capture *capture)
{
	Relation	rel = relation_open(relid, NoLock);
	Node	   *condition = capture->condition == NULL ? NULL :
		capture_condition_parse(source, capture);

	capture_record_dependencies(rel, capture, source, condition);
	relation_close(rel, NoLock);
}

void
capture_tie(Relation source, const Capture *capture)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(capture->source, NoLock, NULL))
		tie(lfirst_oid(lc), source, capture);
}

/* ---- what has to be done at the end of a command ---- */

/* tables that have other parents than before, and tables with other triggers */
static List *moved = NIL;
static List *enabled = NIL;

static void
note_relation(List **list, Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	*list = list_append_unique_oid(*list, relid);
	MemoryContextSwitchTo(old);
}

/* it may be gone, with the command that failed */
static bool
exists(Oid relid)
{
	return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid));
}

/* record the dependencies of the triggers of all captures of a table */
static void
tie_all(Oid relid)
{
	ListCell   *lc;
	ListCell   *row;

	foreach(lc, capture_lineage(relid))
		foreach(row, capture_list(lfirst_oid(lc)))
	{
		Relation	source = relation_open(lfirst_oid(lc), AccessShareLock);

		tie(relid, source, lfirst(row));
		relation_close(source, NoLock);
	}
}

static void
follow_moved(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		capture_follow(lfirst_oid(lc));
		tie_all(lfirst_oid(lc));
	}
}

void
capture_end_command(void)
{
	List	   *relids = moved;
	List	   *others = enabled;
	ListCell   *lc;

	if (moved == NIL && enabled == NIL)
		return;
	/* an error must not leave anything for the next command */
	moved = enabled = NIL;
	if (IsTransactionState())
	{
		CommandCounterIncrement();
		foreach(lc, relids)
			if (exists(lfirst_oid(lc)))
			follow_moved(lfirst_oid(lc));
		foreach(lc, others)
			if (exists(lfirst_oid(lc)))
			capture_restore_firing(lfirst_oid(lc));
	}
	list_free(relids);
	list_free(others);
}

/* ---- events ---- */

/* the last trigger of a capture on its source goes: the capture has ended */
static void
trigger_dropped(Oid triggerid)
{
	CaptureTrigger dropped;
	ListCell   *lc;

	if (!capture_trigger_by_oid(triggerid, &dropped))
		return;
	foreach(lc, capture_triggers(dropped.relid))
	{
		CaptureTrigger *trigger = lfirst(lc);

		if (trigger->oid != triggerid && trigger->number == dropped.number)
			return;
	}
	capture_delete(dropped.relid, dropped.number);
}

/* ALTER TABLE has enabled or disabled a trigger */
static void
trigger_changed(Oid triggerid)
{
	CaptureTrigger trigger;

	if (capture_trigger_by_oid(triggerid, &trigger))
		note_relation(&enabled, trigger.relid);
}

void
capture_object(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (!IsNormalProcessingMode() || IsBinaryUpgrade)
		return;
	if (classId == TriggerRelationId && access == OAT_DROP)
		trigger_dropped(objectId);
	else if (classId == TriggerRelationId && access == OAT_POST_ALTER)
		trigger_changed(objectId);
	else if (classId == InheritsRelationId && access == OAT_POST_ALTER)
	{
		if (OidIsValid(base_catalog_oid("capture", true)))
			note_relation(&moved, objectId);
	}
	else if (classId == RelationRelationId && access == OAT_POST_ALTER && subId > 0)
	{
		if (OidIsValid(base_catalog_oid("capture", true)))
			capture_condition_column_changed(objectId, subId);
	}
}

void
capture_init(void)
{
	capture_count_init();
}
