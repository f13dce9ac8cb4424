/*
 * dependency.h
 *	  Reading pg_depend.
 */
#ifndef STREAMQ_BASE_DEPENDENCY_H
#define STREAMQ_BASE_DEPENDENCY_H

#include "postgres.h"

#include "access/genam.h"
#include "utils/relcache.h"

/* any type of dependency */
#define BASE_ANY_DEPENDENCY	'\0'

/* scan the rows of an object; end the scan with systable_endscan() */
extern SysScanDesc base_scan_dependencies(Relation depend, Oid classid, Oid objid);

/* Does an object depend on another one, with this type of dependency? */
extern bool base_depends_on(Oid classid, Oid objid, Oid refclassid, Oid refobjid, char type);

#endif
