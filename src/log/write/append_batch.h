/*
 * append_batch.h
 *	  Placement of rows: the restore code may choose the partitions of
 *	  rows.
 */
#ifndef STREAMQ_LOG_WRITE_APPEND_BATCH_H
#define STREAMQ_LOG_WRITE_APPEND_BATCH_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

/*
 * place: rows are being appended to a stream of several partitions, and may
 * come from a dump.  The callback may replace the partitions that they would
 * get.  If it sets *note, the note callback is called with the final
 * partitions after the rows were appended.
 *
 * file_changed: a stream got another file.
 */
typedef struct LogPlacement
{
	void		(*place) (Relation rel, TupleTableSlot **slots, int nslots,
						  int16 *partitions, bool *note);
	void		(*note) (Relation rel, const int16 *partitions, int nrows);
	void		(*file_changed) (void);
} LogPlacement;

extern void log_register_placement(const LogPlacement *callbacks);
extern void log_placement_file_changed(void);

#endif
