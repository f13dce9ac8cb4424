/*
 * capture_json.h
 *	  Writing jsonb values into a buffer.
 *
 * PostgreSQL makes a jsonb of a tree of JsonbValues: it sorts and copies the
 * keys of every object.  The rows of a table all have the same keys, so their
 * part of the object is prepared once, and a row adds only its values.
 */
#ifndef STREAMQ_CAPTURE_JSON_H
#define STREAMQ_CAPTURE_JSON_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/jsonb.h"

#include "stream/message_json.h"

/* a jsonb that is being written; its header is at the beginning */
typedef struct CaptureBuffer
{
	char	   *data;
	Size		len;
	Size		max;
} CaptureBuffer;

/* an object whose keys are known, and are already sorted */
typedef struct CaptureObject
{
	int			nkeys;
	Size		len;
	char	   *data;			/* header, entries, keys; no values */
	Size		keys_len;
} CaptureObject;

/* rows of a table as objects; the columns are sorted by their keys */
typedef struct CaptureRow
{
	CaptureObject object;
	StreamJsonColumn *columns;
} CaptureRow;

/* an object that is being written */
typedef struct CaptureOpenObject
{
	Size		start;			/* with padding */
	Size		entries;		/* where the entries of the values are */
	Size		values;			/* where keys and values begin */
	int			index;			/* of the next entry */
} CaptureOpenObject;

/* allocate in the current memory context */
extern void capture_buffer_init(CaptureBuffer *buffer);

/* begin a jsonb; end it, and return it */
extern void capture_buffer_reset(CaptureBuffer *buffer);
extern Datum capture_buffer_finish(CaptureBuffer *buffer);

/* begin with what another buffer has */
extern void capture_buffer_copy(CaptureBuffer *buffer, const CaptureBuffer *from);

/* prepare an object; names must be sorted as capture_compare_keys() does */
extern void capture_object_prepare(CaptureObject *object, const char *const *names, int n);
extern int	capture_compare_keys(const char *a, const char *b);

/*
 * Write an object: open it, add a value for each key in their order, and close
 * it, which returns the entry for the object that contains it.  Nothing but
 * values may be written in between.
 */
extern void capture_object_open(CaptureBuffer *buffer, const CaptureObject *object,
								CaptureOpenObject *open);
extern void capture_object_add(CaptureBuffer *buffer, CaptureOpenObject *open, JEntry entry);
extern JEntry capture_object_close(CaptureBuffer *buffer, const CaptureOpenObject *open);

/* write a value that is no object, and return its entry */
extern JEntry capture_write_value(CaptureBuffer *buffer, const JsonbValue *value);

/* write a row; values are converted in the current memory context */
extern JEntry capture_write_row(CaptureBuffer *buffer, CaptureRow *row, TupleTableSlot *slot);

#endif
