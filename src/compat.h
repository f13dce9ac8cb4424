/*
 * compat.h
 *	  Every difference between the supported server versions (15 to 18).
 *
 * No other file tests PG_VERSION_NUM.  Code is written for the newest names;
 * older servers get them from here.
 */
#ifndef STREAMQ_COMPAT_H
#define STREAMQ_COMPAT_H

#include "postgres.h"

#include "storage/smgr.h"
#include "utils/rel.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "streamq supports PostgreSQL 15 to 18"
#endif

/* 16 renamed relfilenodes */
#if PG_VERSION_NUM < 160000
#include "storage/relfilenode.h"
typedef RelFileNode RelFileLocator;
typedef Oid RelFileNumber;
#define RelFileLocatorEquals(a, b) RelFileNodeEquals(a, b)
#define RelationLocator(rel)	((rel)->rd_node)
#define LocatorRelNumber(l)		((l).relNode)
#else
#include "storage/relfilelocator.h"
#define RelationLocator(rel)	((rel)->rd_locator)
#define LocatorRelNumber(l)		((l).relNumber)
#endif

/* 17 brought infinite intervals */
#if PG_VERSION_NUM < 170000
#define INTERVAL_NOT_FINITE(i)	false
#endif

/* 16 unified the privilege checks over object classes */
#if PG_VERSION_NUM < 160000
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_class.h"
#include "utils/acl.h"
static inline AclResult
object_aclcheck(Oid classid, Oid objectid, Oid roleid, AclMode mode)
{
	switch (classid)
	{
		case ProcedureRelationId:
			return pg_proc_aclcheck(objectid, roleid, mode);
		case NamespaceRelationId:
			return pg_namespace_aclcheck(objectid, roleid, mode);
		default:
			Assert(classid == RelationRelationId);
			return pg_class_aclcheck(objectid, roleid, mode);
	}
}

static inline bool
object_ownercheck(Oid classid, Oid objectid, Oid roleid)
{
	Assert(classid == RelationRelationId);
	return pg_class_ownercheck(objectid, roleid);
}
#endif

/* 18 lets references to grouping expressions go through a range table entry */
#include "optimizer/optimizer.h"
static inline Node *
flatten_group_vars(Query *query, Node *node)
{
#if PG_VERSION_NUM >= 180000
	if (query->hasGroupRTE && node != NULL)
		return flatten_group_exprs(NULL, query, node);
#endif
	return node;
}

#endif
