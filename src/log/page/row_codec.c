/*
 * row_codec.c
 *	  Rows as bytes: encoding of attributes.  read/slot.c and
 *	  read/columns.c decode them.
 *
 * The layout is described in page.h, above the LOG_ROW_* flags.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/toast_internals.h"
#include "access/tupmacs.h"
#include "utils/expandeddatum.h"
#include "utils/memutils.h"

#include "log/page/page.h"
#include "log/page/row_codec.h"

StaticAssertDecl(SIZEOF_DATUM == 8, "streamq needs a 64-bit platform");

/*
 * The executor compresses values only for access methods with a TOAST table.
 * Values of this size and above are compressed here, if their column allows
 * it.
 */
#define COMPRESS_THRESHOLD	2000

/* holds replaced values; created on first use */
static MemoryContext prepare_context = NULL;

/*
 * Replace values that cannot be stored as they are: fetch what is out of line,
 * and compress what is large.  Returns true if any was replaced; replacements
 * are in prepare_context.
 */
static bool
replace_values(TupleDesc desc, Datum *values, const bool *isnull)
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
			/*
			 * out of line or expanded: the row must hold the bytes themselves
			 */
			value = att->attstorage == TYPSTORAGE_PLAIN ?
				detoast_attr(value) : detoast_external_attr(value);
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

/*
 * May the value get a one-byte header?  Not in a plain column: its type may
 * know four-byte headers only, as oidvector does.
 */
static inline bool
can_make_short(Form_pg_attribute att, Pointer value)
{
	return VARATT_CAN_MAKE_SHORT(value) && att->attstorage != TYPSTORAGE_PLAIN;
}

/* First position from off on where a value with a four-byte header may be. */
static inline Size
align_long(Form_pg_attribute att, Size off)
{
	return att->attalign == TYPALIGN_DOUBLE ? DOUBLEALIGN(off) : INTALIGN(off);
}

/*
 * Compute the size of the body and its flags (LOG_ROW_NULLS, LOG_ROW_ALIGN*).
 * False if a value may have to be replaced first (replace_values); the caller
 * then measures again with `replaced`.
 */
static inline bool
measure_row(TupleDesc desc, const Datum *values, const bool *isnull, bool replaced,
			uint32 *len, uint16 *flags)
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
		if (att->attlen == -1)
		{
			Pointer		value = DatumGetPointer(values[i]);
			Size		size;

			/* out-of-line values have a one-byte header, too */
			if (VARATT_IS_SHORT(value))
			{
				if (unlikely(VARATT_IS_EXTERNAL(value)))
				{
					Assert(!replaced);
					return false;
				}
				off += VARSIZE_SHORT(value);
				continue;
			}
			size = VARSIZE(value);
			if (unlikely(size >= COMPRESS_THRESHOLD) && !replaced)
				return false;
			if (can_make_short(att, value))
				off += VARATT_CONVERTED_SHORT_SIZE(value);
			else
			{
				off = align_long(att, off) + size;
				f |= att->attalign == TYPALIGN_DOUBLE ? LOG_ROW_ALIGN8 : LOG_ROW_ALIGN4;
			}
		}
		else if (att->attlen > 0)
		{
			if (unlikely(log_row_must_align(att)))
			{
				off = att_align_nominal(off, att->attalign);
				f |= att->attalign == TYPALIGN_DOUBLE ? LOG_ROW_ALIGN8 : LOG_ROW_ALIGN4;
			}
			off += att->attlen;
		}
		else
		{
			/* no table can have a column of type cstring */
			elog(ERROR, "unexpected attribute length %d", att->attlen);
		}
	}
	if (unlikely(off > MaxAllocSize - 64))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too big for a stream: size %zu, maximum size %zu",
						off, (Size) MaxAllocSize - 64),
				 errhint("Divide it among several messages.")));
	if (f & LOG_ROW_ALIGN8)
		f &= ~LOG_ROW_ALIGN4;
	*flags = f;
	*len = (uint32) off;
	return true;
}

/* Write the body, for which measure_row() has found size and flags. */
static void
fill_row(TupleDesc desc, const Datum *values, const bool *isnull, uint16 flags, char *body)
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
			if (log_row_must_align(att))
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
			else if (can_make_short(att, value))
			{
				Size		len = VARATT_CONVERTED_SHORT_SIZE(value);

				SET_VARSIZE_SHORT(p, len);
				memcpy(p + 1, VARDATA(value), len - 1);
				p += len;
			}
			else
			{
				char	   *aligned = body + align_long(att, p - body);

				while (p < aligned)
					*p++ = 0;
				memcpy(p, value, VARSIZE(value));
				p += VARSIZE(value);
			}
		}
	}
}

/*
 * Encode a row with a value that is out of line or large enough to be
 * compressed.
 */
static pg_noinline void
encode_replaced(TupleDesc desc, const Datum *values, const bool *isnull,
				char *(*reserve) (void *arg, Size len), void *arg, LogRow *row)
{
	Datum		replaced_values[MaxTupleAttributeNumber];
	bool		replaced;
	char	   *body;

	memcpy(replaced_values, values, sizeof(Datum) * desc->natts);
	replaced = replace_values(desc, replaced_values, isnull);
	(void) measure_row(desc, replaced_values, isnull, true, &row->len, &row->flags);
	row->natts = desc->natts;
	row->body = body = reserve(arg, row->len);
	fill_row(desc, replaced_values, isnull, row->flags, body);
	if (replaced)
		MemoryContextReset(prepare_context);
}

void
log_row_encode(TupleDesc desc, const Datum *values, const bool *isnull,
			   char *(*reserve) (void *arg, Size len), void *arg, LogRow *row)
{
	char	   *body;

	if (!measure_row(desc, values, isnull, false, &row->len, &row->flags))
	{
		encode_replaced(desc, values, isnull, reserve, arg, row);
		return;
	}
	row->natts = desc->natts;
	row->body = body = reserve(arg, row->len);
	fill_row(desc, values, isnull, row->flags, body);
}
