/*
 * spill.h
 *	  Values and rows that are too large for a page.
 */
#ifndef STREAMQ_STATE_SPILL_H
#define STREAMQ_STATE_SPILL_H

#include "postgres.h"

#include "access/htup.h"
#include "utils/rel.h"

/*
 * Return a row in the form in which it is put on a page, with large values, or
 * all of it, out of line.  `old` is the row that it replaces, in this form, or
 * NULL.
 */
extern HeapTuple state_spill(Relation rel, HeapTuple tuple, HeapTuple old);

/* Delete what a row has out of line. */
extern void state_spill_delete(Relation rel, HeapTuple old);

/* The row that was spilled, in CurrentMemoryContext. */
extern HeapTuple state_unspill(HeapTuple spilled);

#endif
