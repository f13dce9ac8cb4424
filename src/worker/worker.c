/*
 * worker.c
 *	  Shared state of the background processes, and how each of them starts,
 *	  sleeps, runs a transaction and stops.
 *
 * Idle processes hold no transaction, snapshot or lock.  SIGTERM ends an idle
 * one without a message; in the middle of work it is what it is in any backend.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/twophase.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/procsignal.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "archive/archive.h"
#include "base/loaded.h"
#include "job/job.h"
#include "signal/doorbell.h"
#include "signal/xact_note.h"
#include "stream/delay.h"
#include "stream/retention.h"
#include "worker/delivery_worker.h"
#include "worker/pool.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define LAUNCHER_RESTART	5	/* seconds */
#define STARTING_TIMEOUT	10000	/* ms until a process that was asked for
									 * is given up */
#define QUIT_PATIENCE		200 /* ms for an idle process to leave by itself */
#define HOLD_PATIENCE		5000	/* ms for a busy one to react to SIGTERM */

int			worker_naptime = 1000;
int			worker_notify_interval = 10;
int			worker_max_per_database = 8;
int			worker_job_timeout = 0;

WorkerShared *worker_shared = NULL;
WorkerSlot *worker_slot = NULL;

/* handed to a new process in bgw_extra */
typedef struct WorkerTicket
{
	int			slot;
	uint32		generation;
} WorkerTicket;

/* false while the process sleeps between two pieces of work */
static volatile sig_atomic_t worker_busy = true;

/* what this transaction does to background work, for its end */
static bool note_jobs = false;
static bool note_look = false;
static Oid	note_look_db = InvalidOid;	/* invalid: any */
static bool holding = false;

/* ---- start-up of the server ---- */

static int
slot_count(void)
{
	/* some more, for those that died before they were started */
	return max_worker_processes + 8;
}

static Size
shared_size(void)
{
	return add_size(offsetof(WorkerShared, slots),
					mul_size(sizeof(WorkerSlot), slot_count()));
}

void
worker_shmem_request(void)
{
	RequestAddinShmemSpace(shared_size());
	RequestAddinShmemSpace(worker_pool_shared_size(slot_count()));
	RequestNamedLWLockTranche("streamq_workers", 1);
}

void
worker_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	worker_shared = ShmemInitStruct("streamq workers", shared_size(), &found);
	if (!found)
	{
		memset(worker_shared, 0, shared_size());
		worker_shared->lock = &(GetNamedLWLockTranche("streamq_workers"))->lock;
		worker_shared->nslots = slot_count();
		ConditionVariableInit(&worker_shared->slot_freed);
		for (int i = 0; i < WORKER_PROGRESS; i++)
		{
			pg_atomic_init_u64(&worker_shared->progress[i].count, 0);
			ConditionVariableInit(&worker_shared->progress[i].cv);
		}
		worker_pool_init_shared();
	}
	LWLockRelease(AddinShmemInitLock);
}

/* ---- wishes that take effect when the transaction ends ---- */

void
worker_note_jobs_changed(void)
{
	note_jobs = true;
}

void
worker_note_look(Oid dboid)
{
	/* two different databases in one transaction: look at what there is */
	note_look_db = note_look && note_look_db != dboid ? InvalidOid : dboid;
	note_look = true;
}

void
worker_note_extension_created(void)
{
	worker_note_look(MyDatabaseId);

	/*
	 * A scheduler that sees just now that the extension is gone must look
	 * again before it believes it.
	 */
	worker_note_jobs_changed();
}

/* caller has the lock exclusively */
static void
request_look(Oid dboid)
{
	if (!OidIsValid(dboid) || worker_shared->nrequests >= WORKER_REQUESTS)
		worker_shared->request_all = true;
	else
		worker_shared->requests[worker_shared->nrequests++] = dboid;
	if (worker_shared->launcher != NULL)
		SetLatch(&worker_shared->launcher->procLatch);
}

static void
release_holds(void)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WORKER_HOLDS; i++)
	{
		WorkerHold *hold = &worker_shared->holds[i];

		if (hold->pid == MyProcPid)
		{
			request_look(hold->dboid);
			hold->pid = 0;
			hold->dboid = InvalidOid;
		}
	}
	LWLockRelease(worker_shared->lock);
	holding = false;
}

static void
release_holds_at_exit(int code, Datum arg)
{
	if (holding)
		release_holds();
}

/* do at the end of the transaction what it has asked for */
static void
worker_xact_callback(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;

	if (holding)
		release_holds();

	/*
	 * A prepared transaction may never be committed, but looking costs
	 * little. After its COMMIT PREPARED the slow look of the launcher finds
	 * it.
	 */
	if (event != XACT_EVENT_ABORT && (note_jobs || note_look))
	{
		LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
		if (note_jobs)
		{
			/*
			 * the scheduler reads the list, job workers look whether they are
			 * in it
			 */
			for (int i = 0; i < worker_shared->nslots; i++)
			{
				WorkerSlot *slot = &worker_shared->slots[i];

				if (slot->state != SLOT_RUNNING || slot->dboid != MyDatabaseId)
					continue;
				slot->relook = true;
				if (slot->proc != MyProc)
					SetLatch(&slot->proc->procLatch);
			}
		}
		if (note_look)
			request_look(note_look_db);
		LWLockRelease(worker_shared->lock);
	}
	note_jobs = false;
	note_look = false;
}

static const JobProcesses job_processes = {
	.jobs_changed = worker_note_jobs_changed,
	.cancel_batch = worker_cancel_job,
	.take_helpers = worker_pool_take_helpers
};

void
worker_init(void)
{
	BackgroundWorker worker;

	RegisterXactCallback(worker_xact_callback, NULL);
	job_register_processes(&job_processes);
	stream_register_retention_nudge(worker_nudge_maintenance);
	stream_register_delay_waker(worker_delivery_wake);
	archive_register_waker(worker_note_jobs_changed);
	signal_register_job_waker(worker_pool_rung);

	/* pg_upgrade must find things as it left them */
	if (IsBinaryUpgrade)
		return;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_name, "streamq launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "streamq launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "streamq", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "streamq_launcher_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = LAUNCHER_RESTART;
	RegisterBackgroundWorker(&worker);
}

/* ---- slots ---- */

bool
worker_slot_is_live(const WorkerSlot *slot)
{
	return slot->state == SLOT_STARTING || slot->state == SLOT_RUNNING;
}

bool
worker_is_held(Oid dboid)
{
	for (int i = 0; i < WORKER_HOLDS; i++)
	{
		if (worker_shared->holds[i].dboid == dboid)
			return true;
	}
	return false;
}

/* caller has the lock exclusively */
static void
free_slot(WorkerSlot *slot)
{
	/* the number says that a process for it that still comes is too late */
	slot->generation++;
	slot->state = SLOT_FREE;
	slot->pid = 0;
	slot->proc = NULL;
	ConditionVariableBroadcast(&worker_shared->slot_freed);
}

WorkerLaunchResult
worker_launch(WorkerKind kind, Oid dboid)
{
	BackgroundWorker worker;
	WorkerTicket ticket;
	WorkerSlot *slot = NULL;
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (worker_is_held(dboid))
	{
		LWLockRelease(worker_shared->lock);
		return LAUNCH_HELD;
	}
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *s = &worker_shared->slots[i];

		/*
		 * never started: its parent died in between, or no process could be
		 * made
		 */
		if (s->state == SLOT_STARTING &&
			TimestampDifferenceExceeds(s->started_at, now, STARTING_TIMEOUT))
			free_slot(s);

		if (s->state == SLOT_FREE)
		{
			if (slot == NULL)
				slot = s;
		}
		else if (s->kind == kind && s->dboid == dboid && !worker_kinds[kind].many)
		{
			LWLockRelease(worker_shared->lock);
			return LAUNCH_EXISTS;
		}
	}
	if (slot == NULL)
	{
		worker_shared->full_at = now;
		LWLockRelease(worker_shared->lock);
		return LAUNCH_FULL;
	}
	ticket.slot = slot - worker_shared->slots;
	ticket.generation = slot->generation + 1;
	memset(slot, 0, sizeof(WorkerSlot));
	slot->state = SLOT_STARTING;
	slot->kind = kind;
	slot->generation = ticket.generation;
	slot->dboid = dboid;
	slot->started_at = now;
	slot->next_due = slot->new_due = DT_NOEND;
	LWLockRelease(worker_shared->lock);

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_name, worker_kinds[kind].name, BGW_MAXLEN);
	strlcpy(worker.bgw_type, worker_kinds[kind].name, BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "streamq", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, worker_kinds[kind].entry, BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(dboid);
	memcpy(worker.bgw_extra, &ticket, sizeof(ticket));

	if (RegisterDynamicBackgroundWorker(&worker, NULL))
		return LAUNCH_DONE;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	worker_shared->full_at = now;
	if (slot->generation == ticket.generation && slot->state == SLOT_STARTING)
		free_slot(slot);
	LWLockRelease(worker_shared->lock);
	return LAUNCH_FULL;
}

WorkerSlot *
worker_find_scheduler(Oid dboid)
{
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (slot->state == SLOT_RUNNING && slot->kind == WORKER_SCHEDULER &&
			slot->dboid == dboid)
			return slot;
	}
	return NULL;
}

void
worker_wake_scheduler(Oid dboid)
{
	WorkerSlot *slot = worker_find_scheduler(dboid);

	if (slot != NULL)
		SetLatch(&slot->proc->procLatch);
}

void
worker_quit_all(Oid dboid)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (!worker_slot_is_live(slot) || slot->dboid != dboid || slot == worker_slot)
			continue;
		if (slot->state == SLOT_STARTING)
			free_slot(slot);
		else
		{
			slot->quit = true;
			SetLatch(&slot->proc->procLatch);
		}
	}
	LWLockRelease(worker_shared->lock);
}

void
worker_hold_database(Oid dboid)
{
	static bool exit_registered = false;
	TimestampTz start = GetCurrentTimestamp();
	bool		signaled = false;

	if (!exit_registered)
	{
		before_shmem_exit(release_holds_at_exit, (Datum) 0);
		exit_registered = true;
	}

	/*
	 * with the table full we only send them away: they wait before they
	 * return
	 */
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WORKER_HOLDS; i++)
	{
		WorkerHold *hold = &worker_shared->holds[i];

		if (hold->pid == 0)
		{
			hold->dboid = dboid;
			hold->pid = MyProcPid;
			holding = true;
			break;
		}
	}
	LWLockRelease(worker_shared->lock);

	worker_quit_all(dboid);

	ConditionVariablePrepareToSleep(&worker_shared->slot_freed);
	for (;;)
	{
		bool		any = false;
		long		elapsed = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
		bool		signal_now = !signaled && elapsed >= QUIT_PATIENCE;

		LWLockAcquire(worker_shared->lock, LW_SHARED);
		for (int i = 0; i < worker_shared->nslots; i++)
		{
			WorkerSlot *slot = &worker_shared->slots[i];

			if (!worker_slot_is_live(slot) || slot->dboid != dboid)
				continue;
			any = true;
			if (signal_now)
				kill(slot->pid, SIGTERM);
		}
		LWLockRelease(worker_shared->lock);
		signaled |= signal_now;

		/* the command itself says what is wrong if somebody stays */
		if (!any || elapsed >= HOLD_PATIENCE)
			break;
		ConditionVariableTimedSleep(&worker_shared->slot_freed,
									signaled ? 1000 : QUIT_PATIENCE, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}

/* ---- life of a background process ---- */

static void
worker_sigterm(SIGNAL_ARGS)
{
	int			save_errno = errno;

	ShutdownRequestPending = true;
	SetLatch(MyLatch);
	if (worker_busy)
		die(postgres_signal_arg);
	errno = save_errno;
}

static void
set_signals(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, worker_sigterm);
	BackgroundWorkerUnblockSignals();
}

/*
 * Settings that are meant for users' sessions, by the configuration file or for
 * the database, must not make background work fail.
 */
static void
set_settings(const char *name)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"transaction_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
	};

	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_OVERRIDE);
	for (int i = 0; i < lengthof(settings); i++)
	{
		/* not every version has all of them */
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* the process ends: free its slot, and tell its parent */
static void
worker_shmem_detach(int code, Datum arg)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (worker_slot == NULL)
	{
		if (worker_shared->launcher == MyProc)
			worker_shared->launcher = NULL;
	}
	else
	{
		Oid			dboid = worker_slot->dboid;
		bool		done = worker_slot->kind == WORKER_SCHEDULER &&
			worker_slot->state == SLOT_DONE;

		worker_pool_leave(worker_slot);
		free_slot(worker_slot);
		if (done)
			worker_slot->state = SLOT_DONE;

		/* tell the parent */
		if (worker_slot->kind == WORKER_SCHEDULER)
		{
			if (worker_shared->launcher != NULL)
				SetLatch(&worker_shared->launcher->procLatch);
		}
		else
			worker_wake_scheduler(dboid);
	}
	LWLockRelease(worker_shared->lock);
	elog(DEBUG1, "%s stopped", MyBgworkerEntry->bgw_name);
}

void
worker_start(void)
{
	const char *name;
	WorkerTicket ticket;
	WorkerSlot *slot;
	Oid			dboid;

	memcpy(&ticket, MyBgworkerEntry->bgw_extra, sizeof(ticket));
	set_signals();

	slot = &worker_shared->slots[ticket.slot];
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (slot->generation != ticket.generation || slot->state != SLOT_STARTING ||
		worker_is_held(slot->dboid))
	{
		if (slot->generation == ticket.generation && slot->state == SLOT_STARTING)
			free_slot(slot);
		LWLockRelease(worker_shared->lock);
		proc_exit(0);
	}
	slot->state = SLOT_RUNNING;
	slot->pid = MyProcPid;
	slot->proc = MyProc;
	slot->started_at = GetCurrentTimestamp();
	dboid = slot->dboid;
	name = worker_kinds[slot->kind].name;
	worker_slot = slot;
	LWLockRelease(worker_shared->lock);

	/*
	 * Registered before the connection is made, so that it is called after
	 * the process has left the proc array: when the slot is free, the
	 * database is not in use by this process.
	 */
	on_shmem_exit(worker_shmem_detach, (Datum) 0);

	BackgroundWorkerInitializeConnectionByOid(dboid, InvalidOid, 0);
	set_settings(name);
	elog(DEBUG1, "%s started for database %u", name, dboid);
}

void
worker_start_launcher(void)
{
	set_signals();

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	worker_shared->launcher = MyProc;
	LWLockRelease(worker_shared->lock);

	/*
	 * nobody knows what those did that were prepared before the server
	 * started
	 */
	for (int i = 0; i < max_prepared_xacts; i++)
	{
		if (TransactionIdIsValid(PreparedXactProcs[i].xid))
			signal_note_prepared();
	}
	on_shmem_exit(worker_shmem_detach, (Datum) 0);

	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	set_settings("streamq launcher");
	elog(DEBUG1, "streamq launcher started");
}

void
worker_leave(void)
{
	/* the launcher is started again after an exit with status 1 only */
	proc_exit(worker_slot == NULL ? 1 : 0);
}

void
worker_check(void)
{
	bool		quit = false;

	if (ShutdownRequestPending)
		worker_leave();
	CHECK_FOR_INTERRUPTS();

	if (worker_slot != NULL)
	{
		LWLockAcquire(worker_shared->lock, LW_SHARED);
		quit = worker_slot->quit;
		LWLockRelease(worker_shared->lock);
	}
	if (quit)
		worker_leave();

	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

void
worker_sleep(long timeout_ms)
{
	worker_busy = false;
	if (!ShutdownRequestPending && timeout_ms != 0)
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
						 (timeout_ms > 0 ? WL_TIMEOUT : 0),
						 timeout_ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	worker_busy = true;
	worker_check();
}

void
worker_sleep_on(Oid relid, uint64 seen, long timeout_ms)
{
	worker_busy = false;
	if (!ShutdownRequestPending)
		signal_wait(relid, seen, timeout_ms);
	worker_busy = true;
	worker_check();
}

void
worker_log_error(ErrorData *error)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		ReThrowError(error);
	}
	PG_CATCH();
	{
		EmitErrorReport();
		FlushErrorState();
	}
	PG_END_TRY();
	/* the error context is not to work in */
	MemoryContextSwitchTo(context);
}

bool
worker_run(void (*func) (void *arg), void *arg, const char *activity,
		   ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool ok = false;

	pgstat_report_activity(STATE_RUNNING, activity);
	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		func(arg);
		CommitTransactionCommand();
		ok = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		if (error != NULL)
		{
			MemoryContextSwitchTo(context);
			*error = CopyErrorData();
		}
		else
			EmitErrorReport();
		/* all of it, also where func had begun a subtransaction */
		AbortOutOfAnyTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	return ok;
}

/* ---- what other backends want to know about a job ---- */

void
worker_nudge_maintenance(void)
{
	LWLockAcquire(worker_shared->lock, LW_SHARED);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (slot->state == SLOT_RUNNING && slot->kind == WORKER_MAINTENANCE &&
			slot->dboid == MyDatabaseId)
			SetLatch(&slot->proc->procLatch);
	}
	LWLockRelease(worker_shared->lock);
}

int
worker_job_pid(int32 job_id)
{
	int			pid = 0;

	base_require_loaded();
	LWLockAcquire(worker_shared->lock, LW_SHARED);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (slot->state == SLOT_RUNNING && slot->kind == WORKER_JOB &&
			slot->dboid == MyDatabaseId && slot->job_id == job_id)
			pid = slot->pid;
	}
	LWLockRelease(worker_shared->lock);
	return pid;
}

char *
worker_job_waits_for(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		has_worker = false;
	bool		has_parent;
	bool		full;

	base_require_loaded();
	/* on a standby the job runs elsewhere */
	if (RecoveryInProgress())
		return NULL;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	has_parent = worker_shared->launcher != NULL;
	/* whoever needs one asks again, so this cannot be older while it is true */
	full = worker_shared->full_at != 0 &&
		!TimestampDifferenceExceeds(worker_shared->full_at, now, 2 * WORKER_FULL_RETRY);
	for (int i = 0; i < worker_shared->nslots; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (!worker_slot_is_live(slot) || slot->dboid != MyDatabaseId)
			continue;
		/* whichever is free takes the job */
		if (slot->kind == WORKER_JOB)
			has_worker = true;
		if (slot->kind == WORKER_SCHEDULER)
			has_parent = true;
	}
	LWLockRelease(worker_shared->lock);

	if (has_worker)
		return NULL;
	if (worker_max_per_database == 0)
		return pstrdup("\"streamq.max_workers_per_database\" is 0");
	if (full)
		return psprintf("a free background worker (\"max_worker_processes\" is %d)",
						max_worker_processes);
	/* it is started with the server */
	if (!has_parent &&
		TimestampDifferenceExceeds(PgStartTime, now, 2 * LAUNCHER_RESTART * 1000))
		return psprintf("the streamq launcher (\"max_worker_processes\" is %d)",
						max_worker_processes);
	return NULL;
}

static WorkerProgress *
find_progress(int32 job_id)
{
	uint32		hash = hash_combine(murmurhash32(MyDatabaseId), murmurhash32(job_id));

	return &worker_shared->progress[hash % WORKER_PROGRESS];
}

void
worker_signal_progress(int32 job_id)
{
	WorkerProgress *progress = find_progress(job_id);

	pg_atomic_fetch_add_u64(&progress->count, 1);
	ConditionVariableBroadcast(&progress->cv);
}

/*
 * The caller looks at the job, then calls us.  So as not to sleep through
 * what happened in between, the count is remembered from call to call, and
 * the first call for a job only takes note of it.
 */
void
worker_wait_progress(int32 job_id, long timeout_ms)
{
	static WorkerProgress *last = NULL;
	static uint64 seen;
	WorkerProgress *progress;

	base_require_loaded();
	progress = find_progress(job_id);
	if (progress == last && timeout_ms > 0)
	{
		ConditionVariablePrepareToSleep(&progress->cv);
		if (pg_atomic_read_u64(&progress->count) == seen)
			(void) ConditionVariableTimedSleep(&progress->cv, timeout_ms,
											   PG_WAIT_EXTENSION);
		ConditionVariableCancelSleep();
	}
	CHECK_FOR_INTERRUPTS();
	last = progress;
	seen = pg_atomic_read_u64(&progress->count);
	pg_memory_barrier();
}
