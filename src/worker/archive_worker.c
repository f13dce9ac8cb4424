/*
 * archive_worker.c
 *	  The process that writes archives.  A database has one while a stream in
 *	  it is archived.
 *
 * The process writes one file at a time, each in transactions of its own.  It
 * does not wait for the command of a file, so that a slow command holds back
 * no other stream.  An archive that failed is left alone for a while, longer
 * each time.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "archive/archive.h"
#include "worker/archive_worker.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

#define RETRY_MIN		1000	/* ms after a failure */
#define RETRY_MAX		(60 * 1000)
#define POLL			20		/* ms while a command runs */
#define MAX_COMMANDS	4		/* at the same time */
#define TURN			8		/* files of one archive before the next one
								 * gets its turn */
#define LAST_LOOKS		15		/* looks without an archive, after which the
								 * process ends */

/* one archive */
typedef struct Archiving
{
	ArchiveKey	key;
	bool		listed;			/* it is still there */
	ArchiveStep *step;
	bool		exported;		/* the step's file is written */
	pid_t		pid;			/* of the command that runs, or 0 */
	int			delay;			/* ms after the last failure, or 0 */
	TimestampTz not_before;		/* when to try again */
} Archiving;

typedef enum Outcome
{
	IDLE,						/* nothing to do now */
	MORE,						/* go on at once */
	RUNNING						/* a command runs */
} Outcome;

static List *archivings = NIL;
static int	ncommands = 0;

/* ---- in the scheduler ---- */

static bool archives_found = false;

void
worker_archive_look(void)
{
	archives_found = archive_is_used();
}

int
worker_archive_wanted(void)
{
	return archives_found ? 1 : 0;
}

/* ---- in the process ---- */

/* no command outlives the process */
static void
kill_commands(int code, Datum arg)
{
	ListCell   *lc;

	foreach(lc, archivings)
	{
		Archiving  *archiving = lfirst(lc);

		if (archiving->pid != 0)
			archive_command_kill(archiving->pid);
		archiving->pid = 0;
	}
}

static void
forget_file(Archiving *archiving)
{
	ArchiveStep *step = archiving->step;

	if (step->path != NULL)
		pfree(step->path);
	if (step->command != NULL)
		pfree(step->command);
	step->path = step->command = NULL;
	archiving->exported = false;
}

static Archiving *
find_archiving(const ArchiveKey *key)
{
	ListCell   *lc;

	foreach(lc, archivings)
	{
		Archiving  *archiving = lfirst(lc);

		if (archiving->key.stream == key->stream &&
			archiving->key.started_at == key->started_at)
			return archiving;
	}
	return NULL;
}

/* in a transaction: bring the list up to date */
static void
list_archives(void *arg)
{
	List	   *keys = archive_list();
	ListCell   *lc;

	foreach(lc, archivings)
		((Archiving *) lfirst(lc))->listed = false;
	foreach(lc, keys)
	{
		ArchiveKey *key = lfirst(lc);
		Archiving  *archiving = find_archiving(key);

		if (archiving == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

			archiving = palloc0(sizeof(Archiving));
			archiving->key = *key;
			archiving->step = palloc0(sizeof(ArchiveStep));
			archiving->step->partition = -1;
			archivings = lappend(archivings, archiving);
			MemoryContextSwitchTo(old);
		}
		archiving->listed = true;
	}
}

/* forget archives that were stopped, once their command has ended */
static void
drop_unlisted(void)
{
	ListCell   *lc;

	foreach(lc, archivings)
	{
		Archiving  *archiving = lfirst(lc);

		if (archiving->listed || archiving->pid != 0)
			continue;
		forget_file(archiving);
		pfree(archiving->step);
		pfree(archiving);
		archivings = foreach_delete_current(archivings, lc);
	}
}

/* ---- failures ---- */

typedef struct Failure
{
	const ArchiveKey *key;
	const char *message;
	bool		is_new;
} Failure;

static void
record_error(void *arg)
{
	Failure    *failure = arg;

	failure->is_new = archive_record_error(failure->key, failure->message);
}

static void
note_failure(Archiving *archiving, ErrorData *error)
{
	Failure		failure = {.key = &archiving->key};

	archiving->delay = archiving->delay == 0 ? RETRY_MIN : Min(archiving->delay * 2, RETRY_MAX);
	archiving->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), archiving->delay);
	failure.message = error->detail == NULL ? error->message :
		psprintf("%s (%s)", error->message, error->detail);
	/* an error that comes again is in the log already */
	if (!worker_run(record_error, &failure, "recording an error", NULL) || failure.is_new)
		worker_log_error(error);
}

/* ---- steps ---- */

typedef struct StepCall
{
	Archiving  *archiving;
	bool		done;
} StepCall;

static void
plan(void *arg)
{
	StepCall   *call = arg;

	call->done = archive_plan(&call->archiving->key, call->archiving->step);
}

static void
export(void *arg)
{
	StepCall   *call = arg;

	call->done = archive_export(call->archiving->step);
}

static void
start_command(void *arg)
{
	StepCall   *call = arg;

	call->archiving->pid = archive_command_start(call->archiving->step->command);
	call->done = true;
}

static void
advance(void *arg)
{
	StepCall   *call = arg;

	call->done = archive_advance(call->archiving->step);
}

/* run a part of a step; false if it failed or could not be done now */
static bool
run_part(Archiving *archiving, void (*part) (void *arg), const char *activity)
{
	StepCall	call = {archiving, false};
	ErrorData  *error = NULL;

	if (!worker_run(part, &call, activity, &error))
	{
		note_failure(archiving, error);
		return false;
	}
	return call.done;
}

static Outcome
finish_step(Archiving *archiving)
{
	if (!run_part(archiving, advance, "recording an archived file"))
		return IDLE;
	forget_file(archiving);
	archiving->delay = 0;
	return MORE;
}

/* look whether the command has ended */
static Outcome
look_at_command(Archiving *archiving)
{
	int			status;
	ErrorData	error = {0};

	if (!archive_command_ended(archiving->pid, &status))
		return RUNNING;
	archiving->pid = 0;
	ncommands--;
	if (status == 0)
	{
		/* if this cannot be recorded now, the command need not run again */
		pfree(archiving->step->command);
		archiving->step->command = NULL;
		return archiving->listed ? finish_step(archiving) : IDLE;
	}
	error.elevel = ERROR;
	error.output_to_server = true;
	error.sqlerrcode = ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
	error.domain = TEXTDOMAIN;
	error.context_domain = TEXTDOMAIN;
	error.assoc_context = CurrentMemoryContext;
	error.filename = __FILE__;
	error.lineno = __LINE__;
	error.funcname = __func__;
	error.message = psprintf("command of an archive failed: %s", wait_result_to_str(status));
	error.detail = psprintf("The command was: %s", archiving->step->command);
	if (archiving->listed)
		note_failure(archiving, &error);
	return IDLE;
}

static Outcome
work_on(Archiving *archiving)
{
	if (archiving->pid != 0)
		return look_at_command(archiving);
	if (!archiving->listed ||
		(archiving->delay > 0 && archiving->not_before > GetCurrentTimestamp()))
		return IDLE;
	if (!archiving->exported)
	{
		if (!run_part(archiving, plan, "looking for messages to archive") ||
			!run_part(archiving, export, "archiving messages"))
			return IDLE;
		archiving->exported = true;
	}
	if (archiving->step->command == NULL)
		return finish_step(archiving);
	if (ncommands >= MAX_COMMANDS ||
		!run_part(archiving, start_command, "running the command of an archive"))
		return IDLE;
	ncommands++;
	return RUNNING;
}

void
streamq_archive_main(Datum arg)
{
	MemoryContext loop_context;
	int			idle = 0;

	worker_start();
	before_shmem_exit(kill_commands, (Datum) 0);
	loop_context = AllocSetContextCreate(TopMemoryContext, "streamq archive",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);
	for (;;)
	{
		long		delay = worker_naptime;
		ListCell   *lc;

		MemoryContextReset(loop_context);
		if (!worker_run(list_archives, NULL, "listing archives", NULL))
		{
			worker_sleep(RETRY_MAX / 6);
			continue;
		}
		drop_unlisted();
		/* the scheduler starts the process again when there is work */
		if (archivings != NIL)
			idle = 0;
		else if (++idle >= LAST_LOOKS)
			worker_leave();

		foreach(lc, archivings)
		{
			Outcome		outcome = IDLE;

			for (int i = 0; i < TURN; i++)
			{
				outcome = work_on(lfirst(lc));
				if (outcome != MORE)
					break;
				worker_check();
			}
			if (outcome == MORE)
				delay = 0;
			else if (outcome == RUNNING)
				delay = Min(delay, POLL);
		}
		worker_sleep(delay);
	}
}
