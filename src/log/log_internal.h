/*
 * log_internal.h
 *	  What the files of log/ share.
 *
 * Lock order: relation lock, relation extension lock, append lock of a
 * partition (LWLock), buffer content locks in the order meta, head,
 * directory, state directory, state, data; the freeze lock (LWLock) last.
 */
#ifndef STREAMQ_LOG_INTERNAL_H
#define STREAMQ_LOG_INTERNAL_H

#include "postgres.h"

#include "access/tableam.h"
#include "access/tupmacs.h"
#include "access/xlog.h"
#include "executor/tuptable.h"
#include "port/atomics.h"
#include "nodes/pg_list.h"
#include "storage/buf.h"
#include "storage/bufmgr.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "compat.h"
#include "log/log.h"
#include "log/options.h"
#include "log/page/page.h"

/* ---- identity.c ---- */

/* log_make_tid, in line */
static inline void
log_set_tid(int partition, int64 off, ItemPointer tid)
{
	ItemPointerSet(tid,
				   ((BlockNumber) partition << 24) | (BlockNumber) ((off >> 15) & 0xFFFFFF),
				   (OffsetNumber) ((off & 0x7FFF) + 1));
}

/* ---- page.c ---- */

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
 * Pages ended before offsets [from, to) of a partition, which somebody asked for and
 * which are below its next offset: an error unless they expired meanwhile.
 */
extern void log_check_missing(Relation rel, int partition, int64 from, int64 to);

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

/* ---- row.c ---- */

typedef struct LogRow
{
	const char *body;
	uint32		len;
	uint16		natts;
	uint16		flags;			/* LOG_ROW_NULLS, LOG_ROW_ALIGN* */
} LogRow;

/*
 * Encode values as a row, in memory that reserve(arg, len) gives.  Values out of line
 * are put in, large ones compressed as their column says.
 */
extern void log_row_encode(TupleDesc desc, const Datum *values, const bool *isnull,
						   char *(*reserve) (void *arg, Size len), void *arg, LogRow *row);

/* is it a fixed-length value that must be aligned within the body? */
static inline bool
log_row_must_align(Form_pg_attribute att)
{
	return !att->attbyval && att->attlen > 0 && att->attalign != TYPALIGN_CHAR;
}

/* where the varlena in front of which there is padding at p stands, if it does */
static inline const char *
log_row_skip_padding(const char *body, const char *p, const char *end)
{
	p = body + INTALIGN(p - body);
	/* the second half of what aligns to eight bytes */
	if (end - p >= VARHDRSZ && *(const uint32 *) p == 0)
		p += VARHDRSZ;
	return p;
}

/* position of a body whose header is at pos */
static inline uint32
log_row_body_pos(uint32 pos, uint32 len, uint16 flags)
{
	pos += sizeof(uint16);
	if (len >= LOG_ROW_LONG)
		pos += sizeof(uint32);
	if (flags & LOG_ROW_ALIGN8)
		return TYPEALIGN(8, pos);
	if (flags & LOG_ROW_ALIGN4)
		return TYPEALIGN(4, pos);
	return pos;
}

/*
 * Decode the row header at pos of a data page; returns the position behind the row's bytes
 * on this page, or 0 if the header is damaged.
 */
static inline uint32
log_row_header(const char *page, uint32 pos, uint32 *body, uint32 *len, uint16 *flags)
{
	uint16		header;

	if (unlikely(pos + sizeof(uint16) > LOG_PAGE_END))
		return 0;
	memcpy(&header, page + pos, sizeof(uint16));
	*flags = header & ~LOG_ROW_LEN;
	*len = header & LOG_ROW_LEN;
	if (unlikely(*len == LOG_ROW_LONG))
	{
		if (pos + sizeof(uint16) + sizeof(uint32) > LOG_PAGE_END)
			return 0;
		memcpy(len, page + pos + sizeof(uint16), sizeof(uint32));
	}
	*body = log_row_body_pos(pos, *len, *flags);
	if (unlikely(*body > LOG_PAGE_END || *len > MaxAllocSize))
		return 0;
	return Min(*body + *len, LOG_PAGE_END);
}

/*
 * Decode the varlena at p of a body that ends at end; returns what is behind it, or
 * NULL if it does not fit.  value may be NULL.
 */
static inline const char *
log_row_varlena(const char *body, const char *p, const char *end, Datum *value)
{
	Size		size;

	if (unlikely(p >= end))
		return NULL;

	/*
	 * Usually short: one byte of header, unaligned.  Size 0 would be a
	 * pointer, which no row holds.
	 */
	if (likely(VARATT_IS_SHORT(p)))
	{
		size = VARSIZE_SHORT(p);
		if (unlikely(size - 1 >= (Size) (end - p)))
			return NULL;
	}
	else
	{
		/*
		 * As in a heap tuple: padding is zero, and a header never is.
		 */
		if (*p == 0)
			p = log_row_skip_padding(body, p, end);
		if (unlikely(end - p < VARHDRSZ))
			return NULL;
		/* what follows padding might have a short header after all */
		size = VARATT_IS_SHORT(p) ? VARSIZE_SHORT(p) : VARSIZE_4B(p);
		if (unlikely(size < VARHDRSZ || size > (Size) (end - p)))
			return NULL;
	}
	if (value)
		*value = PointerGetDatum(p);
	return p + size;
}

/* decode a value of len bytes; it may stand anywhere */
static inline Datum
log_row_byval(const char *p, int len)
{
	Datum		value;

	if (likely(len == 8))
	{
		memcpy(&value, p, 8);
		return value;
	}
	if (len == 4)
	{
		int32		v;

		memcpy(&v, p, 4);
		return Int32GetDatum(v);
	}
	if (len == 2)
	{
		int16		v;

		memcpy(&v, p, 2);
		return Int16GetDatum(v);
	}
	return CharGetDatum(*p);
}

/* ---- slot.c ---- */

/*
 * A row in a page is found by walking over the headers of those before it in
 * its run, which is put off until the row is asked for: counting needs no row.
 * A slot in that state has no body but a page, and knows a row before its own.
 */
typedef struct LogSlot
{
	TupleTableSlot base;
	const char *body;			/* NULL, and page too: only tts_values, if not
								 * empty */
	uint32		len;
	uint16		natts;
	uint16		flags;
	uint32		off;			/* deformed so far, up to tts_nvalid */
	Buffer		buffer;			/* pinned while body or page is in it */
	const char *page;			/* of a row that has not been found yet */
	uint32		pos;			/* page: of a row's header; */
	uint32		skip;			/* ours comes so many rows later */
	uint32		end;			/* position behind the row of row_off, 0 if
								 * not known; as long as buffer is pinned */
	int64		row_off;
	char	   *mat;			/* our own memory for a body */
	Size		matsize;
} LogSlot;

extern void log_slot_store(TupleTableSlot *slot, const LogRow *row, Buffer buffer);

/* hold a pin on the buffer instead of the one held now */
extern void log_slot_pin(TupleTableSlot *slot, Buffer buffer);

/* memory of the slot's own for a body of len bytes, to be stored with InvalidBuffer */
extern char *log_slot_reserve(TupleTableSlot *slot, Size len);

/* the slot's row, encoded if need be */
extern void log_slot_get_row(TupleTableSlot *slot, LogRow *row);

/* ---- shared.c ---- */

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

/* kept in rd_amcache: one chunk, gone with any invalidation of the relation */
#define LOG_ROUTE_SLOTS		1024
typedef struct LogRoute
{
	int			npartitions;	/* to route to, from the options */
	int			nkeys;
	AttrNumber	keys[OPTIONS_MAX_KEYS];
	Oid			collations[OPTIONS_MAX_KEYS];
	TypeCacheEntry *types[OPTIONS_MAX_KEYS];
	uint8		slots[LOG_ROUTE_SLOTS];
} LogRoute;

typedef struct LogRelCache
{
	LogRoute	route;
	int64		max_bytes;		/* the stream's limit, 0: none */
	uint32		room_blocks;	/* no room was made when so many were in use:
								 * not before there are more again */
	/* the last messages that a scan came to: [from, to) were appended at time */
	int			scanned_partition;
	int64		scanned_from;
	int64		scanned_to;
	TimestampTz scanned_time;
	LogShared  *shared[LOG_MAX_PARTITIONS];
} LogRelCache;

extern LogRelCache *log_relcache(Relation rel);

/* shared state of a partition, loaded; not on a standby */
extern LogShared *log_shared(Relation rel, int partition);

/*
 * Is it at hand?  To find it may take the append lock and read catalogs, so who
 * asks for a partition's offsets with a page locked must have found it before.  On a standby
 * there is nothing to find.
 */
extern bool log_shared_known(Relation rel, int partition);

/*
 * With a page locked: what is at hand, or NULL, then the file must tell.  That is so on a
 * standby, and if it was one a moment ago, before the page was locked.
 */
static inline LogShared *
log_shared_at_hand(Relation rel, int partition)
{
	LogRelCache *cache = (LogRelCache *) rel->rd_amcache;

	return cache != NULL && !RecoveryInProgress() ? cache->shared[partition] : NULL;
}

/* forget what shared memory knows about a file */
extern void log_shared_forget(RelFileLocator locator);
extern void log_shared_forget_at_commit(RelFileLocator locator);
extern void log_shared_forget_at_abort(RelFileLocator locator);

/* state of the tail as now: shared memory or, on a standby, the file */
extern void log_get_tail(Relation rel, int partition, LogTail *tail);

/* on a standby nothing keeps shared memory in step with the file */
#define log_use_shared()	(!RecoveryInProgress())

/* ---- extent.c ---- */

/* make meta page and the first head if the file is empty */
extern void log_create_storage(Relation rel);
extern void log_restore_length(Relation rel);
extern void log_ensure_partitions(Relation rel, int npartitions);

/* the meta page, locked for reading; InvalidBuffer if the file is empty */
extern Buffer log_read_meta(Relation rel);

/* block of the partition's head, InvalidBlockNumber if there is none */
extern BlockNumber log_head_block(Relation rel, int partition);

/*
 * Make sure npages more pages can be filled behind the tail.  No lock but the
 * relation's held.
 */
extern void log_reserve(Relation rel, int partition, LogShared *shared, uint32 npages);

/*
 * Enter blocks at the end of a leaf: as a spare extent, or by making the last one
 * longer.  There is room.
 */
extern void log_directory_add(Page page, BlockNumber start, uint32 nblocks, bool lengthen);

/* move the tail into the next spare extent; append lock held */
extern void log_enter_extent(Relation rel, int partition, LogShared *shared, TimestampTz now);
extern void log_fill_meta(Page page, uint32 npartitions, BlockNumber nallocated);
extern void log_fill_head(Page page, int partition, int64 origin);
extern void log_head_set_content(Page page);

/* ---- convert.c ---- */

/* a table is about to become a stream: refuse what streams cannot have */
extern void log_check_conversion(Oid relid);
extern void log_refuse_materialized_view(void) pg_attribute_noreturn();

/* ---- blocks.c: pick, lock the meta page, take, all under the extension lock ---- */
extern LogBlockRange log_pick_blocks(Relation rel, uint32 nblocks);
extern BlockNumber log_pick_block(Relation rel, const LogBlockRange *taken);
extern void log_take_blocks(Page metapage, BlockNumber start, uint32 nblocks);
extern void log_free_blocks(Page metapage, BlockNumber start, uint32 nblocks);
extern void log_meta_set_content(Page metapage);

/* ---- extend.c ---- */
extern void log_extend_file(Relation rel, BlockNumber nblocks);

/* ---- directory.c ---- */

/* read the tail from the file; its append lock is held or we are on a standby */
extern void log_tail_load(Relation rel, int partition, LogTail *tail);

/* extents in log order */
extern bool log_extent_find(Relation rel, int partition, int64 off, LogExtent *extent);
extern bool log_extent_find_time(Relation rel, int partition, TimestampTz t, LogExtent *extent);

/* the one after current, or current itself if it has become longer */
extern bool log_extent_next(Relation rel, int partition, const LogExtent *current, LogExtent *extent);
extern bool log_extent_prev(Relation rel, int partition, const LogExtent *current, LogExtent *extent);
extern bool log_extent_last(Relation rel, int partition, LogExtent *extent);

/* all extents in use, in log order */
extern LogExtent *log_extents_used(Relation rel, int partition, int *n);
extern void log_extent_count(Relation rel, int partition, int *live, int *spare, int64 *blocks);

/* ---- blockmap.c: blocks that hold messages ---- */

typedef struct LogBlockMap LogBlockMap;

extern LogBlockMap *log_block_map(Relation rel, MemoryContext context);
extern bool log_block_map_has(const LogBlockMap *map, BlockNumber block);
extern void log_block_map_free(LogBlockMap *map);

/* is the file as long as its log? */
extern void log_check_length(Relation rel);

/* ---- cursor.c: pages of a partition in log order ---- */

typedef struct LogCursor
{
	Relation	rel;
	int			partition;
	BufferAccessStrategy strategy;
	LogExtent	extent;
	BlockNumber block;			/* InvalidBlockNumber: nowhere */
	int64		expected;		/* base of the page to come, -1: any */
} LogCursor;

extern void log_cursor_init(LogCursor *cursor, Relation rel, int partition);

/* to the page on which the row with this offset starts, or the nearest after it */
extern bool log_cursor_seek(LogCursor *cursor, int64 off);
extern bool log_cursor_next(LogCursor *cursor);
extern bool log_cursor_prev(LogCursor *cursor);

/*
 * Pin and share-lock the cursor's page.  InvalidBuffer if it is no page of this
 * extent: behind the tail, or recycled since.
 */
extern Buffer log_cursor_read(LogCursor *cursor);

/* ---- visibility.c ---- */

typedef enum LogVisibility
{
	LOG_INVISIBLE,				/* for good: aborted */
	LOG_VISIBLE,
	LOG_IN_PROGRESS,			/* not for this snapshot */
	LOG_OWN_LATER				/* our own, by this command or a later one */
} LogVisibility;

/* frozen offset as now, to be read under the content lock of the page in question */
extern int64 log_frozen_offset(Relation rel, int partition);

/* what the commit log says about a run that is not in progress nor frozen */
extern bool log_xid_committed(Relation rel, const LogRun *run, Buffer buffer);

/*
 * First and frozen offset as now, for whoever holds a page pinned and locked: if
 * its base is not below *first, the block is not used again while the pin is
 * held.
 */
extern void log_low_offsets(Relation rel, int partition, int64 *first, int64 *frozen);
extern LogVisibility log_run_visibility(Relation rel, int partition, LogRun *run,
										int64 first_row, int64 frozen,
										Snapshot snapshot, Buffer buffer);

/* ---- pagescan.c: visible rows of one page ---- */

typedef struct LogRange
{
	uint16		pos;			/* of the first row's header */
	uint16		nrows;
	uint16		index;			/* of the first row within the page */
	uint16		natts;
	TimestampTz time;
} LogRange;

#define LOG_MAX_RANGES	((LOG_PAGE_END - LOG_PAGE_START) / (sizeof(LogRun) + sizeof(uint16)) + 1)

typedef struct LogPageScan
{
	Relation	rel;
	int			partition;
	Buffer		buffer;			/* pinned, or InvalidBuffer */
	LogCursor	cursor;			/* of this page, for rows that go on */
	MemoryContext context;		/* of what the scan remembers */
	LogBlockMap *map;			/* for log_page_scan_load_block, NULL at first */
	int64		base;
	int			nrows;			/* rows that start on the page */
	int			nranges;
	/* stop_*: a run in progress ended the collection, if asked to stop there */
	bool		stopped;
	int64		stop_offset;
	TransactionId stop_xid;
	TimestampTz stop_time;
	bool		full;			/* the last row may go on behind the page */
	bool		cut;			/* it does, and expired before it was read:
								 * off */
	/* iteration */
	int			range;
	uint32		pos;			/* header of a row of the range */
	uint32		skip;			/* the next one comes so many rows later */
	uint32		left;
	uint16		natts;			/* of the range's rows */
	int64		off;			/* of the row last returned */
	TimestampTz time;
	LogRange	ranges[LOG_MAX_RANGES];
} LogPageScan;

#define LOG_STOP_NEVER	0
#define LOG_STOP_IN_PROGRESS 1	/* others' in progress */
#define LOG_STOP_OWN	2		/* and our own */

extern void log_page_scan_init(LogPageScan *ps, Relation rel);

/*
 * Collect the visible rows of the page at the cursor; keeps it pinned.  False
 * if the cursor is behind the tail or on an expired page.
 */
extern bool log_page_scan_load(LogPageScan *ps, LogCursor *cursor, Snapshot snapshot, int stop);

/*
 * The same for who reads forward: *expected is the offset that comes next.  If
 * it has expired, both the cursor and *expected move to what is retained.
 */
extern bool log_page_scan_load_forward(LogPageScan *ps, LogCursor *cursor, Snapshot snapshot,
									   int stop, int64 *expected);

/*
 * The same for a physical block, for parallel, sample and analyze scans; false
 * if it holds no live rows.
 */
extern bool log_page_scan_load_block(LogPageScan *ps, BlockNumber block,
									 Snapshot snapshot, BufferAccessStrategy strategy);
extern bool log_page_scan_next(LogPageScan *ps, TupleTableSlot *slot);

/* the next row of the range into the slot, which pins the page already */
static inline void
log_page_scan_point(LogPageScan *ps, LogSlot *slot)
{
	/* if the slot has found the row before, go on from there */
	if (ps->skip > 0 && slot->end > 0 && slot->row_off == ps->off)
	{
		ps->pos = slot->end;
		ps->skip = 0;
	}
	ps->left--;
	ps->off++;
	slot->body = NULL;
	slot->page = BufferGetPage(ps->buffer);
	slot->natts = ps->natts;
	slot->off = 0;
	slot->pos = ps->pos;
	slot->skip = ps->skip++;
	slot->end = 0;
	slot->row_off = ps->off;
	slot->base.tts_nvalid = 0;
	slot->base.tts_flags &= ~(TTS_FLAG_EMPTY | TTS_FLAG_SHOULDFREE);
	log_set_tid(ps->partition, ps->off, &slot->base.tts_tid);
	slot->base.tts_tableOid = RelationGetRelid(ps->rel);
}

/* log_page_scan_next, quick where it is easy */
static inline bool
log_page_scan_step(LogPageScan *ps, TupleTableSlot *slot)
{
	LogSlot    *ls = (LogSlot *) slot;

	if (unlikely(ps->left <= 1 || ls->buffer != ps->buffer))
		return log_page_scan_next(ps, slot);
	log_page_scan_point(ps, ls);
	return true;
}

/*
 * Make sure that there is a next row, and that it ends on the page for all that is
 * known without a look at it.
 */
extern bool log_page_scan_on_page(LogPageScan *ps);

/* to the header of the next row */
extern void log_page_scan_walk(LogPageScan *ps);

/* position before the row with offset off or the first visible after it */
extern void log_page_scan_position(LogPageScan *ps, int64 off);

/* the row before the one last returned; from the end after log_page_scan_to_end */
extern bool log_page_scan_prev(LogPageScan *ps, TupleTableSlot *slot);
extern void log_page_scan_to_end(LogPageScan *ps);
extern void log_page_scan_release(LogPageScan *ps);

/* ---- columns.c ---- */

/*
 * Columns of the next row, without a slot; they are valid as long as the page is
 * pinned.  If false, log_page_scan_next has to take that row, if there is one.
 */
extern bool log_page_scan_take(LogPageScan *ps, LogColumns *columns,
							   Datum *values, bool *isnull);

/* the same of the row that was put into the slot */
extern void log_page_scan_columns(const LogPageScan *ps, LogColumns *columns,
								  TupleTableSlot *slot, Datum *values, bool *isnull);

/* ---- append.c ---- */

/* append to one partition, contiguous; returns the offset of the first row */
extern int64 log_append_rows(Relation rel, int partition, const LogRow *rows,
							 int nrows, CommandId cid);

/* ---- restore.c ---- */

/*
 * Rows on their way into a stream of several partitions, which may come from a dump: their
 * partitions there take the place of those that they would get.  With *note
 * log_restore_note is to be told where they went, once they are appended.
 */
extern void log_restore_place(Relation rel, TupleTableSlot **slots, int nslots,
							  int16 *partitions, bool *note);
extern void log_restore_note(Relation rel, const int16 *partitions, int nrows);

/* the stream's file is another now */
extern void log_restore_file_changed(void);

/* from log_init */
extern void log_restore_init(void);

/* ---- ddl.c ---- */

/* give the stream an empty file without a past, with this transaction */
extern void log_begin_anew(Relation rel);

/* ---- extent.c ---- */

/* what is to be finished before a partition's messages, in the place of what was */
extern void log_set_parents(Relation rel, int partition, int nparents,
							const int *parents, const int64 *offsets);

/* ---- route.c ---- */

extern void log_route_fill(LogRoute *route, Relation rel, const StreamOptions *options);
extern int	log_route_slot(const LogRoute *route, TupleTableSlot *slot);	/* -1: spread */
extern int	log_route_values(const LogRoute *route, const Datum *values, const bool *isnull);
extern int	log_route_spread(int npartitions, int n);	/* partition to begin
														 * with */

/* ---- scan.c, fetch.c, ddl.c, vacuum.c, analyze.c: callbacks ---- */
extern const TableAmRoutine LogTableAm;

extern TableScanDesc log_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
									struct ScanKeyData *key,
									ParallelTableScanDesc parallel, uint32 flags);
extern void log_scan_end(TableScanDesc scan);
extern void log_scan_rescan(TableScanDesc scan, struct ScanKeyData *key,
							bool set_params, bool allow_strat,
							bool allow_sync, bool allow_pagemode);
extern bool log_scan_getnextslot(TableScanDesc scan, ScanDirection direction,
								 TupleTableSlot *slot);
extern void log_scan_set_tidrange(TableScanDesc scan, ItemPointer mintid, ItemPointer maxtid);
extern bool log_scan_getnextslot_tidrange(TableScanDesc scan, ScanDirection direction,
										  TupleTableSlot *slot);
extern Size log_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan);
extern bool log_scan_sample_next_block(TableScanDesc scan, struct SampleScanState *state);
extern bool log_scan_sample_next_tuple(TableScanDesc scan, struct SampleScanState *state,
									   TupleTableSlot *slot);
extern bool log_analyze_load_block(TableScanDesc scan, BlockNumber block,
								   BufferAccessStrategy strategy);
extern bool log_analyze_next_row(TableScanDesc scan, double *live, double *dead,
								 TupleTableSlot *slot);

extern bool log_fetch_row(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot);

struct VacuumParams;
extern void log_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy strategy);

extern void log_set_new_filelocator(Relation rel, const RelFileLocator *locator,
									char persistence, TransactionId *freezeXid,
									MultiXactId *minmulti);
extern void log_nontransactional_truncate(Relation rel);
extern void log_copy_data(Relation rel, const RelFileLocator *locator);

/* ---- vacuum.c ---- */

/* rows of runs marked dead in [from, to) */
extern int64 log_count_dead(Relation rel, int partition, int64 from, int64 to);

/* ---- retention.c ---- */

/*
 * Before npages are reserved: drop what a limit on bytes does not allow with them.
 * No lock but the relation's is held.
 */
extern void log_make_room(Relation rel, uint32 npages);

/* blocks that were handed out and not given back */
extern uint32 log_blocks_in_use(Relation rel, uint32 *npartitions);

/* drop the extents at the head in which nothing but dead rows is left */
extern void log_expire_dead(Relation rel, int partition);

/* ---- state.c ---- */
extern const LogStateCallbacks *log_state_callbacks;
extern TransactionId log_state_vacuum(Relation rel, TransactionId cutoff);

typedef struct LogStateCopy
{
	uint32		owner;
	uint32		partition;
	int			len;
	char	   *data;
} LogStateCopy;
extern List *log_state_copy_all(Relation rel);

#endif
