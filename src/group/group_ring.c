/*
 * group_ring.c
 *	  Ringing doorbells of streams at the end of a transaction.
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
static bool rings_lost = false; /* more streams than the array can hold */

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
 * A transaction callback would ring before the locks are released, and a
 * consumer that wakes up would find the partition still locked.  So this is a
 * callback of resource owners.  It is called for each of them; the locks of
 * the transaction are released with the top-level one.
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
