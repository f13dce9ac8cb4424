/*
 * shared.c
 *	  The tails of partitions in shared memory.
 *
 * The entries are in a hash table that grows as needed.  An entry is made from
 * the file when a partition is first touched.  Entries are keyed by file, so a
 * stream gets new ones after TRUNCATE.  A standby does not use them and reads
 * the file instead.
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/dshash.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/dsa.h"
#include "utils/memutils.h"

#include "log/log.h"
#include "log/space/directory.h"
#include "log/space/partition.h"
#include "log/space/relcache.h"
#include "log/space/shared.h"
#include "base/loaded.h"

typedef struct LogSharedControl
{
	int			tranche_hash;
	int			tranche_append;
	int			tranche_freeze;
	dshash_table_handle table;
	char		area[FLEXIBLE_ARRAY_MEMBER];
} LogSharedControl;

#define AREA_SIZE	(256 * 1024)

static LogSharedControl *control = NULL;
static dsa_area *area = NULL;
static dshash_table *table = NULL;

/*
 * A file to forget when the (sub)transaction that created or replaced it ends.
 */
typedef struct Forget
{
	RelFileLocator locator;
	SubTransactionId subid;
	bool		at_commit;		/* true: if the transaction commits; false: if
								 * it aborts */
} Forget;

static List *forgets = NIL;

static dshash_parameters
table_parameters(void)
{
	dshash_parameters params = {
		.key_size = sizeof(LogSharedKey),
		.entry_size = sizeof(LogShared),
		.compare_function = dshash_memcmp,
		.hash_function = dshash_memhash,
		COMPAT_DSHASH_COPY
		.tranche_id = control->tranche_hash
	};

	return params;
}

void
log_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(offsetof(LogSharedControl, area) + AREA_SIZE));
}

void
log_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	control = ShmemInitStruct("streamq logs",
							  MAXALIGN(offsetof(LogSharedControl, area) + AREA_SIZE),
							  &found);
	if (!found)
	{
		dshash_parameters params;
		dsa_area   *a;
		dshash_table *t;

		control->tranche_hash = LWLockNewTrancheId();
		control->tranche_append = LWLockNewTrancheId();
		control->tranche_freeze = LWLockNewTrancheId();
		a = dsa_create_in_place(control->area, AREA_SIZE, control->tranche_hash, NULL);
		dsa_pin(a);
		params = table_parameters();
		t = dshash_create(a, &params, NULL);
		control->table = dshash_get_hash_table_handle(t);
		dshash_detach(t);
		dsa_detach(a);
	}
	LWLockRegisterTranche(control->tranche_hash, "StreamqLogs");
	LWLockRegisterTranche(control->tranche_append, "StreamqAppend");
	LWLockRegisterTranche(control->tranche_freeze, "StreamqFreeze");
	LWLockRelease(AddinShmemInitLock);
}

static void
attach_shared(void)
{
	MemoryContext old;
	dshash_parameters params;

	if (table != NULL)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	area = dsa_attach_in_place(control->area, NULL);
	dsa_pin_mapping(area);
	params = table_parameters();
	table = dshash_attach(area, &params, control->table, NULL);
	MemoryContextSwitchTo(old);
}

static void
make_key(LogSharedKey *key, RelFileLocator locator, int partition)
{
	memset(key, 0, sizeof(*key));
	key->locator = locator;
	key->partition = partition;
}

/* Copy the offsets of tail to the atomics. */
static void
publish_tail(LogShared *shared)
{
	pg_atomic_write_u64(&shared->first_offset, shared->tail.first_offset);
	pg_atomic_write_u64(&shared->frozen_offset, shared->tail.frozen_offset);
	pg_atomic_write_u64(&shared->next_offset, shared->tail.next_offset);
}

/*
 * Find or create the shared entry of a partition, and load it from the file if
 * nobody has done so yet.
 */
static LogShared *
lookup_shared(Relation rel, int partition)
{
	LogSharedKey key;
	LogShared  *shared;
	bool		found;

	/* an appender waits for page locks while it holds the append lock */
	if (LWLockAnyHeldByMe(&GetBufferDescriptor(0)->content_lock, NBuffers,
						  sizeof(BufferDescPadded)))
		elog(ERROR, "the tail of a stream is looked for while a page is locked");
	attach_shared();
	make_key(&key, RelationLocator(rel), partition);
	shared = dshash_find_or_insert(table, &key, &found);
	if (!found)
	{
		LWLockInitialize(&shared->append_lock, control->tranche_append);
		LWLockInitialize(&shared->freeze_lock, control->tranche_freeze);
		shared->loaded = false;
		memset(&shared->tail, 0, sizeof(shared->tail));
		pg_atomic_init_u64(&shared->first_offset, 0);
		pg_atomic_init_u64(&shared->next_offset, 0);
		pg_atomic_init_u64(&shared->frozen_offset, 0);
		pg_atomic_init_u64(&shared->settled_offset, 0);
		pg_atomic_init_u64(&shared->tail_buffer, 0);
		pg_atomic_init_u64(&shared->flow.room, 0);
		pg_atomic_init_u64(&shared->flow.mark, PG_UINT64_MAX);
		pg_atomic_init_u64(&shared->flow.due, 0);
		pg_atomic_init_u64(&shared->flow.rate, 0);
	}
	dshash_release_lock(table, shared);

	/*
	 * an appender has loaded the entry before, so waiting for the lock is
	 * safe
	 */
	if (!shared->loaded)
	{
		log_restore_length(rel);
		LWLockAcquire(&shared->append_lock, LW_EXCLUSIVE);
		if (!shared->loaded)
		{
			log_tail_load(rel, partition, &shared->tail);
			publish_tail(shared);
			pg_write_barrier();
			shared->loaded = true;
		}
		LWLockRelease(&shared->append_lock);
	}
	pg_read_barrier();
	return shared;
}

LogShared *
log_shared(Relation rel, int partition)
{
	LogRelCache *cache = log_relcache(rel);
	LogShared  *shared = cache->shared[partition];

	if (likely(shared != NULL))
		return shared;
	shared = lookup_shared(rel, partition);
	/* reading pages may have dropped the cache */
	log_relcache(rel)->shared[partition] = shared;
	return shared;
}

bool
log_shared_known(Relation rel, int partition)
{
	return !log_use_shared() ||
		(rel->rd_amcache != NULL &&
		 ((LogRelCache *) rel->rd_amcache)->shared[partition] != NULL);
}

void
log_shared_forget(RelFileLocator locator)
{
	attach_shared();
	for (int p = 0; p < LOG_MAX_PARTITIONS; p++)
	{
		LogSharedKey key;

		make_key(&key, locator, p);
		(void) dshash_delete_key(table, &key);
	}
}

/*
 * A database that is moved to another tablespace and back gets its files back
 * under their old names, so each move must forget them.
 */
void
log_forget_database(Oid dboid)
{
	dshash_seq_status status;
	LogShared  *shared;

	attach_shared();
	dshash_seq_init(&status, table, true);
	while ((shared = dshash_seq_next(&status)) != NULL)
		if (LocatorDatabase(shared->key.locator) == dboid)
			dshash_delete_current(&status);
	dshash_seq_term(&status);
}

static void
note_forget(RelFileLocator locator, bool at_commit)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Forget	   *forget = palloc(sizeof(Forget));

	/* do now what could fail, because the end of a transaction must not */
	attach_shared();
	forget->locator = locator;
	forget->subid = GetCurrentSubTransactionId();
	forget->at_commit = at_commit;
	forgets = lappend(forgets, forget);
	MemoryContextSwitchTo(old);
}

void
log_shared_forget_at_commit(RelFileLocator locator)
{
	note_forget(locator, true);
}

void
log_shared_forget_at_abort(RelFileLocator locator)
{
	note_forget(locator, false);
}

void
log_note_dropped(Relation rel)
{
	log_shared_forget_at_commit(RelationLocator(rel));
}

/*
 * The entries of a file that is going away are garbage but do no harm: a new
 * file that gets the old number begins by forgetting them.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	ListCell   *lc;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
			foreach(lc, forgets)
			{
				Forget	   *forget = lfirst(lc);

				if (forget->at_commit == (event == XACT_EVENT_COMMIT))
					log_shared_forget(forget->locator);
			}
			break;
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	forgets = NIL;
}

/*
 * If a file's replacement is rolled back in a subtransaction, the file stays
 * and its lock is released.  Its entries must not be forgotten at commit,
 * because other backends may be using them by then.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, forgets)
	{
		Forget	   *forget = lfirst(lc);

		if (forget->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			forget->subid = parent;
		else
		{
			if (!forget->at_commit)
				log_shared_forget(forget->locator);
			forgets = foreach_delete_current(forgets, lc);
		}
	}
}

void
log_get_tail(Relation rel, int partition, LogTail *tail)
{
	if (log_use_shared())
	{
		LogShared  *shared = log_shared(rel, partition);

		LWLockAcquire(&shared->append_lock, LW_SHARED);
		*tail = shared->tail;
		LWLockRelease(&shared->append_lock);
	}
	else
		log_tail_load(rel, partition, tail);
}

int64
log_next_offset(Relation rel, int partition)
{
	LogTail		tail;

	if (log_use_shared())
		return (int64) pg_atomic_read_u64(&log_shared(rel, partition)->next_offset);
	log_tail_load(rel, partition, &tail);
	return tail.next_offset;
}

LogFlow *
log_flow(Relation rel)
{
	return &log_shared(rel, 0)->flow;
}

int64
log_first_offset(Relation rel, int partition)
{
	LogTail		tail;

	if (log_use_shared())
		return (int64) pg_atomic_read_u64(&log_shared(rel, partition)->first_offset);
	log_tail_load(rel, partition, &tail);
	return tail.first_offset;
}

void
log_get_bounds(Relation rel, int partition, LogBounds *bounds)
{
	LogTail		tail;
	int64		blocks;

	log_get_tail(rel, partition, &tail);
	bounds->first_offset = tail.first_offset;
	bounds->next_offset = tail.next_offset;
	bounds->frozen_offset = tail.frozen_offset;
	log_extent_count(rel, partition, &bounds->extents, &bounds->reserved_extents, &blocks);
	bounds->bytes = blocks * BLCKSZ;
	bounds->free_bytes = (int64) tail.spare_blocks * BLCKSZ;
}

/* a standby tries this often, one millisecond apart */
#define MISSING_TRIES	1000

void
log_check_missing(Relation rel, int partition, int64 from, int64 to)
{
	/*
	 * Messages may expire at any time.  On a standby their pages may go a
	 * moment before the first offset moves, because redo changes one page
	 * after the other.
	 */
	for (int try = 0; try < MISSING_TRIES; try++)
	{
		if (from >= to || log_first_offset(rel, partition) > from)
			return;
		if (!RecoveryInProgress())
			break;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000);
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("messages of stream \"%s\" are missing", RelationGetRelationName(rel)),
			 errdetail("Partition %d should go on with offset " INT64_FORMAT ".",
					   partition, from),
			 errhint("Restore the stream from a backup.")));
}

void
log_shared_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
