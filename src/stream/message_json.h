/*
 * message_json.h
 *	  Converting values of a stream's columns to JSON.
 */
#ifndef STREAMQ_STREAM_MESSAGE_JSON_H
#define STREAMQ_STREAM_MESSAGE_JSON_H

#include "postgres.h"

#include "access/attnum.h"
#include "catalog/pg_attribute.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/jsonb.h"

/* how a value is converted to JSON */
typedef enum JsonForm
{
	JSON_AS_IS,					/* jsonb */
	JSON_STRING,				/* text, varchar: a string */
	JSON_BASE64,				/* bytea as payload: a string */
	JSON_BOOL,
	JSON_INT2,
	JSON_INT4,
	JSON_INT8,
	JSON_NUMERIC,
	JSON_DATETIME,				/* date and timestamps: ISO 8601 */
	JSON_CONVERTED				/* anything else: by to_jsonb() */
} JsonForm;

/* a column, and how its values are converted */
typedef struct StreamJsonColumn
{
	AttrNumber	attnum;
	JsonForm	form;
	Oid			basetype;
	char	   *name;			/* only for whole rows */
	int			namelen;
	FmgrInfo	to_jsonb;		/* JSON_CONVERTED only */
	bool		may_fail;		/* the conversion may fail */
	bool		is_varlena;
} StreamJsonColumn;

/* initialize a column; allocates in the current memory context */
extern void stream_json_column_init(StreamJsonColumn *column, Form_pg_attribute att);

/*
 * May the conversion of a value to JSON or to text fail?  Output functions of
 * PostgreSQL's own types do not fail.  Those of other types may, and so may
 * user-defined casts to json.  The type json allows values that jsonb does
 * not.
 */
extern bool stream_json_may_fail(Oid type);

/* set a string; fails if it is too long for a jsonb */
extern void stream_json_string(JsonbValue *result, char *data, int len);

/* convert a value: to an element of an object, or to a whole document */
extern void stream_json_element(StreamJsonColumn *column, Datum value, JsonbValue *result);
extern Datum stream_json_document(StreamJsonColumn *column, Datum value);

/*
 * Returns true if the column's value can certainly be converted.  *size is the
 * sum of the sizes of a row's values so far.  A row of less than
 * STREAM_JSON_SURE_STORED bytes (as stored) is never too large.
 */
extern bool stream_json_is_sure(const StreamJsonColumn *column, TupleTableSlot *slot,
								Size *size);

/* values up to this size fit into a jsonb, however they are converted */
#define STREAM_JSON_SURE_SIZE	(16 * 1024 * 1024)

/* because decompressing a value makes it at most 256 times as large */
#define STREAM_JSON_SURE_STORED	(STREAM_JSON_SURE_SIZE / 256)

#endif
