/*
 * inputs.h
 *	  Collected input of aggregates.
 *
 * An aggregate whose state cannot be stored or merged, or that needs its input
 * in an order or without duplicates, keeps its input instead of a state.  The
 * input is in the type streamq.aggregate_input: some of it in the group's row,
 * the rest in chunks, which are rows of their own in the state table
 * (chunks.c).
 */
#ifndef STREAMQ_VIEW_INPUTS_H
#define STREAMQ_VIEW_INPUTS_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "nodes/execnodes.h"

#include "view/analyze.h"

/*
 * The header of a stored value, after the varlena header.  The OIDs of the
 * columns' types follow it: a value is read only by whoever asks for these
 * types, because anybody may call the SQL functions.
 */
typedef struct ViewInputHeader
{
	uint16		format;			/* VIEW_INPUT_FORMAT */
	uint16		unused;
	uint32		natts;			/* number of columns */
	uint32		nchunks;
	uint32		nrows;			/* rows in this value */
} ViewInputHeader;

#define VIEW_INPUT_FORMAT	1

/*
 * A reference to a chunk.  Chunks of an aggregate with DISTINCT are sorted,
 * and several of them may form one sorted run.
 */
typedef struct ViewChunkRef
{
	int64		window_start;	/* of the chunk's row */
	int64		id;				/* its group_hash */
	uint32		bytes;
	uint32		flags;			/* VIEW_CHUNK_* */
} ViewChunkRef;

#define VIEW_CHUNK_CONTINUES	0x01	/* continues the run of the previous
										 * chunk */
#define VIEW_CHUNK_FRESH		0x02	/* written in this round; not stored */

StaticAssertDecl(sizeof(ViewInputHeader) == 16, "ViewInputHeader is stored");
StaticAssertDecl(sizeof(ViewChunkRef) == 24, "ViewChunkRef is stored");

/* a column of the input */
typedef struct ViewInputColumn
{
	int16		len;
	bool		byval;
	char		align;
	bool		can_be_short;	/* varlena values may have a short header */
} ViewInputColumn;

/* the form of an aggregate's input */
typedef struct ViewInputDesc
{
	int			natts;
	ViewInputColumn *columns;
	Oid		   *types;
} ViewInputDesc;

/* an aggregate that collects its input */
typedef struct ViewInputCall
{
	Oid			aggregate;
	ViewInputDesc *desc;
	int			nexprs;
	ExprState **exprs;
	int			nstrict;		/* a row with a null in the first nstrict
								 * columns is not collected */
	bool		ordinal;		/* the last column is the row's number */
	bool		distinct;
} ViewInputCall;

/* collected input in memory, in the order of arrival or sorted */
typedef struct ViewInputs
{
	StringInfoData rows;
	uint32		nrows;
	bool		is_sorted;		/* sorted, and without duplicates */
	Size		sorted_len;		/* length when it was sorted last */
	int			nchunks;
	int			max_chunks;
	ViewChunkRef *chunks;
} ViewInputs;

/* largest input in the row of a group; more is moved into chunks */
#define VIEW_INPUTS_IN_ROW	1000

/* OID of streamq.aggregate_input */
extern Oid	view_input_type(void);

extern ViewInputDesc *view_input_desc(TupleDesc tupdesc);

/* set up an aggregate that collects its input, in the current memory context */
extern ViewInputCall *view_input_call(ViewQuery *vq, ViewAgg *agg);

/* add the input of a row, which has the given number in the stream */
extern void view_inputs_add(ViewInputCall *call, ViewInputs *inputs, ExprContext *econtext,
							int64 ordinal);

/* make an empty input in a memory context */
extern ViewInputs *view_inputs_create(MemoryContext mcxt);

/* sort rows, and remove duplicates */
extern void view_inputs_sort(const ViewInputDesc *desc, ViewInputs *inputs);

/* convert to the stored form, and add stored input to input in memory */
extern Datum view_inputs_save(const ViewInputDesc *desc, const ViewInputs *inputs);
extern void view_inputs_load(const ViewInputDesc *desc, ViewInputs *inputs, Datum stored);

/* add other input, and its chunks */
extern void view_inputs_append(ViewInputs *inputs, const ViewInputs *other);

/* add a reference to a chunk */
extern void view_inputs_add_chunk(ViewInputs *inputs, const ViewChunkRef *chunk);

/* length of the row at a position; fails with XX001 if it does not end before `end` */
extern Size view_input_row_length(const ViewInputDesc *desc, const char *row, const char *end);

/* compare two rows as strings of bytes */
extern int	view_input_compare(const char *a, Size alen, const char *b, Size blen);

/*
 * Read the row at a position; returns the position after it.  Values may point
 * into the row, or into the current memory context.
 */
extern const char *view_input_read(const ViewInputDesc *desc, const char *row, const char *end,
								   Datum *values, bool *nulls);

/*
 * Read the header of a stored value.  The result is a copy of the value with
 * pointers into it.  Fails with XX001 if it is damaged, and with 42804 if it
 * has other columns; without a desc, the columns are not checked.
 */
typedef struct ViewInputValue
{
	ViewInputHeader header;
	const char *types;			/* Oid, perhaps not aligned */
	const char *chunks;			/* ViewChunkRef, perhaps not aligned */
	const char *rows;
	const char *end;
} ViewInputValue;

extern void view_input_open(const ViewInputDesc *desc, Datum stored, ViewInputValue *value);

#endif
