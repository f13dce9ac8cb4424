/*
 * shared.h
 *	  The tails of partitions in shared memory.
 *
 * Lock order: relation lock, relation extension lock, append lock of a
 * partition (LWLock), buffer content locks in the order meta, head, directory,
 * state directory, state, data, and the freeze lock (LWLock) last.
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
#include "log/admission.h"
#include "log/log.h"

typedef struct LogSharedKey
{
	RelFileLocator locator;
	uint32		partition;
} LogSharedKey;

/* The tail of a partition.  This is a copy; the truth is in the file. */
typedef struct LogTail
{
	BlockNumber head;			/* head page */
	BlockNumber leaf;			/* directory page with the tail's extent */
	BlockNumber extent_start;	/* extent of the tail; InvalidBlockNumber:
								 * none */
	BlockNumber extent_end;
	int64		extent_base;
	BlockNumber tail;			/* last page in use; InvalidBlockNumber if the
								 * extent has none yet */
	BlockNumber next_block;		/* the page after it */
	uint32		spare_blocks;	/* in the extents that follow */
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
	LogTail		tail;			/* under append_lock */
	/* copies of the tail's offsets, which are read without the lock */
	pg_atomic_uint64 first_offset;
	pg_atomic_uint64 next_offset;
	pg_atomic_uint64 frozen_offset;
	/* everything below was settled in some earlier snapshot */
	pg_atomic_uint64 settled_offset;
	/* hint: recent block and buffer of the tail page, 0 if unknown */
	pg_atomic_uint64 tail_buffer;
	LogFlow		flow;			/* of partition 0: for the whole stream */
} LogShared;

/* Shared state of a partition, loaded.  Not on a standby. */
extern LogShared *log_shared(Relation rel, int partition);

/*
 * True if the shared entry is cached, or on a standby, which has none.
 * Looking it up may take the append lock and read catalogs, so callers must do
 * so before they lock a page.
 */
extern bool log_shared_known(Relation rel, int partition);

/* called by log_init() */
extern void log_shared_init(void);

/* Forget what shared memory knows about a file. */
extern void log_shared_forget(RelFileLocator locator);
extern void log_shared_forget_at_commit(RelFileLocator locator);
extern void log_shared_forget_at_abort(RelFileLocator locator);

/* The current tail, from shared memory or, on a standby, from the file. */
extern void log_get_tail(Relation rel, int partition, LogTail *tail);

/* a standby does not keep shared memory in step with the file */
#define log_use_shared()	(!RecoveryInProgress())

/*
 * A reader found no pages for the offsets [from, to) of a partition, which are
 * below its next offset.  Raises an error unless the offsets have expired.
 */
extern void log_check_missing(Relation rel, int partition, int64 from, int64 to);

#endif
