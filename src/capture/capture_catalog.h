/*
 * capture_catalog.h
 *	  The table streamq.capture.
 */
#ifndef STREAMQ_CAPTURE_CATALOG_H
#define STREAMQ_CAPTURE_CATALOG_H

#include "postgres.h"

#include "access/attnum.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/*
 * A row of streamq.capture.  The number is unique among the captures of a
 * table, its ancestors and its descendants, because the names of triggers
 * contain it.
 */
typedef struct Capture
{
	Oid			source;
	int32		number;
	Oid			stream;
	int			ncolumns;		/* -1: all columns, now and later */
	AttrNumber *columns;
	char	   *condition;		/* with qualified names; NULL: none */
} Capture;

/* insert a row; the number is set */
extern void capture_insert(Capture *capture);

/* delete a row, with its counters */
extern void capture_delete(Oid source, int32 number);

/* a list of the captures whose source is this table */
extern List *capture_list(Oid source);

/*
 * The capture with a number whose source is the relation or one of its
 * ancestors.  NULL if there is none.
 */
extern Capture *capture_find(Oid relid, int32 number);

/* the relation and all its ancestors */
extern List *capture_lineage(Oid relid);

#endif
