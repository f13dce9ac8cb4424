/*
 * dependency.c
 *	  Reading pg_depend.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_depend.h"
#include "utils/fmgroids.h"

#include "base/dependency.h"

SysScanDesc
base_scan_dependencies(Relation depend, Oid classid, Oid objid)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	return systable_beginscan(depend, DependDependerIndexId, true, NULL, 2, keys);
}

bool
base_depends_on(Oid classid, Oid objid, Oid refclassid, Oid refobjid, char type)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	SysScanDesc scan = base_scan_dependencies(depend, classid, objid);
	HeapTuple	tuple;
	bool		found = false;

	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		found = form->refclassid == refclassid && form->refobjid == refobjid &&
			(type == BASE_ANY_DEPENDENCY || form->deptype == type);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}
