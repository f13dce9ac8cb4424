/*
 * log_xlog.c
 *	  The resource manager: redo, description and masking of the log's WAL
 *	  records.
 */
#include "postgres.h"

#include "access/bufmask.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "access/xlogutils.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/standby.h"
#include "utils/rel.h"

#include "compat.h"
#include "log/conflict.h"
#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/run.h"
#include "log/page/structure.h"
#include "log/state_page.h"

char *
log_put_varint(char *p, uint32 v)
{
	while (v >= 0x80)
	{
		*p++ = (char) (v | 0x80);
		v >>= 7;
	}
	*p++ = (char) v;
	return p;
}

const char *
log_get_varint(const char *p, uint32 *v)
{
	uint32		result = 0;
	int			shift = 0;
	uint8		b;

	do
	{
		b = (uint8) *p++;
		result |= (uint32) (b & 0x7F) << shift;
		shift += 7;
	} while ((b & 0x80) && shift < 35);
	*v = result;
	return p;
}

char *
log_put_varint64(char *p, uint64 v)
{
	while (v >= 0x80)
	{
		*p++ = (char) (v | 0x80);
		v >>= 7;
	}
	*p++ = (char) v;
	return p;
}

const char *
log_get_varint64(const char *p, uint64 *v)
{
	uint64		result = 0;
	int			shift = 0;
	uint8		b;

	do
	{
		b = (uint8) *p++;
		result |= (uint64) (b & 0x7F) << shift;
		shift += 7;
	} while ((b & 0x80) && shift < 64);
	*v = result;
	return p;
}

void
log_xlog_pages(LogPagesReason reason, Buffer *buffers, int n)
{
	xl_log_pages xlrec;
	XLogRecPtr	lsn;

	Assert(CritSectionCount > 0);
	xlrec.reason = (uint8) reason;
	XLogBeginInsert();
	XLogRegisterData((char *) &xlrec, sizeof(xlrec));
	for (int i = 0; i < n; i++)
		XLogRegisterBuffer(i, buffers[i], REGBUF_STANDARD | REGBUF_FORCE_IMAGE);
	lsn = XLogInsert(LOG_RMGR_ID, XLOG_LOG_PAGES);
	for (int i = 0; i < n; i++)
		PageSetLSN(BufferGetPage(buffers[i]), lsn);
}

void
log_xlog_reserve(Buffer meta, Buffer leaf, BlockNumber start, uint32 nblocks, bool lengthen)
{
	xl_log_reserve xlrec;
	XLogRecPtr	lsn;

	Assert(CritSectionCount > 0);
	xlrec.start = start;
	xlrec.nblocks = nblocks;
	xlrec.lengthen = lengthen;
	XLogBeginInsert();
	XLogRegisterData((char *) &xlrec, sizeof(xlrec));
	XLogRegisterBuffer(0, meta, REGBUF_STANDARD);
	XLogRegisterBuffer(1, leaf, REGBUF_STANDARD);
	lsn = XLogInsert(LOG_RMGR_ID, XLOG_LOG_RESERVE);
	PageSetLSN(BufferGetPage(meta), lsn);
	PageSetLSN(BufferGetPage(leaf), lsn);
}

typedef struct AppendRecord
{
	bool		init;
	bool		run;
	bool		logical;
	int64		base;			/* of the first row; with init or logical */
	int			partition;		/* with init or logical */
	uint16		cont_len;
	uint32		natts;			/* with run or logical */
	uint32		cid;
	int64		time;
	uint32		nrows;
} AppendRecord;

/* Decode the main data of an APPEND record. */
static void
decode_append(XLogReaderState *record, AppendRecord *rec)
{
	const char *p = XLogRecGetData(record);
	uint8		flags = (uint8) *p++;

	memset(rec, 0, sizeof(*rec));
	rec->init = (XLogRecGetInfo(record) & XLOG_LOG_OPMASK) == XLOG_LOG_APPEND_INIT;
	if (rec->init)
	{
		memcpy(&rec->base, p, sizeof(int64));
		p += sizeof(int64);
		rec->partition = (uint8) *p++;
	}
	if (flags & LOG_APPEND_CONT)
	{
		memcpy(&rec->cont_len, p, sizeof(uint16));
		p += sizeof(uint16);
	}
	if (flags & LOG_APPEND_RUN)
	{
		rec->run = true;
		p = log_get_varint(p, &rec->natts);
		p = log_get_varint(p, &rec->cid);
		memcpy(&rec->time, p, sizeof(int64));
		p += sizeof(int64);
	}
	rec->logical = (flags & LOG_APPEND_LOGICAL) != 0;
	if (rec->logical && !rec->init)
	{
		uint64		off;

		rec->partition = (uint8) *p++;
		p = log_get_varint64(p, &off);
		rec->base = (int64) off;
	}
	if (rec->logical && !rec->run)
	{
		p = log_get_varint(p, &rec->natts);
		p++;					/* position of the first row, for a decoder
								 * only */
	}
	p = log_get_varint(p, &rec->nrows);
}

/*
 * Redo an APPEND record: continuation, new run, and rows, each if the record
 * has it.
 */
static void
redo_append(XLogReaderState *record)
{
	AppendRecord rec;
	Buffer		buffer;
	XLogRedoAction action;

	decode_append(record, &rec);
	if (rec.init)
	{
		/*
		 * The block may be a reused one.  A reader on the standby that has it
		 * pinned reads its rows without a lock, so wait for the pin.
		 */
		XLogReadBufferForRedoExtended(record, 0, RBM_ZERO_AND_CLEANUP_LOCK,
									  true, &buffer);
		log_page_init(BufferGetPage(buffer), LOG_PAGE_DATA, rec.partition);
		LOG_OPAQUE(BufferGetPage(buffer))->base = rec.base;
		action = BLK_NEEDS_REDO;
	}
	else
		action = XLogReadBufferForRedo(record, 0, &buffer);

	if (action == BLK_NEEDS_REDO)
	{
		Page		page = BufferGetPage(buffer);
		PageHeader	phdr = (PageHeader) page;
		LogPageOpaque *opaque = LOG_OPAQUE(page);
		Size		len;
		char	   *data = XLogRecGetBlockData(record, 0, &len);

		uint32		end = phdr->pd_lower + len;

		/* a damaged page must not make redo write outside of it */
		if (rec.run)
			end += MAXALIGN(phdr->pd_lower + rec.cont_len) - phdr->pd_lower -
				rec.cont_len + sizeof(LogRun);
		if (!log_page_is(page, LOG_PAGE_DATA, -1) || end > LOG_PAGE_END ||
			(rec.nrows > 0 && !rec.run && opaque->last_run == 0))
			elog(PANIC, "streamq: a page cannot take the rows of its WAL record");

		if (rec.cont_len > 0)
		{
			memcpy((char *) page + phdr->pd_lower, data, rec.cont_len);
			opaque->cont_len = rec.cont_len;
			phdr->pd_lower += rec.cont_len;
			data += rec.cont_len;
			len -= rec.cont_len;
		}
		if (rec.run)
		{
			uint32		pos = MAXALIGN(phdr->pd_lower);
			LogRun	   *run = (LogRun *) ((char *) page + pos);

			memset((char *) page + phdr->pd_lower, 0, pos - phdr->pd_lower);
			run->xid = XLogRecGetXid(record);
			run->cid = rec.cid;
			run->time = rec.time;
			run->nrows = 0;
			run->nbytes = 0;
			run->natts = (uint16) rec.natts;
			run->flags = 0;
			opaque->last_run = (uint16) pos;
			phdr->pd_lower = pos + sizeof(LogRun);
		}
		if (rec.nrows > 0)
		{
			LogRun	   *run = (LogRun *) ((char *) page + opaque->last_run);

			memcpy((char *) page + phdr->pd_lower, data, len);
			phdr->pd_lower += len;
			run->nrows += rec.nrows;
			run->nbytes += len;
			opaque->nrows += rec.nrows;
		}
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

static void
redo_pages(XLogReaderState *record)
{
	/*
	 * As for XLOG_FPI, restoring the images is all there is to do.  A page is
	 * restored before the pages that name it.  So a reader on a standby meets
	 * nothing that it could not meet on the primary: an older page that names
	 * a newer one.
	 *
	 * As in redo_append(), a block may have held rows before.
	 */
	for (int i = XLogRecMaxBlockId(record); i >= 0; i--)
	{
		Buffer		buffer;

		if (XLogReadBufferForRedoExtended(record, i, RBM_NORMAL, i > 0,
										  &buffer) != BLK_RESTORED)
			elog(ERROR, "unexpected XLogReadBufferForRedo result when restoring a page of a stream");
		UnlockReleaseBuffer(buffer);
	}
}

/* Redo a RESERVE record: the directory page, then the meta page. */
static void
redo_reserve(XLogReaderState *record)
{
	xl_log_reserve *xlrec = (xl_log_reserve *) XLogRecGetData(record);
	Buffer		buffer;

	if (XLogReadBufferForRedo(record, 1, &buffer) == BLK_NEEDS_REDO)
	{
		Page		page = BufferGetPage(buffer);

		/* a damaged page must not make redo write outside of it */
		if (!log_page_is(page, LOG_PAGE_DIRECTORY, -1) ||
			LOG_DIRECTORY(page)->nextents + 1 - xlrec->lengthen > LOG_DIRECTORY_MAX ||
			LOG_DIRECTORY(page)->nextents < xlrec->lengthen)
			elog(PANIC, "streamq: a directory page cannot take the extent of its WAL record");
		log_directory_add(page, xlrec->start, xlrec->nblocks, xlrec->lengthen != 0);
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);

	if (XLogReadBufferForRedo(record, 0, &buffer) == BLK_NEEDS_REDO)
	{
		Page		page = BufferGetPage(buffer);

		if (!log_page_is(page, LOG_PAGE_META, -1))
			elog(PANIC, "streamq: a meta page cannot take its WAL record");
		log_take_blocks(page, xlrec->start, xlrec->nblocks);
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

/* Number of ranges in the block data of a STATE record. */
static int
count_changes(const char *data, Size size)
{
	Size		total = 0;
	int			n = 0;

	while (total < size)
	{
		xl_log_state_change change;

		memcpy(&change, data + n * sizeof(change), sizeof(change));
		total += sizeof(change) + change.nbytes;
		n++;
	}
	return n;
}

/* Redo a STATE record: replace the ranges of bytes and set the length. */
static void
redo_state(XLogReaderState *record)
{
	Buffer		buffer;

	if (XLogReadBufferForRedo(record, 0, &buffer) == BLK_NEEDS_REDO)
	{
		Page		page = BufferGetPage(buffer);
		uint16		len = ((xl_log_state *) XLogRecGetData(record))->len;
		Size		size;
		const char *p = XLogRecGetBlockData(record, 0, &size);
		int			n = count_changes(p, size);
		const char *bytes = p + n * sizeof(xl_log_state_change);

		/* a damaged page must not make redo write outside of it */
		if (!log_page_is(page, LOG_PAGE_STATE, -1) || len > LOG_STATE_MAX)
			elog(PANIC, "streamq: a state page cannot take its WAL record");
		for (int i = 0; i < n; i++)
		{
			xl_log_state_change change;

			memcpy(&change, p + i * sizeof(change), sizeof(change));
			if (change.offset + change.nbytes > len)
				elog(PANIC, "streamq: a state page cannot take its WAL record");
			memcpy(LOG_PAGE_CONTENT(page) + change.offset, bytes, change.nbytes);
			bytes += change.nbytes;
		}
		log_page_set_content(page, len);
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

static void
redo_freeze(XLogReaderState *record)
{
	xl_log_freeze *xlrec = (xl_log_freeze *) XLogRecGetData(record);
	Buffer		buffer;

	/*
	 * A snapshot on the standby may still see one of the transactions as
	 * running, but below the frozen offset no reader would check that.
	 */
	if (InHotStandby && TransactionIdIsNormal(xlrec->newest_xid))
	{
		RelFileLocator locator;

		XLogRecGetBlockTag(record, 0, &locator, NULL, NULL);
		COMPAT_RESOLVE_SNAPSHOT_CONFLICT(xlrec->newest_xid, locator);
	}
	if (XLogReadBufferForRedo(record, 0, &buffer) == BLK_NEEDS_REDO)
	{
		Page		page = BufferGetPage(buffer);

		LOG_HEAD(page)->frozen_offset = xlrec->frozen_offset;
		LOG_HEAD(page)->frozen_dead = xlrec->frozen_dead;
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

void
log_conflict(Relation rel, TransactionId xid)
{
	xl_log_conflict xlrec;

	xlrec.xid = xid;
	xlrec.locator = RelationLocator(rel);
	XLogBeginInsert();
	XLogRegisterData((char *) &xlrec, sizeof(xlrec));
	(void) XLogInsert(LOG_RMGR_ID, XLOG_LOG_CONFLICT);
}

static void
redo_conflict(XLogReaderState *record)
{
	xl_log_conflict *xlrec = (xl_log_conflict *) XLogRecGetData(record);

	if (InHotStandby)
		COMPAT_RESOLVE_SNAPSHOT_CONFLICT(xlrec->xid, xlrec->locator);
}

static void
redo_dead(XLogReaderState *record)
{
	Buffer		buffer;

	if (XLogReadBufferForRedo(record, 0, &buffer) == BLK_NEEDS_REDO)
	{
		Page		page = BufferGetPage(buffer);
		Size		len;
		uint16	   *pos = (uint16 *) XLogRecGetBlockData(record, 0, &len);

		for (int i = 0; i < (int) (len / sizeof(uint16)); i++)
			((LogRun *) ((char *) page + pos[i]))->flags |= LOG_RUN_DEAD;
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

/* Redo of each record is a function above. */
static void
log_redo(XLogReaderState *record)
{
	switch (XLogRecGetInfo(record) & XLOG_LOG_OPMASK)
	{
		case XLOG_LOG_APPEND:
		case XLOG_LOG_APPEND_INIT:
			redo_append(record);
			break;
		case XLOG_LOG_PAGES:
			redo_pages(record);
			break;
		case XLOG_LOG_STATE:
			redo_state(record);
			break;
		case XLOG_LOG_FREEZE:
			redo_freeze(record);
			break;
		case XLOG_LOG_DEAD:
			redo_dead(record);
			break;
		case XLOG_LOG_RESERVE:
			redo_reserve(record);
			break;
		case XLOG_LOG_CONFLICT:
			redo_conflict(record);
			break;
		default:
			elog(PANIC, "streamq: unknown WAL record type %u", XLogRecGetInfo(record));
	}
}

/* Describe a record for pg_waldump and pg_get_wal_records_info(). */
static void
log_desc(StringInfo buf, XLogReaderState *record)
{
	char	   *data = XLogRecGetData(record);

	switch (XLogRecGetInfo(record) & XLOG_LOG_OPMASK)
	{
		case XLOG_LOG_APPEND:
		case XLOG_LOG_APPEND_INIT:
			{
				AppendRecord rec;

				decode_append(record, &rec);
				appendStringInfo(buf, "rows %u", rec.nrows);
				if (rec.init || rec.logical)
					appendStringInfo(buf, ", partition %d, offset " INT64_FORMAT,
									 rec.partition, rec.base);
				if (rec.cont_len > 0)
					appendStringInfo(buf, ", continuation %u", rec.cont_len);
				if (rec.run)
					appendStringInfo(buf, ", run of command %u", rec.cid);
				if (rec.run || rec.logical)
					appendStringInfo(buf, ", attributes %u", rec.natts);
				break;
			}
		case XLOG_LOG_PAGES:
			appendStringInfo(buf, "reason %u", ((xl_log_pages *) data)->reason);
			break;
		case XLOG_LOG_STATE:
			appendStringInfo(buf, "length %u", ((xl_log_state *) data)->len);
			break;
		case XLOG_LOG_RESERVE:
			{
				xl_log_reserve *xlrec = (xl_log_reserve *) data;

				appendStringInfo(buf, "block %u, blocks %u%s", xlrec->start, xlrec->nblocks,
								 xlrec->lengthen ? ", of the last extent" : "");
				break;
			}
		case XLOG_LOG_FREEZE:
			appendStringInfo(buf, "frozen offset " INT64_FORMAT ", newest xid %u",
							 ((xl_log_freeze *) data)->frozen_offset,
							 ((xl_log_freeze *) data)->newest_xid);
			break;
		case XLOG_LOG_CONFLICT:
			appendStringInfo(buf, "xid %u", ((xl_log_conflict *) data)->xid);
			break;
		default:
			break;
	}
}

static const char *
log_identify(uint8 info)
{
	switch (info & XLOG_LOG_OPMASK)
	{
		case XLOG_LOG_APPEND:
			return "APPEND";
		case XLOG_LOG_APPEND_INIT:
			return "APPEND+INIT";
		case XLOG_LOG_PAGES:
			return "PAGES";
		case XLOG_LOG_STATE:
			return "STATE";
		case XLOG_LOG_FREEZE:
			return "FREEZE";
		case XLOG_LOG_DEAD:
			return "DEAD";
		case XLOG_LOG_RESERVE:
			return "RESERVE";
		case XLOG_LOG_CONFLICT:
			return "CONFLICT";
	}
	return NULL;
}

/*
 * Hide what may differ between a page and its redo: hint flags and the free
 * space.
 */
static void
log_mask(char *pagedata, BlockNumber blkno)
{
	Page		page = (Page) pagedata;

	mask_page_lsn_and_checksum(pagedata);
	mask_page_hint_bits(pagedata);
	mask_unused_space(pagedata);

	if (log_page_is(page, LOG_PAGE_DATA, -1))
	{
		LogRunWalk	walk;
		LogRun	   *run;

		log_run_begin(&walk, page);
		while ((run = log_run_next(&walk)) != NULL)
			run->flags &= ~LOG_RUN_HINTS;
	}
}

static RmgrData log_rmgr = {
	.rm_name = LOG_RMGR_NAME,
	.rm_redo = log_redo,
	.rm_desc = log_desc,
	.rm_identify = log_identify,
	.rm_mask = log_mask,
};

void
log_xlog_init(void)
{
	RegisterCustomRmgr(LOG_RMGR_ID, &log_rmgr);
}
