/*
 * inputs.c
 *	  Collected input of aggregates: its form in memory and on disk.
 *
 * A row consists of a bitmap of nulls and the values, without padding.  Two
 * rows with the same bytes are equal.  Aggregates with DISTINCT keep one of
 * them; the Agg node that reads them removes those that are equal but look
 * different.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/agg.h"
#include "view/inputs.h"

/* input with DISTINCT is sorted when it has doubled, but not below this */
#define SORT_MIN_BYTES	((Size) 64 * 1024)

Oid
view_input_type(void)
{
	Oid			nsp = get_namespace_oid(STREAMQ_SCHEMA, false);
	Oid			type;

	type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum("aggregate_input"),
						   ObjectIdGetDatum(nsp));
	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type \"%s\" does not exist", "streamq.aggregate_input")));
	return type;
}

/* ---- rows ---- */

static void
init_column(ViewInputColumn *column, Oid type)
{
	HeapTuple	tup = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tup);
	column->len = form->typlen;
	column->byval = form->typbyval;
	column->align = form->typalign;
	/* functions of types that are never toasted do not expect short headers */
	column->can_be_short = form->typlen == -1 && form->typstorage != TYPSTORAGE_PLAIN;
	ReleaseSysCache(tup);
}

static ViewInputDesc *
make_desc(int natts, const Oid *types)
{
	ViewInputDesc *desc = palloc(sizeof(ViewInputDesc));

	desc->natts = natts;
	desc->columns = palloc(sizeof(ViewInputColumn) * Max(1, natts));
	for (int i = 0; i < natts; i++)
		init_column(&desc->columns[i], types[i]);
	desc->types = palloc(sizeof(Oid) * Max(1, natts));
	memcpy(desc->types, types, sizeof(Oid) * natts);
	return desc;
}

ViewInputDesc *
view_input_desc(TupleDesc tupdesc)
{
	Oid		   *types = palloc(sizeof(Oid) * Max(1, tupdesc->natts));

	for (int i = 0; i < tupdesc->natts; i++)
		types[i] = TupleDescAttr(tupdesc, i)->atttypid;
	return make_desc(tupdesc->natts, types);
}

ViewInputCall *
view_input_call(ViewQuery *vq, ViewAgg *agg)
{
	ViewInputCall *call = palloc0(sizeof(ViewInputCall));
	Oid		   *types = palloc(sizeof(Oid) * Max(1, list_length(agg->input_types)));
	ListCell   *lc;

	call->aggregate = agg->aggref->aggfnoid;
	call->nstrict = agg->nstrict;
	call->ordinal = agg->ordinal;
	call->distinct = agg->aggref->aggdistinct != NIL;
	foreach(lc, agg->input_types)
		types[foreach_current_index(lc)] = lfirst_oid(lc);
	call->desc = make_desc(list_length(agg->input_types), types);
	call->exprs = palloc(sizeof(ExprState *) * Max(1, list_length(agg->inputs)));
	foreach(lc, agg->inputs)
		call->exprs[call->nexprs++] = view_compile_expression(vq, lfirst(lc));
	return call;
}

/* append bytes; the sum may exceed what a value can have */
static void
append_bytes(const ViewInputCall *call, StringInfo rows, const void *data, Size len)
{
	if (len >= MaxAllocSize / 2 || (Size) rows->len + len >= MaxAllocSize / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("input of aggregate %s is too large",
						format_procedure(call->aggregate)),
				 errdetail("The limit for one value is %zu bytes.", (Size) MaxAllocSize / 2)));
	appendBinaryStringInfo(rows, data, (int) len);
}

/* append a value in its stored form: detoasted, and with the shortest header */
static void
append_value(const ViewInputCall *call, const ViewInputColumn *column, StringInfo rows, Datum value)
{
	if (column->byval)
	{
		Datum		aligned;

		store_att_byval(&aligned, value, column->len);
		append_bytes(call, rows, &aligned, column->len);
	}
	else if (column->len == -1)
	{
		struct varlena *v = PG_DETOAST_DATUM_PACKED(value);

		if (column->can_be_short && VARATT_CAN_MAKE_SHORT(v))
		{
			char		header;

			SET_VARSIZE_SHORT(&header, VARATT_CONVERTED_SHORT_SIZE(v));
			append_bytes(call, rows, &header, 1);
			append_bytes(call, rows, VARDATA(v), VARSIZE(v) - VARHDRSZ);
		}
		else
			append_bytes(call, rows, v, VARSIZE_ANY(v));
		if ((Pointer) v != DatumGetPointer(value))
			pfree(v);
	}
	else if (column->len == -2)
		append_bytes(call, rows, DatumGetCString(value), strlen(DatumGetCString(value)) + 1);
	else
		append_bytes(call, rows, DatumGetPointer(value), column->len);
}

void
view_inputs_add(ViewInputCall *call, ViewInputs *inputs, ExprContext *econtext, int64 ordinal)
{
	const ViewInputDesc *desc = call->desc;
	StringInfo	rows = &inputs->rows;
	int			start = rows->len;
	int			nbytes = BITMAPLEN(desc->natts);
	static const char zeros[(MaxTupleAttributeNumber + 7) / 8];

	append_bytes(call, rows, zeros, nbytes);
	for (int i = 0; i < call->nexprs; i++)
	{
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(call->exprs[i], econtext, &isnull);

		if (!isnull)
			append_value(call, &desc->columns[i], rows, value);
		else if (i < call->nstrict)
		{
			rows->len = start;
			return;
		}
		else
			rows->data[start + i / BITS_PER_BYTE] |= 1 << (i % BITS_PER_BYTE);
	}
	if (call->ordinal)
		append_value(call, &desc->columns[call->nexprs], rows, Int64GetDatum(ordinal));
	inputs->nrows++;
	inputs->is_sorted = false;

	/* few distinct values need little memory */
	if (call->distinct && (Size) rows->len > SORT_MIN_BYTES &&
		(Size) rows->len > 2 * inputs->sorted_len)
		view_inputs_sort(desc, inputs);
}

static void
report_damage(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("aggregate input is damaged")));
}

/* length of a varlena value that may not be aligned */
static Size
varlena_length(const char *value, const char *end)
{
	struct varlena header;

	if (value >= end)
		report_damage();
	if (VARATT_IS_1B_E(value))
		report_damage();
	if (VARATT_IS_1B(value))
		return VARSIZE_1B(value);
	if (end - value < VARHDRSZ)
		report_damage();
	memcpy(&header, value, VARHDRSZ);
	if (!VARATT_IS_4B_U(&header) || VARSIZE_4B(&header) < VARHDRSZ)
		report_damage();
	return VARSIZE_4B(&header);
}

static Size
value_length(const ViewInputColumn *column, const char *value, const char *end)
{
	Size		len;

	if (column->len == -1)
		len = varlena_length(value, end);
	else if (column->len == -2)
		len = strnlen(value, end - value) + 1;
	else
		len = column->len;
	if (len > end - value)
		report_damage();
	return len;
}

Size
view_input_row_length(const ViewInputDesc *desc, const char *row, const char *end)
{
	const char *p = row + BITMAPLEN(desc->natts);

	if (p > end)
		report_damage();
	for (int i = 0; i < desc->natts; i++)
	{
		if ((row[i / BITS_PER_BYTE] & (1 << (i % BITS_PER_BYTE))) == 0)
			p += value_length(&desc->columns[i], p, end);
	}
	return p - row;
}

const char *
view_input_read(const ViewInputDesc *desc, const char *row, const char *end,
				Datum *values, bool *nulls)
{
	const char *p = row + BITMAPLEN(desc->natts);

	if (p > end)
		report_damage();
	for (int i = 0; i < desc->natts; i++)
	{
		const ViewInputColumn *column = &desc->columns[i];
		Size		len;

		nulls[i] = (row[i / BITS_PER_BYTE] & (1 << (i % BITS_PER_BYTE))) != 0;
		values[i] = (Datum) 0;
		if (nulls[i])
			continue;
		len = value_length(column, p, end);
		if (column->byval)
		{
			Datum		aligned;

			memcpy(&aligned, p, len);
			values[i] = fetch_att(&aligned, true, column->len);
		}
		else if (column->len == -2 || (column->len == -1 && VARATT_IS_1B(p)) ||
				 column->align == TYPALIGN_CHAR)
			values[i] = PointerGetDatum(p);
		else
		{
			char	   *copy = palloc(len);

			memcpy(copy, p, len);
			values[i] = PointerGetDatum(copy);
		}
		p += len;
	}
	return p;
}

int
view_input_compare(const char *a, Size alen, const char *b, Size blen)
{
	int			result = memcmp(a, b, Min(alen, blen));

	if (result != 0)
		return result;
	return alen < blen ? -1 : alen > blen ? 1 : 0;
}

/* ---- in memory ---- */

ViewInputs *
view_inputs_create(MemoryContext mcxt)
{
	MemoryContext old = MemoryContextSwitchTo(mcxt);
	ViewInputs *inputs = palloc0(sizeof(ViewInputs));

	initStringInfo(&inputs->rows);
	inputs->is_sorted = true;
	MemoryContextSwitchTo(old);
	return inputs;
}

typedef struct SortItem
{
	const char *row;
	Size		len;
} SortItem;

static int
compare_items(const void *a, const void *b)
{
	const SortItem *x = a;
	const SortItem *y = b;

	return view_input_compare(x->row, x->len, y->row, y->len);
}

void
view_inputs_sort(const ViewInputDesc *desc, ViewInputs *inputs)
{
	const char *p = inputs->rows.data;
	const char *end = p + inputs->rows.len;
	SortItem   *items;
	char	   *sorted;
	Size		len = 0;
	uint32		n = 0;

	if (inputs->is_sorted)
		return;
	items = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SortItem) * Max(1, inputs->nrows));
	for (uint32 i = 0; i < inputs->nrows; i++)
	{
		items[i].row = p;
		items[i].len = view_input_row_length(desc, p, end);
		p += items[i].len;
	}
	qsort(items, inputs->nrows, sizeof(SortItem), compare_items);

	sorted = palloc(Max(1, inputs->rows.len));
	for (uint32 i = 0; i < inputs->nrows; i++)
	{
		if (i > 0 && compare_items(&items[i - 1], &items[i]) == 0)
			continue;
		memcpy(sorted + len, items[i].row, items[i].len);
		len += items[i].len;
		n++;
		CHECK_FOR_INTERRUPTS();
	}
	memcpy(inputs->rows.data, sorted, len);
	inputs->rows.len = (int) len;
	inputs->nrows = n;
	inputs->is_sorted = true;
	inputs->sorted_len = len;
	pfree(sorted);
	pfree(items);
}

void
view_inputs_add_chunk(ViewInputs *inputs, const ViewChunkRef *chunk)
{
	if (inputs->nchunks == inputs->max_chunks)
	{
		inputs->max_chunks = Max(8, inputs->max_chunks * 2);
		inputs->chunks = inputs->chunks == NULL ?
			MemoryContextAllocHuge(GetMemoryChunkContext(inputs),
								   sizeof(ViewChunkRef) * inputs->max_chunks) :
			repalloc_huge(inputs->chunks, sizeof(ViewChunkRef) * inputs->max_chunks);
	}
	inputs->chunks[inputs->nchunks++] = *chunk;
}

/* with DISTINCT, rows are sorted, but not those of two inputs together */
static void
append_rows(ViewInputs *inputs, const char *rows, int len, uint32 nrows)
{
	if (nrows == 0)
		return;
	if (inputs->nrows == 0)
		inputs->sorted_len = len;
	else
		inputs->is_sorted = false;
	appendBinaryStringInfo(&inputs->rows, rows, len);
	inputs->nrows += nrows;
}

void
view_inputs_append(ViewInputs *inputs, const ViewInputs *other)
{
	if (!other->is_sorted)
		inputs->is_sorted = false;
	append_rows(inputs, other->rows.data, other->rows.len, other->nrows);
	for (int i = 0; i < other->nchunks; i++)
		view_inputs_add_chunk(inputs, &other->chunks[i]);
}

/* ---- stored ---- */

Datum
view_inputs_save(const ViewInputDesc *desc, const ViewInputs *inputs)
{
	ViewInputHeader header = {.format = VIEW_INPUT_FORMAT, .natts = desc->natts,
	.nchunks = inputs->nchunks, .nrows = inputs->nrows};
	Size		types_len = sizeof(Oid) * desc->natts;
	Size		chunks_len = sizeof(ViewChunkRef) * inputs->nchunks;
	Size		len = VARHDRSZ + sizeof(header) + types_len + chunks_len + inputs->rows.len;
	char	   *result = palloc(len);
	char	   *p = VARDATA(result);

	SET_VARSIZE(result, len);
	memcpy(p, &header, sizeof(header));
	p += sizeof(header);
	memcpy(p, desc->types, types_len);
	p += types_len;
	for (int i = 0; i < inputs->nchunks; i++)
	{
		ViewChunkRef chunk = inputs->chunks[i];

		chunk.flags &= ~VIEW_CHUNK_FRESH;
		memcpy(p, &chunk, sizeof(ViewChunkRef));
		p += sizeof(ViewChunkRef);
	}
	memcpy(p, inputs->rows.data, inputs->rows.len);
	return PointerGetDatum(result);
}

void
view_input_open(const ViewInputDesc *desc, Datum stored, ViewInputValue *value)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(stored);
	const char *p = VARDATA_ANY(v);
	Size		len = VARSIZE_ANY_EXHDR(v);
	Size		types_len;

	if (len < sizeof(ViewInputHeader))
		report_damage();
	memcpy(&value->header, p, sizeof(ViewInputHeader));
	if (value->header.format != VIEW_INPUT_FORMAT ||
		value->header.natts > MaxTupleAttributeNumber)
		report_damage();
	types_len = sizeof(Oid) * value->header.natts;
	if (len < sizeof(ViewInputHeader) + types_len ||
		(len - sizeof(ViewInputHeader) - types_len) / sizeof(ViewChunkRef) < value->header.nchunks)
		report_damage();
	value->types = p + sizeof(ViewInputHeader);
	if (desc && (value->header.natts != desc->natts ||
				 memcmp(value->types, desc->types, types_len) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("aggregate input belongs to another aggregate")));
	value->chunks = value->types + types_len;
	value->rows = value->chunks + sizeof(ViewChunkRef) * value->header.nchunks;
	value->end = p + len;
}

void
view_inputs_load(const ViewInputDesc *desc, ViewInputs *inputs, Datum stored)
{
	ViewInputValue value;

	view_input_open(desc, stored, &value);
	for (uint32 i = 0; i < value.header.nchunks; i++)
	{
		ViewChunkRef chunk;

		memcpy(&chunk, value.chunks + i * sizeof(ViewChunkRef), sizeof(ViewChunkRef));
		view_inputs_add_chunk(inputs, &chunk);
	}
	append_rows(inputs, value.rows, (int) (value.end - value.rows), value.header.nrows);
}
