/*
 * slot.h
 *	  Slots that hold a row as it is in the log.
 */
#ifndef STREAMQ_LOG_READ_SLOT_H
#define STREAMQ_LOG_READ_SLOT_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "storage/buf.h"

#include "log/page/row_codec.h"

/*
 * A row in a page is found by walking over the headers of those before it in
 * its run, which is put off until the row is asked for: counting needs no row.
 * A slot in that state has no body but a page, and knows a row before its own.
 */
typedef struct LogSlot
{
	TupleTableSlot base;
	const char *body;			/* NULL, and page too: only tts_values, if not
								 * empty */
	uint32		len;
	uint16		natts;
	uint16		flags;
	uint32		off;			/* deformed so far, up to tts_nvalid */
	Buffer		buffer;			/* pinned while body or page is in it */
	const char *page;			/* of a row that has not been found yet */
	uint32		pos;			/* page: of a row's header; */
	uint32		skip;			/* ours comes so many rows later */
	uint32		end;			/* position behind the row of row_off, 0 if
								 * not known; as long as buffer is pinned */
	int64		row_off;
	char	   *mat;			/* our own memory for a body */
	Size		matsize;
} LogSlot;

extern void log_slot_store(TupleTableSlot *slot, const LogRow *row, Buffer buffer);

/* hold a pin on the buffer instead of the one held now */
extern void log_slot_pin(TupleTableSlot *slot, Buffer buffer);

/* memory of the slot's own for a body of len bytes, to be stored with InvalidBuffer */
extern char *log_slot_reserve(TupleTableSlot *slot, Size len);

/* the slot's row, encoded if need be */
extern void log_slot_get_row(TupleTableSlot *slot, LogRow *row);

#endif
