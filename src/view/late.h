/*
 * late.h
 *	  Routing late rows of a continuous view to another stream.
 */
#ifndef STREAMQ_VIEW_LATE_H
#define STREAMQ_VIEW_LATE_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

/* late rows of a round */
typedef struct ViewLateRows ViewLateRows;

/*
 * Raise an error unless the current user may write the rows of the source to
 * the stream, and the columns fit.
 */
extern void view_late_check(Relation source, Oid stream);

/* begin in the memory context of the round; write at the end of the round */
extern ViewLateRows *view_late_begin(Relation source, Oid stream);
extern void view_late_add(ViewLateRows *late, TupleTableSlot *slot);
extern void view_late_write(ViewLateRows *late);

#endif
