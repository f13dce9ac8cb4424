/*
 * file_command.c
 *	  The command that is run for each file of an archive.
 *
 * A command may take long, so the process that runs it does not wait for it.
 * It stays in the process group of that process: the postmaster, and
 * pg_terminate_backend(), signal the whole group.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/string.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "archive/archive.h"
#include "archive/file_command.h"

#define KILL_PATIENCE	2000	/* ms between SIGTERM and SIGKILL */
#define KILL_STEP		10		/* ms */

void
archive_command_check(const char *command)
{
	for (const char *c = command; *c != '\0'; c++)
	{
		if (*c != '%')
			continue;
		c++;
		if (*c != 'p' && *c != 'f' && *c != '%')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"command\" has an unknown placeholder"),
					 errdetail("The command is \"%s\".", command),
					 errhint("Use %%p for the path of the file, %%f for its name, and %%%% for a percent sign.")));
	}
}

char *
archive_command_expand(const char *command, const char *path)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (const char *c = command; *c != '\0'; c++)
	{
		if (*c != '%')
			appendStringInfoChar(&buf, *c);
		else if (*++c == 'p')
			appendStringInfoString(&buf, path);
		else if (*c == 'f')
			appendStringInfoString(&buf, last_dir_separator(path) + 1);
		else
			appendStringInfoChar(&buf, '%');
	}
	return buf.data;
}

pid_t
archive_command_start(const char *command)
{
	char	   *argv[] = {"sh", "-c", unconstify(char *, command), NULL};
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t actions;
	sigset_t	none;
	sigset_t	all;
	pid_t		pid;
	int			result;

	/* the server ignores or handles signals that the command must get */
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	fflush(NULL);
	result = posix_spawn(&pid, "/bin/sh", &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (result != 0)
	{
		errno = result;
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not run the command of an archive: %m")));
	}
	return pid;
}

bool
archive_command_ended(pid_t pid, int *status)
{
	pid_t		result;

	do
		result = waitpid(pid, status, WNOHANG);
	while (result < 0 && errno == EINTR);
	/* it cannot be waited for: report a failure */
	if (result < 0)
		*status = 1 << 8;
	return result != 0;
}

void
archive_command_kill(pid_t pid)
{
	int			status;

	/*
	 * The whole group, for children of the shell.  This process is about to
	 * end, so the signal does no harm to it.
	 */
	kill(getpgrp() == getpid() ? -getpid() : pid, SIGTERM);
	for (int waited = 0; waited < KILL_PATIENCE; waited += KILL_STEP)
	{
		if (archive_command_ended(pid, &status))
			return;
		pg_usleep(KILL_STEP * 1000L);
	}
	kill(pid, SIGKILL);
	(void) waitpid(pid, &status, 0);
}
