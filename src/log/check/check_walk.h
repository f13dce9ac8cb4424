/*
 * check_walk.h
 *	  What the files that check a stream share.
 */
#ifndef STREAMQ_LOG_CHECK_WALK_H
#define STREAMQ_LOG_CHECK_WALK_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "log/check.h"
#include "log/page/row_codec.h"
#include "log/space/directory.h"

/* What the structure pages say about one partition, and its tail. */
typedef struct CheckPartition
{
	int			partition;
	bool		head_ok;		/* the head and all leaves could be read */
	bool		tail_ok;
	int64		first_offset;
	int64		origin_offset;
	int64		frozen_offset;
	int64		frozen_dead;
	int			nused;			/* extents in use; spare ones follow */
	int			nextents;
	int			maxextents;
	LogExtent  *extents;
	BlockNumber last_leaf;		/* holds the last extent in use */
	LogTail		tail;
} CheckPartition;

typedef struct Check
{
	Relation	rel;
	BlockNumber nblocks;		/* of the file; read again when needed */
	BufferAccessStrategy strategy;
	TransactionId oldest_xid;	/* older xids cannot occur above a frozen
								 * offset */
	LogProblem	report;
	void	   *arg;
	int64		nproblems;
} Check;

/*
 * ---- check_structure.c ----
 */

extern void log_check_report(Check *check, int partition, BlockNumber block, int64 off,
							 const char *fmt, ...) pg_attribute_printf(5, 6);

/* Copy a page.  If it cannot be read, report that and return false. */
extern bool log_check_read(Check *check, int partition, BlockNumber block, char *copy);

/*
 * Call fn.  If it meets damage, report that, release the buffer locks and
 * LWLocks that it took, and return false.
 */
extern bool log_check_guard(Check *check, int partition, BlockNumber block,
							void (*fn) (Check *check, void *arg), void *arg);

/* ---- check_data.c ---- */

/* Read all pages of the partition's extents in log order. */
extern void log_check_data(Check *check, CheckPartition *p);

#endif
