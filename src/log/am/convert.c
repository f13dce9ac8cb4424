/*
 * convert.c
 *	  What keeps a table from becoming a stream.
 *
 * ALTER TABLE ... SET ACCESS METHOD makes a stream of a table together with
 * everything that depends on it.  The checks run before the first row is
 * copied.  By then the other subcommands have been carried out, so one command
 * can drop a constraint and set the access method.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_publication.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "log/am/am.h"
#include "log/log.h"

/* ---- foreign keys ---- */

static const char *
action_name(char action)
{
	switch (action)
	{
		case FKCONSTR_ACTION_CASCADE:
			return "CASCADE";
		case FKCONSTR_ACTION_SETNULL:
			return "SET NULL";
		case FKCONSTR_ACTION_SETDEFAULT:
			return "SET DEFAULT";
		default:
			return NULL;		/* NO ACTION and RESTRICT change no row */
	}
}

void
log_check_foreign_key(Form_pg_constraint key, bool conversion)
{
	const char *on_delete;
	const char *on_update;

	if (key->contype != CONSTRAINT_FOREIGN)
		return;
	on_delete = action_name(key->confdeltype);
	on_update = action_name(key->confupdtype);
	if (on_delete != NULL || on_update != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 conversion ?
				 errmsg("cannot make a stream of table \"%s\", whose foreign key \"%s\" has ON %s %s",
						get_rel_name(key->conrelid), NameStr(key->conname),
						on_delete ? "DELETE" : "UPDATE",
						on_delete ? on_delete : on_update) :
				 errmsg("foreign key \"%s\" of stream \"%s\" cannot have ON %s %s",
						NameStr(key->conname), get_rel_name(key->conrelid),
						on_delete ? "DELETE" : "UPDATE",
						on_delete ? on_delete : on_update),
				 errdetail("It would change messages, and streams are append-only."),
				 errhint("Foreign keys with NO ACTION or RESTRICT are possible.")));
}

static void
check_foreign_keys(Oid relid)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		log_check_foreign_key((Form_pg_constraint) GETSTRUCT(tuple), true);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* ---- indexes ---- */

static void
check_indexes(Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	bool		constraints = false;
	StringInfoData names;
	ListCell   *lc;

	if (indexes == NIL)
		return;
	initStringInfo(&names);
	foreach(lc, indexes)
	{
		Oid			index = lfirst_oid(lc);

		constraints |= OidIsValid(get_index_constraint(index));
		appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", get_rel_name(index));
	}
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot make a stream of table \"%s\", which has indexes",
					RelationGetRelationName(rel)),
			 errdetail("Streams have no indexes, and so no primary keys, unique or exclusion constraints: %s.",
					   names.data),
			 constraints ?
			 errhint("Drop them first; ALTER TABLE can drop a constraint and set the access method in one command.") :
			 errhint("Drop them first.")));
}

/* ---- publications ---- */

/* OID of a publication that names one of the tables, or InvalidOid. */
static Oid
publication_of(List *relids)
{
	ListCell   *lc;

	foreach(lc, relids)
	{
		List	   *publications = GetRelationPublications(lfirst_oid(lc));

		if (publications != NIL)
			return linitial_oid(publications);
	}
	return InvalidOid;
}

static void
refuse_publication(const char *relname, Oid publication)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot make a stream of table \"%s\", which is in publication \"%s\"",
					relname, get_publication_name(publication, false)),
			 errdetail("Logical replication does not carry streams."),
			 errhint("Remove the table from the publication first.")));
}

/* The table and, if it is a partition, its ancestors. */
static List *
with_ancestors(Oid relid)
{
	List	   *relids = list_make1_oid(relid);

	if (get_rel_relispartition(relid))
		relids = list_concat(relids, get_partition_ancestors(relid));
	return relids;
}

void
log_check_partition(Relation rel, Oid parent)
{
	Oid			publication = publication_of(with_ancestors(parent));

	if (OidIsValid(publication))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("stream \"%s\" cannot be a partition of table \"%s\", which is in publication \"%s\"",
						RelationGetRelationName(rel), get_rel_name(parent),
						get_publication_name(publication, false)),
				 errdetail("Logical replication does not carry streams."),
				 errhint("Remove the table from the publication first.")));
}

/*
 * ---- the checks ----
 */

void
log_refuse_materialized_view(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a materialized view cannot be a stream"),
			 errhint("Use CREATE TABLE ... USING streamq.")));
}

void
log_check_conversion(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);
	Oid			publication;

	if (rel->rd_rel->relkind == RELKIND_MATVIEW)
		log_refuse_materialized_view();
	check_indexes(rel);
	check_foreign_keys(relid);
	publication = publication_of(with_ancestors(relid));
	if (OidIsValid(publication))
		refuse_publication(RelationGetRelationName(rel), publication);
	relation_close(rel, NoLock);
}
