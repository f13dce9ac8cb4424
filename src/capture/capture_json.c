/*
 * capture_json.c
 *	  Writing jsonb values into a buffer.
 *
 * The format is described in utils/jsonb.h.  It is stored in tables, so it
 * does not change between versions.
 */
#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "capture/capture_json.h"
#include "compat.h"

/* ---- the buffer ---- */

void
capture_buffer_init(CaptureBuffer *buffer)
{
	buffer->max = 1024;
	buffer->data = palloc(buffer->max);
	buffer->len = 0;
}

void
capture_buffer_reset(CaptureBuffer *buffer)
{
	buffer->len = VARHDRSZ;
}

static void
refuse_size(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("row is too large to be captured"),
			 errdetail("A change as jsonb cannot exceed %d bytes.", JENTRY_OFFLENMASK)));
}

static void
enlarge(CaptureBuffer *buffer, Size len)
{
	if (buffer->len + len > JENTRY_OFFLENMASK)
		refuse_size();
	while (buffer->len + len > buffer->max)
		buffer->max *= 2;
	buffer->data = repalloc(buffer->data, buffer->max);
}

/* make room for so many bytes, and return where they go */
static inline char *
reserve(CaptureBuffer *buffer, Size len)
{
	char	   *place;

	if (unlikely(buffer->len + len > buffer->max))
		enlarge(buffer, len);
	place = buffer->data + buffer->len;
	buffer->len += len;
	return place;
}

void
capture_buffer_copy(CaptureBuffer *buffer, const CaptureBuffer *from)
{
	buffer->len = 0;
	memcpy(reserve(buffer, from->len), from->data, from->len);
}

/* numbers and objects begin at multiples of 4 */
static inline void
pad(CaptureBuffer *buffer)
{
	Size		padding = INTALIGN(buffer->len) - buffer->len;

	if (padding > 0)
		memset(reserve(buffer, padding), 0, padding);
}

Datum
capture_buffer_finish(CaptureBuffer *buffer)
{
	SET_VARSIZE(buffer->data, buffer->len);
	return PointerGetDatum(buffer->data);
}

/* ---- objects ---- */

int
capture_compare_keys(const char *a, const char *b)
{
	Size		alen = strlen(a);
	Size		blen = strlen(b);

	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a, b, alen);
}

/* every 32nd entry has the offset of its end, and the others their length */
static inline JEntry
make_entry(JEntry entry, int index, Size end)
{
	if (index % JB_OFFSET_STRIDE == 0)
		return (entry & JENTRY_TYPEMASK) | (JEntry) end | JENTRY_HAS_OFF;
	return entry;
}

void
capture_object_prepare(CaptureObject *object, const char *const *names, int n)
{
	Size		offset = sizeof(uint32) + sizeof(JEntry) * n * 2;
	JEntry	   *entries;
	uint32		header = n | JB_FOBJECT;

	object->nkeys = n;
	object->keys_len = 0;
	for (int i = 0; i < n; i++)
		object->keys_len += strlen(names[i]);
	object->len = offset + object->keys_len;
	object->data = palloc0(object->len);
	memcpy(object->data, &header, sizeof(header));
	entries = (JEntry *) (object->data + sizeof(uint32));
	for (int i = 0; i < n; i++)
	{
		Size		len = strlen(names[i]);

		memcpy(object->data + offset, names[i], len);
		offset += len;
		entries[i] = make_entry(JENTRY_ISSTRING | (JEntry) len, i,
								offset - sizeof(uint32) - sizeof(JEntry) * n * 2);
	}
}

void
capture_object_open(CaptureBuffer *buffer, const CaptureObject *object,
					CaptureOpenObject *open)
{
	open->start = buffer->len;
	pad(buffer);
	open->entries = buffer->len + sizeof(uint32);
	memcpy(reserve(buffer, object->len), object->data, object->len);
	open->values = buffer->len - object->keys_len;
	open->index = object->nkeys;
}

void
capture_object_add(CaptureBuffer *buffer, CaptureOpenObject *open, JEntry entry)
{
	JEntry	   *entries = (JEntry *) (buffer->data + open->entries);

	entries[open->index] = make_entry(entry, open->index, buffer->len - open->values);
	open->index++;
}

JEntry
capture_object_close(CaptureBuffer *buffer, const CaptureOpenObject *open)
{
	return JENTRY_ISCONTAINER | (JEntry) (buffer->len - open->start);
}

/* ---- values ---- */

JEntry
capture_write_value(CaptureBuffer *buffer, const JsonbValue *value)
{
	Size		start = buffer->len;
	Size		len;

	switch (value->type)
	{
		case jbvNull:
			return JENTRY_ISNULL;
		case jbvBool:
			return value->val.boolean ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
		case jbvString:
			len = value->val.string.len;
			memcpy(reserve(buffer, len), value->val.string.val, len);
			return JENTRY_ISSTRING | (JEntry) len;
		case jbvNumeric:
			pad(buffer);
			len = VARSIZE_ANY(value->val.numeric);
			memcpy(reserve(buffer, len), value->val.numeric, len);
			return JENTRY_ISNUMERIC | (JEntry) (buffer->len - start);
		case jbvBinary:
			pad(buffer);
			len = value->val.binary.len;
			memcpy(reserve(buffer, len), value->val.binary.data, len);
			return JENTRY_ISCONTAINER | (JEntry) (buffer->len - start);
		default:
			elog(ERROR, "unexpected kind of a JSON value: %d", (int) value->type);
	}
	return 0;
}

JEntry
capture_write_row(CaptureBuffer *buffer, CaptureRow *row, TupleTableSlot *slot)
{
	CaptureOpenObject open;

	capture_object_open(buffer, &row->object, &open);
	for (int i = 0; i < row->object.nkeys; i++)
	{
		StreamJsonColumn *column = &row->columns[i];
		JEntry		entry = JENTRY_ISNULL;

		if (!slot->tts_isnull[column->attnum - 1])
		{
			JsonbValue	value;

			stream_json_element(column, slot->tts_values[column->attnum - 1], &value);
			entry = capture_write_value(buffer, &value);
		}
		capture_object_add(buffer, &open, entry);
	}
	return capture_object_close(buffer, &open);
}
