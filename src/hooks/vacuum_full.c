/*
 * vacuum_full.c
 *	  VACUUM FULL of a database, or of a partitioned table, that has streams.
 *
 * A stream cannot be rewritten, so VACUUM FULL of one is refused.  But an error
 * ends the whole command: VACUUM FULL of a database would leave out all tables
 * after the first stream.  So streams that were not named in the command are
 * vacuumed without FULL, after the other tables.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "commands/vacuum.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "compat.h"
#include "hooks/hooks_internal.h"
#include "log/log.h"
#include "state/state.h"

static bool
has_option(VacuumStmt *stmt, const char *name)
{
	bool		result = false;
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, name) == 0)
			result = defGetBoolean(option);
	}
	return result;
}

/* streams, and the state tables of continuous views */
static bool
is_not_rewritten(Form_pg_class form)
{
	return log_is_stream_class(form) || state_is_table_class(form);
}

/* the relations that VACUUM without a list processes */
static void
divide_database(VacuumStmt *stmt, List **others, List **streams)
{
	bits32		options = VACOPT_VACUUM | (has_option(stmt, "analyze") ? VACOPT_ANALYZE : 0);
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(pg_class, 0, NULL);
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
		VacuumRelation *item;

		if ((form->relkind != RELKIND_RELATION &&
			 form->relkind != RELKIND_MATVIEW &&
			 form->relkind != RELKIND_PARTITIONED_TABLE) ||
			!vacuum_is_permitted_for_relation(form->oid, form, options))
			continue;
		item = makeVacuumRelation(NULL, form->oid, NIL);
		if (is_not_rewritten(form))
			*streams = lappend(*streams, item);
		else
			*others = lappend(*others, item);
	}
	table_endscan(scan);
	table_close(pg_class, AccessShareLock);
}

/* the relations that VACUUM of a named table processes: its partitions, too */
static void
divide_tree(VacuumRelation *named, List **others, List **streams)
{
	List	   *members = NIL;
	List	   *found = NIL;
	ListCell   *lc;
	Oid			relid = InvalidOid;

	if (named->relation != NULL)
		relid = RangeVarGetRelidExtended(named->relation, AccessShareLock,
										 RVR_MISSING_OK | RVR_SKIP_LOCKED, NULL, NULL);
	*others = lappend(*others, named);
	if (!OidIsValid(relid))
		return;

	if (COMPAT_VACUUM_CHILDREN(get_rel_relkind(relid), named->relation->inh))
		members = find_all_inheritors(relid, NoLock, NULL);
	foreach(lc, members)
	{
		Oid			member = lfirst_oid(lc);
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(member));

		if (HeapTupleIsValid(tuple))
		{
			if (member != relid && is_not_rewritten((Form_pg_class) GETSTRUCT(tuple)))
				found = lappend_oid(found, member);
			ReleaseSysCache(tuple);
		}
	}
	UnlockRelationOid(relid, AccessShareLock);
	if (found == NIL)
		return;

	/* replace the table by its members */
	*others = list_delete_last(*others);
	foreach(lc, members)
	{
		Oid			member = lfirst_oid(lc);
		VacuumRelation *item = makeVacuumRelation(member == relid ? named->relation : NULL,
												  member, named->va_cols);

		if (list_member_oid(found, member))
			*streams = lappend(*streams, item);
		else
			*others = lappend(*others, item);
	}
}

/* a copy of the statement for a part of the relations */
static PlannedStmt *
make_part(PlannedStmt *pstmt, List *relations, bool full)
{
	PlannedStmt *part = copyObject(pstmt);
	VacuumStmt *stmt = (VacuumStmt *) part->utilityStmt;

	stmt->rels = relations;
	if (!full)
	{
		ListCell   *lc;

		foreach(lc, stmt->options)
		{
			if (strcmp(lfirst_node(DefElem, lc)->defname, "full") == 0)
				stmt->options = foreach_delete_current(stmt->options, lc);
		}
	}
	return part;
}

/* separate streams that the command does not name from all other relations */
static void
divide(VacuumStmt *stmt, List **others, List **streams)
{
	ListCell   *lc;

	if (stmt->rels == NIL)
		divide_database(stmt, others, streams);
	foreach(lc, stmt->rels)
		divide_tree(lfirst_node(VacuumRelation, lc), others, streams);
}

void
hooks_run_vacuum(const HooksCommand *command, void (*run) (const HooksCommand *command))
{
	VacuumStmt *stmt = (VacuumStmt *) command->pstmt->utilityStmt;
	HooksCommand part = *command;
	PlannedStmt *full;
	PlannedStmt *plain;
	List	   *others = NIL;
	List	   *streams = NIL;
	MemoryContext old;

	/* inside a transaction or function PostgreSQL will refuse it */
	if (!stmt->is_vacuumcmd || command->context != PROCESS_UTILITY_TOPLEVEL ||
		IsTransactionBlock() || !has_option(stmt, "full"))
	{
		run(command);
		return;
	}

	/* the lists must outlive the transactions that VACUUM ends and begins */
	old = MemoryContextSwitchTo(PortalContext);
	divide(stmt, &others, &streams);
	if (streams == NIL)
	{
		MemoryContextSwitchTo(old);
		run(command);
		return;
	}
	full = make_part(command->pstmt, others, true);
	plain = make_part(command->pstmt, streams, false);
	MemoryContextSwitchTo(old);

	ereport(NOTICE,
			(errmsg("streams are vacuumed without FULL"),
			 errdetail("Streams are append-only and are not rewritten.")));
	part.read_only_tree = false;
	if (others != NIL)
	{
		part.pstmt = full;
		run(&part);
	}

	/* the current context belongs to the transaction that VACUUM ended with */
	MemoryContextSwitchTo(PortalContext);
	part.pstmt = plain;
	run(&part);
}
