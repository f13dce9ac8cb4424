/*
 * slot.c
 *	  Tuple table slots of streams.
 *
 * A slot holds a row as bytes, in a pinned buffer or in memory of its own,
 * and decodes attributes only up to the last one asked for.  Rows that
 * come in (INSERT, COPY) are encoded once, when the executor materializes the
 * slot or copies another one into it, and appended from there.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "log/log_internal.h"

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
	/* MakeTupleTableSlot has zeroed it, and InvalidBuffer is zero */
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
	ls->off = 0;
	slot->tts_nvalid = 0;
	slot->tts_flags |= TTS_FLAG_EMPTY;
	slot->tts_flags &= ~TTS_FLAG_SHOULDFREE;
	ItemPointerSetInvalid(&slot->tts_tid);
}

static void pg_attribute_noreturn()
report_damage(TupleTableSlot *slot)
{
	char	   *name = get_rel_name(slot->tts_tableOid);

	((LogSlot *) slot)->off = 0;
	slot->tts_nvalid = 0;
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 name ? errmsg("a message of stream \"%s\" is damaged", name) :
			 errmsg("a message is damaged"),
			 errdetail("Its columns do not fit into it."),
			 errhint("streamq.check_stream() tells which one.")));
}

static void
slot_get_some_attrs(TupleTableSlot *slot, int natts)
{
	LogSlot    *ls = (LogSlot *) slot;

	Assert(ls->body != NULL);
	ls->off = log_row_deform(slot->tts_tupleDescriptor, ls->body, ls->len, ls->natts,
							 ls->flags, slot->tts_values, slot->tts_isnull,
							 slot->tts_nvalid, natts, ls->off);
	if (unlikely(ls->off == LOG_ROW_DAMAGED))
		report_damage(slot);
	slot->tts_nvalid = natts;
}

static Datum
slot_get_sys_attr(TupleTableSlot *slot, int attnum, bool *isnull)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("streams have no system columns but \"ctid\" and \"tableoid\"")));
	return (Datum) 0;
}

char *
log_slot_reserve(TupleTableSlot *slot, Size len)
{
	LogSlot    *ls = (LogSlot *) slot;

	if (ls->matsize < len)
	{
		Size		size = Min(Max(64, len + len / 4), MaxAllocHugeSize);

		if (ls->mat)
			pfree(ls->mat);
		ls->mat = NULL;
		ls->mat = MemoryContextAllocHuge(slot->tts_mcxt, size);
		ls->matsize = size;
	}
	return ls->mat;
}

/* encode the slot's values into its own memory */
static void
encode_values(TupleTableSlot *slot, const Datum *values, const bool *isnull)
{
	LogSlot    *ls = (LogSlot *) slot;
	TupleDesc	desc = slot->tts_tupleDescriptor;
	Datum		replaced_values[MaxTupleAttributeNumber];
	uint32		len;
	uint16		flags;
	bool		replaced = false;

	for (int i = 0; i < desc->natts; i++)
	{
		/* anything out of line, or large enough to be compressed? */
		if (!isnull[i] && TupleDescAttr(desc, i)->attlen == -1 &&
			(VARATT_IS_EXTERNAL(DatumGetPointer(values[i])) ||
			 VARSIZE_ANY(DatumGetPointer(values[i])) >= BLCKSZ / 8))
		{
			memcpy(replaced_values, values, sizeof(Datum) * desc->natts);
			replaced = log_row_prepare(desc, replaced_values, isnull);
			values = replaced_values;
			break;
		}
	}

	len = log_row_measure(desc, unconstify(Datum *, values), isnull, &flags);

	/* a slot's values may point into the memory that is about to be used */
	if (ls->body != NULL && ls->body == ls->mat)
	{
		char	   *old = ls->mat;

		ls->mat = NULL;
		ls->matsize = 0;
		log_slot_reserve(slot, len);
		log_row_fill(desc, values, isnull, flags, ls->mat);
		pfree(old);
	}
	else
	{
		log_slot_reserve(slot, len);
		log_row_fill(desc, values, isnull, flags, ls->mat);
	}
	if (replaced)
		log_row_prepare_done();

	drop_buffer(ls);
	ls->body = ls->mat;
	ls->len = len;
	ls->natts = desc->natts;
	ls->flags = flags;
	ls->off = 0;
	slot->tts_nvalid = 0;
	slot->tts_flags &= ~TTS_FLAG_EMPTY;
	slot->tts_flags |= TTS_FLAG_SHOULDFREE;
}

static void
slot_materialize(TupleTableSlot *slot)
{
	LogSlot    *ls = (LogSlot *) slot;

	Assert(!TTS_EMPTY(slot));
	if (TTS_SHOULDFREE(slot))
		return;
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

/* may the bytes of a row of the one be taken for a row of the other? */
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

static void
slot_copy(TupleTableSlot *dst, TupleTableSlot *src)
{
	LogSlot    *from = (LogSlot *) src;

	if (src->tts_ops == &LogSlotOps && from->body != NULL &&
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

const TupleTableSlotOps LogSlotOps = {
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

	Assert(slot->tts_ops == &LogSlotOps);
	ls->body = row->body;
	ls->len = row->len;
	ls->natts = row->natts;
	ls->flags = row->flags;
	ls->off = 0;
	slot->tts_nvalid = 0;
	slot->tts_flags &= ~(TTS_FLAG_EMPTY | TTS_FLAG_SHOULDFREE);
	if (row->body == ls->mat)
		slot->tts_flags |= TTS_FLAG_SHOULDFREE;
	if (ls->buffer != buffer)
	{
		drop_buffer(ls);
		if (BufferIsValid(buffer))
		{
			IncrBufferRefCount(buffer);
			ls->buffer = buffer;
		}
	}
}

void
log_slot_get_row(TupleTableSlot *slot, LogRow *row)
{
	LogSlot    *ls = (LogSlot *) slot;

	Assert(slot->tts_ops == &LogSlotOps);
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

TupleTableSlot *
log_slot_create(Relation rel)
{
	return MakeSingleTupleTableSlot(RelationGetDescr(rel), &LogSlotOps);
}
