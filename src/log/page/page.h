/*
 * page.h
 *	  What is on disk: pages of a stream's file, and data pages.
 *
 * Every page has PostgreSQL's standard header, its free space between pd_lower
 * and pd_upper, and LogPageOpaque as special space.  A reader accepts pages
 * whose version it knows and reports any other as data corruption.
 *
 * Block 0	meta: heads of the partitions, blocks that are free
 * head		one per partition: live range, frozen offset, directory root
 * directory	extents of one partition in log order
 * data		rows
 * state directory, state	small states of the parts above (consumer groups)
 *
 * free		was a page of states or of their directory
 *
 * The structure pages, all but those of data, are in structure.h.
 *
 * What a later version may need has its place:
 *
 * - Magic and version are on each page, so pages of several versions can be in one
 *	 file.  The version is that of the page's kind: a kind of page that gets
 *	 another layout (extents with more fields, say) gets another version.
 * - Offsets are int64 everywhere.  No offset reaches 2^48.
 * - Meta page and heads have reserved fields, 0 in this version.  Whatever has
 *	 more to keep about a partition uses a state page of a kind of its own.
 * - A run may be compressed (LogRunPacked).
 * - An extent has less than 2^24 blocks: the upper 8 bits of nblocks are 0.
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
	LOG_PAGE_FREE = 7			/* was a page of states, or of their directory */
} LogPageKind;

typedef struct LogPageOpaque
{
	int64		base;			/* data: offset of the first row that starts
								 * here, or of the next one to come; state:
								 * its number */
	uint32		owner;			/* state: its owner; directory: leaf id */
	uint16		nrows;			/* data: rows that start here; state: its kind */
	uint16		last_run;		/* data: position of the last run, 0 if none */
	uint16		cont_len;		/* data: bytes at the start that end or go on
								 * with a row of the page before */
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
 * Rows of one command of one transaction on one page.  The header stands at
 * a MAXALIGNed position, its rows follow without gaps.
 */
typedef struct LogRun
{
	TransactionId xid;
	CommandId	cid;
	TimestampTz time;			/* append time, never less than the run's
								 * before */
	uint16		nrows;			/* rows that start in the run */
	uint16		nbytes;			/* bytes behind this header */
	uint16		natts;			/* attributes of each row */
	uint16		flags;
} LogRun;

StaticAssertDecl(sizeof(LogRun) == 24 && offsetof(LogRun, time) == 8 &&
				 offsetof(LogRun, nrows) == 16 && offsetof(LogRun, flags) == 22,
				 "on-disk format");

#define LOG_RUN_COMMITTED	0x0001	/* hint */
#define LOG_RUN_ABORTED		0x0002	/* hint */
#define LOG_RUN_DEAD		0x0004	/* aborted; WAL-logged by vacuum */
#define LOG_RUN_PACKED		0x0008	/* see LogRunPacked */
#define LOG_RUN_HINTS		(LOG_RUN_COMMITTED | LOG_RUN_ABORTED)
#define LOG_RUN_KNOWN		(LOG_RUN_HINTS | LOG_RUN_DEAD)

/*
 * Reserved for a later version: the rows of a run are compressed together.  This
 * follows the LogRun, then the compressed bytes; nbytes counts both.  Readers of
 * this version refuse such a run, and any flag that they do not know.
 */
typedef struct LogRunPacked
{
	uint32		raw_len;		/* bytes of the rows */
	uint8		method;
	uint8		reserved[3];	/* 0 */
} LogRunPacked;

StaticAssertDecl(sizeof(LogRunPacked) == 8, "on-disk format");

/*
 * A row is a 16-bit header, in long form 32 bits of length behind it, padding
 * up to the body's alignment, and the body: null bitmap (if any attribute is
 * null), then the attributes that are not, in order.  By-value attributes and
 * varlenas with a one-byte header stand unaligned; others are aligned as
 * their type asks, relative to the body.  A body that does not fit goes on at the
 * start of the next page.
 */
#define LOG_ROW_NULLS		0x8000
#define LOG_ROW_ALIGN4		0x2000
#define LOG_ROW_ALIGN8		0x4000
#define LOG_ROW_LEN			0x1FFF
#define LOG_ROW_LONG		LOG_ROW_LEN /* the length follows */

/* ---- making, checking and reading pages ---- */

extern void log_page_init(Page page, LogPageKind kind, int partition);

/*
 * Is it a page of that kind (and partition, unless -1) in a version we know?
 * If so its counts are within bounds: pd_lower, entries, positions.
 */
extern bool log_page_is(Page page, LogPageKind kind, int partition);

/* do the runs of a data page fit it?  NULL, or what is wrong */
extern const char *log_page_check_runs(Page page);

/* read a page that must be of that kind; locked in the mode given */
extern Buffer log_page_read(Relation rel, BlockNumber block, LogPageKind kind,
							int partition, int lockmode);
extern void log_page_corrupted(Relation rel, BlockNumber block, const char *what) pg_attribute_noreturn();

/*
 * Before a block is read whose number was found on a page.  Within the first segment
 * reading fails as it should; further behind, the storage manager's error would
 * not tell that data is corrupted.
 */
static inline void
log_check_block(Relation rel, BlockNumber block)
{
	if (unlikely(block >= RELSEG_SIZE) && block >= RelationGetNumberOfBlocks(rel))
		log_page_corrupted(rel, block, "it should be there, but the file ends before it");
}

/* set pd_lower behind len bytes of content */
extern void log_page_set_content(Page page, Size len);

#endif
