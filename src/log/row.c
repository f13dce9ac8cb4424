/*
 * row.c
 *	  Rows as bytes: encoding and decoding of their attributes.
 *
 * The layout is described at LogRow's flags in page.h.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/toast_internals.h"
#include "access/tupmacs.h"
#include "utils/expandeddatum.h"
#include "utils/memutils.h"

#include "log/log_internal.h"

StaticAssertDecl(SIZEOF_DATUM == 8, "streamq needs a 64-bit platform");

/*
 * The executor compresses nothing for an access method without TOAST: values
 * of this size and up are compressed here, where their column allows it.
 */
#define COMPRESS_THRESHOLD	2000

/* memory of replaced values; made when first needed */
static MemoryContext prepare_context = NULL;

/* is it a fixed-length value that must be aligned within the body? */
static inline bool
needs_alignment(Form_pg_attribute att)
{
	return !att->attbyval && att->attlen > 0 && att->attalign != TYPALIGN_CHAR;
}

bool
log_row_prepare(TupleDesc desc, Datum *values, const bool *isnull)
{
	bool		replaced = false;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		struct varlena *value;
		MemoryContext old;

		if (isnull[i] || att->attlen != -1)
			continue;
		value = (struct varlena *) DatumGetPointer(values[i]);
		if (!VARATT_IS_EXTERNAL(value) &&
			(VARATT_IS_SHORT(value) || VARATT_IS_COMPRESSED(value) ||
			 VARSIZE(value) < COMPRESS_THRESHOLD))
			continue;

		if (prepare_context == NULL)
			prepare_context = AllocSetContextCreate(TopMemoryContext,
													"streamq row values",
													ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(prepare_context);
		if (VARATT_IS_EXTERNAL(value))
		{
			/* out of line or expanded: its bytes must be in the row */
			value = detoast_external_attr(value);
			values[i] = PointerGetDatum(value);
			replaced = true;
		}
		if (!VARATT_IS_SHORT(value) && !VARATT_IS_COMPRESSED(value) &&
			VARSIZE(value) >= COMPRESS_THRESHOLD &&
			(att->attstorage == TYPSTORAGE_EXTENDED ||
			 att->attstorage == TYPSTORAGE_MAIN))
		{
			Datum		compressed = toast_compress_datum(PointerGetDatum(value),
														  att->attcompression);

			if (DatumGetPointer(compressed) != NULL)
			{
				values[i] = compressed;
				replaced = true;
			}
		}
		MemoryContextSwitchTo(old);
	}
	return replaced;
}

void
log_row_prepare_done(void)
{
	if (prepare_context)
		MemoryContextReset(prepare_context);
}

/*
 * Size of the body; flags gets LOG_ROW_NULLS and the alignment it needs.
 */
uint32
log_row_measure(TupleDesc desc, Datum *values, const bool *isnull, uint16 *flags)
{
	int			natts = desc->natts;
	Size		off = 0;
	uint16		f = 0;

	for (int i = 0; i < natts; i++)
	{
		if (isnull[i])
		{
			f |= LOG_ROW_NULLS;
			off = BITMAPLEN(natts);
			break;
		}
	}
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (isnull[i])
			continue;
		if (att->attlen > 0)
		{
			if (unlikely(needs_alignment(att)))
			{
				off = att_align_nominal(off, att->attalign);
				f |= att->attalign == TYPALIGN_DOUBLE ? LOG_ROW_ALIGN8 : LOG_ROW_ALIGN4;
			}
			off += att->attlen;
		}
		else if (att->attlen == -1)
		{
			Pointer		value = DatumGetPointer(values[i]);

			if (VARATT_IS_SHORT(value))
				off += VARSIZE_SHORT(value);
			else if (VARATT_CAN_MAKE_SHORT(value))
				off += VARATT_CONVERTED_SHORT_SIZE(value);
			else
			{
				off = TYPEALIGN(ALIGNOF_INT, off) + VARSIZE(value);
				f |= LOG_ROW_ALIGN4;
			}
		}
		else
		{
			/* cstring: no table can have such a column */
			elog(ERROR, "unexpected attribute length %d", att->attlen);
		}
	}
	if (off > MaxAllocSize - 64)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too big for a stream: size %zu, maximum size %zu",
						off, (Size) MaxAllocSize - 64)));
	if (f & LOG_ROW_ALIGN8)
		f &= ~LOG_ROW_ALIGN4;
	*flags = f;
	return (uint32) off;
}

void
log_row_fill(TupleDesc desc, const Datum *values, const bool *isnull, uint16 flags,
			 char *body)
{
	int			natts = desc->natts;
	char	   *p = body;
	bits8	   *bitmap = NULL;

	if (flags & LOG_ROW_NULLS)
	{
		bitmap = (bits8 *) body;
		memset(bitmap, 0, BITMAPLEN(natts));
		p += BITMAPLEN(natts);
	}
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (isnull[i])
			continue;
		if (bitmap)
			bitmap[i >> 3] |= 1 << (i & 7);
		if (att->attbyval)
		{
			switch (att->attlen)
			{
				case 8:
					memcpy(p, &values[i], 8);
					break;
				case 4:
					{
						int32		v = DatumGetInt32(values[i]);

						memcpy(p, &v, 4);
						break;
					}
				case 2:
					{
						int16		v = DatumGetInt16(values[i]);

						memcpy(p, &v, 2);
						break;
					}
				default:
					*p = DatumGetChar(values[i]);
					break;
			}
			p += att->attlen;
		}
		else if (att->attlen > 0)
		{
			if (needs_alignment(att))
			{
				Size		aligned = att_align_nominal((Size) (p - body), att->attalign);

				memset(p, 0, aligned - (p - body));
				p = body + aligned;
			}
			memcpy(p, DatumGetPointer(values[i]), att->attlen);
			p += att->attlen;
		}
		else
		{
			Pointer		value = DatumGetPointer(values[i]);

			if (VARATT_IS_SHORT(value))
			{
				Size		len = VARSIZE_SHORT(value);

				memcpy(p, value, len);
				p += len;
			}
			else if (VARATT_CAN_MAKE_SHORT(value))
			{
				Size		len = VARATT_CONVERTED_SHORT_SIZE(value);

				SET_VARSIZE_SHORT(p, len);
				memcpy(p + 1, VARDATA(value), len - 1);
				p += len;
			}
			else
			{
				while ((p - body) & (ALIGNOF_INT - 1))
					*p++ = 0;
				memcpy(p, value, VARSIZE(value));
				p += VARSIZE(value);
			}
		}
	}
}

/*
 * Decode attributes [from, to); off is where the last call left off, ignored
 * when from is 0.  Returns where this one does, or LOG_ROW_DAMAGED if an attribute does
 * not fit into the row.
 */
uint32
log_row_deform(TupleDesc desc, const char *body, uint32 len, uint16 row_natts, uint16 flags,
			   Datum *values, bool *isnull, int from, int to, uint32 off)
{
	bool		nulls = (flags & LOG_ROW_NULLS) != 0;
	const bits8 *bitmap = (const bits8 *) body;
	int			i = from;
	int			stop = Min(to, row_natts);

	if (i == 0)
		off = nulls ? BITMAPLEN(row_natts) : 0;
	for (; i < stop; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (nulls && !(bitmap[i >> 3] & (1 << (i & 7))))
		{
			values[i] = (Datum) 0;
			isnull[i] = true;
			continue;
		}
		isnull[i] = false;
		if (att->attbyval)
		{
			const char *p = body + off;

			if (unlikely(off + att->attlen > len))
				return LOG_ROW_DAMAGED;
			switch (att->attlen)
			{
				case 8:
					memcpy(&values[i], p, 8);
					break;
				case 4:
					{
						int32		v;

						memcpy(&v, p, 4);
						values[i] = Int32GetDatum(v);
						break;
					}
				case 2:
					{
						int16		v;

						memcpy(&v, p, 2);
						values[i] = Int16GetDatum(v);
						break;
					}
				default:
					values[i] = CharGetDatum(*p);
					break;
			}
			off += att->attlen;
		}
		else if (att->attlen > 0)
		{
			if (needs_alignment(att))
				off = att_align_nominal(off, att->attalign);
			values[i] = PointerGetDatum(body + off);
			off += att->attlen;
			if (unlikely(off > len))
				return LOG_ROW_DAMAGED;
		}
		else
		{
			uint32		size;
			uint32		least = 1;

			if (unlikely(off >= len))
				return LOG_ROW_DAMAGED;

			/*
			 * As in a heap tuple: padding is zero, and a one-byte header
			 * never is.
			 */
			if (body[off] == 0)
				off = TYPEALIGN(ALIGNOF_INT, off);
			values[i] = PointerGetDatum(body + off);
			if (VARATT_IS_1B(body + off))
				size = VARSIZE_1B(body + off);	/* 0: a pointer, which no row holds */
			else
			{
				if (unlikely(off + VARHDRSZ > len))
					return LOG_ROW_DAMAGED;
				size = VARSIZE_4B(body + off);
				least = VARHDRSZ;
			}
			/* size is less than 2^30 and off not above len: no overflow */
			if (unlikely(size < least || off + size > len))
				return LOG_ROW_DAMAGED;
			off += size;
		}
	}
	for (; i < to; i++)
		values[i] = getmissingattr(desc, i + 1, &isnull[i]);
	return off;
}
