/*
 * catalog.h
 *	  streamq's own tables, for every part that keeps something in one, and rows
 *	  of PostgreSQL's catalogs.
 */
#ifndef STREAMQ_BASE_CATALOG_H
#define STREAMQ_BASE_CATALOG_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/genam.h"
#include "access/htup.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/*
 * OIDs of streamq's own tables by name (a string constant),
 * cached per backend and looked up again when the extension was dropped or
 * re-created.  Error 55000 when the extension is not there, unless missing_ok
 * (InvalidOid).  Only tables that belong to the extension count, so nobody can
 * put another table in their place.
 */
extern Oid	base_catalog_oid(const char *relname, bool missing_ok);

/*
 * Open it; NULL when it is not there (any more) and missing_ok.  natts is the
 * number of columns this library knows the table with: error 55000 if it has
 * fewer or more, because the extension's objects are of another version.
 */
extern Relation base_catalog_open(const char *relname, int natts, LOCKMODE lockmode,
								  bool missing_ok);

/* an index of a table opened so, by name (a string constant) */
extern Oid	base_catalog_index(Relation catalog, const char *indexname);

/*
 * Change a row, its indexes too, and make the change visible to this
 * transaction's next steps.  No privileges are checked, no triggers fired.
 */
extern void base_catalog_insert(Relation catalog, Datum *values, bool *nulls);
extern void base_catalog_update(Relation catalog, HeapTuple old,
								Datum *values, bool *nulls, bool *replaces);
extern void base_catalog_delete(Relation catalog, HeapTuple old);

/*
 * Rows of a table opened so whose column, the first one of the index, has the value.
 * The column is an oid, regclass or int4.  For the index, InvalidOid stands for the primary
 * key, which base_catalog_fetch always uses.  A NULL snapshot is that of catalogs.
 *
 * base_catalog_scan: a scan of them, to be ended with systable_endscan().
 * base_catalog_fetch: a copy of the first one, or NULL.
 * base_catalog_delete_by_key: delete them, as base_catalog_delete does.
 */
extern SysScanDesc base_catalog_scan(Relation catalog, Oid index, AttrNumber column,
									 Datum value, Snapshot snapshot);
extern HeapTuple base_catalog_fetch(Relation catalog, AttrNumber column, Datum value);
extern void base_catalog_delete_by_key(Relation catalog, Oid index, AttrNumber column,
									   Datum value);

/*
 * The row of one of PostgreSQL's catalogs that has this OID in column oid_column, by
 * the unique index on it, as the running command has left it: object access hooks are
 * called before the caches show that.  A copy, or NULL.
 */
extern HeapTuple base_row_by_oid(Oid catalog, Oid index, AttrNumber oid_column, Oid oid);

#endif
