/*
 * shared.h
 *	  The tails of partitions in shared memory.
 *
 * Lock order: relation lock, relation extension lock, append lock of a
 * partition (LWLock), buffer content locks in the order meta, head,
 * directory, state directory, state, data; the freeze lock (LWLock) last.
 */
#ifndef STREAMQ_LOG_SPACE_SHARED_H
#define STREAMQ_LOG_SPACE_SHARED_H

#include "postgres.h"

#include "access/xlog.h"
#include "port/atomics.h"
#include "storage/block.h"
#include "storage/lwlock.h"
#include "utils/rel.h"

#include "compat.h"
#include "log/log.h"

typedef struct LogSharedKey
{
	RelFileLocator locator;
	uint32		partition;
} LogSharedKey;

/* the tail of a partition; the file is the truth, this is the fast copy */
typedef struct LogTail
{
	BlockNumber head;			/* head page */
	BlockNumber leaf;			/* directory page with the tail's extent */
	BlockNumber extent_start;	/* the tail's extent, InvalidBlockNumber: none */
	BlockNumber extent_end;
	int64		extent_base;
	BlockNumber tail;			/* last page in use, InvalidBlockNumber if the
								 * extent has none yet */
	BlockNumber next_block;		/* the page after it */
	uint32		spare_blocks;	/* in extents that follow */
	TimestampTz last_time;
	int64		first_offset;
	int64		next_offset;
	int64		frozen_offset;
} LogTail;

typedef struct LogShared
{
	LogSharedKey key;
	LWLock		append_lock;
	LWLock		freeze_lock;
	bool		loaded;			/* under append_lock */
	LogTail		tail;			/* under append_lock, but for: */
	pg_atomic_uint64 first_offset;
	pg_atomic_uint64 next_offset;
	pg_atomic_uint64 frozen_offset;
	/* all offsets below were settled in some snapshot taken just before */
	pg_atomic_uint64 settled_offset;
	/* block and buffer of the tail page a moment ago, 0: unknown; a hint */
	pg_atomic_uint64 tail_buffer;
} LogShared;

/* shared state of a partition, loaded; not on a standby */
extern LogShared *log_shared(Relation rel, int partition);

/*
 * Is it at hand?  To find it may take the append lock and read catalogs, so who
 * asks for a partition's offsets with a page locked must have found it before.  On a standby
 * there is nothing to find.
 */
extern bool log_shared_known(Relation rel, int partition);

/* from log_init */
extern void log_shared_init(void);

/* forget what shared memory knows about a file */
extern void log_shared_forget(RelFileLocator locator);
extern void log_shared_forget_at_commit(RelFileLocator locator);
extern void log_shared_forget_at_abort(RelFileLocator locator);

/* state of the tail as now: shared memory or, on a standby, the file */
extern void log_get_tail(Relation rel, int partition, LogTail *tail);

/* on a standby nothing keeps shared memory in step with the file */
#define log_use_shared()	(!RecoveryInProgress())

/*
 * Pages ended before offsets [from, to) of a partition, which somebody asked for and
 * which are below its next offset: an error unless they expired meanwhile.
 */
extern void log_check_missing(Relation rel, int partition, int64 from, int64 to);

#endif
