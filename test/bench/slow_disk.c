/*
 * slow_disk.c
 *	  Preloaded into a server: flushing a file takes as long as on a slower
 *	  disk, SLOW_DISK_NS nanoseconds at least.  The processor is free meanwhile,
 *	  as it is while a disk works.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NS	1000000000L

static long
least_time(void)
{
	static long ns = -1;
	const char *value;

	if (ns < 0)
		ns = (value = getenv("SLOW_DISK_NS")) ? atol(value) : 0;
	return ns;
}

static int
slowly(int (*flush) (int), int fd)
{
	struct timespec until;
	int			rc;
	int			error;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += least_time();
	until.tv_sec += until.tv_nsec / NS;
	until.tv_nsec %= NS;
	rc = flush(fd);
	error = errno;
	/* a signal does not make a disk quicker */
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
	errno = error;
	return rc;
}

int
fsync(int fd)
{
	static int	(*flush) (int) = NULL;

	if (flush == NULL)
		flush = (int (*) (int)) dlsym(RTLD_NEXT, "fsync");
	return slowly(flush, fd);
}

int
fdatasync(int fd)
{
	static int	(*flush) (int) = NULL;

	if (flush == NULL)
		flush = (int (*) (int)) dlsym(RTLD_NEXT, "fdatasync");
	return slowly(flush, fd);
}
