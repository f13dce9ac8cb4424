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
typedef struct ProduceColumn
{
	AttrNumber	attnum;			/* InvalidAttrNumber: no such column */
	Oid			type;
	Oid			basetype;		/* of a domain; otherwise the type */
	int32		typmod;
	Oid			ioparam;
	FmgrInfo	input;
} ProduceColumn;

typedef struct ProduceTarget
{
	Oid			relid;
	bool		valid;			/* the relation has not changed since */
	bool		busy;			/* a call uses the slots */
	MemoryContext context;		/* holds all this */
	TupleDesc	desc;
	int			npartitions;

	ProduceColumn payload;
	ProduceColumn key;
	ProduceColumn headers;

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
} ProduceTarget;

/*
 * The target for an open stream; ERRCODE_UNDEFINED_COLUMN or
 * ERRCODE_DATATYPE_MISMATCH when it has no payload column that produce can
 * write.  Give it back with produce_target_release, also after an error.
 */
extern ProduceTarget *produce_target_get(Relation rel);
extern void produce_target_release(ProduceTarget *target);

/* n empty slots */
extern TupleTableSlot **produce_target_slots(ProduceTarget *target, int n);

/*
 * An argument of type argtype (text, jsonb or bytea) as a value of the column.
 * text goes through the type's input function; jsonb gives its text form to
 * columns of other types, bytea is taken as text in the database's encoding.  A
 * null is checked against the constraints of a domain.
 */
extern Datum produce_convert(ProduceColumn *column, Oid argtype, Datum value, bool isnull);

#endif
