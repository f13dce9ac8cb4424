/*
 * route.c
 *	  Routing: which partition a row goes to.
 *
 * The hash of the partition_by columns picks one of 1024 slots, and each slot
 * belongs to a partition.  When partitions are added, the new ones take slots
 * evenly from the existing ones, so only the keys of these slots move.  The
 * map is a function of the partition counts that the stream has had.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "log/log.h"
#include "log/options.h"
#include "log/space/relcache.h"
#include "log/write/route.h"

/*
 * Compute the map from slots to partitions by going through the history of
 * partition counts.
 */
static void
fill_slots(uint8 *slots, const StreamOptions *options)
{
	int			count[LOG_MAX_PARTITIONS] = {0};
	int			have = options->nhistory > 0 ? options->history[0] : options->npartitions;

	for (int i = 0; i < LOG_ROUTE_SLOTS; i++)
	{
		slots[i] = (uint8) (i * have / LOG_ROUTE_SLOTS);
		count[slots[i]]++;
	}
	for (int h = 1; h < options->nhistory; h++)
	{
		int			want = options->history[h];

		for (int p = have; p < want; p++)
		{
			/* take from the partition with most slots, its last slot first */
			while (count[p] < LOG_ROUTE_SLOTS / want)
			{
				int			most = 0;
				int			i = LOG_ROUTE_SLOTS - 1;

				for (int q = 1; q < have; q++)
					if (count[q] > count[most])
						most = q;
				while (slots[i] != most)
					i--;
				slots[i] = (uint8) p;
				count[most]--;
				count[p]++;
			}
		}
		have = Max(have, want);
	}
}

static void
fill_route(LogRoute *route, Relation rel, const StreamOptions *options)
{
	TupleDesc	desc = RelationGetDescr(rel);

	fill_slots(route->slots, options);
	route->nkeys = 0;
	for (int i = 0; i < options->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, options->keys[i] - 1);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid,
												 TYPECACHE_HASH_EXTENDED_PROC_FINFO);

		if (!OidIsValid(type->hash_extended_proc_finfo.fn_oid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("could not identify a hash function for type %s",
							format_type_be(att->atttypid)),
					 errdetail("Stream \"%s\" is partitioned by column \"%s\".",
							   RelationGetRelationName(rel), NameStr(att->attname))));
		route->keys[route->nkeys] = options->keys[i];
		route->collations[route->nkeys] = att->attcollation;
		route->types[route->nkeys] = type;
		route->nkeys++;
	}
}

LogRoute *
log_route_copy(Relation rel)
{
	LogRoute   *route = palloc(sizeof(LogRoute));
	LogRelCache *cache = log_relcache(rel);

	if (!cache->routed)
	{
		StreamOptions options = cache->options;

		/* looking up types may drop the cache entry */
		fill_route(route, rel, &options);
		cache = log_relcache(rel);
		cache->route = *route;
		cache->routed = true;
	}
	else
		*route = cache->route;
	return route;
}

static inline Datum
hash_value(const LogRoute *route, int i, Datum value)
{
	return FunctionCall2Coll(&route->types[i]->hash_extended_proc_finfo,
							 route->collations[i], value, UInt64GetDatum(0));
}

/*
 * Hash functions may leak memory; that of numeric copies its argument to give
 * it a long header.  A command that inserts row by row frees memory only at
 * its end, so use a context that is reset each time.
 */
static Datum
hash_varlena(const LogRoute *route, int i, Datum value)
{
	static MemoryContext spare = NULL;
	MemoryContext context = spare;
	MemoryContext old;
	Datum		h;

	/* take the context away, because the hash function may come here again */
	spare = NULL;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "streamq hashed keys",
										ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	h = hash_value(route, i, value);
	MemoryContextSwitchTo(old);
	if (spare == NULL)
	{
		MemoryContextReset(context);
		spare = context;
	}
	else
		MemoryContextDelete(context);
	return h;
}

/* Combine a column's value into *hash. */
static inline void
add_key(const LogRoute *route, int i, Datum value, uint64 *hash)
{
	Datum		h = route->types[i]->typlen == -1 ?
		hash_varlena(route, i, value) : hash_value(route, i, value);

	*hash = hash_combine64(*hash, DatumGetUInt64(h));
}

static inline int
slot_partition(const LogRoute *route, uint64 hash)
{
	return route->slots[(hash ^ (hash >> 32)) % LOG_ROUTE_SLOTS];
}

/* Hash the routing columns of a row; false if it has none, or all are null. */
static bool
hash_slot(const LogRoute *route, TupleTableSlot *slot, uint64 *hash)
{
	bool		any = false;

	*hash = 0;
	for (int i = 0; i < route->nkeys; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, route->keys[i], &isnull);

		if (isnull)
			continue;
		any = true;
		add_key(route, i, value, hash);
	}
	return any;
}

int
log_route_slot(const LogRoute *route, TupleTableSlot *slot)
{
	uint64		hash;

	return hash_slot(route, slot, &hash) ? slot_partition(route, hash) : -1;
}

struct LogKeyHash
{
	LogRoute   *route;
};

LogKeyHash *
log_key_hash_create(Relation rel)
{
	LogKeyHash *key = palloc(sizeof(LogKeyHash));

	key->route = log_route_copy(rel);
	return key;
}

bool
log_key_hash(const LogKeyHash *key, TupleTableSlot *slot, uint64 *hash)
{
	return hash_slot(key->route, slot, hash);
}

int
log_route_values(const LogRoute *route, const Datum *values, const bool *isnull)
{
	uint64		hash = 0;
	bool		any = false;

	for (int i = 0; i < route->nkeys; i++)
	{
		int			column = route->keys[i] - 1;

		if (isnull[column])
			continue;
		any = true;
		add_key(route, i, values[column], &hash);
	}
	return any ? slot_partition(route, hash) : -1;
}

int
log_route_spread(int npartitions, int n)
{
	static uint32 next = 0;
	uint32		start;

	/*
	 * sessions that write one message each must not all begin with partition
	 * 0
	 */
	if (next == 0)
		next = murmurhash32((uint32) MyProcPid);
	start = next % npartitions;
	next += n;
	return (int) start;
}
