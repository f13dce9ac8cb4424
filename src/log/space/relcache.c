/*
 * relcache.c
 *	  What a relcache entry remembers about its stream.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "log/options.h"
#include "log/space/relcache.h"

LogRelCache *
log_relcache(Relation rel)
{
	if (rel->rd_amcache == NULL)
	{
		StreamOptions options;
		LogRelCache *cache;

		/*
		 * reading the options may process invalidations, so allocate
		 * afterwards
		 */
		log_options_get(rel, &options);
		cache = MemoryContextAllocZero(CacheMemoryContext, sizeof(LogRelCache));
		cache->options = options;
		if (rel->rd_amcache)
			pfree(rel->rd_amcache);
		rel->rd_amcache = cache;
	}
	return (LogRelCache *) rel->rd_amcache;
}

LogFlowOptions
log_options_flow(Relation rel)
{
	return log_relcache(rel)->options.flow;
}

TimestampTz
log_options_horizon(Relation rel, bool *changed)
{
	StreamOptions *options = &log_relcache(rel)->options;
	Interval	ttl = options->flow.message_ttl;

	*changed = rel->rd_createSubid == InvalidSubTransactionId &&
		TransactionIdIsCurrentTransactionId(options->stored_by);
	return log_options_has_ttl(options) ? log_options_time_before(&ttl) : DT_NOBEGIN;
}
