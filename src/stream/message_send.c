/*
 * message_send.c
 *	  Messages in the form in which they are sent to a client.
 *
 * A client that consumes in batches gets rows of eight columns.  PostgreSQL
 * makes a string of each column by its output function, and copies the string
 * to the row.  A payload of type text would even become a jsonb before.  That
 * takes more time than everything else that consume() does.  So this file
 * writes the columns to the row directly.
 */
#include "postgres.h"

#include "common/base64.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "log/log.h"
#include "stream/message_format.h"
#include "stream/message_send.h"

/* a column is its length, and so many bytes */
#define LENGTH_SIZE		sizeof(int32)
#define INT_TEXT_SIZE	(MAXINT8LEN + 1)

/* jsonb_send() puts this before the text */
#define JSONB_VERSION	1

static inline void
put_length(StringInfo buf, int at, int32 len)
{
	uint32		n = pg_hton32((uint32) len);

	memcpy(buf->data + at, &n, sizeof(n));
}

/* the length of a column that begins at `at` and ends where buf ends */
static inline void
end_column(StringInfo buf, int at)
{
	put_length(buf, at, buf->len - at - (int) LENGTH_SIZE);
}

static inline int
begin_column(StringInfo buf)
{
	int			at = buf->len;

	enlargeStringInfo(buf, LENGTH_SIZE);
	buf->len += LENGTH_SIZE;
	return at;
}

static inline void
send_bytes(StringInfo buf, const char *data, int len)
{
	enlargeStringInfo(buf, LENGTH_SIZE + len);
	put_length(buf, buf->len, len);
	memcpy(buf->data + buf->len + LENGTH_SIZE, data, len);
	buf->len += LENGTH_SIZE + len;
}

static inline void
send_int8(StringInfo buf, int16 format, int64 value)
{
	int			len;

	if (format == 1)
	{
		pq_sendint32(buf, sizeof(int64));
		pq_sendint64(buf, value);
		return;
	}
	enlargeStringInfo(buf, LENGTH_SIZE + INT_TEXT_SIZE);
	len = pg_lltoa(value, buf->data + buf->len + LENGTH_SIZE);
	put_length(buf, buf->len, len);
	buf->len += LENGTH_SIZE + len;
}

static inline void
send_int4(StringInfo buf, int16 format, int32 value)
{
	if (format == 1)
	{
		pq_sendint32(buf, sizeof(int32));
		pq_sendint32(buf, value);
	}
	else
		send_int8(buf, 0, value);
}

static void
send_time(StringInfo buf, int16 format, TimestampTz time, MessageTimeText *known)
{
	if (format == 1)
	{
		send_int8(buf, format, time);
		return;
	}
	if (known->len == 0 || known->time != time || known->date_style != DateStyle ||
		known->date_order != DateOrder || known->zone != session_timezone)
	{
		char	   *s = DatumGetCString(DirectFunctionCall1(timestamptz_out,
															TimestampTzGetDatum(time)));

		known->len = (int) strlcpy(known->string, s, sizeof(known->string));
		known->time = time;
		known->date_style = DateStyle;
		known->date_order = DateOrder;
		known->zone = session_timezone;
		pfree(s);
	}
	send_bytes(buf, known->string, known->len);
}

static void
send_text(StringInfo buf, Datum value)
{
	struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

	send_bytes(buf, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
}

/* ---- JSON ---- */

/*
 * Can the string be in JSON as it is?  Control characters, quotation marks and
 * backslashes must be escaped.  Eight bytes are tested together: BELOW() is
 * not zero if a byte of x is less than n.
 */
static inline bool
is_plain(const char *s, int len)
{
#define ALL(c)		(~UINT64CONST(0) / 255 * (c))
#define BELOW(x, n)	(((x) - ALL(n)) & ~(x) & ALL(128))
	uint64		found = 0;
	int			i = 0;

	for (; i + (int) sizeof(uint64) <= len; i += sizeof(uint64))
	{
		uint64		x;

		memcpy(&x, s + i, sizeof(x));
		found |= BELOW(x, ' ') | BELOW(x ^ ALL('"'), 1) | BELOW(x ^ ALL('\\'), 1);
	}
	for (; i < len; i++)
		found |= (unsigned char) s[i] < ' ' || s[i] == '"' || s[i] == '\\';
	return found == 0;
#undef ALL
#undef BELOW
}

static void
put_string(StringInfo buf, const char *s, int len)
{
	if (is_plain(s, len))
	{
		enlargeStringInfo(buf, len + 2);
		buf->data[buf->len] = '"';
		memcpy(buf->data + buf->len + 1, s, len);
		buf->data[buf->len + len + 1] = '"';
		buf->len += len + 2;
	}
	else
		escape_json(buf, text_to_cstring(cstring_to_text_with_len(s, len)));
}

static void
put_base64(StringInfo buf, const char *s, int len)
{
	int			room = pg_b64_enc_len(len);
	int			n;

	enlargeStringInfo(buf, room + 2);
	buf->data[buf->len++] = '"';
	n = COMPAT_B64_ENCODE(s, len, buf->data + buf->len, room);
	if (n < 0)
		elog(ERROR, "could not encode %d bytes as base64", len);
	buf->len += n;
	buf->data[buf->len++] = '"';
}

static void
put_jsonb(StringInfo buf, Datum value)
{
	Jsonb	   *json = DatumGetJsonbP(value);

	(void) JsonbToCString(buf, &json->root, VARSIZE(json));
}

/* text and bytea become strings without a jsonb in between */
static void
put_payload_string(StringInfo buf, const StreamJsonColumn *column, Datum value)
{
	struct varlena *data = PG_DETOAST_DATUM_PACKED(value);

	if (column->form == JSON_STRING)
		put_string(buf, VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
	else
		put_base64(buf, VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
}

/* the payload; a null has the length -1 and no bytes */
static void
send_payload(StringInfo buf, int16 format, const MessageRow *row)
{
	MessageFormat *mf = row->format;
	bool		is_string = !mf->whole_row &&
		(mf->columns->form == JSON_STRING || mf->columns->form == JSON_BASE64);
	bool		isnull;
	int			at;
	Datum		value;

	if (is_string)
		value = slot_getattr(row->slot, mf->columns->attnum, &isnull);
	else
		isnull = !stream_message_payload(mf, row->slot, &value);
	if (isnull)
	{
		pq_sendint32(buf, -1);
		return;
	}
	at = begin_column(buf);
	if (format == 1)
		pq_sendint8(buf, JSONB_VERSION);
	if (is_string)
		put_payload_string(buf, mf->columns, value);
	else
		put_jsonb(buf, value);
	end_column(buf, at);
}

static void
send_headers(StringInfo buf, int16 format, const MessageRow *row)
{
	Datum		value;

	if (stream_message_headers(row->format, row->slot, &value))
	{
		int			at = begin_column(buf);

		if (format == 1)
			pq_sendint8(buf, JSONB_VERSION);
		put_jsonb(buf, value);
		end_column(buf, at);
	}
	else
		pq_sendint32(buf, -1);
}

bool
stream_message_send(const MessageRow *row, int ncolumns, const uint8 *columns,
					const int16 *formats, MessageTimeText *time, StringInfo buf)
{
	if (!stream_message_is_sure(row->format, row->slot, MESSAGE_ALL))
		return false;
	for (int i = 0; i < ncolumns; i++)
	{
		int16		format = formats ? formats[i] : 0;
		Datum		value;

		switch (columns[i])
		{
			case 0:
				send_int8(buf, format, row->msg_id);
				break;
			case 1:
				send_int4(buf, format, LOG_MSG_PARTITION(row->msg_id));
				break;
			case 2:
				send_int8(buf, format, LOG_MSG_OFFSET(row->msg_id));
				break;
			case 3:
				send_time(buf, format, row->produced_at, time);
				break;
			case 4:
				send_int4(buf, format, row->deliveries);
				break;
			case 5:
				if (stream_message_key(row->format, row->slot, &value))
					send_text(buf, value);
				else
					pq_sendint32(buf, -1);
				break;
			case 6:
				send_payload(buf, format, row);
				break;
			default:
				send_headers(buf, format, row);
				break;
		}
	}
	return true;
}
