/*
 * archive.h
 *	  Archives: messages are written to files before retention drops them.
 */
#ifndef STREAMQ_ARCHIVE_ARCHIVE_H
#define STREAMQ_ARCHIVE_ARCHIVE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* a running archive: the stream, and when archive_stream() was called */
typedef struct ArchiveKey
{
	Oid			stream;
	TimestampTz started_at;
} ArchiveKey;

/*
 * A range of offsets of one partition on its way into a file.  The strings are
 * allocated in the context that was current when the step was planned.
 */
typedef struct ArchiveStep
{
	ArchiveKey	key;
	int			partition;
	int64		after;			/* everything below is archived; -1: the
								 * archive begins */
	int64		from;
	int64		to;				/* exclusive */
	char	   *path;			/* of the file; NULL if it has no messages */
	char	   *command;		/* to run for the file, NULL if there is none */
	int64		bytes;			/* size of the file */
} ArchiveStep;

/* ---- for the process that writes archives ---- */

/* Is any stream archived? */
extern bool archive_is_used(void);

/* List of ArchiveKey * of all running archives. */
extern List *archive_list(void);

/*
 * Choose what to write next, and record it, so that a restart writes the same
 * range into the same file.  False if there is nothing to write now, or a lock
 * is not free.  Partitions take turns, beginning after step->partition.
 */
extern bool archive_plan(const ArchiveKey *key, ArchiveStep *step);

/*
 * Write the file of the step and its line in the manifest, durably.  False if
 * a lock is not free, or the archive or the range is gone.
 */
extern bool archive_export(ArchiveStep *step);

/*
 * The file is written and the command has succeeded: retention may drop the
 * messages.  False if a lock is not free.
 */
extern bool archive_advance(const ArchiveStep *step);

/* Record why an archive failed.  True if that is new. */
extern bool archive_record_error(const ArchiveKey *key, const char *error);

/*
 * Run the command of a step without waiting for it.  It belongs to the process
 * group of the caller, so signals to the group reach it.
 */
extern pid_t archive_command_start(const char *command);

/* Has it ended?  Then *status is its status as of waitpid(). */
extern bool archive_command_ended(pid_t pid, int *status);

/* End it, by force if it does not end by itself. */
extern void archive_command_kill(pid_t pid);

/* ---- for other folders ---- */

/* A stream is being dropped. */
extern void archive_stream_dropped(Oid relid);

/*
 * Set a function that is called in a transaction that starts or stops an
 * archive; called by _PG_init.
 */
extern void archive_register_waker(void (*function) (void));

extern void archive_init(void); /* from _PG_init */

#endif
