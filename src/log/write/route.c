/*
 * route.c
 *	  Which partition a row goes to.
 *
 * The hash of the partition_by columns picks one of 1024 slots, and the slots are
 * shared out among the partitions.  When partitions are added, the new ones take
 * slots evenly from those that are there, so only keys of the slots taken move.  The
 * map is a function of the numbers of partitions the stream has had.
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
			/* from whoever has most, its last slot first */
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

		/* looking types up may let the cache entry go */
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
 * Hash functions may leave memory behind: that of numeric a copy with a long header.
 * Who inserts row by row frees nothing before the end of his command.
 */
static Datum
hash_varlena(const LogRoute *route, int i, Datum value)
{
	static MemoryContext spare = NULL;
	MemoryContext context = spare;
	MemoryContext old;
	Datum		h;

	/* nobody else has it meanwhile, whatever the function does */
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

/* hash a column's value into *hash */
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

int
log_route_slot(const LogRoute *route, TupleTableSlot *slot)
{
	uint64		hash = 0;
	bool		any = false;

	for (int i = 0; i < route->nkeys; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, route->keys[i], &isnull);

		if (isnull)
			continue;
		any = true;
		add_key(route, i, value, &hash);
	}
	return any ? slot_partition(route, hash) : -1;
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

	/* sessions that write one message each must not all begin with the first */
	if (next == 0)
		next = murmurhash32((uint32) MyProcPid);
	start = next % npartitions;
	next += n;
	return (int) start;
}
