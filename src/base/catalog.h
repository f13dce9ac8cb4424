/*
 * catalog.h
 *	  Access to streamq's own tables, and to rows of PostgreSQL's catalogs.
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
 * The OID of one of streamq's own tables.  Fails with 55000 if the extension
 * is not there, or returns InvalidOid if missing_ok.
 *
 * The name is a string constant, because OIDs are cached by it in each
 * backend.  The cache is cleared if the extension is dropped or created again.
 * Only tables that belong to the extension are found, so nobody can replace
 * one by another table.
 */
extern Oid	base_catalog_oid(const char *relname, bool missing_ok);

/*
 * Open one of streamq's own tables; NULL if it does not exist (any more) and
 * missing_ok.  natts is the number of columns that this library expects.
 * Fails with 55000 if the table has more or fewer, because the objects of the
 * extension are of another version then.
 */
extern Relation base_catalog_open(const char *relname, int natts, LOCKMODE lockmode,
								  bool missing_ok);

/* the OID of an index of such a table, by name (a string constant) */
extern Oid	base_catalog_index(Relation catalog, const char *indexname);

/*
 * Change a row and its indexes, and make the change visible to the next
 * command of this transaction.  Checks no privileges, and fires no triggers.
 */
extern void base_catalog_insert(Relation catalog, Datum *values, bool *nulls);
extern void base_catalog_update(Relation catalog, HeapTuple old,
								Datum *values, bool *nulls, bool *replaces);
extern void base_catalog_delete(Relation catalog, HeapTuple old);

/*
 * Rows of such a table in which a column has a value.  The column must be the
 * first one of the index, and of type oid, regclass or int4.  InvalidOid as
 * the index means the primary key, which base_catalog_fetch always uses.  A
 * NULL snapshot means the current catalog snapshot.
 *
 * base_catalog_scan: scan these rows; end the scan with systable_endscan().
 * base_catalog_fetch: a copy of the first row, or NULL.
 * base_catalog_delete_by_key: delete the rows, as base_catalog_delete does.
 */
extern SysScanDesc base_catalog_scan(Relation catalog, Oid index, AttrNumber column,
									 Datum value, Snapshot snapshot);
extern HeapTuple base_catalog_fetch(Relation catalog, AttrNumber column, Datum value);
extern void base_catalog_delete_by_key(Relation catalog, Oid index, AttrNumber column,
									   Datum value);

/*
 * A copy of the row of one of PostgreSQL's catalogs with this OID, or NULL.
 * oid_column has a unique index.  Unlike the system caches, this sees changes
 * of the running command, which an object access hook needs.
 */
extern HeapTuple base_row_by_oid(Oid catalog, Oid index, AttrNumber oid_column, Oid oid);

#endif
