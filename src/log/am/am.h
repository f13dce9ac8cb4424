/*
 * am.h
 *	  The callbacks of the table access method.
 */
#ifndef STREAMQ_LOG_AM_H
#define STREAMQ_LOG_AM_H

#include "postgres.h"

#include "access/tableam.h"

#include "compat.h"

extern const TableAmRoutine log_table_am;

extern TableScanDesc log_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
									struct ScanKeyData *key,
									ParallelTableScanDesc parallel, uint32 flags);
extern void log_scan_end(TableScanDesc scan);
extern void log_scan_rescan(TableScanDesc scan, struct ScanKeyData *key,
							bool set_params, bool allow_strat,
							bool allow_sync, bool allow_pagemode);
extern bool log_scan_getnextslot(TableScanDesc scan, ScanDirection direction,
								 TupleTableSlot *slot);
extern void log_scan_set_tidrange(TableScanDesc scan, ItemPointer mintid, ItemPointer maxtid);
extern bool log_scan_getnextslot_tidrange(TableScanDesc scan, ScanDirection direction,
										  TupleTableSlot *slot);
extern Size log_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan);
extern bool log_scan_sample_next_block(TableScanDesc scan, struct SampleScanState *state);
extern bool log_scan_sample_next_tuple(TableScanDesc scan, struct SampleScanState *state,
									   TupleTableSlot *slot);
extern bool log_analyze_load_block(TableScanDesc scan, BlockNumber block,
								   BufferAccessStrategy strategy);
extern bool log_analyze_next_row(TableScanDesc scan, double *live, double *dead,
								 TupleTableSlot *slot);

extern bool log_fetch_row(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot);

extern void log_set_new_filelocator(Relation rel, const RelFileLocator *locator,
									char persistence, TransactionId *freezeXid,
									MultiXactId *minmulti);
extern void log_nontransactional_truncate(Relation rel);
extern void log_copy_data(Relation rel, const RelFileLocator *locator);

/*
 * Give the stream an empty file with this transaction.  Nothing of the old
 * file is carried over.
 */
extern void log_begin_anew(Relation rel);

/*
 * A table is about to become a stream: raise an error if it has anything that
 * a stream cannot have.
 */
extern void log_check_conversion(Oid relid);
extern void log_refuse_materialized_view(void) pg_attribute_noreturn();

#endif
