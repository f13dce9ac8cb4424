/*
 * state_am.h
 *	  Callbacks of the access method that have files of their own.
 */
#ifndef STREAMQ_STATE_AM_H
#define STREAMQ_STATE_AM_H

#include "postgres.h"

#include "access/multixact.h"
#include "access/tableam.h"
#include "commands/vacuum.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

#include "compat.h"

/* ddl.c */
extern void state_set_new_filelocator(Relation rel, const RelFileLocator *locator,
									  char persistence, TransactionId *freezeXid,
									  MultiXactId *minmulti);
extern void state_nontransactional_truncate(Relation rel);
extern void state_copy_data(Relation rel, const RelFileLocator *locator);
extern void state_copy_for_cluster(Relation rel, Relation newrel, Relation index,
								   bool use_sort, TransactionId oldest_xmin,
								   TransactionId *xid_cutoff, MultiXactId *multi_cutoff,
								   double *num_tuples, double *tups_vacuumed,
								   double *tups_recently_dead);

/* vacuum.c */
extern void state_vacuum(Relation rel, struct VacuumParams *params,
						 BufferAccessStrategy strategy);

/* index.c */
extern double state_index_build_range_scan(Relation rel, Relation index,
										   struct IndexInfo *info, bool allow_sync,
										   bool anyvisible, bool progress,
										   BlockNumber start, BlockNumber nblocks,
										   IndexBuildCallback callback, void *arg,
										   TableScanDesc scan);
extern void state_index_validate_scan(Relation rel, Relation index, struct IndexInfo *info,
									  Snapshot snapshot, struct ValidateIndexState *state);

#endif
