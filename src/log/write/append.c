/*
 * append.c
 *	  Appending rows to a partition.
 *
 * The append lock is held for a whole batch, so the offsets of a batch are
 * contiguous.  Space is reserved before the lock is taken, and the file is
 * never extended under it.  Each page gets one WAL record with only the new
 * bytes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/catalog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "storage/spin.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "log/log.h"
#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/row_codec.h"
#include "log/space/directory.h"
#include "log/space/extent.h"
#include "log/space/partition.h"
#include "log/space/shared.h"
#include "log/write/append.h"

/*
 * rows up to this size are not split between pages, because reading a whole
 * row is faster
 */
#define SPAN_MIN_ROW	256
/* a split row has at least this much of its body on the first page */
#define SPAN_MIN_ROOM	64

/*
 * The largest TIDs of partition 255 would have the invalid block number, so
 * their offsets are skipped.
 */
#define TID_HOLE_PARTITION	255
#define TID_HOLE(off)		((((off) >> 15) & 0xFFFFFF) == 0xFFFFFF)
#define TID_HOLE_SIZE		0x8000

void		(*log_append_hook) (Oid relid, int partition, int64 last_offset) = NULL;

static inline bool
row_can_start(uint32 pos, const LogRow *row)
{
	uint32		body = log_row_body_pos(pos, row->len, row->flags);

	return body + row->len <= LOG_PAGE_END ||
		(row->len > SPAN_MIN_ROW && body + SPAN_MIN_ROOM <= LOG_PAGE_END);
}

/*
 * Put the row, or the part of it that fits, at pos.  Returns the position
 * after it.
 */
static inline uint32
place_row(char *page, uint32 pos, const LogRow *row, uint32 *placed)
{
	uint16		header;
	uint32		body = log_row_body_pos(pos, row->len, row->flags);
	uint32		n = Min(row->len, LOG_PAGE_END - body);

	header = row->flags | (uint16) Min(row->len, LOG_ROW_LONG);
	memcpy(page + pos, &header, sizeof(uint16));
	pos += sizeof(uint16);
	if (row->len >= LOG_ROW_LONG)
	{
		memcpy(page + pos, &row->len, sizeof(uint32));
		pos += sizeof(uint32);
	}
	while (pos < body)
		page[pos++] = 0;
	memcpy(page + body, row->body, n);
	*placed = n;
	return body + n;
}

/* Upper bound of the pages that rows need after the present tail page. */
static uint32
pages_needed(const LogRow *rows, int nrows)
{
	Size		bytes = 0;
	const Size	usable = LOG_PAGE_END - LOG_PAGE_START - sizeof(LogRun) -
		SPAN_MIN_ROW - SPAN_MIN_ROOM;

	for (int i = 0; i < nrows; i++)
		bytes += rows[i].len + sizeof(uint16) + sizeof(uint32) + MAXIMUM_ALIGNOF;
	return (uint32) (bytes / usable) + 2;
}

/* The log has no head page yet: create it and load the tail. */
static void
create_log(Relation rel, int partition, LogShared *shared)
{
	log_create_storage(rel);
	log_ensure_partitions(rel, partition + 1);
	LWLockAcquire(&shared->append_lock, LW_EXCLUSIVE);
	if (!BlockNumberIsValid(shared->tail.head))
		log_tail_load(rel, partition, &shared->tail);
	LWLockRelease(&shared->append_lock);
}

typedef struct AppendState
{
	Relation	rel;
	int			partition;
	LogShared  *shared;
	TransactionId xid;
	CommandId	cid;
	TimestampTz now;
	const LogRow *rows;
	int			nrows;
	int			next;			/* row to be placed next */
	const char *cont;			/* rest of the row before it */
	uint32		cont_len;
	bool		fresh_page;		/* start on a new page */
	bool		wal;
	bool		logical;		/* WAL for logical decoding */
	Buffer		ready;			/* pinned, probably the tail page */
	BlockNumber ready_block;
	Buffer		made;			/* last fresh page, InvalidBuffer if there is
								 * none */
} AppendState;

/*
 * An append of a single row holds the lock for a few microseconds, and
 * sleeping and waking take several times as long.  After a group commit many
 * sessions come at once.  Trying again for as long as some of them need saves
 * nearly all of the sleeping, and costs little when the lock is held for a
 * large batch.
 */
#define APPEND_SPINS	300

static void
acquire_append_lock(LWLock *lock)
{
	for (int i = 0; i < APPEND_SPINS; i++)
	{
		if (LWLockConditionalAcquire(lock, LW_EXCLUSIVE))
			return;
		SPIN_DELAY();
	}
	LWLockAcquire(lock, LW_EXCLUSIVE);
}

/* ---- memory of pages ---- */

/*
 * In a young process the first access to a buffer is a page fault.  When
 * memory is read, operating systems map the memory around it, too, commonly 64
 * kB, as far as some process has used it before.
 */
#define FAULT_AROUND	(65536 / BLCKSZ)
#define FAULT_PAGE		4096

static inline void
touch_buffer(Buffer buffer)
{
	volatile char *p = (volatile char *) BufferGetBlock(buffer);

	for (int i = 0; i < BLCKSZ; i += FAULT_PAGE)
		(void) p[i];
	(void) p[BLCKSZ - 1];
}

/*
 * A fresh page was filled.  The next ones mostly get buffers beside it.
 * Touching those once gives every session that appends one page fault for many
 * of them, instead of one for each.
 */
static void
touch_around(Buffer buffer)
{
	static int	done = -1;
	int			group = (buffer - 1) / FAULT_AROUND;

	if (buffer < 0 || group == done)
		return;
	done = group;
	for (int i = Max((group - 1) * FAULT_AROUND, 0);
		 i < Min((group + 2) * FAULT_AROUND, NBuffers); i++)
		touch_buffer(i + 1);
}

/* ---- the tail page ---- */

static inline void
remember_tail_buffer(AppendState *s, BlockNumber block, Buffer buffer)
{
	pg_atomic_write_u64(&s->shared->tail_buffer, (uint64) block << 32 | (uint32) buffer);
}

/*
 * Pin the page that was the tail a moment ago, and have it mapped, before the
 * append lock is taken.  Under the lock one session after the other would do
 * this.
 */
static void
ready_tail_page(AppendState *s)
{
	static Buffer touched = InvalidBuffer;
	uint64		hint = pg_atomic_read_u64(&s->shared->tail_buffer);
	Buffer		buffer = (Buffer) (uint32) hint;

	s->ready = InvalidBuffer;
	s->ready_block = (BlockNumber) (hint >> 32);
	if (!BufferIsValid(buffer) || RelationUsesLocalBuffers(s->rel))
		return;
	if (!ReadRecentBuffer(RelationLocator(s->rel), MAIN_FORKNUM, s->ready_block, buffer))
		return;
	s->ready = buffer;
	if (buffer != touched)
		touch_buffer(buffer);
	touched = buffer;
}

static void
release_ready(AppendState *s)
{
	if (BufferIsValid(s->ready))
		ReleaseBuffer(s->ready);
	s->ready = InvalidBuffer;
}

/* Pin the tail page. */
static Buffer
pin_tail_page(AppendState *s, BlockNumber block)
{
	Buffer		buffer;

	if (BufferIsValid(s->ready) && s->ready_block == block)
	{
		buffer = s->ready;
		s->ready = InvalidBuffer;

		/*
		 * count the access here, because it has not gone through ReadBuffer()
		 */
		pgstat_count_buffer_read(s->rel);
		pgstat_count_buffer_hit(s->rel);
		return buffer;
	}
	buffer = ReadBuffer(s->rel, block);
	remember_tail_buffer(s, block, buffer);
	return buffer;
}

/* Lock the tail page if the next row can start on it. */
static Buffer
lock_tail_page(AppendState *s, bool *newrun)
{
	LogTail    *tail = &s->shared->tail;
	Buffer		buffer;
	Page		page;
	LogPageOpaque *opaque;
	const LogRow *row = &s->rows[s->next];
	uint32		pos;

	if (s->cont_len > 0 || s->fresh_page || !BlockNumberIsValid(tail->tail))
		return InvalidBuffer;
	buffer = pin_tail_page(s, tail->tail);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buffer);
	if (!log_page_is(page, LOG_PAGE_DATA, s->partition))
		log_page_corrupted(s->rel, tail->tail, "it should be the last page of a partition");
	opaque = LOG_OPAQUE(page);
	if (opaque->base + opaque->nrows != tail->next_offset)
		log_page_corrupted(s->rel, tail->tail, "it does not end where its partition does");
	pos = ((PageHeader) page)->pd_lower;
	*newrun = true;
	if (opaque->last_run != 0)
	{
		LogRun	   *run = (LogRun *) ((char *) page + opaque->last_run);

		/* a run with hint flags is over */
		if (opaque->last_run + sizeof(LogRun) + run->nbytes != pos)
			log_page_corrupted(s->rel, tail->tail, "its last run does not end where its content does");
		if (run->xid == s->xid && run->cid == s->cid &&
			run->natts == row->natts && run->flags == 0 &&
			run->nrows < PG_UINT16_MAX)
			*newrun = false;
	}
	if (*newrun)
		pos = MAXALIGN(pos) + sizeof(LogRun);
	if (!row_can_start(pos, row))
	{
		UnlockReleaseBuffer(buffer);
		return InvalidBuffer;
	}
	return buffer;
}

/*
 * Fresh pages mostly get adjacent buffers.  In a young process the first write
 * to each is a page fault or two, which costs more than filling the page.
 * When memory is read instead, operating systems map the memory around it,
 * too.  So read the neighbours, one of which is probably next.
 */
static inline void
touch_neighbours(Buffer buffer)
{
	if (buffer > 1)
		(void) *(volatile char *) BufferGetBlock(buffer - 1);
	if (buffer > 0 && buffer < NBuffers)
		(void) *(volatile char *) BufferGetBlock(buffer + 1);
}

static Buffer
lock_next_page(AppendState *s)
{
	LogTail    *tail = &s->shared->tail;
	Buffer		buffer;

	if (!BlockNumberIsValid(tail->extent_start) || tail->next_block >= tail->extent_end)
		log_enter_extent(s->rel, s->partition, s->shared, s->now);
	buffer = ReadBufferExtended(s->rel, MAIN_FORKNUM, tail->next_block,
								RBM_ZERO_AND_LOCK, NULL);
	touch_neighbours(buffer);
	return buffer;
}

/*
 * Write the WAL record of one page: main data as described in log_xlog.h, and
 * the new bytes.
 */
static void
log_append_record(AppendState *s, Buffer buffer, bool init, const LogRun *newrun,
				  uint32 rows_pos, uint32 rows_end, int placed)
{
	char		main[64];
	char	   *p = main;
	Page		page = BufferGetPage(buffer);
	LogPageOpaque *opaque = LOG_OPAQUE(page);
	uint8		flags = 0;
	XLogRecPtr	lsn;

	if (newrun)
		flags |= LOG_APPEND_RUN;
	if (init && opaque->cont_len > 0)
		flags |= LOG_APPEND_CONT;
	if (s->logical)
		flags |= LOG_APPEND_LOGICAL;
	*p++ = (char) flags;
	if (init)
	{
		memcpy(p, &opaque->base, sizeof(int64));
		p += sizeof(int64);
		*p++ = (char) s->partition;
	}
	if (flags & LOG_APPEND_CONT)
	{
		memcpy(p, &opaque->cont_len, sizeof(uint16));
		p += sizeof(uint16);
	}
	if (newrun)
	{
		p = log_put_varint(p, newrun->natts);
		p = log_put_varint(p, newrun->cid);
		memcpy(p, &newrun->time, sizeof(int64));
		p += sizeof(int64);
	}
	if (s->logical && !init)
	{
		*p++ = (char) s->partition;
		p = log_put_varint64(p, (uint64) (opaque->base + opaque->nrows - placed));
	}
	if (s->logical && !newrun)
	{
		LogRun	   *run = (LogRun *) ((char *) page + opaque->last_run);

		p = log_put_varint(p, placed > 0 ? run->natts : 0);
		*p++ = (char) (rows_pos % MAXIMUM_ALIGNOF);
	}
	p = log_put_varint(p, placed);

	XLogBeginInsert();
	if (s->logical)
		XLogSetRecordFlags(XLOG_INCLUDE_ORIGIN);
	XLogRegisterData(main, p - main);
	XLogRegisterBuffer(0, buffer, REGBUF_STANDARD | (init ? REGBUF_WILL_INIT : 0) |
					   (s->logical ? REGBUF_KEEP_DATA : 0));
	if (flags & LOG_APPEND_CONT)
		XLogRegisterBufData(0, (char *) page + LOG_PAGE_START, opaque->cont_len);
	if (placed > 0)
		XLogRegisterBufData(0, (char *) page + rows_pos, rows_end - rows_pos);
	lsn = XLogInsert(LOG_RMGR_ID, init ? XLOG_LOG_APPEND_INIT : XLOG_LOG_APPEND);
	PageSetLSN(page, lsn);
}

/*
 * Place as many rows as the page takes, from pos on; the first one can start
 * there.  Returns the position after them.
 */
static inline uint32
place_rows(AppendState *s, Page page, const LogRun *run, uint32 pos, int *placed)
{
	int			n = 0;

	do
	{
		const LogRow *row = &s->rows[s->next++];
		uint32		nbytes;

		pos = place_row((char *) page, pos, row, &nbytes);
		n++;
		if (nbytes < row->len)
		{
			s->cont = row->body + nbytes;
			s->cont_len = row->len - nbytes;
			break;
		}
	} while (s->next < s->nrows &&
			 s->rows[s->next].natts == run->natts &&
			 run->nrows + n < PG_UINT16_MAX &&
			 row_can_start(pos, &s->rows[s->next]));
	*placed = n;
	return pos;
}

/* Fill one page with as many rows as it takes. */
static void
append_page(AppendState *s)
{
	LogTail    *tail = &s->shared->tail;
	bool		newrun = true;
	Buffer		buffer = lock_tail_page(s, &newrun);
	bool		init = !BufferIsValid(buffer);
	Page		page;
	LogPageOpaque *opaque;
	LogRun	   *run = NULL;
	uint32		pos;
	uint32		rows_pos;
	int			placed = 0;

	if (init)
	{
		newrun = true;
		buffer = lock_next_page(s);
	}
	page = BufferGetPage(buffer);

	START_CRIT_SECTION();
	if (init)
	{
		log_page_init(page, LOG_PAGE_DATA, s->partition);
		LOG_OPAQUE(page)->base = tail->next_offset;
	}
	opaque = LOG_OPAQUE(page);
	pos = ((PageHeader) page)->pd_lower;

	if (s->cont_len > 0)
	{
		uint32		n = Min(s->cont_len, LOG_PAGE_END - LOG_PAGE_START);

		memcpy((char *) page + pos, s->cont, n);
		opaque->cont_len = n;
		pos += n;
		s->cont += n;
		s->cont_len -= n;
	}

	rows_pos = pos;
	if (s->cont_len == 0 && s->next < s->nrows)
	{
		uint32		run_pos = newrun ? MAXALIGN(pos) : opaque->last_run;
		uint32		start = newrun ? run_pos + sizeof(LogRun) : pos;

		if (row_can_start(start, &s->rows[s->next]))
		{
			run = (LogRun *) ((char *) page + run_pos);
			if (newrun)
			{
				memset((char *) page + pos, 0, run_pos - pos);
				run->xid = s->xid;
				run->cid = s->cid;
				run->time = s->now;
				run->nrows = 0;
				run->nbytes = 0;
				run->natts = s->rows[s->next].natts;
				run->flags = 0;
				opaque->last_run = run_pos;
			}
			rows_pos = start;
			pos = place_rows(s, page, run, start, &placed);
			run->nrows += placed;
			run->nbytes += pos - rows_pos;
			opaque->nrows += placed;
		}
	}
	((PageHeader) page)->pd_lower = pos;
	MarkBufferDirty(buffer);
	if (s->wal)
		log_append_record(s, buffer, init, run && newrun ? run : NULL,
						  rows_pos, pos, placed);
	if (init)
	{
		tail->tail = tail->next_block++;
		s->fresh_page = false;
		s->made = buffer;
		remember_tail_buffer(s, tail->tail, buffer);
	}
	tail->next_offset += placed;
	pg_atomic_write_u64(&s->shared->next_offset, tail->next_offset);
	END_CRIT_SECTION();

	UnlockReleaseBuffer(buffer);
}

int64
log_append_rows(Relation rel, int partition, const LogRow *rows, int nrows, CommandId cid)
{
	AppendState s;
	LogShared  *shared;
	LogTail    *tail;
	uint32		need = pages_needed(rows, nrows);
	TimestampTz now;
	int64		first;

	/* report a conflict before anything is written */
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);

	s.rel = rel;
	s.partition = partition;
	s.xid = GetCurrentTransactionId();
	s.wal = RelationNeedsWAL(rel);
	s.logical = RelationIsLogicallyLogged(rel);
	s.shared = shared = log_shared(rel, partition);
	tail = &shared->tail;

	for (;;)
	{
		uint32		ahead = 0;

		ready_tail_page(&s);
		acquire_append_lock(&shared->append_lock);
		if (BlockNumberIsValid(tail->extent_start))
			ahead = tail->extent_end - tail->next_block;
		if (BlockNumberIsValid(tail->head) && ahead + tail->spare_blocks >= need)
			break;
		LWLockRelease(&shared->append_lock);
		release_ready(&s);
		if (!BlockNumberIsValid(tail->head))
			create_log(rel, partition, shared);
		log_reserve(rel, partition, shared, need);
	}

	s.cid = cid;
	now = GetCurrentTimestamp();
	s.now = Max(now, tail->last_time);
	s.rows = rows;
	s.nrows = nrows;
	s.next = 0;
	s.cont = NULL;
	s.cont_len = 0;
	s.fresh_page = false;
	s.made = InvalidBuffer;
	tail->last_time = s.now;
	if (unlikely(partition == TID_HOLE_PARTITION &&
				 (TID_HOLE(tail->next_offset) || TID_HOLE(tail->next_offset + nrows))))
	{
		tail->next_offset = (tail->next_offset + nrows + TID_HOLE_SIZE) &
			~(int64) (TID_HOLE_SIZE - 1);
		s.fresh_page = true;
	}
	first = tail->next_offset;

	while (s.next < s.nrows || s.cont_len > 0)
		append_page(&s);
	LWLockRelease(&shared->append_lock);
	release_ready(&s);
	if (BufferIsValid(s.made))
		touch_around(s.made);

	pgstat_count_heap_insert(rel, nrows);
	if (log_append_hook)
		log_append_hook(RelationGetRelid(rel), partition, first + nrows - 1);

	/*
	 * A reader takes its predicate lock and then looks where the partition
	 * ends.  If the lock was not there yet, the reader will find the rows.
	 */
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);

	return first;
}
