/*
 * state_scan.h
 *	  Reading a state table.
 */
#ifndef STREAMQ_STATE_SCAN_H
#define STREAMQ_STATE_SCAN_H

#include "postgres.h"

#include "access/htup.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"

#include "state/state_visibility.h"

/* rows of a page, copied so that the page need not stay locked */
typedef struct StatePageRows
{
	int			nrows;
	int			nforward;		/* rows that are on other pages */
	OffsetNumber offs[MaxHeapTuplesPerPage + 1];
	OffsetNumber forwards[MaxHeapTuplesPerPage + 1];
	uint32		starts[MaxHeapTuplesPerPage + 1];
	uint32		lens[MaxHeapTuplesPerPage + 1];
	char	   *data;
	Size		used;
	Size		size;
} StatePageRows;

extern void state_rows_init(StatePageRows *rows);
extern void state_rows_free(StatePageRows *rows);

/* Read the rows whose home is on the page. */
extern void state_rows_read(StatePageRows *rows, Relation rel, BlockNumber block,
							StateEye *eye, BufferAccessStrategy strategy);

/* Point to a row in the copy. */
extern void state_rows_get(StatePageRows *rows, Relation rel, BlockNumber block, int i,
						   HeapTuple tuple);

/*
 * Copy the version of a row that the snapshot sees, in CurrentMemoryContext;
 * NULL if there is none.  *buffer is a pinned page that is likely to be asked
 * for again, or invalid.  With `whole`, a row that was put out of line is
 * fetched from there.
 */
extern HeapTuple state_copy_row(Relation rel, ItemPointer tid, StateEye *eye, Buffer *buffer,
								bool whole);

/* callbacks of the access method */
extern TableScanDesc state_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
									  struct ScanKeyData *keys, ParallelTableScanDesc pscan,
									  uint32 flags);
extern void state_scan_end(TableScanDesc sscan);
extern void state_scan_rescan(TableScanDesc sscan, struct ScanKeyData *keys, bool set_params,
							  bool allow_strat, bool allow_sync, bool allow_pagemode);
extern bool state_scan_getnextslot(TableScanDesc sscan, ScanDirection direction,
								   TupleTableSlot *slot);
extern bool state_scan_sample_next_block(TableScanDesc sscan, struct SampleScanState *state);
extern bool state_scan_sample_next_tuple(TableScanDesc sscan, struct SampleScanState *state,
										 TupleTableSlot *slot);
extern bool state_analyze_load_block(TableScanDesc sscan, BlockNumber block,
									 BufferAccessStrategy strategy);
extern bool state_analyze_next_row(TableScanDesc sscan, double *live, double *dead,
								   TupleTableSlot *slot);

#endif
