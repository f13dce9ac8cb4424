/*
 * cursor.h
 *	  A cursor over a partition's pages in log order.
 */
#ifndef STREAMQ_LOG_READ_CURSOR_H
#define STREAMQ_LOG_READ_CURSOR_H

#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "log/page/structure.h"

typedef struct LogCursor
{
	Relation	rel;
	int			partition;
	BufferAccessStrategy strategy;
	LogExtent	extent;
	BlockNumber block;			/* InvalidBlockNumber: nowhere */
	int64		expected;		/* base of the next page, -1: any */
} LogCursor;

extern void log_cursor_init(LogCursor *cursor, Relation rel, int partition);

/*
 * Move to the page on which the row with this offset starts, or to the nearest
 * page after it.
 */
extern bool log_cursor_seek(LogCursor *cursor, int64 off);
extern bool log_cursor_next(LogCursor *cursor);
extern bool log_cursor_prev(LogCursor *cursor);

/*
 * Pin and share-lock the cursor's page.  InvalidBuffer if the block is not a
 * page of this extent: it lies beyond the tail, or has been reused.
 */
extern Buffer log_cursor_read(LogCursor *cursor);

#endif
