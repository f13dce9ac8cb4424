/*
 * row_codec.h
 *	  Rows as bytes: the encoder, and the helpers that decoders share.
 */
#ifndef STREAMQ_LOG_PAGE_ROW_CODEC_H
#define STREAMQ_LOG_PAGE_ROW_CODEC_H

#include "postgres.h"

#include "access/tupmacs.h"
#include "utils/memutils.h"
#include "catalog/pg_attribute.h"
#include "access/tupdesc.h"

#include "compat.h"
#include "log/page/page.h"

typedef struct LogRow
{
	const char *body;
	uint32		len;
	uint16		natts;
	uint16		flags;			/* LOG_ROW_NULLS, LOG_ROW_ALIGN* */
} LogRow;

/*
 * Encode values as a row, in memory obtained from reserve(arg, len).  Values
 * stored out of line are fetched, and large ones are compressed as their
 * column says.
 */
extern void log_row_encode(TupleDesc desc, const Datum *values, const bool *isnull,
						   char *(*reserve) (void *arg, Size len), void *arg, LogRow *row);

/* True for fixed-length values that must be aligned within the body. */
static inline bool
log_row_must_align(Form_pg_attribute att)
{
	return !att->attbyval && att->attlen > 0 && att->attalign != TYPALIGN_CHAR;
}

/* Position of the varlena that follows the padding at p. */
static inline const char *
log_row_skip_padding(const char *body, const char *p, const char *end)
{
	p = body + INTALIGN(p - body);
	/* second half of the padding of a double-aligned value */
	if (end - p >= VARHDRSZ && *(const uint32 *) p == 0)
		p += VARHDRSZ;
	return p;
}

/* Position of the body of a row whose header is at pos. */
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
 * Decode the row header at pos of a data page.  Returns the position after the
 * bytes that the row has on this page, or 0 if the header is damaged.
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
 * Decode the varlena at p of a body that ends at end.  Returns the position
 * after it, or NULL if it does not fit.  value may be NULL.
 */
static inline const char *
log_row_varlena(const char *body, const char *p, const char *end, Datum *value)
{
	Size		size;

	if (unlikely(p >= end))
		return NULL;

	/*
	 * Most varlenas have a one-byte header and are unaligned.  Size 0 would
	 * mean a TOAST pointer, which no row holds.
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
		 * As in a heap tuple, padding is zero and the first byte of a header
		 * is not.
		 */
		if (*p == 0)
			p = log_row_skip_padding(body, p, end);
		if (unlikely(end - p < VARHDRSZ))
			return NULL;
		/* a damaged row may have a short header after padding */
		size = VARATT_IS_SHORT(p) ? VARSIZE_SHORT(p) : VARSIZE_4B(p);
		if (unlikely(size < VARHDRSZ || size > (Size) (end - p)))
			return NULL;
	}
	if (value)
		*value = PointerGetDatum(p);
	return p + size;
}

/* Decode a value of len bytes at any alignment. */
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

#endif
