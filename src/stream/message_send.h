/*
 * message_send.h
 *	  Messages in the form in which they are sent to a client.
 */
#ifndef STREAMQ_STREAM_MESSAGE_SEND_H
#define STREAMQ_STREAM_MESSAGE_SEND_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "pgtime.h"
#include "utils/datetime.h"

#include "stream/message.h"

/*
 * The text of an append time, and the settings that decided about it.  Many
 * messages have the same append time.
 */
typedef struct MessageTimeText
{
	int			len;			/* 0: none yet */
	TimestampTz time;
	int			date_style;
	int			date_order;
	const pg_tz *zone;
	char		string[MAXDATELEN + 1];
} MessageTimeText;

/*
 * Append columns of a message, as the output functions of their types (format
 * 0) or the send functions (format 1) would give them.  The text is in the
 * encoding of the database.  columns are those of streamq.message, counted
 * from 0; formats may be NULL, which means text.  buf may be changed before an
 * error.
 *
 * Returns false, and appends nothing, if the message may not be convertible.
 * The caller then uses stream_message_form(), which reports errors.
 */
extern bool stream_message_send(const MessageRow *row, int ncolumns, const uint8 *columns,
								const int16 *formats, MessageTimeText *time, StringInfo buf);

#endif
