/*
 * slot.h
 *	  Slots that hold a row as its bytes in the log.
 */
#ifndef STREAMQ_LOG_READ_SLOT_H
#define STREAMQ_LOG_READ_SLOT_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "storage/buf.h"

#include "log/page/row_codec.h"

/*
 * A row is found by walking over the headers of the rows before it in its run.
 * This is put off until somebody asks for the row, because counting needs
 * none.  A slot in that state has a page but no body, and knows the position
 * of an earlier row.
 */
typedef struct LogSlot
{
	TupleTableSlot base;
	const char *body;			/* NULL, with page NULL too: only tts_values,
								 * unless empty */
	uint32		len;
	uint16		natts;
	uint16		flags;
	uint32		off;			/* bytes decoded so far, up to tts_nvalid */
	Buffer		buffer;			/* pinned while body or page points into it */
	const char *page;			/* page of a row that has not been found yet */
	uint32		pos;			/* with page: header of an earlier row, or of
								 * ours */
	uint32		skip;			/* with page: rows from there to ours */
	uint32		end;			/* position after the row at row_off, 0 if
								 * unknown; valid while buffer is pinned */
	int64		row_off;
	char	   *mat;			/* memory of the slot for a body */
	Size		matsize;
} LogSlot;

extern void log_slot_store(TupleTableSlot *slot, const LogRow *row, Buffer buffer);

/* Pin the buffer and release the one pinned now. */
extern void log_slot_pin(TupleTableSlot *slot, Buffer buffer);

/*
 * Memory of the slot for a body of len bytes, to be stored with InvalidBuffer.
 */
extern char *log_slot_reserve(TupleTableSlot *slot, Size len);

/* The slot's row; encodes it if necessary. */
extern void log_slot_get_row(TupleTableSlot *slot, LogRow *row);

#endif
