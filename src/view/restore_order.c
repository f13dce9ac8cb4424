/*
 * restore_order.c
 *	  What a restore must load before a restored view is computed.
 *
 * A restored view waits until the trigger of its state table is there, because
 * pg_restore creates triggers after it has loaded all tables.  But with
 * several jobs pg_restore creates a trigger as soon as the tables are loaded
 * that the trigger depends on, and loads others beside.  A view that joins a
 * table must not see it half loaded, and one that emits results must know all
 * messages that were processed before the dump.  So the trigger depends on
 * each of these tables.
 *
 * These dependencies are automatic ones: they do not appear in messages about
 * objects that need a table, and the view itself depends on the same tables.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "view/restore_order.h"
#include "view/state_table.h"

/* the relations that a query reads */
typedef struct ReadRelations
{
	List	   *tables;			/* with rows of their own */
	List	   *views;			/* these were looked into */
	bool		populated;		/* all materialized views have rows */
} ReadRelations;

static bool collect_relations(Node *node, void *context);

/* the tables below a view are loaded, not the view */
static void
add_view(ReadRelations *reads, Oid relid)
{
	Relation	view;

	if (list_member_oid(reads->views, relid))
		return;
	reads->views = lappend_oid(reads->views, relid);
	check_stack_depth();
	view = table_open(relid, AccessShareLock);
	(void) collect_relations((Node *) get_view_query(view), reads);
	table_close(view, NoLock);
}

static void
add_relation(ReadRelations *reads, Oid relid)
{
	switch (get_rel_relkind(relid))
	{
		case RELKIND_VIEW:
			add_view(reads, relid);
			break;
		case RELKIND_MATVIEW:
			{
				Relation	rel = table_open(relid, AccessShareLock);

				reads->populated &= RelationIsPopulated(rel);
				table_close(rel, NoLock);
				break;
			}
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			reads->tables = list_concat_unique_oid(reads->tables,
												   find_all_inheritors(relid, AccessShareLock, NULL));
			break;
		default:
			break;
	}
}

static bool
collect_relations(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION)
			add_relation(context, rte->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_relations, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, collect_relations, context);
}

static ReadRelations
find_relations(Query *query)
{
	ReadRelations reads = {.populated = true};

	(void) collect_relations((Node *) query, &reads);
	return reads;
}

/* the trigger that refuses changes; InvalidOid: not restored yet */
static Oid
find_trigger(Oid table)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	scan = systable_beginscan(rel, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (strcmp(NameStr(form->tgname), VIEW_STATE_TRIGGER) == 0)
			result = form->oid;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static void
load_before(Oid trigger, Oid table)
{
	ObjectAddress depender;
	ObjectAddress referenced;

	if (!OidIsValid(table))
		return;
	/* a view that is computed again has recorded it before */
	deleteDependencyRecordsForSpecific(TriggerRelationId, trigger, DEPENDENCY_AUTO,
									   RelationRelationId, table);
	ObjectAddressSet(depender, TriggerRelationId, trigger);
	ObjectAddressSet(referenced, RelationRelationId, table);
	recordDependencyOn(&depender, &referenced, DEPENDENCY_AUTO);
}

void
view_order_restore(const JobRow *job, Query *query)
{
	Oid			trigger = find_trigger(job->state);
	ReadRelations reads = find_relations(query);
	ListCell   *lc;

	if (!OidIsValid(trigger))
		return;
	foreach(lc, reads.tables)
		load_before(trigger, lfirst_oid(lc));
	load_before(trigger, job->emit_into);
	load_before(trigger, job->late_stream);
	load_before(trigger, job->results);
}

/*
 * Materialized views are refreshed after everything else, and no other object
 * can depend on that.
 */
bool
view_is_readable(Query *query)
{
	return find_relations(query).populated;
}
