/*
 * blockmap.h
 *	  Which blocks of the file hold messages.
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

/* is the file as long as its log? */
extern void log_check_length(Relation rel);

#endif
