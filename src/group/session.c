/*
 * session.c
 *	  Sessions as consumers: their default names, and their end.
 *
 * The name of a session has its process id and its start time, because process
 * ids are used again.  PostgreSQL has no cheap way to tell when a process
 * started.  So every session that consumes stores its start time in an array
 * in shared memory, at the place of its PGPROC, and clears it when it ends.
 * After a crash the array is empty: all sessions are gone.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "group/mode.h"
#include "group/session.h"
#include "signal/doorbell.h"

#define UNIX_TO_POSTGRES_SECS \
	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* streams whose doorbells are rung at the end of the session */
#define STREAMS_MAX		64

/*
 * Start times by number of PGPROC; 0: the process is no consumer.  The first
 * MaxBackends of them belong to regular backends and background workers.
 */
static pg_atomic_uint64 *starts = NULL;

static bool noted = false;		/* this session is in the array */
static Oid	streams[STREAMS_MAX];
static int	nstreams = 0;
static bool streams_lost = false;

void
group_session_shmem_request(void)
{
	RequestAddinShmemSpace(mul_size(sizeof(pg_atomic_uint64), MaxBackends));
}

void
group_session_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	starts = ShmemInitStruct("streamq sessions",
							 mul_size(sizeof(pg_atomic_uint64), MaxBackends), &found);
	if (!found)
	{
		for (int i = 0; i < MaxBackends; i++)
			pg_atomic_init_u64(&starts[i], 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

static pg_atomic_uint64 *
place_of(PGPROC *proc)
{
	return &starts[proc - ProcGlobal->allProcs];
}

/*
 * The transaction has ended and its locks are released, so consumers that wake
 * up find the leases of this session and nothing else in the way.
 */
static void
leave(int code, Datum arg)
{
	pg_atomic_write_u64(place_of(MyProc), 0);
	pg_memory_barrier();
	for (int i = 0; i < nstreams; i++)
		signal_ring(streams[i]);
	if (streams_lost)
		signal_ring_all();
}

static void
note_session(void)
{
	if (noted)
		return;
	on_shmem_exit(leave, (Datum) 0);
	pg_atomic_write_u64(place_of(MyProc), (uint64) MyStartTimestamp);
	noted = true;
}

void
group_session_note_stream(Oid relid)
{
	note_session();
	for (int i = 0; i < nstreams; i++)
		if (streams[i] == relid)
			return;
	if (nstreams < STREAMS_MAX)
		streams[nstreams++] = relid;
	else
		streams_lost = true;
}

void
group_session_name(char *name)
{
	note_session();
	snprintf(name, GROUP_CONSUMER_MAX + 1, "pid %d/%lld.%06d", MyProcPid,
			 (long long) (MyStartTimestamp / USECS_PER_SEC + UNIX_TO_POSTGRES_SECS),
			 (int) (MyStartTimestamp % USECS_PER_SEC));
}

/* take a name apart; false if it is not the name of a session */
static bool
parse_name(const char *name, int *pid, TimestampTz *start)
{
	char		again[GROUP_CONSUMER_MAX + 1];
	long long	secs;
	int			usecs;

	if (strncmp(name, "pid ", 4) != 0 ||
		sscanf(name, "pid %d/%lld.%d", pid, &secs, &usecs) != 3)
		return false;
	/* not a name that only begins like that of a session */
	snprintf(again, sizeof(again), "pid %d/%lld.%06d", *pid, secs, usecs);
	if (strcmp(name, again) != 0)
		return false;
	*start = (TimestampTz) ((uint64) (secs - UNIX_TO_POSTGRES_SECS) * USECS_PER_SEC + usecs);
	return true;
}

bool
group_session_is_name(const char *name)
{
	int			pid;
	TimestampTz start;

	return parse_name(name, &pid, &start);
}

bool
group_session_is_gone(const char *name)
{
	int			pid;
	TimestampTz start;

	return parse_name(name, &pid, &start) && group_session_has_ended(pid, start);
}

bool
group_session_has_ended(int pid, TimestampTz start)
{
	PGPROC	   *proc;

	/* it may be a session of the primary */
	if (RecoveryInProgress())
		return false;
	if (pid == MyProcPid)
		return start != MyStartTimestamp;
	proc = BackendPidGetProc(pid);
	return proc == NULL || pg_atomic_read_u64(place_of(proc)) != (uint64) start;
}
