/*
 * check_walk.h
 *	  What the files of the check of a stream share.
 */
#ifndef STREAMQ_LOG_CHECK_WALK_H
#define STREAMQ_LOG_CHECK_WALK_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "log/check.h"
#include "log/page/row_codec.h"
#include "log/space/directory.h"

/* what the structure pages say about one partition, and its tail */
typedef struct CheckPartition
{
	int			partition;
	bool		head_ok;		/* the head and all leaves could be read */
	bool		tail_ok;
	int64		first_offset;
	int64		origin_offset;
	int64		frozen_offset;
	int64		frozen_dead;
	int			nused;			/* extents[] in use; spare ones follow */
	int			nextents;
	int			maxextents;
	LogExtent  *extents;
	BlockNumber last_leaf;		/* with the last extent in use */
	LogTail		tail;
} CheckPartition;

typedef struct Check
{
	Relation	rel;
	BlockNumber nblocks;		/* of the file; looked at again when needed */
	BufferAccessStrategy strategy;
	TransactionId oldest_xid;	/* older ones cannot be above a frozen offset */
	LogProblem	report;
	void	   *arg;
	int64		nproblems;
} Check;

/* ---- check.c ---- */

extern void log_check_report(Check *check, int partition, BlockNumber block, int64 off,
							 const char *fmt, ...) pg_attribute_printf(5, 6);

/* copy a page; false, and reported, if it cannot be read */
extern bool log_check_read(Check *check, int partition, BlockNumber block, char *copy);

/*
 * Call fn; false, and reported, if it meets damage.  What it locked by buffer locks
 * and LWLocks is released then.
 */
extern bool log_check_guard(Check *check, int partition, BlockNumber block,
							void (*fn) (Check *check, void *arg), void *arg);

/* ---- check_data.c ---- */

/* read all pages of the partition's extents in log order */
extern void log_check_data(Check *check, CheckPartition *p);

#endif
