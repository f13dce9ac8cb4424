/*
 * group_ring.c
 *	  Ringing doorbells of streams at the end of a transaction.
 */
#include "postgres.h"

#include "utils/resowner.h"

#include "group/group_ring.h"
#include "signal/doorbell.h"
#include "stream/flow.h"

#define RINGS_MAX	16

typedef struct Ring
{
	Oid			relid;
	bool		on_abort;
	bool		on_commit;
	bool		changed;		/* on commit, if a producer waits */
	bool		undoable;
} Ring;

static Ring rings[RINGS_MAX];
static int	nrings = 0;
static bool rings_lost = false; /* more streams than the array can hold */

static Ring *
find_ring(Oid relid)
{
	for (int i = 0; i < nrings; i++)
		if (rings[i].relid == relid)
			return &rings[i];
	return NULL;
}

static Ring *
make_ring(Oid relid)
{
	Ring	   *ring = find_ring(relid);

	if (ring == NULL && nrings < RINGS_MAX)
	{
		ring = &rings[nrings++];
		memset(ring, 0, sizeof(Ring));
		ring->relid = relid;
	}
	rings_lost |= ring == NULL;
	return ring;
}

void
group_ring_at_end(Oid relid, bool on_commit)
{
	Ring	   *ring = make_ring(relid);

	if (ring == NULL)
		return;
	ring->on_abort = true;
	ring->on_commit |= on_commit;
}

void
group_ring_note_change(Oid relid, bool undoable)
{
	Ring	   *ring = make_ring(relid);

	if (ring == NULL)
		return;
	ring->changed = true;
	ring->undoable |= undoable;
}

bool
group_ring_is_undoable(Oid relid)
{
	Ring	   *ring = find_ring(relid);

	return ring != NULL ? ring->undoable : rings_lost;
}

/*
 * A transaction callback would ring before the locks are released, and a
 * consumer that wakes up would find the partition still locked.  So this is a
 * callback of resource owners.  It is called for each resource owner, and
 * rings for the top-level one, with which the locks are released.
 */
static void
ring_release_callback(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	if (nrings == 0 || !isTopLevel || phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	for (int i = 0; i < nrings; i++)
		if (isCommit ? rings[i].on_commit || (rings[i].changed && stream_flow_is_blocked(rings[i].relid)) :
			rings[i].on_abort)
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
