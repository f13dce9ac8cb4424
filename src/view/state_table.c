/*
 * state.c
 *	  The state table of a continuous view: one row for each window and group.
 *
 * Only the job writes it, under the job's lock, so uniqueness of a group is
 * kept by looking before inserting.  The index is on the window's start and a
 * 64-bit hash of the keys, not on the keys: they may be of types without an
 * ordering, longer than an index entry can be, and NULL.
 *
 * Statements that change the view, or the table itself, are refused by a
 * trigger, whoever issues them.  Rows are changed where they are, without executor, triggers or privilege
 * checks; no indexed column changes, so updates stay on their page while
 * there is room.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/skey.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/catalog.h"
#include "base/loaded.h"
#include "base/tidcache.h"
#include "compat.h"
#include "job/job_catalog.h"
#include "view/view_internal.h"

/* columns: [window_start, window_end,] group_hash, key_n …, agg_n …, sealed */
#define FIRST_ATTNO(windowed)	((windowed) ? 3 : 1)

AttrNumber
view_state_key_attno(ViewQuery *vq, int i)
{
	return FIRST_ATTNO(vq->window_rti != 0) + 1 + i;
}

AttrNumber
view_state_agg_attno(ViewQuery *vq, int i)
{
	return FIRST_ATTNO(vq->window_rti != 0) + 1 + list_length(vq->keys) + i;
}

/* ---- creation ---- */

Oid
view_state_owner(void)
{
	HeapTuple	tup = base_row_by_oid(ExtensionRelationId, ExtensionOidIndexId,
									  Anum_pg_extension_oid,
									  get_extension_oid(STREAMQ_SCHEMA, false));

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "extension \"%s\" has no owner", STREAMQ_SCHEMA);
	return ((Form_pg_extension) GETSTRUCT(tup))->extowner;
}

/* run utility statements as the owner of the extension */
static void
run_as_owner(const char *sql)
{
	Oid			save_user;
	int			save_context;
	int			nestlevel;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(view_state_owner(),
						   save_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("default_tablespace", "", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	SPI_finish();
	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(save_user, save_context);
}

static char *
collation_name(Oid collation)
{
	HeapTuple	tup = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char	   *result;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tup);
	result = quote_qualified_identifier(get_namespace_name(form->collnamespace),
										NameStr(form->collname));
	ReleaseSysCache(tup);
	return result;
}

static void
append_column(StringInfo sql, const char *name, int n, Oid type, int32 typmod,
			  Oid collation)
{
	appendStringInfo(sql, ", %s_%d %s", name, n + 1,
					 format_type_extended(type, typmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN |
										  FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(collation))
		appendStringInfo(sql, " COLLATE %s", collation_name(collation));
}

/* what a value takes of a row at most, behind those before it */
static Size
add_width(Size width, Oid type)
{
	HeapTuple	tup = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tup);
	if (form->typlen > 0)
		width = att_align_nominal(width, form->typalign) + form->typlen;
	else if (form->typlen == -1 && form->typstorage != TYPSTORAGE_PLAIN)
		width += MAXALIGN(TOAST_POINTER_SIZE);	/* what is larger goes out of
												 * the row */
	ReleaseSysCache(tup);
	return width;
}

/* a row must fit into a page whatever is in it: values are not made smaller any more */
static void
check_width(ViewQuery *vq)
{
	int			natts = view_state_agg_attno(vq, list_length(vq->aggs));
	Size		width = MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(natts));
	ListCell   *lc;

	if (vq->window_rti != 0)
		width = add_width(add_width(width, vq->event_type), vq->event_type);
	width = add_width(width, INT8OID);
	foreach(lc, vq->keys)
		width = add_width(width, ((ViewKey *) lfirst(lc))->type);
	foreach(lc, vq->aggs)
		width = add_width(width, ((ViewAgg *) lfirst(lc))->storedtype);
	width = add_width(width, BYTEAOID);

	if (natts > MaxHeapAttributeNumber || width > MaxHeapTupleSize)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("too many aggregates in a continuous view"),
				 errdetail("The state of a group has %d columns and up to %zu bytes, but the limits are %d columns and %zu bytes.",
						   natts, width, MaxHeapAttributeNumber, (Size) MaxHeapTupleSize),
				 errhint("Make several continuous views, each with some of the aggregates.")));
}

Oid
view_state_create(ViewQuery *vq, int32 job_id, Oid role)
{
	StringInfoData sql;
	char		name[NAMEDATALEN];
	bool		windowed = vq->window_rti != 0;
	Oid			nsp = get_namespace_oid(STREAMQ_SCHEMA, false);
	Oid			state;
	ListCell   *lc;

	check_width(vq);
	snprintf(name, sizeof(name), JOB_STATE_TABLE_NAME, job_id);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s.%s (", STREAMQ_SCHEMA, name);
	if (windowed)
	{
		const char *type = format_type_be_qualified(vq->event_type);

		appendStringInfo(&sql, "window_start %s NOT NULL, window_end %s NOT NULL, ",
						 type, type);
	}
	appendStringInfoString(&sql, "group_hash pg_catalog.int8 NOT NULL");
	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);

		append_column(&sql, "key", foreach_current_index(lc), key->type,
					  key->typmod, key->collation);
	}
	foreach(lc, vq->aggs)
	{
		ViewAgg    *agg = lfirst(lc);

		append_column(&sql, "agg", foreach_current_index(lc), agg->storedtype,
					  -1, agg->storedcollation);
	}
	appendStringInfoString(&sql, ", sealed pg_catalog.bytea) USING heap WITH (fillfactor = 75)");
	run_as_owner(sql.data);

	state = get_relname_relid(name, nsp);
	if (!OidIsValid(state))
		elog(ERROR, "state table \"%s\" was not created", name);

	resetStringInfo(&sql);
	appendStringInfo(&sql, "CREATE INDEX ON %s.%s (%sgroup_hash)",
					 STREAMQ_SCHEMA, name, windowed ? "window_start, " : "");
	run_as_owner(sql.data);
	run_as_owner(psprintf("CREATE TRIGGER refuse_change BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE "
						  "ON %s.%s FOR EACH STATEMENT EXECUTE FUNCTION %s.refuse_state_change()",
						  STREAMQ_SCHEMA, name, STREAMQ_SCHEMA));
	view_state_grant(state, role, true);
	return state;
}

void
view_state_grant(Oid state, Oid role, bool grant)
{
	/* the owner has all privileges anyway */
	if (role == view_state_owner())
		return;
	run_as_owner(psprintf("%s SELECT ON %s.%s %s %s",
						  grant ? "GRANT" : "REVOKE",
						  STREAMQ_SCHEMA, quote_identifier(get_rel_name(state)),
						  grant ? "TO" : "FROM",
						  quote_identifier(GetUserNameFromId(role, false))));
}

/* ---- groups ---- */

/*
 * The index by which groups are found.  There may be others, which help those who read the
 * view, or half-made ones; of expressions or with a condition they cannot be kept up to date.
 */
static Oid
find_index(Relation rel, bool windowed)
{
	Oid			result = InvalidOid;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (!heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL) ||
			!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) ||
			form->indisexclusion)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index \"%s\" of state table \"%s\" must be on plain columns and without a condition",
							RelationGetRelationName(index), RelationGetRelationName(rel)),
					 errhint("Drop the index.")));
		if (!OidIsValid(result) && form->indisvalid &&
			index->rd_rel->relam == BTREE_AM_OID &&
			index->rd_indoption[0] == 0 &&
			form->indnkeyatts == (windowed ? 2 : 1) && form->indkey.values[0] == 1 &&
			(!windowed || form->indkey.values[1] == 3))
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

StateTable *
view_state_open(Relation rel, ViewQuery *vq, AggSet *aggs)
{
	StateTable *state = palloc0(sizeof(StateTable));
	ListCell   *lc;

	state->rel = rel;
	state->index = find_index(rel, vq->window_rti != 0);
	state->windowed = vq->window_rti != 0;
	state->aggs = aggs;
	state->mcxt = CurrentMemoryContext;
	state->nkeys = list_length(vq->keys);
	state->keys = palloc0(sizeof(StateKey) * Max(1, state->nkeys));
	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);
		StateKey   *sk = &state->keys[foreach_current_index(lc)];
		TypeCacheEntry *type = lookup_type_cache(key->type, TYPECACHE_EQ_OPR);

		sk->collation = key->collation;
		sk->len = type->typlen;
		sk->byval = type->typbyval;
		fmgr_info(get_opcode(key->eqop), &sk->eq);

		/* an attribute may have been added to it that has none */
		if (!OidIsValid(type->eq_opr) && view_key_type_contains(key->type, InvalidOid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("could not identify an equality operator for type %s",
							format_type_be(key->type))));

		/* what GROUP BY takes for equal must hash alike */
		if (type->eq_opr == key->eqop)
			sk->hash = view_key_hash_create(key->type, key->collation);
	}
	state->nbuckets = 1024;
	state->buckets = MemoryContextAllocZero(state->mcxt,
											sizeof(StateGroup *) * state->nbuckets);
	return state;
}

static uint64
hash_keys(StateTable *state, Datum *keys, bool *nulls)
{
	uint64		hash = 0;

	for (int i = 0; i < state->nkeys; i++)
	{
		StateKey   *key = &state->keys[i];
		uint64		h = 0;

		if (!nulls[i] && key->hash)
			h = view_key_hash(key->hash, keys[i]);
		hash = hash_combine64(hash, h);
	}
	return hash;
}

static bool
keys_equal(StateTable *state, Datum *akeys, bool *anulls, Datum *bkeys, bool *bnulls)
{
	for (int i = 0; i < state->nkeys; i++)
	{
		if (anulls[i] != bnulls[i])
			return false;
		if (!anulls[i] &&
			!DatumGetBool(FunctionCall2Coll(&state->keys[i].eq,
											state->keys[i].collation,
											akeys[i], bkeys[i])))
			return false;
	}
	return true;
}

static uint64
bucket_hash(uint64 group_hash, Timestamp start)
{
	return hash_combine64(group_hash,
						  hash_bytes_extended((unsigned char *) &start, sizeof(start), 0));
}

static void
grow(StateTable *state)
{
	uint32		nbuckets = state->nbuckets * 2;
	StateGroup **buckets = MemoryContextAllocHuge(state->mcxt,
												  sizeof(StateGroup *) * nbuckets);

	memset(buckets, 0, sizeof(StateGroup *) * nbuckets);
	for (uint32 i = 0; i < state->nbuckets; i++)
	{
		StateGroup *next;

		for (StateGroup *g = state->buckets[i]; g; g = next)
		{
			StateGroup **bucket = &buckets[g->bucket_hash & (nbuckets - 1)];

			next = g->next;
			g->next = *bucket;
			*bucket = g;
		}
	}
	pfree(state->buckets);
	state->buckets = buckets;
	state->nbuckets = nbuckets;
}

static bool
is_sealed(bytea *sealed, int i)
{
	return sealed != NULL && i / BITS_PER_BYTE < VARSIZE_ANY_EXHDR(sealed) &&
		(VARDATA_ANY(sealed)[i / BITS_PER_BYTE] & (1 << (i % BITS_PER_BYTE))) != 0;
}

/* a group shows the first of the values that are equal: what was stored, not what came now */
static void
take_keys(StateTable *state, StateGroup *group, Datum *keys)
{
	MemoryContext old = MemoryContextSwitchTo(state->mcxt);

	for (int i = 0; i < state->nkeys; i++)
	{
		StateKey   *key = &state->keys[i];

		if (group->nulls[i] || datum_image_eq(group->keys[i], keys[i], key->byval, key->len))
			continue;
		if (!key->byval)
			pfree(DatumGetPointer(group->keys[i]));
		group->keys[i] = key->len == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(keys[i])) :
			datumCopy(keys[i], key->byval, key->len);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Values that the TOAST table has are written again as pointers to them, not as new values
 * with every batch.
 */
static void
note_toasted(StateTable *state, StateGroup *group, Datum *keys)
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

/* the row's states become the group's, if it is the group's row */
static bool
take_row(StateTable *state, StateGroup *group, HeapTuple tup)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	int			first = FIRST_ATTNO(state->windowed);
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	bytea	   *sealed = NULL;
	bool		same;

	heap_deform_tuple(tup, desc, values, nulls);
	same = (!state->windowed || DatumGetTimestamp(values[0]) == group->window_start) &&
		(uint64) DatumGetInt64(values[first - 1]) == group->hash &&
		keys_equal(state, group->keys, group->nulls, values + first, nulls + first);
	if (same)
	{
		group->tid = tup->t_self;
		group->stored = true;
		take_keys(state, group, values + first);
		note_toasted(state, group, values + first);
		if (!nulls[desc->natts - 1])
			sealed = DatumGetByteaPP(values[desc->natts - 1]);
		state->loading = true;
		for (int i = 0; i < state->aggs->ncalls; i++)
		{
			int			att = first + state->nkeys + i;

			view_agg_load(state->aggs, i, &group->aggs[i], values[att], nulls[att],
						  is_sealed(sealed, i));
		}
		state->loading = false;
	}
	pfree(values);
	pfree(nulls);
	return same;
}

/* take the group's row from the table, if there is one */
static void
load_group(StateTable *state, StateGroup *group)
{
	ScanKeyData keys[2];
	int			nkeys = 0;
	SysScanDesc scan;
	HeapTuple	tup;

	tup = base_tidcache_fetch(state->rel, group->bucket_hash, GetActiveSnapshot());
	if (tup && take_row(state, group, tup))
		return;

	if (state->windowed)
		ScanKeyInit(&keys[nkeys++], 1, BTEqualStrategyNumber, F_TIMESTAMP_EQ,
					TimestampGetDatum(group->window_start));
	ScanKeyInit(&keys[nkeys++], FIRST_ATTNO(state->windowed), BTEqualStrategyNumber,
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

StateGroup *
view_state_find_group(StateTable *state, Timestamp start, Timestamp end,
					  Datum *keys, bool *nulls)
{
	uint64		hash = hash_keys(state, keys, nulls);
	uint64		slot = bucket_hash(hash, start);
	StateGroup *group;
	MemoryContext old;

	for (group = state->buckets[slot & (state->nbuckets - 1)]; group; group = group->next)
	{
		if (group->bucket_hash == slot && group->hash == hash &&
			group->window_start == start &&
			keys_equal(state, group->keys, group->nulls, keys, nulls))
			return group;
	}

	if (state->ngroups >= state->nbuckets && state->nbuckets < (1U << 24))
		grow(state);

	old = MemoryContextSwitchTo(state->mcxt);
	group = palloc0(sizeof(StateGroup));
	group->hash = hash;
	group->bucket_hash = slot;
	group->window_start = start;
	group->window_end = end;
	group->keys = palloc(sizeof(Datum) * Max(1, state->nkeys));
	group->nulls = palloc(sizeof(bool) * Max(1, state->nkeys));
	for (int i = 0; i < state->nkeys; i++)
	{
		StateKey   *key = &state->keys[i];

		group->nulls[i] = nulls[i];
		if (nulls[i])
			group->keys[i] = (Datum) 0;
		else if (key->len == -1)
			group->keys[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(keys[i]));
		else
			group->keys[i] = datumCopy(keys[i], key->byval, key->len);
	}
	group->aggs = palloc0(sizeof(AggValue) * Max(1, state->aggs->ncalls));
	MemoryContextSwitchTo(old);

	load_group(state, group);
	if (!group->stored)
		view_agg_init(state->aggs, group->aggs);

	group->next = state->buckets[slot & (state->nbuckets - 1)];
	state->buckets[slot & (state->nbuckets - 1)] = group;
	state->ngroups++;
	return group;
}

static HeapTuple
form_group(StateTable *state, StateGroup *group, Datum *values, bool *nulls)
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
	values[att] = PointerGetDatum(bits);
	nulls[att] = bits == NULL;
	Assert(att == desc->natts - 1);
	return heap_form_tuple(desc, values, nulls);
}

void
view_state_flush(StateTable *state)
{
	CatalogIndexState indexes = CatalogOpenIndexes(state->rel);
	int			natts = RelationGetDescr(state->rel)->natts;
	Datum	   *values = palloc(sizeof(Datum) * natts);
	bool	   *nulls = palloc(sizeof(bool) * natts);
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext,
											   "streamq state row",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);

	for (uint32 i = 0; i < state->nbuckets; i++)
	{
		for (StateGroup *group = state->buckets[i]; group; group = group->next)
		{
			HeapTuple	tup = form_group(state, group, values, nulls);

			if (group->stored)
				CatalogTupleUpdateWithInfo(state->rel, &group->tid, tup, indexes);
			else
				CatalogTupleInsertWithInfo(state->rel, tup, indexes);
			base_tidcache_store(state->rel, group->bucket_hash, &tup->t_self);
			MemoryContextReset(work);
			CHECK_FOR_INTERRUPTS();
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	CatalogCloseIndexes(indexes);
}

/*
 * One probe of the index for each window: the rows of a window are not all
 * read, there may be millions.
 */
int64
view_state_count_windows(StateTable *state, bool all, Timestamp first_start,
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
