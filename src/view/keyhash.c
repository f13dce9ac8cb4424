/*
 * keyhash.c
 *	  Hash values of grouping keys that may be stored.
 *
 * State tables store the hash values, so values that are equal must have the
 * same hash forever, even after ALTER TYPE ... ADD ATTRIBUTE or ALTER TABLE
 * ... ADD COLUMN.  A value formed before that has a null in the new attribute,
 * and is equal to a later value with a null there.  PostgreSQL's hash of a row
 * includes nulls, so this file has its own, which skips them.
 *
 * Dropping an attribute would merge groups; view_guard.c refuses it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "view/keyhash.h"

typedef enum ViewKeyHashKind
{
	HASH_OF_TYPE,				/* hash function of the type */
	HASH_OF_INT4,				/* the same, without a call */
	HASH_OF_ROW,
	HASH_OF_ARRAY				/* array of rows, or of types that contain
								 * rows */
} ViewKeyHashKind;

struct ViewKeyHash
{
	ViewKeyHashKind kind;
	Oid			collation;
	FmgrInfo	function;		/* for HASH_OF_TYPE */
	ViewKeyHash *element;		/* for HASH_OF_ARRAY */
	Oid			elemtype;
	int			natts;			/* number of attributes of a row */
	ViewKeyHash **attributes;	/* NULL: dropped, or no hash function */
	MemoryContext mcxt;
};

bool
view_key_type_contains(Oid type, Oid rowtype)
{
	Oid			inner;
	TupleDesc	desc;
	bool		found = false;

	type = getBaseType(type);
	if (OidIsValid(rowtype) && type == rowtype)
		return true;
	switch (get_typtype(type))
	{
		case TYPTYPE_COMPOSITE:
			if (!OidIsValid(rowtype))
				return true;
			desc = lookup_rowtype_tupdesc(type, -1);
			for (int i = 0; !found && i < desc->natts; i++)
				found = !TupleDescAttr(desc, i)->attisdropped &&
					view_key_type_contains(TupleDescAttr(desc, i)->atttypid, rowtype);
			ReleaseTupleDesc(desc);
			return found;
		case TYPTYPE_RANGE:
			return view_key_type_contains(get_range_subtype(type), rowtype);
		case TYPTYPE_MULTIRANGE:
			return view_key_type_contains(get_multirange_range(type), rowtype);
		default:
			inner = get_base_element_type(type);
			return OidIsValid(inner) && view_key_type_contains(inner, rowtype);
	}
}

ViewKeyHash *
view_key_hash_create(Oid type, Oid collation)
{
	ViewKeyHash *hash = palloc0(sizeof(ViewKeyHash));
	TypeCacheEntry *entry;

	hash->collation = collation;
	hash->mcxt = CurrentMemoryContext;
	type = getBaseType(type);
	if (get_typtype(type) == TYPTYPE_COMPOSITE)
	{
		hash->kind = HASH_OF_ROW;
		return hash;
	}
	if (view_key_type_contains(type, InvalidOid))
	{
		hash->kind = HASH_OF_ARRAY;
		hash->elemtype = get_base_element_type(type);
		if (!OidIsValid(hash->elemtype))
			return NULL;		/* a range of rows */
		hash->element = view_key_hash_create(hash->elemtype, collation);
		return hash->element ? hash : NULL;
	}

	entry = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC |
							  TYPECACHE_HASH_EXTENDED_PROC_FINFO);
	if (!OidIsValid(entry->hash_extended_proc))
		return NULL;
	hash->kind = entry->hash_extended_proc == F_HASHINT4EXTENDED ? HASH_OF_INT4 : HASH_OF_TYPE;
	fmgr_info_copy(&hash->function, &entry->hash_extended_proc_finfo, CurrentMemoryContext);
	return hash;
}

static void
look_at_attributes(ViewKeyHash *hash, TupleDesc desc)
{
	MemoryContext old = MemoryContextSwitchTo(hash->mcxt);

	hash->attributes = palloc0(sizeof(ViewKeyHash *) * Max(1, desc->natts));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped)
			hash->attributes[i] = view_key_hash_create(att->atttypid, att->attcollation);
	}
	hash->natts = desc->natts;
	MemoryContextSwitchTo(old);
}

static uint64
add_part(uint64 hash, int position, uint64 part)
{
	return hash_combine64(hash, hash_combine64((uint64) position + 1, part));
}

static uint64
hash_row(ViewKeyHash *hash, HeapTupleHeader row)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row),
											  HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {0};
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	uint64		result = 0;

	if (hash->attributes == NULL || hash->natts != desc->natts)
		look_at_attributes(hash, desc);

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = row;
	heap_deform_tuple(&tuple, desc, values, nulls);
	for (int i = 0; i < desc->natts; i++)
	{
		if (!nulls[i] && hash->attributes[i])
			result = add_part(result, i, view_key_hash(hash->attributes[i], values[i]));
	}
	pfree(values);
	pfree(nulls);
	ReleaseTupleDesc(desc);
	return result;
}

static uint64
hash_array(ViewKeyHash *hash, ArrayType *array)
{
	int16		len;
	bool		byval;
	char		align;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	uint64		result = 0;

	get_typlenbyvalalign(hash->elemtype, &len, &byval, &align);
	deconstruct_array(array, hash->elemtype, len, byval, align, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			result = add_part(result, i, view_key_hash(hash->element, values[i]));
	}
	pfree(values);
	pfree(nulls);
	return result;
}

uint64
view_key_hash(ViewKeyHash *hash, Datum value)
{
	switch (hash->kind)
	{
		case HASH_OF_ROW:
			return hash_row(hash, DatumGetHeapTupleHeader(value));
		case HASH_OF_ARRAY:
			return hash_array(hash, DatumGetArrayTypeP(value));
		case HASH_OF_INT4:
			return hash_bytes_uint32_extended((uint32) DatumGetInt32(value), 0);
		default:
			return DatumGetUInt64(FunctionCall2Coll(&hash->function, hash->collation,
													value, Int64GetDatum(0)));
	}
}
