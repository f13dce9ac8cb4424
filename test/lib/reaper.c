/*
 * reaper.c
 *		reaper COMMAND ARGUMENT...: runs it, and meanwhile takes the place of init
 *		for the processes that it leaves behind.
 *
 * A server is started by pg_ctl, which then ends, so that the server's parent is
 * init.  In a container process 1 is often a program that never waits for
 * children it does not know.  A server that was killed then stays a zombie, and
 * PostgreSQL takes a process that is there for a running server: the next start
 * fails with "lock file already exists".
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#elif defined(__FreeBSD__)
#include <sys/procctl.h>
#endif

static volatile pid_t command = 0;

static void
forward_signal(int signo)
{
	if (command > 0)
		kill(command, signo);
}

int
main(int argc, char **argv)
{
	pid_t		pid;
	int			status;

	if (argc < 2)
	{
		fprintf(stderr, "usage: reaper COMMAND [ARGUMENT]...\n");
		return 2;
	}
#ifdef __linux__
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
#elif defined(__FreeBSD__)
	procctl(P_PID, 0, PROC_REAP_ACQUIRE, NULL);
#endif
	command = fork();
	if (command < 0)
	{
		perror("reaper: fork");
		return 2;
	}
	if (command == 0)
	{
		execvp(argv[1], argv + 1);
		fprintf(stderr, "reaper: cannot run \"%s\": %s\n", argv[1], strerror(errno));
		_exit(127);
	}
	signal(SIGTERM, forward_signal);
	signal(SIGHUP, forward_signal);
	/* a terminal sends it to the command as well */
	signal(SIGINT, SIG_IGN);

	for (;;)
	{
		pid = wait(&status);
		if (pid == command)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (pid < 0 && errno != EINTR)
		{
			perror("reaper: wait");
			return 2;
		}
	}
}
