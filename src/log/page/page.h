/*
 * page.h
 *	  What is on disk: pages of a stream's file, and data pages.  All other
 *	  pages are in structure.h.
 *
 * Every page has PostgreSQL's header, its free space between pd_lower and
 * pd_upper, and LogPageOpaque as special space.  A page of an unknown version
 * is reported as data corruption.
 *
 * Room for later versions:
 *
 * - Each kind of page has a version of its own, so pages of several versions
 *   can be in one file.
 * - Offsets are int64 everywhere.  No offset reaches 2^48.
 * - Meta page and heads have reserved fields, which are 0 in this version.
 *   Larger data about a partition belongs on state pages of a new kind.
 * - A run may be compressed (LogRunPacked).
 * - An extent has less than 2^24 blocks, so the upper 8 bits of nblocks are 0.
 */
#ifndef STREAMQ_LOG_PAGE_H
#define STREAMQ_LOG_PAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/block.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/rel.h"

#include "compat.h"

#define LOG_PAGE_MAGIC		0x5153
#define LOG_PAGE_VERSION	1

typedef enum LogPageKind
{
	LOG_PAGE_META = 1,
	LOG_PAGE_HEAD = 2,
	LOG_PAGE_DIRECTORY = 3,
	LOG_PAGE_DATA = 4,
	LOG_PAGE_STATE_DIRECTORY = 5,
	LOG_PAGE_STATE = 6,
	LOG_PAGE_FREE = 7			/* was a state page, or a page of their
								 * directory */
} LogPageKind;

typedef struct LogPageOpaque
{
	int64		base;			/* data: offset of the first row that starts
								 * here, or of the next row; state: its number */
	uint32		owner;			/* state: its owner; directory: leaf id */
	uint16		nrows;			/* data: rows that start here; state: its kind */
	uint16		last_run;		/* data: position of the last run, 0 if none */
	uint16		cont_len;		/* data: bytes at the start that belong to a
								 * row of an earlier page */
	uint8		partition;
	uint8		flags;			/* LOG_META_INCOMPLETE */
	uint16		magic;
	uint8		version;
	uint8		kind;
} LogPageOpaque;

StaticAssertDecl(sizeof(LogPageOpaque) == 24 && offsetof(LogPageOpaque, owner) == 8 &&
				 offsetof(LogPageOpaque, nrows) == 12 && offsetof(LogPageOpaque, partition) == 18 &&
				 offsetof(LogPageOpaque, magic) == 20 && offsetof(LogPageOpaque, kind) == 23,
				 "on-disk format");

#define LOG_OPAQUE(page)	((LogPageOpaque *) PageGetSpecialPointer(page))
#define LOG_PAGE_START		SizeOfPageHeaderData
#define LOG_PAGE_END		(BLCKSZ - sizeof(LogPageOpaque))
#define LOG_PAGE_CONTENT(page)	((char *) (page) + LOG_PAGE_START)

StaticAssertDecl(SizeOfPageHeaderData == MAXALIGN(SizeOfPageHeaderData), "on-disk format");
StaticAssertDecl(LOG_PAGE_END == MAXALIGN(LOG_PAGE_END), "on-disk format");

/* ---- data ---- */

/*
 * Rows of one command of one transaction on one page.  The header is
 * MAXALIGNed, and the rows follow without gaps.
 */
typedef struct LogRun
{
	TransactionId xid;
	CommandId	cid;
	TimestampTz time;			/* append time, not less than that of the
								 * previous run */
	uint16		nrows;			/* rows that start in the run */
	uint16		nbytes;			/* bytes after this header */
	uint16		natts;			/* attributes of each row */
	uint16		flags;
} LogRun;

StaticAssertDecl(sizeof(LogRun) == 24 && offsetof(LogRun, time) == 8 &&
				 offsetof(LogRun, nrows) == 16 && offsetof(LogRun, flags) == 22,
				 "on-disk format");

#define LOG_RUN_COMMITTED	0x0001	/* hint */
#define LOG_RUN_ABORTED		0x0002	/* hint */
#define LOG_RUN_DEAD		0x0004	/* aborted; WAL-logged by VACUUM */
#define LOG_RUN_PACKED		0x0008	/* see LogRunPacked */
#define LOG_RUN_HINTS		(LOG_RUN_COMMITTED | LOG_RUN_ABORTED)
#define LOG_RUN_KNOWN		(LOG_RUN_HINTS | LOG_RUN_DEAD)

/*
 * Reserved for a later version: the rows of a run are compressed together.
 * This struct follows the LogRun, and the compressed bytes follow it; nbytes
 * counts both.  Readers of this version refuse such a run, and any unknown
 * flag.
 */
typedef struct LogRunPacked
{
	uint32		raw_len;		/* bytes of the rows */
	uint8		method;
	uint8		reserved[3];	/* 0 */
} LogRunPacked;

StaticAssertDecl(sizeof(LogRunPacked) == 8, "on-disk format");

/*
 * A row is a 16-bit header, followed in the long form by 32 bits of length,
 * padding up to the body's alignment, and the body.  The body is the null
 * bitmap (if any attribute is null), then the attributes that are not null, in
 * order.  By-value attributes and varlenas with a one-byte header are
 * unaligned; others are aligned as their type requires, relative to the body.
 * A body that does not fit continues at the start of the next page.
 */
#define LOG_ROW_NULLS		0x8000
#define LOG_ROW_ALIGN4		0x2000
#define LOG_ROW_ALIGN8		0x4000
#define LOG_ROW_LEN			0x1FFF
#define LOG_ROW_LONG		LOG_ROW_LEN /* the length follows */

/*
 * ---- initializing, checking and reading pages ----
 */

extern void log_page_init(Page page, LogPageKind kind, int partition);

/*
 * Is the page of this kind (and partition, unless -1) and of a known version?
 * If so, its counts are within bounds: pd_lower, entries, positions.
 */
extern bool log_page_is(Page page, LogPageKind kind, int partition);

/* Returns NULL if the runs of a data page fit it, else what is wrong. */
extern const char *log_page_check_runs(Page page);

/* Read a page that must be of this kind, and lock it in the given mode. */
extern Buffer log_page_read(Relation rel, BlockNumber block, LogPageKind kind,
							int partition, int lockmode);
extern void log_page_corrupted(Relation rel, BlockNumber block, const char *what) pg_attribute_noreturn();

/*
 * Check a block number that was found on a page, before the block is read.
 * Within the first segment, reading fails with a suitable error.  Beyond it,
 * the error of the storage manager would not say that data is corrupted.
 */
static inline void
log_check_block(Relation rel, BlockNumber block)
{
	if (unlikely(block >= RELSEG_SIZE) && block >= RelationGetNumberOfBlocks(rel))
		log_page_corrupted(rel, block, "it should be there, but the file ends before it");
}

/* Set pd_lower for len bytes of content. */
extern void log_page_set_content(Page page, Size len);

#endif
