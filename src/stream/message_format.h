/*
 * message_format.h
 *	  How rows of a stream are converted: what message.c and message_send.c
 *	  share.
 */
#ifndef STREAMQ_STREAM_MESSAGE_FORMAT_H
#define STREAMQ_STREAM_MESSAGE_FORMAT_H

#include "postgres.h"

#include "access/attnum.h"
#include "fmgr.h"

#include "log/options.h"
#include "stream/message.h"
#include "stream/message_json.h"

typedef struct MessageKey
{
	AttrNumber	attnum;
	bool		is_text;		/* varlena text: used as it is */
	bool		has_style;		/* the text depends on settings */
	bool		may_fail;
	FmgrInfo	out;
} MessageKey;

struct MessageFormat
{
	char	   *stream;			/* name, for errors */
	bool		whole_row;
	bool		may_fail;		/* the conversion of a column or the key may
								 * fail */
	int			ncolumns;		/* 1 unless whole_row */
	StreamJsonColumn *columns;
	int			nkeys;
	MessageKey	keys[LOG_OPTIONS_MAX_KEYS];
	bool		has_headers;
	StreamJsonColumn headers;
};

/* form the key; false if it is null */
extern bool stream_message_key(MessageFormat *format, TupleTableSlot *slot, Datum *result);

/* form the payload or the headers as jsonb; false if it is null */
extern bool stream_message_payload(MessageFormat *format, TupleTableSlot *slot, Datum *result);
extern bool stream_message_headers(MessageFormat *format, TupleTableSlot *slot, Datum *result);

#endif
