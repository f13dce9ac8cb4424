/*
 * group_ring.c
 *	  Doorbells of streams that are rung when a transaction has ended.
 */
#include "postgres.h"

#include "utils/resowner.h"

#include "group/group_ring.h"
#include "signal/doorbell.h"

#define RINGS_MAX	16

typedef struct Ring
{
	Oid			relid;
	bool		on_commit;
} Ring;

static Ring rings[RINGS_MAX];
static int	nrings = 0;
static bool rings_lost = false; /* there were more than that */

void
group_ring_at_end(Oid relid, bool on_commit)
{
	for (int i = 0; i < nrings; i++)
	{
		if (rings[i].relid == relid)
		{
			rings[i].on_commit |= on_commit;
			return;
		}
	}
	if (nrings < RINGS_MAX)
	{
		rings[nrings].relid = relid;
		rings[nrings++].on_commit = on_commit;
	}
	else
		rings_lost = true;
}

/*
 * Called for every resource owner; the locks of the transaction go with the
 * top-level one.  A transaction callback would ring before that, and a consumer
 * that wakes up would find the partition still locked.
 */
static void
ring_release_callback(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	if (nrings == 0 || !isTopLevel || phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	for (int i = 0; i < nrings; i++)
		if (rings[i].on_commit || !isCommit)
			signal_ring(rings[i].relid);
	if (rings_lost)
		signal_ring_all();
	nrings = 0;
	rings_lost = false;
}

void
group_ring_init(void)
{
	RegisterResourceReleaseCallback(ring_release_callback, NULL);
}
