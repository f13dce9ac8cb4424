/*
 * blockmap.h
 *	  The blocks of the file that hold messages.
 */
#ifndef STREAMQ_LOG_SPACE_BLOCKMAP_H
#define STREAMQ_LOG_SPACE_BLOCKMAP_H

#include "postgres.h"

#include "storage/block.h"
#include "utils/rel.h"

typedef struct LogBlockMap LogBlockMap;

extern LogBlockMap *log_block_map(Relation rel, MemoryContext context);
extern bool log_block_map_has(const LogBlockMap *map, BlockNumber block);
extern void log_block_map_free(LogBlockMap *map);

/* Raise an error if the file is shorter than its log. */
extern void log_check_length(Relation rel);

#endif
