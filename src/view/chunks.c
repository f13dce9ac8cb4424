/*
 * chunks.c
 *	  Chunks: rows of the state table with collected input of aggregates.
 *
 * The row of a group has references to its chunks.  A chunk has the group's
 * window and keys, and a random number in place of their hash, by which the
 * table's index finds it.  The column `chunk` is NULL in all other rows.
 *
 * A chunk is never changed.  When a new one comes, older ones that are not
 * larger than what follows them are merged with it.  So a group has few
 * chunks, and each row of input is written again a logarithmic number of
 * times.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/chunks.h"

/* chunks grow up to this size, unless a single row is larger */
#define CHUNK_MAX_BYTES	((Size) 4 * 1024 * 1024)

/* ---- reading ---- */

/* is it an index by which chunks can be found? */
static bool
index_fits(Relation index, ViewChunkTable *table)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisvalid || index->rd_rel->relam != BTREE_AM_OID ||
		index->rd_indoption[0] != 0 ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	table->by_window = form->indnkeyatts >= 2 &&
		form->indkey.values[0] == table->window_start &&
		form->indkey.values[1] == table->hash;
	return table->by_window || form->indkey.values[0] == table->hash;
}

void
view_chunk_table(Relation rel, ViewChunkTable *table)
{
	Oid			relid = RelationGetRelid(rel);
	ListCell   *lc;

	table->rel = rel;
	table->index = InvalidOid;
	table->window_start = get_attnum(relid, "window_start");
	table->hash = get_attnum(relid, "group_hash");
	table->chunk = get_attnum(relid, "chunk");
	/* nobody but streamq creates tables in its schema */
	if (RelationGetNamespace(rel) != get_namespace_oid(STREAMQ_SCHEMA, false) ||
		table->hash == InvalidAttrNumber || table->chunk == InvalidAttrNumber ||
		get_atttype(relid, table->chunk) != view_input_type())
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a state table with collected input",
						RelationGetRelationName(rel))));
	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (!OidIsValid(table->index) && index_fits(index, table))
			table->index = RelationGetRelid(index);
		index_close(index, AccessShareLock);
		if (OidIsValid(table->index))
			break;
	}
	if (!OidIsValid(table->index))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index of state table \"%s\" is missing",
						RelationGetRelationName(rel)),
				 errhint("Drop the continuous view and create it again.")));
}

void
view_chunk_read(const ViewChunkTable *table, const ViewInputDesc *desc, const ViewChunkRef *ref,
				Snapshot snapshot, ViewInputValue *value, ItemPointer tid)
{
	TupleDesc	tupdesc = RelationGetDescr(table->rel);
	ScanKeyData keys[2];
	int			nkeys = 0;
	SysScanDesc scan;
	HeapTuple	tup;
	bool		found = false;

	if (table->by_window)
		ScanKeyInit(&keys[nkeys++], table->window_start, BTEqualStrategyNumber,
					F_TIMESTAMP_EQ, TimestampGetDatum(ref->window_start));
	ScanKeyInit(&keys[nkeys++], table->hash, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(ref->id));
	scan = systable_beginscan(table->rel, table->index, true, snapshot, nkeys, keys);
	while (!found && HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		chunk = heap_getattr(tup, table->chunk, tupdesc, &isnull);

		if (isnull)
			continue;
		view_input_open(desc, PointerGetDatum(PG_DETOAST_DATUM_COPY(chunk)), value);
		*tid = tup->t_self;
		found = true;
	}
	systable_endscan(scan);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("chunk " INT64_FORMAT " of state table \"%s\" is missing",
						ref->id, RelationGetRelationName(table->rel))));
}

/* ---- merging ---- */

/* sorted or unsorted rows, from chunks or memory */
typedef struct ChunkSource
{
	int			next;			/* reference to the next chunk */
	int			end;
	MemoryContext mcxt;			/* has the chunk being read */
	const char *row;
	Size		len;			/* of the row; 0: no more rows */
	const char *rows_end;
} ChunkSource;

typedef struct ChunkMerge
{
	ViewStateTable *state;
	ViewStateGroup *group;
	ViewInputCall *call;
	StateWriter *writer;
	ViewChunkTable table;
	ViewInputs *inputs;
	int			nsources;
	ChunkSource *sources;

	/* the chunk being made */
	ViewInputs *out;
	List	   *written;		/* of ViewChunkRef */
} ChunkMerge;

/* go to the next row of a source; a chunk is deleted when it is read */
static void
advance_source(ChunkMerge *merge, ChunkSource *source)
{
	const char *row = source->row ? source->row + source->len : NULL;

	while (row == source->rows_end && source->next < source->end)
	{
		ViewInputValue value;
		ItemPointerData tid;
		MemoryContext old;

		MemoryContextReset(source->mcxt);
		old = MemoryContextSwitchTo(source->mcxt);
		view_chunk_read(&merge->table, merge->call->desc, &merge->inputs->chunks[source->next++],
						GetActiveSnapshot(), &value, &tid);
		MemoryContextSwitchTo(old);
		state_delete(merge->writer, &tid);
		row = value.rows;
		source->rows_end = value.end;
	}
	source->row = row;
	source->len = row == source->rows_end ? 0 :
		view_input_row_length(merge->call->desc, row, source->rows_end);
}

/* write the chunk being made */
static void
write_chunk(ChunkMerge *merge)
{
	ViewStateTable *state = merge->state;
	TupleDesc	desc = RelationGetDescr(state->rel);
	Datum	   *values = palloc0(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	ViewChunkRef *ref = palloc0(sizeof(ViewChunkRef));
	HeapTuple	tup;
	int			att = 0;

	ref->window_start = merge->group->window_start;
	ref->id = (int64) pg_prng_uint64(&pg_global_prng_state);
	ref->bytes = merge->out->rows.len;
	ref->flags = VIEW_CHUNK_FRESH;
	if (merge->call->distinct && merge->written != NIL)
		ref->flags |= VIEW_CHUNK_CONTINUES;

	memset(nulls, true, sizeof(bool) * desc->natts);
	if (state->windowed)
	{
		values[att] = TimestampGetDatum(merge->group->window_start);
		nulls[att++] = false;
		values[att] = TimestampGetDatum(merge->group->window_end);
		nulls[att++] = false;
	}
	if (state->sliced || state->merging)
	{
		/* counts_after or due */
		values[att] = TimestampGetDatum(state->sliced ? merge->group->counts_after : DT_NOEND);
		nulls[att++] = false;
	}
	Assert(att == state->first - 1);
	values[att] = Int64GetDatum(ref->id);
	nulls[att] = false;
	values[desc->natts - 1] = view_inputs_save(merge->call->desc, merge->out);
	nulls[desc->natts - 1] = false;

	tup = heap_form_tuple(desc, values, nulls);
	state_insert(merge->writer, tup, NULL);
	merge->written = lappend(merge->written, ref);
	resetStringInfo(&merge->out->rows);
	merge->out->nrows = 0;
	pfree(DatumGetPointer(values[desc->natts - 1]));
	pfree(values);
	pfree(nulls);
	heap_freetuple(tup);
}

static void
write_row(ChunkMerge *merge, const char *row, Size len)
{
	ViewInputs *out = merge->out;

	if (out->nrows > 0 && out->rows.len + len > CHUNK_MAX_BYTES)
		write_chunk(merge);
	appendBinaryStringInfo(&out->rows, row, (int) len);
	out->nrows++;
}

/* write the rows of sorted sources, those that are equal once */
static void
merge_sorted(ChunkMerge *merge)
{
	for (;;)
	{
		ChunkSource *least = NULL;

		for (int i = 0; i < merge->nsources; i++)
		{
			ChunkSource *source = &merge->sources[i];
			int			cmp = 1;

			if (source->len == 0)
				continue;
			if (least)
				cmp = view_input_compare(least->row, least->len, source->row, source->len);
			if (cmp == 0)
				advance_source(merge, source);
			else if (cmp > 0)
				least = source;
		}
		if (least == NULL)
			break;
		write_row(merge, least->row, least->len);
		advance_source(merge, least);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
merge_unsorted(ChunkMerge *merge)
{
	for (int i = 0; i < merge->nsources; i++)
	{
		ChunkSource *source = &merge->sources[i];

		while (source->len > 0)
		{
			write_row(merge, source->row, source->len);
			advance_source(merge, source);
			CHECK_FOR_INTERRUPTS();
		}
	}
}

/*
 * Add the last runs of chunks as sources, as long as the last one is not
 * larger than what follows it.  Chunks of this round cannot be read yet.
 * Returns the number of chunks that stay.
 */
static int
choose_sources(ChunkMerge *merge)
{
	ViewInputs *inputs = merge->inputs;
	Size		total = inputs->rows.len;
	int			stay = inputs->nchunks;

	merge->sources = palloc0(sizeof(ChunkSource) * (inputs->nchunks + 1));
	while (stay > 0)
	{
		ChunkSource *source = &merge->sources[merge->nsources];
		int			start = stay - 1;
		Size		bytes = inputs->chunks[start].bytes;
		bool		fresh = (inputs->chunks[start].flags & VIEW_CHUNK_FRESH) != 0;

		while ((inputs->chunks[start].flags & VIEW_CHUNK_CONTINUES) != 0 && start > 0)
		{
			bytes += inputs->chunks[--start].bytes;
			fresh = fresh || (inputs->chunks[start].flags & VIEW_CHUNK_FRESH) != 0;
		}
		if (fresh || bytes > total ||
			(!merge->call->distinct && bytes + total > CHUNK_MAX_BYTES))
			break;
		source->next = start;
		source->end = stay;
		source->mcxt = AllocSetContextCreate(CurrentMemoryContext, "streamq chunk",
											 ALLOCSET_DEFAULT_SIZES);
		merge->nsources++;
		total += bytes;
		stay = start;
	}
	return stay;
}

void
view_chunks_spill(ViewStateTable *state, ViewStateGroup *group, ViewInputCall *call,
				  ViewInputs *inputs, StateWriter *writer)
{
	ChunkMerge	merge = {.state = state, .group = group, .call = call, .inputs = inputs,
	.writer = writer};
	ChunkSource *memory;
	ListCell   *lc;
	int			stay;

	stay = choose_sources(&merge);
	if (merge.nsources > 0)
		view_chunk_table(state->rel, &merge.table);
	for (int i = 0; i < merge.nsources; i++)
		advance_source(&merge, &merge.sources[i]);
	memory = &merge.sources[merge.nsources++];
	memory->row = inputs->rows.data;
	memory->rows_end = inputs->rows.data + inputs->rows.len;
	memory->len = view_input_row_length(call->desc, memory->row, memory->rows_end);

	merge.out = view_inputs_create(CurrentMemoryContext);
	if (call->distinct)
		merge_sorted(&merge);
	else
		merge_unsorted(&merge);
	write_chunk(&merge);

	inputs->nchunks = stay;
	foreach(lc, merge.written)
		view_inputs_add_chunk(inputs, lfirst(lc));
	resetStringInfo(&inputs->rows);
	inputs->nrows = 0;
	inputs->is_sorted = true;
	inputs->sorted_len = 0;
}

void
view_chunks_delete(ViewStateTable *state, HeapTuple group, StateWriter *writer)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	Oid			type = view_input_type();
	ViewChunkTable table;
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "streamq chunk",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);

	view_chunk_table(state->rel, &table);
	for (AttrNumber attno = state->first + 1; attno < table.chunk; attno++)
	{
		bool		isnull;
		Datum		value = heap_getattr(group, attno, desc, &isnull);
		ViewInputValue inputs;

		if (isnull || TupleDescAttr(desc, attno - 1)->atttypid != type ||
			attno <= state->first + state->nkeys)
			continue;
		view_input_open(NULL, value, &inputs);
		for (uint32 i = 0; i < inputs.header.nchunks; i++)
		{
			ViewChunkRef ref;
			ViewInputValue chunk;
			ItemPointerData tid;

			memcpy(&ref, inputs.chunks + i * sizeof(ViewChunkRef), sizeof(ViewChunkRef));
			view_chunk_read(&table, NULL, &ref, GetActiveSnapshot(), &chunk, &tid);
			state_delete(writer, &tid);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}
