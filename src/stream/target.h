/*
 * produce.h
 *	  What produce() knows about the stream it writes to.
 *
 * Working it out costs more than appending a message, so it is kept for the
 * life of the backend, until the relation changes.
 */
#ifndef STREAMQ_PRODUCE_H
#define STREAMQ_PRODUCE_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/primnodes.h"
#include "utils/rel.h"

/* a column that an argument is written to */
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
	bool		busy;			/* a call uses the slots */
	MemoryContext context;		/* holds all this */
	TupleDesc	desc;
	int			npartitions;

	StreamTargetColumn payload;
	StreamTargetColumn key;
	StreamTargetColumn headers;

	/*
	 * columns with a default, for rows where no argument sets them; not
	 * planned
	 */
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
 * The target for an open stream; ERRCODE_UNDEFINED_COLUMN or
 * ERRCODE_DATATYPE_MISMATCH when it has no payload column that produce can
 * write.  Give it back with stream_target_release, also after an error.
 */
extern StreamTarget *stream_target_get(Relation rel);
extern void stream_target_release(StreamTarget *target);

/* n empty slots */
extern TupleTableSlot **stream_target_slots(StreamTarget *target, int n);

/*
 * An argument of type argtype (text, jsonb or bytea) as a value of the column.
 * text goes through the type's input function; jsonb gives its text form to
 * columns of other types, bytea is taken as text in the database's encoding.  A
 * null is checked against the constraints of a domain.
 */
extern Datum stream_target_convert(StreamTargetColumn *column, Oid argtype, Datum value, bool isnull);

#endif
