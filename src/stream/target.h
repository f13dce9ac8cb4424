/*
 * target.h
 *	  What a writer knows about its stream.
 *
 * Working it out costs more than appending a message, so it is kept for the
 * life of the backend, until the relation changes.
 */
#ifndef STREAMQ_STREAM_TARGET_H
#define STREAMQ_STREAM_TARGET_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/primnodes.h"
#include "utils/rel.h"

/* a column that messages may set */
typedef struct StreamTargetColumn
{
	AttrNumber	attnum;			/* InvalidAttrNumber: no such column */
	Oid			type;
	Oid			basetype;		/* of a domain; otherwise the type */
	int32		typmod;
	Oid			ioparam;
	FmgrInfo	input;
} StreamTargetColumn;

typedef struct StreamTarget
{
	Oid			relid;
	bool		valid;			/* the relation has not changed since */
	bool		busy;			/* a writer has it */
	MemoryContext context;		/* holds all this */
	MemoryContextCallback release;	/* of the writer's context */
	TupleDesc	desc;
	int			npartitions;

	StreamTargetColumn payload;
	StreamTargetColumn key;
	StreamTargetColumn headers;

	/* columns with a default, for messages that do not set them; not planned */
	int			ndefaults;
	AttrNumber *default_attnums;
	Expr	  **default_exprs;

	/* columns that must not be null */
	int			nnotnull;
	AttrNumber *notnull;

	/* domains: their defaults change without the relation */
	bool		has_domain;

	/* triggers, constraints, generated columns: take the executor's way */
	bool		needs_executor;
	/* a row trigger may look at what was written before its row */
	bool		row_by_row;

	int			nslots;
	TupleTableSlot **slots;
} StreamTarget;

/*
 * The target for an open stream, for whoever owns the current memory context
 * alone.  It is given back when that context is deleted or reset.
 */
extern StreamTarget *stream_target_get(Relation rel);

/* n empty slots */
extern TupleTableSlot **stream_target_slots(StreamTarget *target, int n);

/*
 * A value of type text, json, jsonb or bytea as a value of the column.  text goes
 * through the column's input function.  json and jsonb give their text form to
 * columns of other types, and bytea is taken as text in the database's
 * encoding.  A null is checked against the constraints of a domain.
 */
extern Datum stream_target_convert(StreamTargetColumn *column, Oid argtype, Datum value, bool isnull);

#endif
