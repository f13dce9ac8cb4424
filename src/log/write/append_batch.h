/*
 * append_batch.h
 *	  Rows of a restore: a part above may say where rows go.
 */
#ifndef STREAMQ_LOG_WRITE_APPEND_BATCH_H
#define STREAMQ_LOG_WRITE_APPEND_BATCH_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

/*
 * place: rows are on their way into a stream of several partitions, and may
 * come from a dump.  Their partitions there take the place of those that they
 * would get.  With *note the hook `note` is told where they went, once they
 * are appended.
 *
 * file_changed: a stream has another file now.
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
