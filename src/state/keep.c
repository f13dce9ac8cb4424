/*
 * keep.c
 *	  Which versions may still be needed by a snapshot?
 *
 * Heap asks for the oldest snapshot, and keeps all that is newer.  So a
 * snapshot that is held for an hour keeps the versions of an hour, though it
 * sees only one of each row.
 *
 * The transactions that change the rows of a state table follow one another,
 * because a lock serializes them.  So each snapshot sees all of them up to one,
 * and none after it.  A version is needed only if that place is between the
 * version's own transaction and the next one's.
 *
 * Where the place of a snapshot is, is known only by its backend.  But each
 * writing transaction looks at all backends when it begins, and shared memory
 * remembers what it saw.  A snapshot that is there for the first time was
 * taken after the last look, and before this one.  That tells its place
 * exactly enough: between the last two transactions.
 *
 * A backend shows only the xmin of its oldest snapshot.  Is that still the
 * same one?  If the oldest running transaction was newer than xmin at the last
 * look, it is, because every snapshot since then has a newer xmin.  If not,
 * the range is extended, unless the backend has told that its transaction
 * keeps its snapshot (REPEATABLE READ).  A scan also tells if its snapshot is
 * not the oldest of the backend.
 *
 * What is remembered may get lost.  Then low is the snapshot's xmin: it sees
 * all transactions before that.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "state/keep.h"

#define TRANCHE_NAME	"StreamqState"

/* most state tables that are remembered */
#define MAX_TRACKS		256

/* a snapshot that was there at the last look */
typedef struct StateHolder
{
	int			procno;
	LocalTransactionId lxid;
	TransactionId xmin;
	StateRange	range;
} StateHolder;

/* what is remembered about a table */
typedef struct StateTrack
{
	Oid			dboid;			/* 0: unused */
	Oid			relid;
	uint64		used;			/* when the entry was used */
	TransactionId xid;			/* of the transaction that looked last */
	TransactionId oldest_running;	/* at that time */
	int			nholders;
	StateHolder holders[FLEXIBLE_ARRAY_MEMBER];
} StateTrack;

/* what backends tell about their snapshots, with the local transaction id */
typedef enum StateNote
{
	STATE_NOTE_NONE,
	STATE_NOTE_FIXED,			/* the oldest snapshot stays */
	STATE_NOTE_NEWER			/* a newer one reads state tables */
} StateNote;

#define PACK_NOTE(lxid, note)	(((uint64) (lxid) << 8) | (note))

typedef struct StateTracks
{
	LWLock	   *lock;
	uint64		clock;
	pg_atomic_uint64 notes[FLEXIBLE_ARRAY_MEMBER];	/* by process number; then
													 * come the tracks */
} StateTracks;

static StateTracks *shared = NULL;

static int
max_holders(void)
{
	return MaxBackends + NUM_AUXILIARY_PROCS;
}

static Size
track_size(void)
{
	return MAXALIGN(add_size(offsetof(StateTrack, holders),
							 mul_size(sizeof(StateHolder), max_holders())));
}

static Size
header_size(void)
{
	return MAXALIGN(add_size(offsetof(StateTracks, notes),
							 mul_size(sizeof(pg_atomic_uint64), max_holders())));
}

static StateTrack *
track(int i)
{
	return (StateTrack *) ((char *) shared + header_size() + track_size() * i);
}

static Size
shared_size(void)
{
	return add_size(header_size(), mul_size(track_size(), MAX_TRACKS));
}

void
state_keep_shmem_request(void)
{
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

void
state_keep_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("streamq state tables", shared_size(), &found);
	if (!found)
	{
		memset(shared, 0, shared_size());
		shared->lock = &GetNamedLWLockTranche(TRANCHE_NAME)->lock;
		for (int i = 0; i < max_holders(); i++)
			pg_atomic_init_u64(&shared->notes[i], 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

bool
state_keep_is_newer(Snapshot snapshot)
{
	return snapshot != NULL && IsMVCCSnapshot(snapshot) && !IsolationUsesXactSnapshot() &&
		snapshot->xmin != MyProc->xmin;
}

void
state_keep_note_snapshot(Snapshot snapshot)
{
	static uint64 noted = 0;
	StateNote	note = STATE_NOTE_NONE;

	if (!IsMVCCSnapshot(snapshot) || RecoveryInProgress())
		return;
	if (IsolationUsesXactSnapshot())
		note = STATE_NOTE_FIXED;
	else if (state_keep_is_newer(snapshot))
		note = STATE_NOTE_NEWER;
	if (note == STATE_NOTE_NONE || noted == PACK_NOTE(COMPAT_MY_LXID, note))
		return;
	noted = PACK_NOTE(COMPAT_MY_LXID, note);
	pg_atomic_write_u64(&shared->notes[MyProc - ProcGlobal->allProcs], noted);
}

/* find the entry of a table, or make one in place of the least used */
static StateTrack *
find_track(Oid relid)
{
	StateTrack *oldest = track(0);

	for (int i = 0; i < MAX_TRACKS; i++)
	{
		StateTrack *t = track(i);

		if (t->dboid == MyDatabaseId && t->relid == relid)
		{
			oldest = t;
			break;
		}
		if (t->used < oldest->used)
			oldest = t;
	}
	if (oldest->dboid != MyDatabaseId || oldest->relid != relid)
	{
		oldest->dboid = MyDatabaseId;
		oldest->relid = relid;
		oldest->xid = InvalidTransactionId;
		oldest->nholders = 0;
	}
	oldest->used = ++shared->clock;
	return oldest;
}

/*
 * Snapshots of the backends that can read tables of this database.
 *
 * Processes of VACUUM read no other table.  A background worker that writes
 * reads only the newest versions, so its own snapshots do not count.  Others
 * may write in a transaction that has read before.
 *
 * A walsender that reports the oldest snapshot of a standby has no range: the
 * standby may have newer snapshots, too.
 */
static int
look_at_backends(StateHolder *holders)
{
	bool		skip_own = MyBackendType == B_BG_WORKER;
	int			n = 0;

	LWLockAcquire(ProcArrayLock, LW_SHARED);
	for (int i = 0; i < max_holders() && i < (int) ProcGlobal->allProcCount; i++)
	{
		volatile PGPROC *proc = &ProcGlobal->allProcs[i];
		TransactionId xmin = proc->xmin;
		uint8		flags = proc->statusFlags;

		if (!TransactionIdIsNormal(xmin) || (flags & PROC_IN_VACUUM) ||
			(skip_own && proc == MyProc))
			continue;
		if (proc->databaseId != MyDatabaseId && OidIsValid(proc->databaseId) &&
			!(flags & PROC_AFFECTS_ALL_HORIZONS))
			continue;
		holders[n].procno = i;
		holders[n].lxid = COMPAT_PROC_LXID(proc);
		holders[n].xmin = xmin;
		holders[n].range.low = InvalidTransactionId;
		holders[n].range.high = InvalidTransactionId;
		if (flags & PROC_AFFECTS_ALL_HORIZONS)
			holders[n].range.low = xmin;
		n++;
	}
	LWLockRelease(ProcArrayLock);
	return n;
}

static const StateHolder *
find_holder(const StateTrack *t, const StateHolder *holder)
{
	for (int i = 0; i < t->nholders; i++)
	{
		const StateHolder *old = &t->holders[i];

		if (old->procno == holder->procno && old->lxid == holder->lxid &&
			old->xmin == holder->xmin)
			return old;
	}
	return NULL;
}

/*
 * A snapshot that is there for the first time, but is older than the last
 * look, was imported from another transaction, by SET TRANSACTION SNAPSHOT or
 * for a parallel worker.  It sees what that transaction sees, which was there
 * before and has the same xmin.
 */
static StateRange
range_of_imported(const StateTrack *t, const StateHolder *holder, TransactionId high)
{
	StateRange	range = {InvalidTransactionId, InvalidTransactionId};

	for (int i = 0; i < t->nholders; i++)
	{
		const StateHolder *old = &t->holders[i];

		if (old->xmin != holder->xmin)
			continue;
		if (!TransactionIdIsValid(range.low))
		{
			range = old->range;
			continue;
		}
		if (TransactionIdPrecedes(old->range.low, range.low))
			range.low = old->range.low;
		if (!TransactionIdIsValid(old->range.high) ||
			(TransactionIdIsValid(range.high) &&
			 TransactionIdFollows(old->range.high, range.high)))
			range.high = old->range.high;
	}
	if (!TransactionIdIsValid(range.low))
	{
		range.low = holder->xmin;
		range.high = high;
	}
	return range;
}

/* may a snapshot that was there before be another one now? */
static bool
may_be_newer(const StateTrack *t, const StateHolder *holder)
{
	uint64		noted = pg_atomic_read_u64(&shared->notes[holder->procno]);

	if (noted == PACK_NOTE(holder->lxid, STATE_NOTE_FIXED))
		return false;
	return noted == PACK_NOTE(holder->lxid, STATE_NOTE_NEWER) ||
		!TransactionIdPrecedes(holder->xmin, t->oldest_running);
}

/* find the places of the snapshots, and remember them */
static void
place_holders(StateTrack *t, StateHolder *holders, int n, TransactionId xid,
			  TransactionId oldest_running)
{
	/* an id that is older than the last writer's tells nothing */
	bool		in_order = !TransactionIdIsValid(t->xid) || TransactionIdFollows(xid, t->xid);

	for (int i = 0; i < n; i++)
	{
		StateHolder *holder = &holders[i];
		const StateHolder *old = find_holder(t, holder);

		if (TransactionIdIsValid(holder->range.low))
			continue;			/* a standby's */
		holder->range.high = in_order ? xid : InvalidTransactionId;
		if (old)
		{
			holder->range.low = old->range.low;
			if (!may_be_newer(t, holder))
				holder->range.high = old->range.high;
			continue;
		}
		if (!TransactionIdIsValid(t->xid))
			holder->range.low = holder->xmin;
		else if (TransactionIdPrecedes(holder->xmin, t->oldest_running))
			holder->range = range_of_imported(t, holder, holder->range.high);
		else
			holder->range.low = t->xid;
	}
	memcpy(t->holders, holders, sizeof(StateHolder) * n);
	t->nholders = n;
	t->oldest_running = oldest_running;
	if (in_order)
		t->xid = xid;
}

StateKeep *
state_keep_create(Relation rel, TransactionId xid)
{
	StateKeep  *keep = palloc0(sizeof(StateKeep));
	StateHolder *holders = palloc(sizeof(StateHolder) * max_holders());
	TransactionId oldest_running = GetLatestSnapshot()->xmin;
	TransactionId slot_xmin;
	TransactionId slot_catalog_xmin;
	int			n;

	/* replication slots keep what a standby that is away may need */
	ProcArrayGetReplicationSlotXmin(&slot_xmin, &slot_catalog_xmin);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	n = look_at_backends(holders);
	place_holders(find_track(RelationGetRelid(rel)), holders, n, xid, oldest_running);
	LWLockRelease(shared->lock);

	keep->ranges = palloc(sizeof(StateRange) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		bool		known = false;

		for (int j = 0; j < keep->nranges && !known; j++)
			known = keep->ranges[j].low == holders[i].range.low &&
				keep->ranges[j].high == holders[i].range.high;
		if (!known)
			keep->ranges[keep->nranges++] = holders[i].range;
	}
	if (TransactionIdIsNormal(slot_xmin))
	{
		keep->ranges[keep->nranges].low = slot_xmin;
		keep->ranges[keep->nranges++].high = InvalidTransactionId;
	}
	pfree(holders);
	return keep;
}

/*
 * A snapshot in the range needs the version if it can see xmin, and can fail
 * to see xmax.
 */
static bool
is_needed(const StateKeep *keep, TransactionId xmin, TransactionId xmax)
{
	for (int i = 0; i < keep->nranges; i++)
	{
		const StateRange *range = &keep->ranges[i];

		if (TransactionIdFollowsOrEquals(xmax, range->low) &&
			(!TransactionIdIsValid(range->high) || !TransactionIdIsNormal(xmin) ||
			 TransactionIdPrecedes(xmin, range->high)))
			return true;
	}
	return false;
}

bool
state_keep_needs(StateKeep *keep, TransactionId xmin, TransactionId xmax)
{
	if (keep->xmin != xmin || keep->xmax != xmax)
	{
		keep->needed = is_needed(keep, xmin, xmax);
		keep->xmin = xmin;
		keep->xmax = xmax;
	}
	return keep->needed;
}
