/*
 * slot.c
 *	  Tuple table slots of streams.
 *
 * A slot holds a row as bytes, in a pinned buffer or in its own memory.  It
 * decodes attributes only up to the last one asked for.  A new row (INSERT,
 * COPY) is encoded once, when the executor materializes the slot or copies
 * another slot into it, and is appended from there.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "log/page/page.h"
#include "log/page/row_codec.h"
#include "log/read/slot.h"
#include "log/reader.h"

/* larger bodies get blocks of their own from the memory context */
#define SMALL_BODY	8192

static inline void
drop_buffer(LogSlot *ls)
{
	if (BufferIsValid(ls->buffer))
	{
		ReleaseBuffer(ls->buffer);
		ls->buffer = InvalidBuffer;
	}
}

static void
slot_init(TupleTableSlot *slot)
{
	/* MakeTupleTableSlot has zeroed the slot, and InvalidBuffer is zero */
}

static void
slot_release(TupleTableSlot *slot)
{
	LogSlot    *ls = (LogSlot *) slot;

	drop_buffer(ls);
	if (ls->mat)
		pfree(ls->mat);
	ls->mat = NULL;
	ls->matsize = 0;
}

static void
slot_clear(TupleTableSlot *slot)
{
	LogSlot    *ls = (LogSlot *) slot;

	drop_buffer(ls);
	ls->body = NULL;
	ls->page = NULL;
	ls->off = 0;
	slot->tts_nvalid = 0;
	slot->tts_flags |= TTS_FLAG_EMPTY;
	slot->tts_flags &= ~TTS_FLAG_SHOULDFREE;
	ItemPointerSetInvalid(&slot->tts_tid);
}

static pg_noinline void
row_damaged(TupleTableSlot *slot)
{
	char	   *name = get_rel_name(slot->tts_tableOid);

	/* nothing was decoded, in case the slot is used again */
	slot->tts_nvalid = 0;
	((LogSlot *) slot)->off = 0;
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("a message of stream \"%s\" is damaged: %s",
					name ? name : "", "it or its columns are out of bounds"),
			 errhint("streamq.check_stream() tells which one.")));
}

/* Find the row on its page.  It does not continue on another page. */
static inline void
find_row(TupleTableSlot *slot)
{
	LogSlot    *ls = (LogSlot *) slot;
	uint32		pos = ls->pos;
	uint32		body;

	for (uint32 i = 0;; i++)
	{
		uint32		end = log_row_header(ls->page, pos, &body, &ls->len, &ls->flags);

		if (unlikely(end == 0 || body + ls->len > end))
			row_damaged(slot);
		pos = end;
		if (i == ls->skip)
			break;
	}
	ls->body = ls->page + body;
	ls->page = NULL;
	ls->end = pos;
}

/*
 * Decode attributes up to natts, continuing after the last one decoded.
 * Attributes that the row does not have yet get their missing values.
 */
static void
slot_get_some_attrs(TupleTableSlot *slot, int natts)
{
	LogSlot    *ls = (LogSlot *) slot;
	TupleDesc	desc = slot->tts_tupleDescriptor;
	Datum	   *values = slot->tts_values;
	bool	   *isnull = slot->tts_isnull;
	int			i = slot->tts_nvalid;
	int			stop = Min(natts, ls->natts);
	const char *body;
	const char *p;
	const char *end;
	bool		nulls;

	if (ls->page != NULL)
		find_row(slot);
	Assert(ls->body != NULL);
	body = ls->body;
	nulls = (ls->flags & LOG_ROW_NULLS) != 0;
	if (i == 0 && nulls)
	{
		ls->off = BITMAPLEN(ls->natts);
		if (unlikely(ls->off > ls->len))
			row_damaged(slot);
	}
	p = body + ls->off;
	end = body + ls->len;
	for (; i < stop; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (nulls && att_isnull(i, (const bits8 *) body))
		{
			values[i] = (Datum) 0;
			isnull[i] = true;
			continue;
		}
		isnull[i] = false;
		if (att->attlen == -1)
		{
			p = log_row_varlena(body, p, end, &values[i]);
			if (unlikely(p == NULL))
				row_damaged(slot);
			continue;
		}
		else if (att->attbyval)
		{
			values[i] = log_row_byval(p, att->attlen);
			p += att->attlen;
		}
		else
		{
			if (log_row_must_align(att))
				p = body + att_align_nominal((Size) (p - body), att->attalign);
			values[i] = PointerGetDatum(p);
			p += att->attlen;
		}
		if (unlikely(p > end))
			row_damaged(slot);
	}
	for (; i < natts; i++)
		values[i] = getmissingattr(desc, i + 1, &isnull[i]);
	ls->off = (uint32) (p - body);
	slot->tts_nvalid = natts;
}

static Datum
slot_get_sys_attr(TupleTableSlot *slot, int attnum, bool *isnull)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("streams have no system columns other than \"ctid\" and \"tableoid\"")));
	return (Datum) 0;
}

char *
log_slot_reserve(TupleTableSlot *slot, Size len)
{
	LogSlot    *ls = (LogSlot *) slot;

	if (ls->matsize < len)
	{
		/*
		 * The memory context rounds a chunk up to a power of two.  Use all of
		 * the chunk, but do not take a larger one, so that the slots of a
		 * batch stay in the cache.
		 */
		Size		size = len <= SMALL_BODY ? pg_nextpower2_32(Max(64, len)) :
			Min(len + len / 4, MaxAllocHugeSize);

		if (ls->mat)
			pfree(ls->mat);
		ls->mat = NULL;
		ls->mat = MemoryContextAllocHuge(slot->tts_mcxt, size);
		ls->matsize = size;
	}
	return ls->mat;
}

static char *
reserve_body(void *arg, Size len)
{
	return log_slot_reserve(arg, len);
}

/* Encode values into the slot's own memory. */
static void
encode_values(TupleTableSlot *slot, const Datum *values, const bool *isnull)
{
	LogSlot    *ls = (LogSlot *) slot;
	char	   *old = NULL;
	LogRow		row;

	/* the values may point into the memory that is about to be overwritten */
	if (ls->body != NULL && ls->body == ls->mat)
	{
		old = ls->mat;
		ls->mat = NULL;
		ls->matsize = 0;
		/* encoding may fail, and must not leave a dangling pointer */
		ls->body = NULL;
	}
	log_row_encode(slot->tts_tupleDescriptor, values, isnull, reserve_body, slot, &row);
	if (old)
		pfree(old);
	log_slot_store(slot, &row, InvalidBuffer);
}

static void
slot_materialize(TupleTableSlot *slot)
{
	LogSlot    *ls = (LogSlot *) slot;

	Assert(!TTS_EMPTY(slot));
	if (TTS_SHOULDFREE(slot))
		return;
	if (ls->page != NULL)
		find_row(slot);
	if (ls->body == NULL)
	{
		encode_values(slot, slot->tts_values, slot->tts_isnull);
		return;
	}
	if (ls->body != ls->mat)
		memcpy(log_slot_reserve(slot, ls->len), ls->body, ls->len);
	drop_buffer(ls);
	ls->body = ls->mat;
	ls->off = 0;
	slot->tts_nvalid = 0;
	slot->tts_flags |= TTS_FLAG_SHOULDFREE;
}

/* Can the bytes of a row of one descriptor serve as a row of the other? */
static bool
same_layout(TupleDesc a, TupleDesc b)
{
	if (a == b)
		return true;
	if (a->natts != b->natts)
		return false;
	for (int i = 0; i < a->natts; i++)
	{
		Form_pg_attribute x = TupleDescAttr(a, i);
		Form_pg_attribute y = TupleDescAttr(b, i);

		if (x->attlen != y->attlen || x->attbyval != y->attbyval ||
			x->attalign != y->attalign || x->attisdropped != y->attisdropped)
			return false;
	}
	return true;
}

/*
 * Copy the bytes of a row if the layouts agree; otherwise encode its values.
 */
static void
slot_copy(TupleTableSlot *dst, TupleTableSlot *src)
{
	LogSlot    *from = (LogSlot *) src;

	if (src->tts_ops == &log_slot_ops && from->page != NULL)
		find_row(src);
	if (src->tts_ops == &log_slot_ops && from->body != NULL &&
		from->natts == src->tts_tupleDescriptor->natts &&
		same_layout(dst->tts_tupleDescriptor, src->tts_tupleDescriptor))
	{
		LogSlot    *to = (LogSlot *) dst;

		ExecClearTuple(dst);
		memcpy(log_slot_reserve(dst, from->len), from->body, from->len);
		to->body = to->mat;
		to->len = from->len;
		to->natts = from->natts;
		to->flags = from->flags;
		to->off = 0;
		dst->tts_nvalid = 0;
		dst->tts_flags &= ~TTS_FLAG_EMPTY;
		dst->tts_flags |= TTS_FLAG_SHOULDFREE;
		dst->tts_tid = src->tts_tid;
	}
	else
	{
		slot_getallattrs(src);
		ExecClearTuple(dst);
		encode_values(dst, src->tts_values, src->tts_isnull);
		dst->tts_tid = src->tts_tid;
	}
}

static HeapTuple
slot_copy_heap_tuple(TupleTableSlot *slot)
{
	HeapTuple	tuple;

	slot_getallattrs(slot);
	tuple = heap_form_tuple(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
	tuple->t_self = slot->tts_tid;
	tuple->t_tableOid = slot->tts_tableOid;
	return tuple;
}

static MinimalTuple
slot_copy_minimal_tuple(TupleTableSlot *slot COMPAT_MINIMAL_TUPLE_EXTRA)
{
	slot_getallattrs(slot);
	return COMPAT_FORM_MINIMAL_TUPLE(slot);
}

const TupleTableSlotOps log_slot_ops = {
	.base_slot_size = sizeof(LogSlot),
	.init = slot_init,
	.release = slot_release,
	.clear = slot_clear,
	.getsomeattrs = slot_get_some_attrs,
	.getsysattr = slot_get_sys_attr,
	.materialize = slot_materialize,
	.copyslot = slot_copy,
	.get_heap_tuple = NULL,
	.get_minimal_tuple = NULL,
	.copy_heap_tuple = slot_copy_heap_tuple,
	.copy_minimal_tuple = slot_copy_minimal_tuple,
};

void
log_slot_store(TupleTableSlot *slot, const LogRow *row, Buffer buffer)
{
	LogSlot    *ls = (LogSlot *) slot;

	Assert(slot->tts_ops == &log_slot_ops);
	ls->page = NULL;
	ls->body = row->body;
	ls->len = row->len;
	ls->natts = row->natts;
	ls->flags = row->flags;
	ls->off = 0;
	slot->tts_nvalid = 0;
	slot->tts_flags &= ~(TTS_FLAG_EMPTY | TTS_FLAG_SHOULDFREE);
	if (row->body == ls->mat)
		slot->tts_flags |= TTS_FLAG_SHOULDFREE;
	ls->end = 0;
	if (ls->buffer != buffer)
		log_slot_pin(slot, buffer);
}

void
log_slot_pin(TupleTableSlot *slot, Buffer buffer)
{
	LogSlot    *ls = (LogSlot *) slot;

	drop_buffer(ls);
	if (BufferIsValid(buffer))
	{
		IncrBufferRefCount(buffer);
		ls->buffer = buffer;
	}
}

void
log_slot_get_row(TupleTableSlot *slot, LogRow *row)
{
	LogSlot    *ls = (LogSlot *) slot;

	Assert(slot->tts_ops == &log_slot_ops);
	if (ls->page != NULL)
		find_row(slot);
	if (ls->body == NULL || ls->natts != slot->tts_tupleDescriptor->natts)
	{
		slot_getallattrs(slot);
		encode_values(slot, slot->tts_values, slot->tts_isnull);
	}
	row->body = ls->body;
	row->len = ls->len;
	row->natts = ls->natts;
	row->flags = ls->flags;
}

uint32
log_slot_stored_size(TupleTableSlot *slot)
{
	LogSlot    *ls = (LogSlot *) slot;

	Assert(slot->tts_ops == &log_slot_ops);
	if (ls->page != NULL)
		find_row(slot);
	if (ls->body == NULL || ls->natts != slot->tts_tupleDescriptor->natts)
		return PG_UINT32_MAX;
	return ls->len;
}

TupleTableSlot *
log_slot_create(Relation rel)
{
	return MakeSingleTupleTableSlot(RelationGetDescr(rel), &log_slot_ops);
}
