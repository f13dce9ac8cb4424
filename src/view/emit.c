/*
 * emit.c
 *	  Emitting the results of closed windows into a stream.
 *
 * A window is emitted by the batch in which the watermark reaches its end.
 * Every row that is emitted is kept in the result table.  If rows come for a
 * window that was emitted before, its groups are compared with the result
 * table, and a correction is emitted for those that differ.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "log/log.h"
#include "stream/by_name.h"
#include "view/emit.h"
#include "view/result_table.h"
#include "view/view_define.h"

/* rows between two flushes of the writer */
#define FLUSH_ROWS	10000

/* a group of a window that may have changed; hash key */
typedef struct EmitTouched
{
	Timestamp	start;
	Timestamp	end;
	uint64		hash;
} EmitTouched;

struct ViewEmit
{
	MemoryContext context;		/* of this struct */
	ViewQuery  *vq;
	Oid			view;
	Oid			state;
	Oid			result_table;
	Oid			stream;
	bool		all;			/* nothing was emitted before */
	Timestamp	emitted;
	HTAB	   *touched;		/* NULL: nothing yet */

	/* while view_emit_run() runs */
	Relation	target;
	StreamByName *writer;
	TupleTableSlot *slot;		/* a row for the writer */
	ViewResultTable *results;
	HTAB	   *seen;			/* TIDs of the results that the query has
								 * returned; NULL: not needed */
	Datum	   *values;			/* columns of the result table */
	bool	   *nulls;
	MemoryContext row_context;
	int64		written;
	int			unflushed;
};

/* receives the rows of a query of windows */
typedef struct EmitReceiver
{
	DestReceiver pub;
	ViewEmit   *emit;
} EmitReceiver;

/* ---- the target ---- */

/* the columns that are emitted: those of the view, and two about the row */
static TupleDesc
make_desc(ViewQuery *vq)
{
	int			nouts = 0;
	TupleDesc	desc;
	ListCell   *lc;

	foreach(lc, vq->query->targetList)
		nouts += lfirst_node(TargetEntry, lc)->resjunk ? 0 : 1;
	desc = CreateTemplateTupleDesc(nouts + 2);
	nouts = 0;
	foreach(lc, vq->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *expr = (Node *) tle->expr;

		if (tle->resjunk)
			continue;
		TupleDescInitEntry(desc, ++nouts, tle->resname, exprType(expr), exprTypmod(expr), 0);
		TupleDescInitEntryCollation(desc, nouts, exprCollation(expr));
	}
	TupleDescInitEntry(desc, ++nouts, "revision", INT4OID, -1, 0);
	TupleDescInitEntry(desc, ++nouts, "deleted", BOOLOID, -1, 0);
	return desc;
}

/* the column of the view that has the first key; InvalidAttrNumber: none */
static AttrNumber
find_key(ViewQuery *vq)
{
	AttrNumber	attno = 0;
	ListCell   *lc;

	if (vq->keys == NIL)
		return InvalidAttrNumber;
	foreach(lc, vq->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk)
			continue;
		attno++;
		if (equal(tle->expr, ((ViewKey *) linitial(vq->keys))->expr))
			return attno;
	}
	return InvalidAttrNumber;
}

static void
describe_rows(StreamRowSource *source, ViewQuery *vq, const char *view)
{
	source->name = view;
	source->desc = make_desc(vq);
	source->nheaders = 2;
	source->key = find_key(vq);
}

void
view_emit_check(ViewQuery *vq, const char *view, Oid stream)
{
	Relation	rel = log_open_stream(stream, AccessShareLock);
	StreamRowSource source;

	describe_rows(&source, vq, view);
	stream_by_name_check(rel, &source);
	table_close(rel, NoLock);
}

/* ---- changed groups ---- */

ViewEmit *
view_emit_create(const JobRow *job, ViewQuery *vq, bool all, Timestamp emitted)
{
	ViewEmit   *emit = palloc0(sizeof(ViewEmit));

	emit->context = CurrentMemoryContext;
	emit->vq = vq;
	emit->view = job->target;
	emit->state = job->state;
	emit->result_table = job->results;
	emit->stream = job->emit_into;
	emit->all = all;
	emit->emitted = emitted;
	return emit;
}

bool
view_emit_wants(const ViewEmit *emit, Timestamp window_end)
{
	return !emit->all && window_end <= emit->emitted;
}

void
view_emit_touch(ViewEmit *emit, Timestamp start, Timestamp end, uint64 hash)
{
	EmitTouched touched = {start, end, hash};

	if (emit->touched == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(EmitTouched),
			.entrysize = sizeof(EmitTouched),
			.hcxt = emit->context
		};

		emit->touched = hash_create("streamq changed results", 256, &ctl,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	(void) hash_search(emit->touched, &touched, HASH_ENTER, NULL);
}

static int
compare_touched(const void *a, const void *b)
{
	const EmitTouched *first = a;
	const EmitTouched *second = b;

	if (first->end != second->end)
		return first->end < second->end ? -1 : 1;
	if (first->start != second->start)
		return first->start < second->start ? -1 : 1;
	return first->hash < second->hash ? -1 : first->hash > second->hash;
}

static EmitTouched *
sort_touched(ViewEmit *emit, int *n)
{
	EmitTouched *sorted;
	EmitTouched *entry;
	HASH_SEQ_STATUS status;

	*n = 0;
	sorted = palloc_extended(sizeof(EmitTouched) * hash_get_num_entries(emit->touched),
							 MCXT_ALLOC_HUGE);
	hash_seq_init(&status, emit->touched);
	while ((entry = hash_seq_search(&status)) != NULL)
		sorted[(*n)++] = *entry;
	qsort(sorted, *n, sizeof(EmitTouched), compare_touched);
	return sorted;
}

/* ---- writing ---- */

static void
flush_rows(ViewEmit *emit)
{
	emit->written += stream_by_name_flush(emit->writer);
	emit->unflushed = 0;
}

/* store and emit a row; *old is what the result table has about it */
static void
emit_row(ViewEmit *emit, const ViewResultRow *old, Datum *values, bool *nulls, bool deleted)
{
	ViewResultTable *results = emit->results;
	int			first = view_result_first_out(results);
	int			revision = view_result_revision(results);
	int32		n = old->tuple ? DatumGetInt32(old->values[revision]) + 1 : 0;

	values[revision] = Int32GetDatum(n);
	nulls[revision] = false;
	values[view_result_deleted(results)] = BoolGetDatum(deleted);
	nulls[view_result_deleted(results)] = false;
	view_result_store(results, old, values, nulls);

	ExecClearTuple(emit->slot);
	memcpy(emit->slot->tts_values, values + first, sizeof(Datum) * (results->nouts + 2));
	memcpy(emit->slot->tts_isnull, nulls + first, sizeof(bool) * (results->nouts + 2));
	ExecStoreVirtualTuple(emit->slot);
	stream_by_name_add(emit->writer, emit->slot);
	ExecClearTuple(emit->slot);
	if (++emit->unflushed >= FLUSH_ROWS)
		flush_rows(emit);
}

/* take a row of the query: emit it if it is new or has changed */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	ViewEmit   *emit = ((EmitReceiver *) self)->emit;
	int			natts = view_result_revision(emit->results);
	MemoryContext old_context = MemoryContextSwitchTo(emit->row_context);
	ViewResultRow old;

	slot_getallattrs(slot);
	Assert(slot->tts_tupleDescriptor->natts == natts);
	memcpy(emit->values, slot->tts_values, sizeof(Datum) * natts);
	memcpy(emit->nulls, slot->tts_isnull, sizeof(bool) * natts);

	view_result_find(emit->results, emit->values, emit->nulls, &old);
	if (old.tuple && emit->seen)
		(void) hash_search(emit->seen, &old.tuple->t_self, HASH_ENTER, NULL);
	if (old.tuple == NULL ||
		DatumGetBool(old.values[view_result_deleted(emit->results)]) ||
		!view_result_is_same(emit->results, &old, emit->values, emit->nulls))
		emit_row(emit, &old, emit->values, emit->nulls, false);

	MemoryContextSwitchTo(old_context);
	MemoryContextReset(emit->row_context);
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
receiver_end(DestReceiver *self)
{
}

static void
run_query(ViewEmit *emit, PlannedStmt *plan, ParamListInfo params)
{
	EmitReceiver receiver = {
		.pub = {
			.receiveSlot = receive_row,
			.rStartup = receiver_startup,
			.rShutdown = receiver_end,
			.rDestroy = receiver_end,
			.mydest = DestNone
		},
		.emit = emit
	};
	QueryDesc  *desc = CreateQueryDesc(plan, "streamq emission", GetActiveSnapshot(),
									   InvalidSnapshot, &receiver.pub, params, NULL, 0);

	ExecutorStart(desc, 0);
	COMPAT_EXECUTOR_RUN(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}

static void
set_param(ParamListInfo params, int n, Datum value, Oid type)
{
	params->params[n].value = value;
	params->params[n].isnull = false;
	params->params[n].pflags = PARAM_FLAG_CONST;
	params->params[n].ptype = type;
}

static PlannedStmt *
plan_query(ViewEmit *emit, ViewWindowChoice choice, ParamListInfo params)
{
	return pg_plan_query(view_make_window_query(emit->vq, emit->state, choice),
						 "streamq emission", 0, params);
}

/* ---- corrections ---- */

/* emit that groups of a window have no result any more */
static void
emit_deletions(ViewEmit *emit, const EmitTouched *touched, int n)
{
	int			deleted = view_result_deleted(emit->results);

	for (int i = 0; i < n; i++)
	{
		MemoryContext old_context = MemoryContextSwitchTo(emit->row_context);
		ListCell   *lc;

		foreach(lc, view_result_list(emit->results, touched[i].start, (int64) touched[i].hash))
		{
			ViewResultRow *row = lfirst(lc);
			bool		seen;

			if (DatumGetTimestamp(row->values[1]) != touched[i].end ||
				DatumGetBool(row->values[deleted]))
				continue;
			(void) hash_search(emit->seen, &row->tuple->t_self, HASH_FIND, &seen);
			if (!seen)
				emit_row(emit, row, row->values, row->nulls, true);
		}
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(emit->row_context);
	}
}

/* emit corrections of a window */
static void
correct_window(ViewEmit *emit, PlannedStmt *plan, ParamListInfo params,
			   const EmitTouched *touched, int n)
{
	Datum	   *hashes = palloc(sizeof(Datum) * n);
	HASHCTL		ctl = {
		.keysize = sizeof(ItemPointerData),
		.entrysize = sizeof(ItemPointerData),
		.hcxt = CurrentMemoryContext
	};

	for (int i = 0; i < n; i++)
		hashes[i] = Int64GetDatum((int64) touched[i].hash);
	set_param(params, 0, TimestampGetDatum(touched[0].start), emit->vq->event_type);
	set_param(params, 1, TimestampGetDatum(touched[0].end), emit->vq->event_type);
	set_param(params, 2,
			  PointerGetDatum(construct_array(hashes, n, INT8OID, sizeof(int64),
											  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)),
			  INT8ARRAYOID);
	emit->seen = hash_create("streamq results", n, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	run_query(emit, plan, params);
	emit_deletions(emit, touched, n);
	hash_destroy(emit->seen);
	emit->seen = NULL;
	pfree(hashes);

	/* another window may have changed the same result */
	CommandCounterIncrement();
	UpdateActiveSnapshotCommandId();
}

static void
emit_corrections(ViewEmit *emit)
{
	ParamListInfo params = makeParamList(3);
	PlannedStmt *plan = plan_query(emit, VIEW_ONE_WINDOW, NULL);
	int			n;
	EmitTouched *touched = sort_touched(emit, &n);

	for (int from = 0, to; from < n; from = to)
	{
		for (to = from + 1; to < n; to++)
			if (touched[to].start != touched[from].start || touched[to].end != touched[from].end)
				break;
		CHECK_FOR_INTERRUPTS();
		correct_window(emit, plan, params, touched + from, to - from);
	}
}

/* ---- closed windows ---- */

/* may the watermark have closed windows?  *first_start: the earliest start */
static bool
may_close(ViewEmit *emit, Timestamp watermark, Timestamp *first_start)
{
	*first_start = DT_NOBEGIN;
	if (emit->all)
		return true;
	if (view_is_merging(emit->vq))
		return watermark > emit->emitted;
	return watermark > emit->emitted &&
		emit->vq->window.kind->may_close(&emit->vq->window, emit->emitted, watermark,
										 first_start);
}

static void
emit_closed(ViewEmit *emit, Timestamp watermark, Timestamp first_start)
{
	Oid			type = emit->vq->event_type;
	ParamListInfo params = makeParamList(3);

	set_param(params, 0, TimestampGetDatum(emit->all ? DT_NOBEGIN : emit->emitted), type);
	set_param(params, 1, TimestampGetDatum(watermark), type);
	set_param(params, 2, TimestampGetDatum(first_start), type);
	run_query(emit, plan_query(emit, VIEW_CLOSED_WINDOWS, params), params);
}

static void
begin_writing(ViewEmit *emit)
{
	StreamRowSource source;
	int			natts;

	describe_rows(&source, emit->vq, get_rel_name(emit->view));
	emit->target = log_open_stream(emit->stream, NoLock);
	emit->writer = stream_by_name_begin(emit->target, &source, 1);
	emit->slot = MakeSingleTupleTableSlot(source.desc, &TTSOpsVirtual);
	emit->results = view_result_open(emit->result_table, emit->vq);
	natts = RelationGetDescr(emit->results->rel)->natts;
	emit->values = palloc(sizeof(Datum) * natts);
	emit->nulls = palloc(sizeof(bool) * natts);
	emit->row_context = AllocSetContextCreate(CurrentMemoryContext, "streamq emitted row",
											  ALLOCSET_DEFAULT_SIZES);
	emit->written = 0;
}

static void
end_writing(ViewEmit *emit)
{
	flush_rows(emit);
	stream_by_name_end(emit->writer);
	ExecDropSingleTupleTableSlot(emit->slot);
	view_result_close(emit->results);
	MemoryContextDelete(emit->row_context);
	table_close(emit->target, NoLock);
}

int64
view_emit_run(ViewEmit *emit, Timestamp watermark)
{
	Timestamp	first_start;
	bool		closes = may_close(emit, watermark, &first_start);

	if (!closes && emit->touched == NULL)
		return 0;
	begin_writing(emit);
	if (emit->touched != NULL)
		emit_corrections(emit);
	if (closes)
		emit_closed(emit, watermark, first_start);
	end_writing(emit);
	return emit->written;
}
