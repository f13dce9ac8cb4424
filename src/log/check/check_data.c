/*
 * check_data.c
 *	  Checking data pages and the rows on them.
 *
 * The pages of a partition are read in log order, up to the tail as it was
 * when the directory was copied.  Except for flags, what was written by then
 * changes only by expiry.  So a page is skipped if its extent is gone by the
 * time the page was read.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/toast_compression.h"
#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "log/check/check_walk.h"
#include "log/log.h"
#include "log/page/page.h"
#include "log/page/row_codec.h"
#include "log/page/run.h"
#include "log/page/structure.h"
#include "log/read/visibility.h"
#include "log/space/shared.h"

#define PAGE_ROOM	(LOG_PAGE_END - LOG_PAGE_START)

typedef struct CommitLogArgs
{
	TransactionId xid;
	bool		known;
	bool		committed;
} CommitLogArgs;

/* Position in the log of a partition. */
typedef struct Walk
{
	Check	   *check;
	CheckPartition *p;
	int64		frozen;			/* at least what it was when the page was
								 * copied */
	int64		dead;			/* rows of runs marked dead below the frozen
								 * offset */
	CommitLogArgs asked;		/* last answer of the commit log */
	bool		expired;		/* some pages were not read */
	int64		expected;		/* base of the next page, -1: unknown */
	TimestampTz time;			/* of the previous run */
	bool		seam_known;		/* `left` is valid */
	uint32		left;			/* bytes of a row that continues on the next
								 * page */
	bool		left_committed; /* that row must be complete */
	int64		left_off;
	bool		left_decode;
	LogRow		row;			/* that row; its body is in bytes */
	StringInfoData bytes;
} Walk;

/* The page being checked. */
typedef struct PageView
{
	BlockNumber block;
	Page		page;
	LogPageOpaque *opaque;
	uint32		lower;
} PageView;

static void
pg_attribute_printf(4, 5)
report_damage(Walk *w, BlockNumber block, int64 off, const char *fmt, ...)
{
	StringInfoData text;
	va_list		args;
	int			needed;

	initStringInfo(&text);
	for (;;)
	{
		va_start(args, fmt);
		needed = appendStringInfoVA(&text, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	log_check_report(w->check, w->p->partition, block, off, "%s", text.data);
	pfree(text.data);
}

/* ---- rows ---- */

/* Returns NULL or what is wrong with the attributes. */
static const char *
check_attributes(TupleDesc desc, const LogRow *row)
{
	bool		nulls = (row->flags & LOG_ROW_NULLS) != 0;
	const bits8 *bitmap = (const bits8 *) row->body;
	uint64		off = nulls ? BITMAPLEN(row->natts) : 0;

	if (row->natts > desc->natts)
		return "the row has more attributes than the stream has columns";
	if (off > row->len)
		return "the null bitmap is longer than the row";
	for (int i = 0; i < row->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *value;
		uint32		size;

		if (nulls && !(bitmap[i >> 3] & (1 << (i & 7))))
			continue;
		if (att->attlen > 0)
		{
			if (!att->attbyval && att->attalign != TYPALIGN_CHAR)
				off = att_align_nominal(off, att->attalign);
			off += att->attlen;
			if (off > row->len)
				return "an attribute ends after its row";
			continue;
		}
		if (off < row->len && row->body[off] == 0)
			off = log_row_skip_padding(row->body, row->body + off, row->body + row->len) -
				row->body;
		if (off >= row->len)
			return "an attribute begins after its row";
		value = row->body + off;
		if (VARATT_IS_1B_E(value))
			return "an attribute is stored out of line";
		if (VARATT_IS_1B(value))
			size = VARSIZE_1B(value);
		else if (off + VARHDRSZ > row->len)
			return "an attribute ends after its row";
		else
			size = VARSIZE_4B(value);
		if (off + size > row->len)
			return "an attribute ends after its row";
		if (!VARATT_IS_1B(value) && size < VARHDRSZ)
			return "an attribute is shorter than its header";
		if (VARATT_IS_4B_C(value) &&
			(size < VARHDRSZ_COMPRESSED ||
			 VARDATA_COMPRESSED_GET_COMPRESS_METHOD(value) > TOAST_LZ4_COMPRESSION_ID))
			return "an attribute is not compressed as it says";
		off += size;
	}
	if (off != row->len)
		return "the row is longer than its attributes";
	return NULL;
}

static void
check_row(Walk *w, BlockNumber block, int64 off, const LogRow *row)
{
	const char *problem = check_attributes(RelationGetDescr(w->check->rel), row);

	if (problem)
		report_damage(w, block, off, "%s", problem);
}

/* ---- runs ---- */

typedef struct OutcomeArgs
{
	int			partition;
	const LogRun *run;
	int64		first_row;
	bool		committed;
} OutcomeArgs;

/*
 * Did the run's transaction commit?  As in log_run_visibility(), but only what
 * is final counts.
 */
static void
find_outcome(Check *check, void *arg)
{
	OutcomeArgs *args = arg;
	LogShared  *shared = log_use_shared() ? log_shared(check->rel, args->partition) : NULL;

	args->committed = false;
	if (shared)
		LWLockAcquire(&shared->freeze_lock, LW_SHARED);
	if (args->first_row < log_frozen_offset(check->rel, args->partition))
		args->committed = true;
	else if (!TransactionIdIsCurrentTransactionId(args->run->xid) &&
			 !TransactionIdIsInProgress(args->run->xid))
		args->committed = TransactionIdDidCommit(args->run->xid);
	if (shared)
		LWLockRelease(&shared->freeze_lock);
}

/*
 * Must the rows of the run match the columns?  Rows of an aborted transaction
 * may have been written under other columns, and may end in the middle.
 */
static bool
run_committed(Walk *w, PageView *v, const LogRun *run, int64 first_row)
{
	OutcomeArgs args = {w->p->partition, run, first_row, false};

	if (run->flags & (LOG_RUN_ABORTED | LOG_RUN_DEAD))
		return false;
	if (first_row < w->frozen || (run->flags & LOG_RUN_COMMITTED))
		return true;
	if (!TransactionIdIsNormal(run->xid) ||
		!TransactionIdPrecedes(run->xid, ReadNextTransactionId()) ||
		TransactionIdPrecedes(run->xid, w->check->oldest_xid))
	{
		/*
		 * No reader asks about xids below the frozen offset, which may have
		 * moved.
		 */
		if (log_check_guard(w->check, w->p->partition, v->block, find_outcome, &args) &&
			!args.committed)
			report_damage(w, v->block, first_row, "transaction id %u of a run is impossible", run->xid);
		return false;
	}
	return log_check_guard(w->check, w->p->partition, v->block, find_outcome, &args) &&
		args.committed;
}

/*
 * Ask the commit log about a transaction that has ended, if it reaches back
 * that far.
 */
static void
ask_commit_log(Check *check, void *arg)
{
	CommitLogArgs *args = arg;

	args->known = false;
	if (!TransactionIdIsNormal(args->xid) ||
		!TransactionIdPrecedes(args->xid, ReadNextTransactionId()) ||
		TransactionIdIsCurrentTransactionId(args->xid) || TransactionIdIsInProgress(args->xid))
		return;
	LWLockAcquire(XactTruncationLock, LW_SHARED);
	if (!TransactionIdPrecedes(args->xid, COMPAT_OLDEST_CLOG_XID()))
	{
		args->known = true;
		args->committed = TransactionIdDidCommit(args->xid);
	}
	LWLockRelease(XactTruncationLock);
}

/*
 * Do the flags of a run agree with the outcome of its transaction?  Readers
 * trust the flags, and trust that below the frozen offset no other run is
 * dead.
 */
static void
check_flags(Walk *w, PageView *v, const LogRun *run, int64 off)
{
	const uint16 rolled_back = LOG_RUN_ABORTED | LOG_RUN_DEAD;
	bool		frozen = off < w->p->frozen_offset;
	bool		ask;

	/*
	 * after a wraparound the xid of a frozen run may be that of a later
	 * transaction
	 */
	ask = frozen ? EpochFromFullTransactionId(ReadNextFullTransactionId()) == 0 :
		run->flags != 0;
	if (ask && (run->xid != w->asked.xid || !w->asked.known))
	{
		w->asked.xid = run->xid;
		ask = log_check_guard(w->check, w->p->partition, v->block, ask_commit_log, &w->asked);
	}

	if (run->flags & ~(LOG_RUN_HINTS | LOG_RUN_DEAD))
		report_damage(w, v->block, off, "flags 0x%04x of a run are unknown", run->flags);
	if (frozen && (run->flags & LOG_RUN_DEAD))
		w->dead += Min(off + run->nrows, w->p->frozen_offset) - Max(off, w->p->first_offset);
	if ((run->flags & LOG_RUN_COMMITTED) && (run->flags & rolled_back))
		report_damage(w, v->block, off, "a run is marked as committed and as rolled back");
	else if (frozen && (run->flags & rolled_back) == LOG_RUN_ABORTED)
		report_damage(w, v->block, off, "a run below the frozen offset was rolled back and is not marked as dead");
	else if (ask && w->asked.known &&
			 w->asked.committed != ((run->flags & rolled_back) == 0))
		report_damage(w, v->block, off, w->asked.committed ?
					  "the transaction %u of a run marked as rolled back has committed" :
					  "the transaction %u of a run that counts as committed was rolled back", run->xid);
}

/* Check the rows of one run.  False if the rest of the page makes no sense. */
static bool
check_rows(Walk *w, PageView *v, const LogRun *run, uint32 pos, int64 off, bool committed)
{
	uint32		end = pos + run->nbytes;

	for (int i = 0; i < run->nrows; i++, off++)
	{
		LogRow		row;
		uint16		header;
		uint32		body;

		if (pos + sizeof(uint16) > end)
		{
			report_damage(w, v->block, off, "a row begins after its run");
			return false;
		}
		memcpy(&header, (char *) v->page + pos, sizeof(uint16));
		row.flags = header & ~LOG_ROW_LEN;
		row.len = header & LOG_ROW_LEN;
		row.natts = run->natts;
		if (row.len == LOG_ROW_LONG)
		{
			if (pos + sizeof(uint16) + sizeof(uint32) > end)
			{
				report_damage(w, v->block, off, "a row begins after its run");
				return false;
			}
			memcpy(&row.len, (char *) v->page + pos + sizeof(uint16), sizeof(uint32));
			if (row.len < LOG_ROW_LONG || row.len > MaxAllocSize)
			{
				report_damage(w, v->block, off, "the length of a row is impossible");
				return false;
			}
		}
		body = log_row_body_pos(pos, row.len, row.flags);
		if (body > end || (body + row.len > end &&
						   (end != LOG_PAGE_END || i + 1 < run->nrows)))
		{
			report_damage(w, v->block, off, "a row ends after its run");
			return false;
		}
		row.body = (char *) v->page + body;
		if (body + row.len > end)
		{
			/* it continues on the next page */
			w->left = row.len - (end - body);
			w->left_off = off;
			w->left_committed = committed;
			w->left_decode = committed;
			w->row = row;
			resetStringInfo(&w->bytes);
			if (committed)
				appendBinaryStringInfo(&w->bytes, row.body, end - body);
			return true;
		}
		if (committed)
			check_row(w, v->block, off, &row);
		pos = body + row.len;
	}
	if (pos != end)
	{
		report_damage(w, v->block, off, "the rows of a run do not fill it");
		return false;
	}
	return true;
}

/* Check the runs of a page: headers, order, flags, and the rows of each. */
static void
check_runs(Walk *w, PageView *v, const LogExtent *extent)
{
	LogRunWalk	walk;
	LogRun	   *run;
	const char *problem = log_page_check_runs(v->page);

	if (problem)
	{
		report_damage(w, v->block, v->opaque->base, "%s", problem);
		w->seam_known = false;
		w->left = 0;
		return;
	}
	log_run_begin(&walk, v->page);
	while ((run = log_run_next(&walk)) != NULL)
	{
		if (run->time < w->time || run->time < extent->first_time ||
			run->time > extent->last_time)
			report_damage(w, v->block, walk.off, "append times fall");
		w->time = Max(w->time, run->time);
		check_flags(w, v, run, walk.off);
		if (!check_rows(w, v, run, walk.pos + sizeof(LogRun), walk.off,
						run_committed(w, v, run, walk.off)))
		{
			w->seam_known = false;
			w->left = 0;
		}
	}
}

/* Check the bytes at the start of the page that continue an earlier row. */
static void
check_continuation(Walk *w, PageView *v)
{
	uint32		cont = v->opaque->cont_len;

	if (!w->seam_known)
	{
		/*
		 * The row began in what has expired.  It ends on this page if it
		 * leaves room there.
		 */
		w->seam_known = cont < PAGE_ROOM;
		return;
	}
	if (w->left == 0)
	{
		if (cont > 0)
			report_damage(w, v->block, v->opaque->base, "a row goes on that did not begin");
		return;
	}
	if (cont == 0 && !w->left_committed)
	{
		/*
		 * an error or a crash interrupted the transaction that wrote the row
		 */
		w->left = 0;
		return;
	}
	if (cont != Min(w->left, PAGE_ROOM))
	{
		report_damage(w, v->block, w->left_off, "%u bytes of a row go on here, not %u",
					  cont, (uint32) Min(w->left, PAGE_ROOM));
		w->left = 0;
		w->seam_known = cont < PAGE_ROOM;
		return;
	}
	w->left -= cont;
	if (w->left_decode)
	{
		appendBinaryStringInfo(&w->bytes, (char *) v->page + LOG_PAGE_START, cont);
		if (w->left == 0)
		{
			w->row.body = w->bytes.data;
			check_row(w, v->block, w->left_off, &w->row);
		}
	}
}

/* ---- pages ---- */

typedef struct FirstArgs
{
	int			partition;
	int64		first;
} FirstArgs;

static void
read_first(Check *check, void *arg)
{
	FirstArgs  *args = arg;
	int64		frozen;

	log_low_offsets(check->rel, args->partition, &args->first, &frozen);
}

/*
 * Has the extent, which ends at `end` (-1 if it was the last one), expired?
 * This is asked after a page of it was copied, because its blocks can be
 * reused only after that.
 */
static bool
extent_expired(Walk *w, const LogExtent *extent, int64 end)
{
	FirstArgs	args = {w->p->partition, 0};

	if (!w->p->tail_ok)
		return false;
	if (log_use_shared())
		args.first = log_first_offset(w->check->rel, args.partition);
	else if (!log_check_guard(w->check, args.partition, InvalidBlockNumber, read_first, &args))
		return false;
	return end >= 0 ? args.first >= end : args.first > extent->base;
}

static bool
same_offset(Walk *w, int64 base)
{
	/* some offsets of the last partition have no TID */
	return base == w->expected ||
		(w->p->partition == LOG_MAX_PARTITIONS - 1 && base > w->expected && (base & 0x7FFF) == 0);
}

/*
 * Check one page.  False if the extent has expired, so that the rest of it
 * must be skipped.
 */
static bool
check_page(Walk *w, const LogExtent *extent, int64 extent_end, BlockNumber block, bool first)
{
	PGAlignedBlock copy;
	PageView	v;
	bool		is_page;

	if (!log_check_read(w->check, w->p->partition, block, copy.data))
	{
		w->expected = -1;
		w->seam_known = false;
		w->left = 0;
		return true;
	}
	if (extent_expired(w, extent, extent_end))
		return false;
	v.block = block;
	v.page = (Page) copy.data;
	is_page = log_page_is(v.page, LOG_PAGE_DATA, w->p->partition);
	if (!is_page)
	{
		report_damage(w, block, w->expected,
					  PageIsNew(v.page) ? "the page is empty" :
					  "the block is not a data page of its partition, or its counts are impossible");
		w->expected = -1;
		w->seam_known = false;
		w->left = 0;
		return true;
	}
	v.opaque = LOG_OPAQUE(v.page);
	v.lower = ((PageHeader) v.page)->pd_lower;
	if (v.opaque->owner != 0 || v.opaque->flags != 0)
		report_damage(w, block, v.opaque->base, "fields that are not in use are not zero");

	if (first && v.opaque->base != extent->base)
		report_damage(w, block, v.opaque->base, "the extent should begin with offset " INT64_FORMAT,
					  extent->base);
	else if (v.opaque->base < extent->base ||
			 (w->expected >= 0 && !same_offset(w, v.opaque->base)))
		report_damage(w, block, v.opaque->base, "the page should begin with offset " INT64_FORMAT,
					  Max(w->expected, extent->base));
	w->expected = v.opaque->base + v.opaque->nrows;
	check_continuation(w, &v);
	check_runs(w, &v, extent);
	return true;
}

typedef struct BoundsArgs
{
	int			partition;
	LogTail		tail;
} BoundsArgs;

static void
get_tail_now(Check *check, void *arg)
{
	BoundsArgs *args = arg;

	log_get_tail(check->rel, args->partition, &args->tail);
}

/* Has the tail passed the block meanwhile? */
static bool
tail_passed(Walk *w, const LogExtent *extent, BlockNumber block)
{
	BoundsArgs	args;

	args.partition = w->p->partition;
	return log_check_guard(w->check, w->p->partition, block, get_tail_now, &args) &&
		(args.tail.extent_start != extent->start || block < args.tail.next_block);
}

/* Report pages after the tail that seem to continue the log. */
static void
check_behind_tail(Walk *w, const LogExtent *extent, BlockNumber from)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(w->check->rel);

	for (BlockNumber block = from; block < Min(extent->start + extent->nblocks, nblocks); block++)
	{
		PGAlignedBlock copy;

		if (!log_check_read(w->check, w->p->partition, block, copy.data))
			continue;
		if (log_page_is((Page) copy.data, LOG_PAGE_DATA, w->p->partition) &&
			LOG_OPAQUE(copy.data)->base >= extent->base &&
			!tail_passed(w, extent, block))
			report_damage(w, block, LOG_OPAQUE(copy.data)->base, "there are messages after the tail");
	}
}

/*
 * Check the pages of an extent in log order.  In the last extent these are the
 * pages up to the tail; pages after the tail must not continue the log.
 */
static void
check_extent_data(Walk *w, int i)
{
	CheckPartition *p = w->p;
	const LogExtent *extent = &p->extents[i];
	bool		last = i + 1 == p->nused;
	int64		extent_end = last ? -1 : p->extents[i + 1].base;
	BlockNumber end = extent->start + extent->nblocks;

	if (last)
	{
		if (!p->tail_ok)
			return;
		end = BlockNumberIsValid(p->tail.tail) ? p->tail.tail + 1 : extent->start;
		if (end != p->tail.next_block || end > extent->start + extent->nblocks)
		{
			report_damage(w, p->tail.tail, p->tail.next_offset, "the tail is not in its extent");
			return;
		}
	}
	for (BlockNumber block = extent->start; block < end; block++)
	{
		w->frozen = p->frozen_offset;
		if (!check_page(w, extent, extent_end, block, block == extent->start))
		{
			/* the extent has expired: continue with what is retained */
			w->expired = true;
			w->expected = -1;
			w->seam_known = false;
			w->left = 0;
			return;
		}
	}
	if (!last)
		return;
	/* the tail page may have got more rows since */
	if (w->expected >= 0 && w->expected < p->tail.next_offset &&
		!(p->partition == LOG_MAX_PARTITIONS - 1 && (p->tail.next_offset & 0x7FFF) == 0))
		report_damage(w, p->tail.tail, w->expected, "the partition ends before its next offset "
					  INT64_FORMAT, p->tail.next_offset);
	else if (w->expected > p->tail.next_offset &&
			 log_next_offset(w->check->rel, p->partition) < w->expected)
		report_damage(w, p->tail.tail, p->tail.next_offset, "the partition continues after its next offset");

	/*
	 * On a standby the tail may have been read in the middle of a row.  Then
	 * it has moved since.
	 */
	else if (w->left > 0 && w->left_committed && w->expected == p->tail.next_offset &&
			 (log_use_shared() || !tail_passed(w, extent, end)))
		report_damage(w, p->tail.tail, w->left_off, "the last message does not go on as it should");
	check_behind_tail(w, extent, end);
}

void
log_check_data(Check *check, CheckPartition *p)
{
	Walk		w;
	int64		nproblems = check->nproblems;

	memset(&w, 0, sizeof(w));
	w.check = check;
	w.p = p;
	w.expected = -1;
	w.time = DT_NOBEGIN;

	/*
	 * unless something expired, the log does not begin in the middle of a row
	 */
	w.seam_known = p->nused > 0 && p->extents[0].base == p->origin_offset &&
		p->first_offset == p->origin_offset;
	initStringInfo(&w.bytes);
	for (int i = 0; i < p->nused; i++)
		check_extent_data(&w, i);
	if (p->head_ok && p->tail_ok && !w.expired && check->nproblems == nproblems &&
		w.dead != p->frozen_dead)
		report_damage(&w, InvalidBlockNumber, -1, INT64_FORMAT " dead rows are counted below the frozen offset, there are "
					  INT64_FORMAT, p->frozen_dead, w.dead);
	pfree(w.bytes.data);
}
