/*
 * state_table.c
 *	  The state table of a continuous view: one row for each window and
 *	  group.
 *
 * Only the job writes the table, and holds its lock.  So looking for a group
 * before inserting it keeps groups unique.  The index is on the window's start
 * and a 64-bit hash of the keys.  It is not on the keys, because they may be
 * of types without an ordering, too long for an index, or NULL.
 *
 * Rows are written without executor, triggers and privilege checks, so the
 * trigger that refuses users' statements (state_create.c) is not fired.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/skey.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/tidcache.h"
#include "compat.h"
#include "state/state.h"
#include "view/agg.h"
#include "view/analyze.h"
#include "view/chunks.h"
#include "view/inputs.h"
#include "view/keyhash.h"
#include "view/state_internal.h"
#include "view/state_table.h"

/* a round with fewer groups does not ask for the greatest stored window */
#define LAST_START_GROUPS	16

/* is it a valid index on these columns, which scans can use? */
static bool
index_fits(Relation index, const AttrNumber *attnos, int natts)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisvalid || index->rd_rel->relam != BTREE_AM_OID ||
		index->rd_indoption[0] != 0 || form->indnkeyatts != natts)
		return false;
	for (int i = 0; i < natts; i++)
	{
		if (form->indkey.values[i] != attnos[i])
			return false;
	}
	return true;
}

/*
 * Do the columns of an index keep their values while a row is updated?  The
 * end of a session and the windows that a slice counts for do not.
 */
static bool
is_on_fixed_columns(Form_pg_index form, ViewQuery *vq)
{
	int			last = view_state_first_attno(vq) + list_length(vq->keys);

	for (int i = 0; i < form->indnatts; i++)
	{
		if (form->indkey.values[i] > last ||
			(view_is_merging(vq) && form->indkey.values[i] == WINDOW_END_ATTNO) ||
			(vq->sliced && form->indkey.values[i] == VIEW_STATE_COUNTS_AFTER_ATTNO))
			return false;
	}
	return true;
}

/*
 * Find the index on these columns.  Users may have created other indexes to
 * read the view faster, and some may not be valid.  Rows are written without
 * the executor, so indexes on expressions or with a condition are refused.
 * They are updated in place, so columns that change cannot be indexed.
 */
static Oid
find_index(Relation rel, ViewQuery *vq, const AttrNumber *attnos, int natts)
{
	Oid			result = InvalidOid;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (!heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL) ||
			!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) ||
			form->indisexclusion || !is_on_fixed_columns(form, vq))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index \"%s\" of state table \"%s\" must be on columns of windows and keys and without a condition",
							RelationGetRelationName(index), RelationGetRelationName(rel)),
					 errhint("Drop the index.")));
		if (!OidIsValid(result) && index_fits(index, attnos, natts))
			result = RelationGetRelid(index);
		index_close(index, AccessShareLock);
	}
	if (!OidIsValid(result))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index of state table \"%s\" is missing",
						RelationGetRelationName(rel)),
				 errhint("Drop the continuous view and create it again.")));
	return result;
}

Oid
view_state_index(Relation rel, ViewQuery *vq)
{
	AttrNumber	columns[2];
	int			n = 0;

	if (vq->windowed)
		columns[n++] = WINDOW_START_ATTNO;
	columns[n++] = view_state_first_attno(vq);
	if (view_is_merging(vq))
	{
		/* one group after the other */
		columns[0] = view_state_first_attno(vq);
		columns[1] = WINDOW_START_ATTNO;
	}
	return find_index(rel, vq, columns, n);
}

ViewStateTable *
view_state_open(Relation rel, ViewQuery *vq, ViewAggSet *aggs)
{
	ViewStateTable *state = palloc0(sizeof(ViewStateTable));
	ListCell   *lc;

	state->rel = rel;
	state->windowed = vq->windowed;
	state->sliced = vq->sliced;
	state->merging = view_is_merging(vq);
	state->first = view_state_first_attno(vq);
	state->index = view_state_index(rel, vq);
	if (state->merging)
	{
		const AttrNumber due = VIEW_STATE_DUE_ATTNO;

		state->due_index = find_index(rel, vq, &due, 1);
	}
	state->aggs = aggs;
	state->mcxt = CurrentMemoryContext;
	state->nkeys = list_length(vq->keys);
	state->collects = vq->collects;
	state->hidden_by = vq->hidden_by;
	state->sealed = view_state_agg_attno(vq, list_length(vq->aggs)) - 1;
	state->keys = palloc0(sizeof(ViewStateKey) * Max(1, state->nkeys));
	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);
		ViewStateKey *sk = &state->keys[foreach_current_index(lc)];
		TypeCacheEntry *type = lookup_type_cache(key->type, TYPECACHE_EQ_OPR);

		sk->collation = key->collation;
		sk->len = type->typlen;
		sk->byval = type->typbyval;
		fmgr_info(get_opcode(key->clause->eqop), &sk->eq);

		/*
		 * an attribute without an equality operator may have been added to
		 * the type
		 */
		if (!OidIsValid(type->eq_opr) && view_key_type_contains(key->type, InvalidOid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("could not identify an equality operator for type %s",
							format_type_be(key->type))));

		/* values that are equal for GROUP BY must have the same hash */
		if (type->eq_opr == key->clause->eqop)
			sk->hash = view_key_hash_create(key->type, key->collation);
	}
	view_state_init_groups(state);
	return state;
}

uint64
view_state_hash_keys(ViewStateTable *state, Datum *keys, bool *nulls)
{
	uint64		hash = 0;

	for (int i = 0; i < state->nkeys; i++)
	{
		ViewStateKey *key = &state->keys[i];
		uint64		h = 0;

		if (!nulls[i] && key->hash)
			h = view_key_hash(key->hash, keys[i]);
		hash = hash_combine64(hash, h);
	}
	return hash;
}

/* values that look the same are equal, whatever the type */
static inline bool
same_image(const ViewStateKey *key, Datum a, Datum b)
{
	struct varlena *x = (struct varlena *) DatumGetPointer(a);
	struct varlena *y = (struct varlena *) DatumGetPointer(b);

	if (key->byval)
		return a == b;
	return key->len == -1 && !VARATT_IS_EXTERNAL(x) && !VARATT_IS_EXTERNAL(y) &&
		!VARATT_IS_COMPRESSED(x) && !VARATT_IS_COMPRESSED(y) &&
		VARSIZE_ANY_EXHDR(x) == VARSIZE_ANY_EXHDR(y) &&
		memcmp(VARDATA_ANY(x), VARDATA_ANY(y), VARSIZE_ANY_EXHDR(x)) == 0;
}

bool
view_state_keys_equal(ViewStateTable *state, Datum *akeys, bool *anulls,
					  Datum *bkeys, bool *bnulls)
{
	for (int i = 0; i < state->nkeys; i++)
	{
		ViewStateKey *key = &state->keys[i];

		if (anulls[i] != bnulls[i])
			return false;
		if (!anulls[i] && !same_image(key, akeys[i], bkeys[i]) &&
			!DatumGetBool(FunctionCall2Coll(&key->eq, key->collation, akeys[i], bkeys[i])))
			return false;
	}
	return true;
}

void
view_state_copy_key_values(ViewStateTable *state, Datum *keys, bool *nulls,
						   Datum *keys_copy, bool *nulls_copy)
{
	MemoryContext old = MemoryContextSwitchTo(state->mcxt);

	for (int i = 0; i < state->nkeys; i++)
	{
		ViewStateKey *key = &state->keys[i];

		nulls_copy[i] = nulls[i];
		if (nulls[i])
			keys_copy[i] = (Datum) 0;
		else if (key->len == -1)
			keys_copy[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(keys[i]));
		else
			keys_copy[i] = datumCopy(keys[i], key->byval, key->len);
	}
	MemoryContextSwitchTo(old);
}

void
view_state_copy_keys(ViewStateTable *state, Datum *keys, bool *nulls,
					 Datum **keys_copy, bool **nulls_copy)
{
	*keys_copy = MemoryContextAlloc(state->mcxt, sizeof(Datum) * Max(1, state->nkeys));
	*nulls_copy = MemoryContextAlloc(state->mcxt, sizeof(bool) * Max(1, state->nkeys));
	view_state_copy_key_values(state, keys, nulls, *keys_copy, *nulls_copy);
}

/* keep the stored keys: the view shows the first of several equal values */
static void
take_keys(ViewStateTable *state, ViewStateGroup *group, Datum *keys)
{
	MemoryContext old = MemoryContextSwitchTo(state->mcxt);

	for (int i = 0; i < state->nkeys; i++)
	{
		ViewStateKey *key = &state->keys[i];

		if (group->nulls[i] || datum_image_eq(group->keys[i], keys[i], key->byval, key->len))
			continue;
		if (!key->byval)
			pfree(DatumGetPointer(group->keys[i]));
		group->keys[i] = key->len == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(keys[i])) :
			datumCopy(keys[i], key->byval, key->len);
	}
	MemoryContextSwitchTo(old);
}

void
view_state_note_toasted(ViewStateTable *state, ViewStateGroup *group, Datum *keys)
{
	for (int i = 0; i < state->nkeys; i++)
	{
		if (group->nulls[i] || state->keys[i].len != -1 ||
			!VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(keys[i])))
			continue;
		if (group->toasted == NULL)
			group->toasted = MemoryContextAllocZero(state->mcxt, sizeof(Datum) * state->nkeys);
		group->toasted[i] = PointerGetDatum(MemoryContextAlloc(state->mcxt, TOAST_POINTER_SIZE));
		memcpy(DatumGetPointer(group->toasted[i]), DatumGetPointer(keys[i]), TOAST_POINTER_SIZE);
	}
}

void
view_state_load_aggs(ViewStateTable *state, ViewStateGroup *group, Datum *values, bool *nulls)
{
	bytea	   *sealed = nulls[state->sealed] ? NULL : DatumGetByteaPP(values[state->sealed]);

	state->loading = true;
	for (int i = 0; i < state->aggs->ncalls; i++)
	{
		int			att = state->first + state->nkeys + i;

		view_agg_load(state->aggs, i, &group->aggs[i], values[att], nulls[att],
					  sealed != NULL && view_agg_is_sealed(sealed, i));
	}
	state->loading = false;
}

/* load the states of a row into the group, if the row belongs to it */
static bool
take_row(ViewStateTable *state, ViewStateGroup *group, HeapTuple tup)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	int			first = state->first;
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	bool		same;

	heap_deform_tuple(tup, desc, values, nulls);
	/* a chunk (chunks.c) is no group */
	same = (!state->collects || nulls[desc->natts - 1]) &&
		(!state->windowed ||
		 (DatumGetTimestamp(values[WINDOW_START_ATTNO - 1]) == group->window_start &&
		  DatumGetTimestamp(values[WINDOW_END_ATTNO - 1]) == group->window_end)) &&
		(!state->sliced ||
		 DatumGetTimestamp(values[VIEW_STATE_COUNTS_AFTER_ATTNO - 1]) == group->counts_after) &&
		(uint64) DatumGetInt64(values[first - 1]) == group->hash &&
		view_state_keys_equal(state, group->keys, group->nulls, values + first, nulls + first);
	if (same)
	{
		group->tid = tup->t_self;
		group->stored = true;
		take_keys(state, group, values + first);
		view_state_note_toasted(state, group, values + first);
		view_state_load_aggs(state, group, values, nulls);
	}
	pfree(values);
	pfree(nulls);
	return same;
}

/* the greatest start of a stored window */
static void
find_last_start(ViewStateTable *state)
{
	Relation	index = index_open(state->index, AccessShareLock);
	SysScanDesc scan = systable_beginscan_ordered(state->rel, index, GetActiveSnapshot(), 0, NULL);
	HeapTuple	tup = systable_getnext_ordered(scan, BackwardScanDirection);
	bool		isnull;

	state->last_start = DT_NOBEGIN;
	if (HeapTupleIsValid(tup))
		state->last_start = DatumGetTimestamp(heap_getattr(tup, WINDOW_START_ATTNO,
														   RelationGetDescr(state->rel),
														   &isnull));
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	state->has_last_start = true;
}

/*
 * Is the group's window later than all that are stored?  While a view catches
 * up, most groups are.  The answer costs a scan, so a round with few groups
 * does not ask.
 */
static bool
is_after_stored(ViewStateTable *state, ViewStateGroup *group)
{
	if (!state->windowed || state->ngroups < LAST_START_GROUPS)
		return false;
	if (!state->has_last_start)
		find_last_start(state);
	return group->window_start > state->last_start;
}

void
view_state_load_group(ViewStateTable *state, ViewStateGroup *group)
{
	ScanKeyData keys[2];
	int			nkeys = 0;
	SysScanDesc scan;
	HeapTuple	tup;
	ItemPointerData tid;

	if (is_after_stored(state, group))
		return;
	if (base_tidcache_find(state->rel, group->bucket_hash, &tid))
	{
		tup = state_fetch(state->rel, &tid, GetActiveSnapshot());
		if (tup && take_row(state, group, tup))
			return;
	}

	if (state->windowed)
		ScanKeyInit(&keys[nkeys++], 1, BTEqualStrategyNumber, F_TIMESTAMP_EQ,
					TimestampGetDatum(group->window_start));
	ScanKeyInit(&keys[nkeys++], state->first, BTEqualStrategyNumber,
				F_INT8EQ, Int64GetDatum((int64) group->hash));

	scan = systable_beginscan(state->rel, state->index, true,
							  GetActiveSnapshot(), nkeys, keys);
	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		if (take_row(state, group, tup))
			break;
	}
	systable_endscan(scan);
}

HeapTuple
view_state_form_row(ViewStateTable *state, ViewStateGroup *group, Datum *values, bool *nulls)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	int			att = 0;
	bytea	   *bits = NULL;
	int			nbytes = (state->aggs->ncalls + BITS_PER_BYTE - 1) / BITS_PER_BYTE;

	memset(nulls, 0, sizeof(bool) * desc->natts);
	if (state->windowed)
	{
		values[att++] = TimestampGetDatum(group->window_start);
		values[att++] = TimestampGetDatum(group->window_end);
	}
	if (state->sliced)
		values[att++] = TimestampGetDatum(group->counts_after);
	if (state->merging)
		values[att++] = TimestampGetDatum(group->due);
	values[att++] = Int64GetDatum((int64) group->hash);
	for (int i = 0; i < state->nkeys; i++, att++)
	{
		values[att] = group->toasted && group->toasted[i] ? group->toasted[i] : group->keys[i];
		nulls[att] = group->nulls[i];
	}
	for (int i = 0; i < state->aggs->ncalls; i++, att++)
	{
		bool		sealed;

		values[att] = view_agg_save(state->aggs, i, &group->aggs[i], &nulls[att], &sealed);
		if (sealed)
		{
			if (bits == NULL)
			{
				bits = palloc0(VARHDRSZ + nbytes);
				SET_VARSIZE(bits, VARHDRSZ + nbytes);
			}
			VARDATA(bits)[i / BITS_PER_BYTE] |= 1 << (i % BITS_PER_BYTE);
		}
	}
	Assert(att == state->sealed);
	values[att] = PointerGetDatum(bits);
	nulls[att] = bits == NULL;
	if (state->collects)
	{
		values[++att] = (Datum) 0;
		nulls[att] = true;
	}
	return heap_form_tuple(desc, values, nulls);
}

void
view_state_spill(ViewStateTable *state, ViewStateGroup *group, StateWriter *writer)
{
	for (int i = 0; i < state->aggs->ncalls; i++)
	{
		ViewInputCall *call = state->aggs->calls[i].inputs;
		ViewInputs *inputs;

		if (call == NULL || group->aggs[i].isnull)
			continue;
		inputs = (ViewInputs *) DatumGetPointer(group->aggs[i].value);
		if (call->distinct)
			view_inputs_sort(call->desc, inputs);
		if (inputs->rows.len > VIEW_INPUTS_IN_ROW)
			view_chunks_spill(state, group, call, inputs, writer);
	}
}

/*
 * Nobody sees such a group, and its next row does not depend on it: it needs no
 * row.
 */
static bool
is_hidden(ViewStateTable *state, ViewStateGroup *group)
{
	return state->hidden_by >= 0 && group->aggs[state->hidden_by].isnull;
}

static void
remove_row(StateWriter *writer, ViewStateGroup *group)
{
	if (group->stored)
		state_delete(writer, &group->tid);
	group->removed = true;
}

void
view_state_write_row(StateWriter *writer, ViewStateGroup *group, HeapTuple tup)
{
	if (group->stored)
		state_update(writer, &group->tid, tup);
	else
		state_insert(writer, tup, &group->tid);
}

void
view_state_flush(ViewStateTable *state)
{
	StateWriter *writer = state_begin_write(state->rel);
	int			natts = RelationGetDescr(state->rel)->natts;
	Datum	   *values = palloc(sizeof(Datum) * natts);
	bool	   *nulls = palloc(sizeof(bool) * natts);
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext,
											   "streamq state row",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);

	view_state_sort_groups(state);
	for (uint32 i = 0; i < state->ngroups; i++)
	{
		ViewStateGroup *group = state->groups[i].group;

		if (is_hidden(state, group))
		{
			remove_row(writer, group);
			continue;
		}
		if (state->collects)
			view_state_spill(state, group, writer);
		view_state_write_row(writer, group, view_state_form_row(state, group, values, nulls));
		MemoryContextReset(work);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	state_end_write(writer);
	for (uint32 i = 0; i < state->ngroups; i++)
	{
		if (!state->groups[i].group->removed)
			base_tidcache_store(state->rel, state->groups[i].bucket_hash,
								&state->groups[i].group->tid);
	}
}

/*
 * A window may have millions of rows.  So this probes the index once for each
 * window, instead of reading all rows.
 */
int64
view_state_count_windows(ViewStateTable *state, bool all, Timestamp first_start,
						 Timestamp from, Timestamp to)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	int64		count = 0;
	bool		inclusive = true;
	Timestamp	start = first_start;

	for (;;)
	{
		ScanKeyData keys[2];
		int			nkeys = 0;
		SysScanDesc scan;
		HeapTuple	tup;
		bool		isnull;
		Timestamp	end = 0;

		ScanKeyInit(&keys[nkeys++], 1, BTLessStrategyNumber, F_TIMESTAMP_LT,
					TimestampGetDatum(to));
		if (!all || !inclusive)
			ScanKeyInit(&keys[nkeys++], 1,
						inclusive ? BTGreaterEqualStrategyNumber : BTGreaterStrategyNumber,
						inclusive ? F_TIMESTAMP_GE : F_TIMESTAMP_GT,
						TimestampGetDatum(start));
		scan = systable_beginscan(state->rel, state->index, true,
								  GetActiveSnapshot(), nkeys, keys);
		tup = systable_getnext(scan);
		if (HeapTupleIsValid(tup))
		{
			start = DatumGetTimestamp(heap_getattr(tup, 1, desc, &isnull));
			end = DatumGetTimestamp(heap_getattr(tup, 2, desc, &isnull));
		}
		systable_endscan(scan);
		if (!HeapTupleIsValid(tup))
			break;
		inclusive = false;
		if (end <= to && (all || end > from))
			count++;
		CHECK_FOR_INTERRUPTS();
	}
	return count;
}
