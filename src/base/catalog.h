/*
 * catalog.h
 *	  streamq's own tables, for every part that keeps something in one, and rows
 *	  of PostgreSQL's catalogs.
 */
#ifndef STREAMQ_BASE_CATALOG_H
#define STREAMQ_BASE_CATALOG_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/htup.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"

/*
 * OIDs of streamq's own tables by name (a string constant),
 * cached per backend and looked up again when the extension was dropped or
 * re-created.  Error 55000 when the extension is not there, unless missing_ok
 * (InvalidOid).  Only tables that belong to the extension count, so nobody can
 * put a table of his own in their place.
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
 * The row of one of PostgreSQL's catalogs that has this OID in column oid_column, by
 * the unique index on it, as the running command has left it: object access hooks are
 * called before the caches show that.  A copy, or NULL.
 */
extern HeapTuple base_row_by_oid(Oid catalog, Oid index, AttrNumber oid_column, Oid oid);

#endif
