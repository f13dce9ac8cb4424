/*
 * log_xlog.h
 *	  WAL records of the log.
 */
#ifndef STREAMQ_LOG_XLOG_H
#define STREAMQ_LOG_XLOG_H

#include "postgres.h"

#include "storage/block.h"
#include "storage/buf.h"

#include "compat.h"

#define LOG_RMGR_ID			181
#define LOG_RMGR_NAME		"streamq"

/*
 * APPEND: rows were placed on the tail page.
 *
 * With APPEND_INIT the page is fresh.  Redo initializes it, so the record never
 * has an image.
 *
 * Backup Blk 0: data page; its data: continuation bytes (cont_len), then the
 * bytes of the rows
 *
 * The main data is packed without alignment:
 * 	 uint8 flags (LOG_APPEND_*)
 * 	 with APPEND_INIT: int64 base, uint8 partition
 * 	 with LOG_APPEND_CONT: uint16 cont_len
 * 	 with LOG_APPEND_RUN: varint natts, varint cid, int64 time
 * 	 with LOG_APPEND_LOGICAL, but not APPEND_INIT: uint8 partition, varint first
 * 	 offset
 * 	 with LOG_APPEND_LOGICAL, but not LOG_APPEND_RUN: varint natts, uint8 position
 * 	 of the first row on the page modulo 8
 * 	 varint rows that start in this record
 * The xid of a new run is the xid of the record.
 *
 * LOG_APPEND_LOGICAL is set with wal_level = logical.  Such a record suffices to
 * decode the rows, without a page and without a catalog table of streamq:
 *
 * - The relation is the one of the block reference's locator.
 * - The block data is there even if the record has an image of the page.
 * - The first row has the first offset or, with APPEND_INIT, the base.
 * - Rows have natts attributes and the layout described in page.h.  The padding
 * 	 before a body depends on the position of the row on the page.  The first row
 * 	 of a new run is at a multiple of 8; otherwise the record has its position.
 * - A row that does not end in its record continues in the continuation bytes of
 * 	 the next record of the same partition.  That record is of the same
 * 	 transaction, because the append lock is held in between.
 * - Transaction, subtransaction and origin are those of the record.
 */
#define XLOG_LOG_APPEND			0x00
#define XLOG_LOG_APPEND_INIT	0x10

#define LOG_APPEND_RUN		0x01	/* a new run begins */
#define LOG_APPEND_CONT		0x02	/* the page begins with a continuation */
#define LOG_APPEND_LOGICAL	0x04	/* has what logical decoding needs */

/*
 * PAGES: structure pages changed together, each as a full image.
 *
 * Backup Blk 0..n: the pages
 *
 * Main data: xl_log_pages
 */
#define XLOG_LOG_PAGES			0x20

typedef enum LogPagesReason
{
	LOG_PAGES_CREATE = 1,		/* meta page and first head */
	LOG_PAGES_PARTITION,		/* a head was added, or its parents were set */
	LOG_PAGES_RESERVE,			/* a spare extent was added on a new directory
								 * page */
	LOG_PAGES_ENTER,			/* the tail moved into a spare extent */
	LOG_PAGES_STATE,			/* state pages were allocated or freed */
	LOG_PAGES_EXPIRE,			/* extents at the head of a partition were
								 * freed */
	LOG_PAGES_FREE,				/* the list of free blocks was rebuilt */
	LOG_PAGES_BARRIER,			/* the routing columns changed */
} LogPagesReason;

typedef struct xl_log_pages
{
	uint8		reason;
} xl_log_pages;

/*
 * STATE: bytes of a state were replaced.
 *
 * Backup Blk 0: state page; its data: xl_log_state_change for each range of
 * bytes, then the bytes of all of them
 *
 * Main data: xl_log_state
 */
#define XLOG_LOG_STATE			0x30

typedef struct xl_log_state
{
	uint16		len;			/* of the content after the change */
} xl_log_state;

typedef struct xl_log_state_change
{
	uint16		offset;
	uint16		nbytes;
} xl_log_state_change;

/*
 * FREEZE: the frozen offset moved.
 *
 * Backup Blk 0: head page
 */
#define XLOG_LOG_FREEZE			0x40

typedef struct xl_log_freeze
{
	int64		frozen_offset;
	int64		frozen_dead;
	TransactionId newest_xid;	/* newest xid frozen, for conflicts on a
								 * standby */
	Oid			dboid;
} xl_log_freeze;

/*
 * DEAD: runs of aborted transactions were marked for good.
 *
 * Backup Blk 0: data page; its data: uint16 positions of the runs
 */
#define XLOG_LOG_DEAD			0x50

/*
 * RESERVE: blocks were added at the end of a directory page, as a spare extent or
 * to lengthen the last one.
 *
 * Backup Blk 0: meta page, 1: directory page
 */
#define XLOG_LOG_RESERVE		0x60

typedef struct xl_log_reserve
{
	BlockNumber start;
	uint32		nblocks;
	uint32		lengthen;		/* 1: lengthen the last extent */
} xl_log_reserve;

/*
 * CONFLICT: other records will remove what a snapshot on a standby may need that
 * does not see the transaction.
 */
#define XLOG_LOG_CONFLICT		0x70

typedef struct xl_log_conflict
{
	TransactionId xid;
	RelFileLocator locator;
} xl_log_conflict;

#define XLOG_LOG_OPMASK			0x70

extern void log_xlog_init(void);	/* registers the resource manager */

/*
 * Log images of n exclusively locked pages and set their LSN.  To be called in
 * a critical section.
 */
extern void log_xlog_pages(LogPagesReason reason, Buffer *buffers, int n);

/* Log a RESERVE record, in the same way. */
extern void log_xlog_reserve(Buffer meta, Buffer leaf, BlockNumber start, uint32 nblocks,
							 bool lengthen);

/*
 * Unsigned numbers in groups of 7 bits, least significant first.  All
 * functions return the position after the number.
 */
extern char *log_put_varint(char *p, uint32 v);
extern const char *log_get_varint(const char *p, uint32 *v);
extern char *log_put_varint64(char *p, uint64 v);
extern const char *log_get_varint64(const char *p, uint64 *v);

#endif
