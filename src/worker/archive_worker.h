/*
 * archive_worker.h
 *	  The process that writes archives.
 */
#ifndef STREAMQ_WORKER_ARCHIVE_WORKER_H
#define STREAMQ_WORKER_ARCHIVE_WORKER_H

#include "postgres.h"

/* for worker_kinds.c */
extern void worker_archive_look(void);
extern int	worker_archive_wanted(void);

#endif
