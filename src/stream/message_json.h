/*
 * message_json.h
 *	  Values of a stream's columns as JSON, within messages.
 */
#ifndef STREAMQ_STREAM_MESSAGE_JSON_H
#define STREAMQ_STREAM_MESSAGE_JSON_H

#include "postgres.h"

#include "access/attnum.h"
#include "catalog/pg_attribute.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/jsonb.h"

/* how a value becomes JSON */
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
	JSON_CONVERTED				/* anything else: what to_jsonb makes of it */
} JsonForm;

typedef struct StreamJsonColumn
{
	AttrNumber	attnum;
	JsonForm	form;
	Oid			basetype;
	char	   *name;			/* whole rows only */
	int			namelen;
	FmgrInfo	to_jsonb;		/* JSON_CONVERTED only */
	bool		may_fail;		/* there may be values it fails for */
	bool		is_varlena;
} StreamJsonColumn;

/* lives in the current memory context */
extern void stream_json_column_init(StreamJsonColumn *column, Form_pg_attribute att);

/*
 * May the conversion of a value to JSON, or to text, raise an error?  Output functions
 * of PostgreSQL's own types do not.  Those of other types may, and so may casts to
 * JSON that users made.  The type json holds what jsonb does not take.
 */
extern bool stream_json_may_fail(Oid type);

/* a string of a jsonb, which has a length that a jsonb can have */
extern void stream_json_string(JsonbValue *result, char *data, int len);

/* a value as an element that can be pushed into an object, or as a document */
extern void stream_json_element(StreamJsonColumn *column, Datum value, JsonbValue *result);
extern Datum stream_json_document(StreamJsonColumn *column, Datum value);

/*
 * Is the column's value surely converted without an error?  size adds up the sizes
 * of the values of a row.  No row whose stored size is below
 * STREAM_JSON_SURE_STORED is too large.
 */
extern bool stream_json_is_sure(const StreamJsonColumn *column, TupleTableSlot *slot,
								Size *size);

/* more than this may not fit into a jsonb, whatever becomes of it */
#define STREAM_JSON_SURE_SIZE	(16 * 1024 * 1024)

/* and no compressed value becomes larger than 256 times what is stored of it */
#define STREAM_JSON_SURE_STORED	(STREAM_JSON_SURE_SIZE / 256)

#endif
