/*
 * append.h
 *	  Appending rows to a partition.
 */
#ifndef STREAMQ_LOG_WRITE_APPEND_H
#define STREAMQ_LOG_WRITE_APPEND_H

#include "postgres.h"

#include "utils/rel.h"

#include "log/page/row_codec.h"

/*
 * Append rows to one partition, contiguously.  Returns the offset of the first
 * row.
 */
extern int64 log_append_rows(Relation rel, int partition, const LogRow *rows,
							 int nrows, CommandId cid);

#endif
