/*
 * page.h
 *	  What is on disk: pages of a stream's file.
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
 */
#ifndef STREAMQ_LOG_PAGE_H
#define STREAMQ_LOG_PAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/block.h"
#include "storage/bufpage.h"

#define LOG_PAGE_MAGIC		0x5153
#define LOG_PAGE_VERSION	1

typedef enum LogPageKind
{
	LOG_PAGE_META = 1,
	LOG_PAGE_HEAD = 2,
	LOG_PAGE_DIRECTORY = 3,
	LOG_PAGE_DATA = 4,
	LOG_PAGE_STATE_DIRECTORY = 5,
	LOG_PAGE_STATE = 6
} LogPageKind;

typedef struct LogPageOpaque
{
	int64		base;			/* data: offset of the first row that starts
								 * here, or of the next one to come */
	uint32		owner;			/* state: its owner; directory: leaf id */
	uint16		nrows;			/* data: rows that start here */
	uint16		last_run;		/* data: position of the last run, 0 if none */
	uint16		cont_len;		/* data: bytes at the start that end or go on
								 * with a row of the page before */
	uint8		partition;
	uint8		flags;			/* LOG_META_INCOMPLETE */
	uint16		magic;
	uint8		version;
	uint8		kind;
} LogPageOpaque;

StaticAssertDecl(sizeof(LogPageOpaque) == 24, "on-disk format");

#define LOG_OPAQUE(page)	((LogPageOpaque *) PageGetSpecialPointer(page))
#define LOG_PAGE_START		SizeOfPageHeaderData
#define LOG_PAGE_END		(BLCKSZ - sizeof(LogPageOpaque))
#define LOG_PAGE_CONTENT(page)	((char *) (page) + LOG_PAGE_START)

StaticAssertDecl(SizeOfPageHeaderData == MAXALIGN(SizeOfPageHeaderData), "on-disk format");
StaticAssertDecl(LOG_PAGE_END == MAXALIGN(LOG_PAGE_END), "on-disk format");

/* ---- meta ---- */

typedef struct LogBlockRange
{
	BlockNumber start;
	uint32		nblocks;
} LogBlockRange;

#define LOG_META_PARTITIONS 256

typedef struct LogMeta
{
	uint32		npartitions;	/* heads in use */
	BlockNumber state_dir;		/* first page of the state directory */
	BlockNumber nallocated;		/* blocks below have been handed out once */
	uint32		nfree;			/* entries of free[] */
	BlockNumber heads[LOG_META_PARTITIONS];
	LogBlockRange free[FLEXIBLE_ARRAY_MEMBER];	/* by start, never adjacent */
} LogMeta;

StaticAssertDecl(offsetof(LogMeta, free) == 16 + 4 * 256, "on-disk format");
StaticAssertDecl(sizeof(LogBlockRange) == 8, "on-disk format");

/* flag of the meta page: there are more free blocks than free[] has room for */
#define LOG_META_INCOMPLETE	0x01

#define LOG_META(page)		((LogMeta *) LOG_PAGE_CONTENT(page))
#define LOG_META_MAX_FREE \
	((LOG_PAGE_END - LOG_PAGE_START - offsetof(LogMeta, free)) / sizeof(LogBlockRange))

/* ---- head of a partition ---- */

typedef struct LogParent
{
	int64		offset;			/* finish the parent below this first */
	uint32		partition;
	uint32		reserved;
} LogParent;

/* the columns that rows are routed by changed here */
typedef struct LogBarrier
{
	int64		offset;			/* before it the old ones held */
	uint64		xid;			/* full id of the transaction that made it */
	uint32		id;				/* the same in all partitions, growing */
	uint32		reserved;
} LogBarrier;

typedef struct LogRootEntry
{
	BlockNumber block;			/* directory page */
	uint32		leaf_id;		/* its opaque.owner */
	int64		base;			/* base of its first extent */
} LogRootEntry;

typedef struct LogHead
{
	int64		first_offset;	/* oldest retained */
	int64		lost_offset;	/* messages below it were dropped; between it
								 * and first_offset there were none */
	int64		origin_offset;	/* where the log of this file began */
	int64		frozen_offset;	/* everything below is settled for ever */
	int64		frozen_dead;	/* rows of aborted transactions in
								 * [first_offset, frozen_offset) */
	uint32		next_leaf_id;
	uint8		nparents;
	uint8		nbarriers;
	uint16		nroot;
	/* LogParent[nparents], LogBarrier[nbarriers], LogRootEntry[nroot] follow */
} LogHead;

StaticAssertDecl(sizeof(LogHead) == 48, "on-disk format");
StaticAssertDecl(sizeof(LogParent) == 16, "on-disk format");
StaticAssertDecl(sizeof(LogBarrier) == 24, "on-disk format");
StaticAssertDecl(sizeof(LogRootEntry) == 16, "on-disk format");

#define LOG_HEAD(page)		((LogHead *) LOG_PAGE_CONTENT(page))
#define LOG_HEAD_PARENTS(head)	((LogParent *) ((char *) (head) + sizeof(LogHead)))
#define LOG_HEAD_BARRIERS(head) \
	((LogBarrier *) (LOG_HEAD_PARENTS(head) + (head)->nparents))
#define LOG_HEAD_ROOT(head) \
	((LogRootEntry *) (LOG_HEAD_BARRIERS(head) + (head)->nbarriers))
#define LOG_HEAD_MAX_ROOT(head) \
	((int) ((LOG_PAGE_END - LOG_PAGE_START - sizeof(LogHead) - \
			 (head)->nparents * sizeof(LogParent) - \
			 (head)->nbarriers * sizeof(LogBarrier)) / sizeof(LogRootEntry)))

/* ---- extent directory ---- */

#define LOG_SPARE_EXTENT	INT64CONST(-1)

typedef struct LogExtent
{
	BlockNumber start;
	uint32		nblocks;
	int64		base;			/* base of its first page, LOG_SPARE_EXTENT
								 * until the tail has got there */
	TimestampTz first_time;		/* append time of its first row */
	TimestampTz last_time;		/* once it is full: not before that of the
								 * last, nor behind the next extent's first */
} LogExtent;

StaticAssertDecl(sizeof(LogExtent) == 32, "on-disk format");

typedef struct LogDirectory
{
	uint32		nextents;
	uint32		reserved;
	LogExtent	extents[FLEXIBLE_ARRAY_MEMBER];
} LogDirectory;

StaticAssertDecl(offsetof(LogDirectory, extents) == 8, "on-disk format");

#define LOG_DIRECTORY(page) ((LogDirectory *) LOG_PAGE_CONTENT(page))
#define LOG_DIRECTORY_MAX \
	((int) ((LOG_PAGE_END - LOG_PAGE_START - offsetof(LogDirectory, extents)) / sizeof(LogExtent)))

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

StaticAssertDecl(sizeof(LogRun) == 24, "on-disk format");

#define LOG_RUN_COMMITTED	0x0001	/* hint */
#define LOG_RUN_ABORTED		0x0002	/* hint */
#define LOG_RUN_DEAD		0x0004	/* aborted; WAL-logged by vacuum */
#define LOG_RUN_HINTS		(LOG_RUN_COMMITTED | LOG_RUN_ABORTED)

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

/* ---- states ---- */

typedef struct LogStateEntry
{
	uint32		owner;
	uint32		partition;
	BlockNumber block;
} LogStateEntry;

typedef struct LogStateDirectory
{
	BlockNumber next;			/* InvalidBlockNumber at the end */
	uint32		nentries;
	LogStateEntry entries[FLEXIBLE_ARRAY_MEMBER];
} LogStateDirectory;

StaticAssertDecl(sizeof(LogStateEntry) == 12, "on-disk format");
StaticAssertDecl(offsetof(LogStateDirectory, entries) == 8, "on-disk format");

#define LOG_STATE_DIRECTORY(page) ((LogStateDirectory *) LOG_PAGE_CONTENT(page))
#define LOG_STATE_DIRECTORY_MAX \
	((int) ((LOG_PAGE_END - LOG_PAGE_START - offsetof(LogStateDirectory, entries)) / sizeof(LogStateEntry)))

#endif
