/*
 * chunks.h
 *	  Chunks: rows of the state table with collected input of aggregates.
 */
#ifndef STREAMQ_VIEW_CHUNKS_H
#define STREAMQ_VIEW_CHUNKS_H

#include "postgres.h"

#include "access/htup.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "state/state.h"
#include "view/inputs.h"
#include "view/state_table.h"

/* a state table whose chunks are read */
typedef struct ViewChunkTable
{
	Relation	rel;
	Oid			index;
	AttrNumber	window_start;	/* InvalidAttrNumber: no windows */
	AttrNumber	hash;
	AttrNumber	chunk;
	bool		by_window;		/* the index begins with window_start */
} ViewChunkTable;

/*
 * Fails with 42809 unless the relation is the state table of a view that
 * collects input.
 */
extern void view_chunk_table(Relation rel, ViewChunkTable *table);

/*
 * Read a chunk into the current memory context, and check its form.  Fails
 * with XX001 if it is missing.
 */
extern void view_chunk_read(const ViewChunkTable *table, const ViewInputDesc *desc,
							const ViewChunkRef *ref, Snapshot snapshot,
							ViewInputValue *value, ItemPointer tid);

/*
 * Move the rows of a group's input into chunks.  Chunks of a similar size are
 * merged.
 */
extern void view_chunks_spill(ViewStateTable *state, ViewStateGroup *group, ViewInputCall *call,
							  ViewInputs *inputs, StateWriter *writer);

/* delete the chunks of a group, which is given by its row */
extern void view_chunks_delete(ViewStateTable *state, HeapTuple group, StateWriter *writer);

#endif
