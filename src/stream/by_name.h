/*
 * by_name.h
 *	  Writing rows to a stream, matching columns by their names.
 *
 * A stream with a column "payload" of type jsonb, text or bytea gets the row
 * as one JSON object, unless the rows have such a column themselves.  Any
 * other stream gets for each of its columns the value of the row's column of
 * that name, converted as in an assignment.
 */
#ifndef STREAMQ_STREAM_BY_NAME_H
#define STREAMQ_STREAM_BY_NAME_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

/* the rows that are written */
typedef struct StreamRowSource
{
	const char *name;			/* of the relation that has these columns */
	TupleDesc	desc;
	int			nheaders;		/* so many columns, the last ones, are headers
								 * of a message */
	AttrNumber	key;			/* fills a column "key" of the stream, unless
								 * the rows have a column of that name */
} StreamRowSource;

typedef struct StreamByName StreamByName;

/*
 * Begin to write rows; nrows estimates their number between two flushes.
 * Fails with 42703 if a column of the stream has neither a counterpart nor a
 * default, with 42804 if a value cannot be converted, and with 42501 or 0A000
 * if the current user may not produce to the stream.
 *
 * The rules of stream/writer.h apply.  The functions that add and flush rows
 * need an active snapshot.
 */
extern StreamByName *stream_by_name_begin(Relation rel, const StreamRowSource *source, int nrows);
extern void stream_by_name_add(StreamByName *writer, TupleTableSlot *slot);

/* returns the number of rows written */
extern int	stream_by_name_flush(StreamByName *writer);
extern void stream_by_name_end(StreamByName *writer);

/* raise the errors of stream_by_name_begin() */
extern void stream_by_name_check(Relation rel, const StreamRowSource *source);

#endif
