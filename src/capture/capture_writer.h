/*
 * capture_writer.h
 *	  Writing changes of a captured table to its stream.
 */
#ifndef STREAMQ_CAPTURE_WRITER_H
#define STREAMQ_CAPTURE_WRITER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

#include "capture/capture_catalog.h"

typedef enum CaptureOp
{
	CAPTURE_INSERT,
	CAPTURE_UPDATE,
	CAPTURE_DELETE,
	CAPTURE_TRUNCATE,
	CAPTURE_SNAPSHOT
} CaptureOp;

typedef struct CaptureWriter CaptureWriter;

/*
 * Begin to write changes of a table for the capture with this number; nrows
 * estimates how many there will be.  Until the end, the current user is the
 * owner of the captured table.
 */
extern CaptureWriter *capture_writer_begin(Relation rel, int32 number, double nrows);

/*
 * Write a change, unless the condition leaves it out.  A slot is NULL if there
 * is no such row.
 */
extern void capture_writer_add(CaptureWriter *writer, CaptureOp op,
							   TupleTableSlot *before, TupleTableSlot *after);

/* write an update; if it changes the key, as a deletion and an insertion */
extern void capture_writer_update(CaptureWriter *writer, TupleTableSlot *before,
								  TupleTableSlot *after);

/* this table was truncated: the source, or one of its descendants */
extern void capture_writer_truncate(CaptureWriter *writer, Oid relid);

extern void capture_writer_end(CaptureWriter *writer);

/* fail unless the current user may write changes to the stream */
extern void capture_check_stream(Relation stream, Relation source);

#endif
