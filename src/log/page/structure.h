/*
 * structure.h
 *	  What is on disk: the structure pages of a stream's file, and the
 *	  changes of them that redo shares.
 */
#ifndef STREAMQ_LOG_PAGE_STRUCTURE_H
#define STREAMQ_LOG_PAGE_STRUCTURE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/block.h"

#include "log/page/page.h"
#include "log/state_page.h"

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
	BlockNumber state_root;		/* root of the state directory */
	BlockNumber nallocated;		/* blocks below were handed out at least once */
	uint32		nfree;			/* entries of free[] */
	uint32		nstates;		/* state pages */
	uint32		reserved[3];	/* 0 */
	BlockNumber heads[LOG_META_PARTITIONS];
	LogBlockRange free[FLEXIBLE_ARRAY_MEMBER];	/* by start, never adjacent */
} LogMeta;

StaticAssertDecl(offsetof(LogMeta, heads) == 32 && offsetof(LogMeta, free) == 32 + 4 * 256,
				 "on-disk format");
StaticAssertDecl(sizeof(LogBlockRange) == 8, "on-disk format");

/* flag of the meta page: free[] has no room for all free blocks */
#define LOG_META_INCOMPLETE	0x01

#define LOG_META(page)		((LogMeta *) LOG_PAGE_CONTENT(page))
#define LOG_META_MAX_FREE \
	((LOG_PAGE_END - LOG_PAGE_START - offsetof(LogMeta, free)) / sizeof(LogBlockRange))

/* ---- head of a partition ---- */

typedef struct LogParent
{
	int64		offset;			/* the parent must be finished below this */
	uint32		partition;
	uint32		reserved;
} LogParent;

/* the routing columns changed here */
typedef struct LogBarrier
{
	int64		offset;			/* rows below it were routed by the old
								 * columns */
	uint64		xid;			/* full xid of the transaction that made it */
	uint32		id;				/* the same in all partitions, ascending */
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
	int64		expired_offset; /* messages below it expired; between it and
								 * first_offset there were none */
	int64		origin_offset;	/* where this file's log began */
	int64		frozen_offset;	/* everything below is settled for good */
	int64		frozen_dead;	/* rows of aborted transactions in
								 * [first_offset, frozen_offset) */
	uint32		next_leaf_id;
	uint8		nparents;
	uint8		nbarriers;
	uint16		nroot;
	int64		reserved[4];	/* 0; for the progress of later processes with
								 * the partition, such as archiving and
								 * compaction */
	/* LogParent[nparents], LogBarrier[nbarriers], LogRootEntry[nroot] follow */
} LogHead;

StaticAssertDecl(sizeof(LogHead) == 80 && offsetof(LogHead, frozen_dead) == 32 &&
				 offsetof(LogHead, nroot) == 46, "on-disk format");
StaticAssertDecl(sizeof(LogParent) == 16 && offsetof(LogParent, partition) == 8, "on-disk format");
StaticAssertDecl(sizeof(LogBarrier) == 24 && offsetof(LogBarrier, xid) == 8 &&
				 offsetof(LogBarrier, id) == 16, "on-disk format");
StaticAssertDecl(sizeof(LogRootEntry) == 16 && offsetof(LogRootEntry, base) == 8, "on-disk format");

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
	uint32		nblocks;		/* less than 2^24 */
	int64		base;			/* base of its first page; LOG_SPARE_EXTENT
								 * until the tail enters it */
	TimestampTz first_time;		/* append time of its first row */
	TimestampTz last_time;		/* set when it is full: at least the append
								 * time of its last row, at most that of the
								 * next extent's first row */
} LogExtent;

StaticAssertDecl(sizeof(LogExtent) == 32 && offsetof(LogExtent, base) == 8 &&
				 offsetof(LogExtent, first_time) == 16, "on-disk format");

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

/* most barriers in a head */
#define LOG_MAX_BARRIERS	32

/* ---- states ---- */

/*
 * The state directory is a tree ordered by key.  A page of level 0 names state
 * pages.  A page of a higher level names pages of the level below.  The key of
 * an entry is the least key that may be there, except that the first entry of
 * a page covers all keys below the second.
 */
typedef struct LogStateEntry
{
	LogStateKey key;
	BlockNumber block;
} LogStateEntry;

typedef struct LogStateDirectory
{
	uint16		level;
	uint16		reserved;		/* 0 */
	uint32		nentries;
	LogStateEntry entries[FLEXIBLE_ARRAY_MEMBER];
} LogStateDirectory;

StaticAssertDecl(sizeof(LogStateEntry) == 16 && offsetof(LogStateEntry, block) == 12,
				 "on-disk format");
StaticAssertDecl(offsetof(LogStateDirectory, entries) == 8, "on-disk format");

#define LOG_STATE_DIRECTORY(page) ((LogStateDirectory *) LOG_PAGE_CONTENT(page))

/* can be defined smaller, to test high trees */
#ifndef LOG_STATE_DIRECTORY_MAX
#define LOG_STATE_DIRECTORY_MAX \
	((LOG_PAGE_END - LOG_PAGE_START - offsetof(LogStateDirectory, entries)) / sizeof(LogStateEntry))
#endif
#define LOG_STATE_MAX_LEVEL	15

static inline int
log_state_compare(const LogStateKey *a, const LogStateKey *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	if (a->partition != b->partition)
		return a->partition < b->partition ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

/* Is it the state page with this key? */
extern bool log_state_is(Page page, const LogStateKey *key);

/*
 * ---- changing structure pages; nothing here can fail ----
 */

extern void log_fill_meta(Page page, uint32 npartitions, BlockNumber nallocated);
extern void log_fill_head(Page page, int partition, int64 origin);
extern void log_head_set_content(Page page);
extern void log_meta_set_content(Page metapage);
extern void log_fill_state_directory(Page page, int level);
extern void log_state_directory_set_content(Page page);
extern void log_fill_state(Page page, const LogStateKey *key, const char *data, int len);

/*
 * Add blocks at the end of a leaf that has room: as a spare extent, or to the
 * last extent.
 */
extern void log_directory_add(Page page, BlockNumber start, uint32 nblocks, bool lengthen);

/* Take blocks that are free or were never handed out; give blocks back. */
extern void log_take_blocks(Page metapage, BlockNumber start, uint32 nblocks);
extern void log_free_blocks(Page metapage, BlockNumber start, uint32 nblocks);

#endif
