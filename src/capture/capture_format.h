/*
 * capture_format.h
 *	  How the rows of a captured table become messages.
 *
 * A format is made of catalog data, and kept by the session as long as nothing
 * changes on which it depends.
 */
#ifndef STREAMQ_CAPTURE_FORMAT_H
#define STREAMQ_CAPTURE_FORMAT_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/primnodes.h"
#include "utils/rel.h"

#include "capture/capture_catalog.h"
#include "capture/capture_json.h"

/* the columns of the primary key */
typedef struct CaptureKey
{
	int			ncolumns;		/* 0: no key */
	StreamJsonColumn *columns;
	FmgrInfo	output;			/* of the only column */
} CaptureKey;

typedef struct CaptureFormat
{
	Oid			relid;			/* the captured table, or a descendant */
	Capture    *capture;
	MemoryContext context;		/* of this struct */
	int			users;
	bool		valid;			/* nothing has changed */
	CaptureRow	row;
	CaptureKey	key;
	Expr	   *condition;		/* planned; NULL: none */
} CaptureFormat;

/*
 * The format of the rows of a table for the capture with this number.  It is
 * released when the current memory context is reset or deleted.  Fails with
 * 55000 if there is no such capture, or if its condition is not valid any
 * more.
 */
extern CaptureFormat *capture_format_get(Relation rel, int32 number);

/* the columns of the primary key, or else of the replica identity, or NIL */
extern List *capture_key_columns(Relation rel);

#endif
