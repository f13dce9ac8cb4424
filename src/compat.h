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

#endif
