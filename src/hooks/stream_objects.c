/*
 * stream_objects.c
 *	  Objects that streams refuse, and what goes when a stream is dropped.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "archive/archive.h"
#include "base/catalog.h"
#include "base/loaded.h"
#include "compat.h"
#include "group/group.h"
#include "hooks/hooks_internal.h"
#include "log/load.h"
#include "log/log.h"
#include "log/options.h"
#include "stream/delay.h"
#include "stream/imported.h"

/*
 * A relation was created.  If it is an index, perhaps of a constraint, its row
 * in pg_index exists but is not visible to ordinary lookups yet.
 */
static void
refuse_index_on_stream(Oid indexid)
{
	HeapTuple	tuple = base_row_by_oid(IndexRelationId, IndexRelidIndexId,
										Anum_pg_index_indexrelid, indexid);

	if (HeapTupleIsValid(tuple))
	{
		Relation	rel = relation_open(((Form_pg_index) GETSTRUCT(tuple))->indrelid, NoLock);

		if (log_is_stream(rel))
			log_refuse(RelationGetRelationName(rel), LOG_REFUSE_INDEX);
		relation_close(rel, NoLock);
		heap_freetuple(tuple);
	}
}

/*
 * C code changes streamq's own tables without the executor, so a trigger on
 * them, or a foreign key to them, would miss the change.  pg_repack, which
 * follows a table by a trigger while it copies it, would put old rows back.
 */
static void
refuse_trigger_on_catalog(Oid triggerid)
{
	HeapTuple	tuple;
	Oid			relid;
	Oid			extension;

	if (creating_extension || IsBinaryUpgrade)
		return;
	tuple = base_row_by_oid(TriggerRelationId, TriggerOidIndexId,
							Anum_pg_trigger_oid, triggerid);
	if (!HeapTupleIsValid(tuple))
		return;
	relid = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
	heap_freetuple(tuple);
	if (get_rel_namespace(relid) != get_namespace_oid(STREAMQ_SCHEMA, true))
		return;
	extension = getExtensionOfObject(RelationRelationId, relid);
	if (OidIsValid(extension) && extension == get_extension_oid("streamq", true))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create a trigger on table \"%s\" of extension \"%s\"",
						get_rel_name(relid), "streamq"),
				 errdetail("The extension changes its tables without firing triggers."),
				 errhint("Leave out the tables of the extension: run pg_repack with --exclude-extension=streamq.")));
}

/*
 * A foreign key of a stream must not have an action that changes its rows.
 * This catches foreign keys however they are created: with the table, by ALTER
 * TABLE, or by attaching the stream as a partition.
 */
static void
refuse_foreign_key_on_stream(Oid constraintid)
{
	HeapTuple	tuple = base_row_by_oid(ConstraintRelationId, ConstraintOidIndexId,
										Anum_pg_constraint_oid, constraintid);
	Form_pg_constraint key;

	if (!HeapTupleIsValid(tuple))
		return;
	key = (Form_pg_constraint) GETSTRUCT(tuple);
	if (key->contype == CONSTRAINT_FOREIGN && OidIsValid(key->conrelid))
	{
		Relation	rel = relation_open(key->conrelid, NoLock);

		if (log_is_stream(rel))
			log_check_foreign_key(key, false);
		relation_close(rel, NoLock);
	}
	heap_freetuple(tuple);
}

/*
 * A table became a child of another one.  If it became a partition, it is
 * published with its parent, which a stream cannot be.
 */
static void
refuse_published_partition(Oid relid, Oid parent)
{
	ListCell   *lc;

	if (get_rel_relkind(parent) != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		Relation	rel = relation_open(lfirst_oid(lc), NoLock);

		if (log_is_stream(rel))
			log_check_partition(rel, parent);
		relation_close(rel, NoLock);
	}
}

/* cheap check without opening the relation: could it be a stream? */
static bool
may_be_stream(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_class) GETSTRUCT(tuple))->relkind == RELKIND_RELATION &&
		((Form_pg_class) GETSTRUCT(tuple))->relam != HEAP_TABLE_AM_OID;
	ReleaseSysCache(tuple);
	return result;
}

/* a column was added or changed, or is about to be dropped */
static void
column_changed(Oid relid, AttrNumber attnum, bool dropped)
{
	Relation	rel = relation_open(relid, NoLock);

	if (log_is_stream(rel))
	{
		log_column_changed(rel, attnum, dropped);
		group_column_changed(rel, attnum, dropped);
	}
	relation_close(rel, NoLock);
}

/* a relation is about to be dropped */
static void
relation_dropped(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);

	if (log_is_stream(rel))
	{
		log_note_dropped(rel);
		group_stream_dropped(relid);
		log_options_delete(relid);
		log_plan_forget(relid);
		stream_delay_forget(relid);
		archive_stream_dropped(relid);
		stream_imported_forget(relid);
	}
	relation_close(rel, NoLock);
}

/*
 * ALTER TABLE rewrites a table into a transient table with such a name, and
 * then exchanges the contents, and the access methods, of the two.
 */
static bool
is_transient(Relation rel)
{
	unsigned int oid;
	char		end;

	return sscanf(RelationGetRelationName(rel), "pg_temp_%u%c", &oid, &end) == 1;
}

/*
 * The running command changed the relation's row in pg_class.  The relation
 * cache still has the old one.
 */
static void
refuse_other_access_method(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);

	if (log_is_stream(rel) && !is_transient(rel))
	{
		HeapTuple	tuple = base_row_by_oid(RelationRelationId, ClassOidIndexId,
											Anum_pg_class_oid, relid);

		if (HeapTupleIsValid(tuple) &&
			((Form_pg_class) GETSTRUCT(tuple))->relam != rel->rd_rel->relam)
			log_refuse(RelationGetRelationName(rel), LOG_REFUSE_ACCESS_METHOD);
	}
	relation_close(rel, NoLock);
}

void
hooks_stream_object(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (classId == TriggerRelationId && access == OAT_POST_CREATE)
		refuse_trigger_on_catalog(objectId);
	if (classId == ExtensionRelationId && access == OAT_POST_CREATE && !IsBinaryUpgrade)
		hooks_check_extension_schema(objectId);
	if (classId == ConstraintRelationId && access == OAT_POST_CREATE)
		refuse_foreign_key_on_stream(objectId);
	if (classId == InheritsRelationId && access == OAT_POST_ALTER)
		refuse_published_partition(objectId, ((ObjectAccessPostAlter *) arg)->auxiliary_id);
	if (classId != RelationRelationId)
		return;
	switch (access)
	{
		case OAT_POST_CREATE:
			if (subId == 0)
				refuse_index_on_stream(objectId);
			else if (may_be_stream(objectId))
				column_changed(objectId, subId, false);
			break;
		case OAT_DROP:
			if (!may_be_stream(objectId))
				break;
			if (subId == 0)
				relation_dropped(objectId);
			else
				column_changed(objectId, subId, true);
			break;
		case OAT_POST_ALTER:
			if (!may_be_stream(objectId))
				break;
			if (subId == 0)
				refuse_other_access_method(objectId);
			else
				column_changed(objectId, subId, false);
			break;
		default:
			break;
	}
}
