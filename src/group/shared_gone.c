/*
 * shared_gone.c
 *	  Leases of sessions that have ended, in the shared modes.
 *
 * Such a session will not acknowledge its messages.  If the application chose
 * the name of the consumer, its leases stay, because another session may use
 * the name.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "group/group_catalog.h"
#include "group/inflight.h"
#include "group/mode.h"
#include "group/registry.h"
#include "group/session.h"
#include "group/shared_mode.h"
#include "group/shared_take.h"

/*
 * A consumer may stay in the registry for long after its session.  So this
 * session remembers for which consumers of which partition it has ended the
 * leases last.
 */
static int32 seen_group = 0;
static int	seen_partition = 0;
static uint32 seen_hash = 0;

/*
 * The numbers of consumers whose sessions have ended, palloc'd and sorted.
 * Returns 0 if there are none that this session has not dealt with.
 */
static int
find_gone(Relation rel, const ConsumerGroup *group, int partition, uint32 **gone, uint32 *hash)
{
	GroupRegistered *consumers;
	int			n = group_registry_list(rel, group, &consumers);
	int			ngone = 0;

	*gone = palloc(Max(n, 1) * sizeof(uint32));
	for (int i = 0; i < n; i++)
		if (group_session_is_gone(consumers[i].name))
			(*gone)[ngone++] = consumers[i].number;
	if (ngone == 0)
		return 0;
	*hash = hash_bytes((unsigned char *) *gone, ngone * sizeof(uint32));
	if (group->group_id == seen_group && partition == seen_partition && *hash == seen_hash)
		return 0;
	return ngone;
}

bool
group_shared_has_gone(Relation rel, const ConsumerGroup *group, int partition)
{
	uint32	   *gone;
	uint32		hash;

	return find_gone(rel, group, partition, &gone, &hash) > 0;
}

static int
compare_numbers(const void *a, const void *b)
{
	uint32		left = *(const uint32 *) a;
	uint32		right = *(const uint32 *) b;

	return left < right ? -1 : left > right;
}

/*
 * The leases end now, whether this transaction commits or not.  A lease that a
 * transaction is deciding about is left alone: it may be a prepared one.
 */
bool
group_shared_end_gone(SharedTake *take)
{
	uint32	   *gone;
	uint32		hash;
	int			ngone = find_gone(take->rel, take->group, take->partition, &gone, &hash);
	const InflightEntry *entry;
	bool		ended = false;

	if (ngone == 0)
		return false;
	group_shared_take_open(take);
	entry = group_inflight_seek(take->tree, 0, 0);
	for (; entry != NULL; entry = group_inflight_next(take->tree))
	{
		const InflightLevel *top = group_inflight_top(entry);
		InflightEntry changed;

		if (entry->nlevels > 1 || top->kind != INFLIGHT_LEASED || top->time <= take->now ||
			bsearch(&top->consumer, gone, ngone, sizeof(uint32), compare_numbers) == NULL)
			continue;
		changed = *entry;
		changed.levels[0].time = take->now;
		group_inflight_replace(take->tree, &changed, 1);
		ended = true;
	}
	group_shared_take_close(take);
	seen_group = take->group->group_id;
	seen_partition = take->partition;
	seen_hash = hash;
	return ended;
}
