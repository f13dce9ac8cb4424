/*
 * worker_shared.h
 *	  What streamq's background processes share, and what they have in common.
 *
 * Each process other than the launcher has a slot in shared memory, filled by
 * whoever starts it and freed when it is gone.  The slots are the only record of what runs:
 * a launcher or scheduler that had to be restarted finds there what its
 * predecessor had started.
 */
#ifndef STREAMQ_WORKER_SHARED_H
#define STREAMQ_WORKER_SHARED_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/dsa.h"

typedef enum WorkerKind
{
	WORKER_SCHEDULER,
	WORKER_NOTIFIER,
	WORKER_MAINTENANCE,
	WORKER_DELIVERY,
	WORKER_ARCHIVE,
	WORKER_JOB
} WorkerKind;

#define WORKER_NKINDS	(WORKER_JOB + 1)

typedef struct WorkerKindInfo
{
	const char *name;			/* of the process, in pg_stat_activity */
	const char *entry;			/* function of this library that it runs */
	bool		many;			/* a database may have several */
	int			restart_delay;	/* ms until one that ended unasked is replaced */

	/*
	 * For the scheduler.  look, which may be NULL, is called now and then in
	 * a transaction, and wanted each time the scheduler is awake: how many
	 * processes are to run in this database.  NULL for the scheduler itself,
	 * which the launcher starts.
	 */
	void		(*look) (void);
	int			(*wanted) (void);
} WorkerKindInfo;

/* by WorkerKind (worker_kinds.c) */
extern const WorkerKindInfo worker_kinds[WORKER_NKINDS];

typedef enum WorkerSlotState
{
	SLOT_FREE,
	SLOT_STARTING,				/* asked for, not yet there */
	SLOT_RUNNING,
	SLOT_DONE					/* a scheduler found no extension and is gone */
} WorkerSlotState;

/* why the batch in progress is to end before its time */
typedef enum WorkerCancel
{
	CANCEL_NONE,
	CANCEL_ASKED,				/* its owner wants it to */
	CANCEL_BLOCKING				/* somebody waits for a lock it holds */
} WorkerCancel;

/* all fields under WorkerShared's lock */
typedef struct WorkerSlot
{
	WorkerSlotState state;
	WorkerKind	kind;
	uint32		generation;		/* of this use of the slot */
	Oid			dboid;
	int			pid;
	PGPROC	   *proc;
	TimestampTz started_at;
	bool		quit;			/* stop at the next occasion */

	/* scheduler */
	bool		relook;			/* the jobs changed */
	bool		found;			/* there is an extension */

	/* delivery */
	TimestampTz next_due;		/* it sleeps until then */
	TimestampTz new_due;		/* earliest message added meanwhile; DT_NOEND:
								 * none */

	/* job worker */
	int32		job_id;			/* the job it has now, 0 if none */
	Oid			source;
	Oid			other_source;
	bool		idle;			/* asleep, or about to be */
	bool		poked;			/* idle, and on its way to look for a job */
	int			helpers;		/* processes that help with its batch */
	TimestampTz idle_since;
	TimestampTz batch_at;		/* when the batch in progress began, 0 if none */
	WorkerCancel cancel;		/* why that batch is to end */
} WorkerSlot;

/*
 * The jobs of one database (pool.c).  There is one for each slot, so that no
 * process ever finds none for its database.
 */
typedef struct WorkerPool
{
	pg_atomic_uint32 dboid;		/* invalid: never used; written under the lock */
	pg_atomic_uint32 nidle;		/* workers that may be poked; the same */

	/* under the lock */
	dsa_pointer jobs;			/* array of WorkerJob */
	int			njobs;
	int			nalloc;
} WorkerPool;

#define WORKER_REQUESTS		64
#define WORKER_HOLDS		128
#define WORKER_PROGRESS		64

typedef struct WorkerHold
{
	Oid			dboid;
	int			pid;
} WorkerHold;

typedef struct WorkerProgress
{
	pg_atomic_uint64 count;
	ConditionVariable cv;
} WorkerProgress;

typedef struct WorkerShared
{
	LWLock	   *lock;
	PGPROC	   *launcher;		/* NULL when it is not running */

	/* databases the launcher has to look into */
	int			nrequests;
	Oid			requests[WORKER_REQUESTS];
	bool		request_all;

	/* databases to keep away from, while a command wants them empty */
	WorkerHold	holds[WORKER_HOLDS];

	TimestampTz full_at;		/* when no background worker was to be had */

	ConditionVariable slot_freed;
	WorkerProgress progress[WORKER_PROGRESS];	/* by hash of database and job */
	WorkerPool *pools;			/* nslots of them */
	void	   *dsa;			/* area of the pools' arrays */
	int			nslots;
	WorkerSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} WorkerShared;

extern WorkerShared *worker_shared;

/* in a background process: its slot; NULL in the launcher and in backends */
extern WorkerSlot *worker_slot;

#define WORKER_FULL_RETRY	5000	/* ms, when no background worker was left */

typedef enum WorkerLaunchResult
{
	LAUNCH_DONE,
	LAUNCH_EXISTS,				/* one runs already, or starts */
	LAUNCH_HELD,				/* the database must be left alone now */
	LAUNCH_FULL					/* no background worker to be had */
} WorkerLaunchResult;

/* start a background process, unless there may be only one of its kind and is */
extern WorkerLaunchResult worker_launch(WorkerKind kind, Oid dboid);

/*
 * First thing in a background process: signals, slot, connection.  Does not
 * return if the process is no longer wanted.
 */
extern void worker_start(void);
extern void worker_start_launcher(void);

/*
 * Between two pieces of work: serve interrupts, read the configuration when it
 * changed, and leave quietly when asked to.
 */
extern void worker_check(void);

/* sleep until the latch is set or the time is over, then worker_check() */
extern void worker_sleep(long timeout_ms);

/* the same on the doorbell of a relation */
extern void worker_sleep_on(Oid relid, uint64 seen, long timeout_ms);

/* leave without a message in the log */
extern void worker_leave(void);

/*
 * Run func in a transaction of its own, without a snapshot.  False when it
 * failed: the transaction is aborted, and the error is in the log or, if
 * error is not NULL, in *error, in the caller's memory context.
 */
extern bool worker_run(void (*func) (void *arg), void *arg, const char *activity,
					   ErrorData **error);
extern void worker_log_error(ErrorData *error);

/* the scheduler of a database, NULL if none runs; caller has the lock */
extern WorkerSlot *worker_find_scheduler(Oid dboid);

/* wake it; caller has the lock */
extern void worker_wake_scheduler(Oid dboid);

/* does a process run or start in this slot? */
extern bool worker_slot_is_live(const WorkerSlot *slot);

/* tell the processes of a database to stop, the caller's own excepted */
extern void worker_quit_all(Oid dboid);

/* is the database held?  Caller has the lock */
extern bool worker_is_held(Oid dboid);

/*
 * Keep streamq's processes out of a database until the end of this transaction,
 * and wait until those that run there are gone.
 */
extern void worker_hold_database(Oid dboid);

/* after commit the launcher looks into this database, or for new ones */
extern void worker_note_look(Oid dboid);

/* entry points of the processes */
extern PGDLLEXPORT void streamq_launcher_main(Datum arg);
extern PGDLLEXPORT void streamq_scheduler_main(Datum arg);
extern PGDLLEXPORT void streamq_notifier_main(Datum arg);
extern PGDLLEXPORT void streamq_maintenance_main(Datum arg);
extern PGDLLEXPORT void streamq_delivery_main(Datum arg);
extern PGDLLEXPORT void streamq_archive_main(Datum arg);
extern PGDLLEXPORT void streamq_job_main(Datum arg);

#endif
