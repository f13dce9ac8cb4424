/*
 * blocks.h
 *	  Allocation of blocks.  The sequence is: pick, lock the meta page,
 *	  take (log_take_blocks), all under the relation extension lock.
 */
#ifndef STREAMQ_LOG_SPACE_BLOCKS_H
#define STREAMQ_LOG_SPACE_BLOCKS_H

#include "postgres.h"

#include "utils/rel.h"

#include "log/page/structure.h"

extern LogBlockRange log_pick_blocks(Relation rel, uint32 nblocks);
extern BlockNumber log_pick_block(Relation rel, const LogBlockRange *taken);

/* Number of blocks that were handed out and not given back. */
extern uint32 log_blocks_in_use(Relation rel, uint32 *npartitions);

/* Extend the file to at least nblocks. */
extern void log_extend_file(Relation rel, BlockNumber nblocks);

#endif
