/*
 * stream_commands.c
 *	  Utility commands that streams refuse where no other hook can tell.
 *
 * Publications: logical decoding knows the WAL of heap tables only.  A stream in
 * a publication would be copied when a subscription begins, but messages
 * written later would not follow.  So a stream is refused, as an unlogged table
 * is.  A publication of all tables or of a schema leaves streams out silently,
 * as it does with unlogged tables.
 *
 * Triggers of the dump tables: pg_restore --disable-triggers disables the
 * triggers that turn the rows it loads into options, groups and jobs.  The
 * command is ignored for these tables.
 *
 * Another access method: stream_objects.c refuses it when the catalog changes.
 * That is after all rows were copied, so it is also refused here, before that.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "compat.h"
#include "hooks/hooks_internal.h"
#include "log/log.h"

static void
refuse_stream(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);

	if (log_is_stream(rel))
		log_refuse(RelationGetRelationName(rel), LOG_REFUSE_PUBLICATION);
	relation_close(rel, NoLock);
}

/* refuse streams among the tables of a publication and their children */
static void
check_tables(List *objects)
{
	ListCell   *lc;
	ListCell   *child;

	foreach(lc, objects)
	{
		PublicationObjSpec *object = lfirst_node(PublicationObjSpec, lc);
		RangeVar   *name;
		Oid			relid;

		if (object->pubobjtype != PUBLICATIONOBJ_TABLE)
			continue;
		name = object->pubtable->relation;
		relid = RangeVarGetRelid(name, NoLock, true);
		if (!OidIsValid(relid))
			continue;
		/* ONLY makes no difference for a partitioned table */
		if (name->inh || get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		{
			foreach(child, find_all_inheritors(relid, AccessShareLock, NULL))
				refuse_stream(lfirst_oid(child));
		}
		else
			refuse_stream(relid);
	}
}

/* refuse to give a stream another access method */
static void
check_access_method(AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		Oid			streamq;
		Oid			relid;
		HeapTuple	tuple;
		bool		refused = false;

		if (cmd->subtype != AT_SetAccessMethod)
			continue;
		streamq = get_table_am_oid("streamq", true);
		relid = RangeVarGetRelid(stmt->relation, NoLock, true);
		if (!OidIsValid(streamq) || !OidIsValid(relid) ||
			!object_ownercheck(RelationRelationId, relid, GetUserId()))
			continue;
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
		if (HeapTupleIsValid(tuple))
		{
			Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
			Oid			wanted = get_table_am_oid(cmd->name ? cmd->name :
												  default_table_access_method, true);

			refused = form->relkind == RELKIND_RELATION && form->relam == streamq &&
				OidIsValid(wanted) && wanted != streamq;
			ReleaseSysCache(tuple);
		}
		if (refused)
			log_refuse(get_rel_name(relid), LOG_REFUSE_ACCESS_METHOD);
	}
}

/* is it a table through which dumps pass options, groups or jobs? */
static bool
is_dump_table(Oid relid)
{
	static const char *const names[] = {"stream_dump", "group_dump", "job_dump", "delayed_dump",
	"capture_dump"};

	for (int i = 0; i < lengthof(names); i++)
		if (relid == base_catalog_oid(names[i], true))
			return true;
	return false;
}

static bool
disables_trigger(AlterTableCmd *cmd)
{
	return cmd->subtype == AT_DisableTrig || cmd->subtype == AT_DisableTrigAll ||
		cmd->subtype == AT_DisableTrigUser;
}

/* ENABLE TRIGGER ALL would undo ENABLE ALWAYS */
static bool
enables_triggers(AlterTableCmd *cmd)
{
	return cmd->subtype == AT_EnableTrigAll || cmd->subtype == AT_EnableTrigUser;
}

/* does the command only switch triggers of a dump table on or off? */
static bool
keeps_triggers(AlterTableStmt *stmt)
{
	AlterTableCmd *cmd;
	Oid			relid;

	if (list_length(stmt->cmds) != 1)
		return false;
	cmd = linitial_node(AlterTableCmd, stmt->cmds);
	if (!disables_trigger(cmd) && !enables_triggers(cmd))
		return false;
	relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	return OidIsValid(relid) && is_dump_table(relid) &&
		object_ownercheck(RelationRelationId, relid, GetUserId());
}

bool
hooks_before_stream_command(Node *stmt)
{
	if (!IsA(stmt, AlterTableStmt) || ((AlterTableStmt *) stmt)->objtype != OBJECT_TABLE)
		return true;
	check_access_method((AlterTableStmt *) stmt);
	return !keeps_triggers((AlterTableStmt *) stmt);
}

void
hooks_after_stream_command(Node *stmt)
{
	/* PostgreSQL has checked privileges and that the tables exist */
	if (IsA(stmt, CreatePublicationStmt))
		check_tables(((CreatePublicationStmt *) stmt)->pubobjects);
	else if (IsA(stmt, AlterPublicationStmt) &&
			 ((AlterPublicationStmt *) stmt)->action != AP_DropObjects)
		check_tables(((AlterPublicationStmt *) stmt)->pubobjects);
}
