/*
 * target.h
 *	  What a writer needs to know about its stream.
 *
 * Collecting this costs more than appending a message.  So it is kept as long
 * as the backend runs and the relation does not change.
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
	Oid			basetype;		/* base type of a domain; otherwise the type */
	int32		typmod;
	Oid			ioparam;
	FmgrInfo	input;
} StreamTargetColumn;

/* the cached data about a stream */
typedef struct StreamTarget
{
	Oid			relid;
	bool		valid;			/* the relation has not changed since then */
	bool		busy;			/* in use by a writer */
	MemoryContext context;		/* of this struct */
	MemoryContextCallback release;	/* called when the writer's context goes */
	TupleDesc	desc;
	int			npartitions;

	StreamTargetColumn payload;
	StreamTargetColumn key;
	StreamTargetColumn headers;

	/* columns with a default, for messages that do not set them; unplanned */
	int			ndefaults;
	AttrNumber *default_attnums;
	Expr	  **default_exprs;

	/* columns that must not be null */
	int			nnotnull;
	AttrNumber *notnull;

	/*
	 * has a domain, whose default may change without a change of the relation
	 */
	bool		has_domain;

	/* has triggers, constraints or generated columns */
	bool		needs_executor;
	/* a row trigger may read the rows written before its own */
	bool		row_by_row;

	int			nslots;
	TupleTableSlot **slots;
} StreamTarget;

/*
 * The target of an open stream, for the exclusive use of one writer, the owner
 * of the current memory context.  It is released when that context is reset or
 * deleted.
 */
extern StreamTarget *stream_target_get(Relation rel);

/*
 * Check that messages can set these columns (STREAM_WRITE_* of writer.h), and
 * that the partition exists; the errors are those of stream_writer_begin().
 */
extern void stream_target_check(const StreamTarget *target, Relation rel, int partition,
								int columns);

/* return n empty slots */
extern TupleTableSlot **stream_target_slots(StreamTarget *target, int n);

/*
 * Convert a value of type text, json, jsonb or bytea to the type of the
 * column. text is passed to the column's input function.  For columns of other
 * types, json and jsonb are converted to text first, and bytea is taken as
 * text in the database's encoding.  A null is checked against the constraints
 * of a domain.
 */
extern Datum stream_target_convert(StreamTargetColumn *column, Oid argtype, Datum value, bool isnull);

#endif
