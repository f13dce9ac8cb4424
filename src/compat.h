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

/* ---- api ---- */

/* 16: one function for the owners of all kinds of objects */
#if PG_VERSION_NUM < 160000
#define COMPAT_RELATION_OWNERCHECK(relid, role)	pg_class_ownercheck(relid, role)
#else
#define COMPAT_RELATION_OWNERCHECK(relid, role) \
	object_ownercheck(RelationRelationId, relid, role)
#endif

/* 17: the ids of a transaction's locks moved */
#if PG_VERSION_NUM < 170000
#define COMPAT_MY_LXID	(MyProc->lxid)
#else
#define COMPAT_MY_LXID	(MyProc->vxid.lxid)
#endif

/* 18: deferrable primary keys are asked for */
#if PG_VERSION_NUM < 180000
#define COMPAT_PRIMARY_KEY_INDEX(rel)	RelationGetPrimaryKeyIndex(rel)
#else
#define COMPAT_PRIMARY_KEY_INDEX(rel)	RelationGetPrimaryKeyIndex(rel, false)
#endif

/* 18: base64 works on unsigned bytes */
#if PG_VERSION_NUM < 180000
#define COMPAT_B64_ENCODE(src, len, dst, dstlen) \
	pg_b64_encode((const char *) (src), len, dst, dstlen)
#else
#define COMPAT_B64_ENCODE(src, len, dst, dstlen) \
	pg_b64_encode((const uint8 *) (src), len, dst, dstlen)
#endif

/* 18: generated columns that are computed when they are read */
#if PG_VERSION_NUM < 180000
#define COMPAT_IS_VIRTUAL_COLUMN(att)	false
#else
#define COMPAT_IS_VIRTUAL_COLUMN(att) \
	((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#endif

#endif
