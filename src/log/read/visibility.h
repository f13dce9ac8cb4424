/*
 * visibility.h
 *	  Which rows a snapshot sees.
 */
#ifndef STREAMQ_LOG_READ_VISIBILITY_H
#define STREAMQ_LOG_READ_VISIBILITY_H

#include "postgres.h"

#include "utils/snapshot.h"
#include "utils/rel.h"

#include "log/page/page.h"

typedef enum LogVisibility
{
	LOG_INVISIBLE,				/* for good: aborted */
	LOG_VISIBLE,
	LOG_IN_PROGRESS,			/* not for this snapshot */
	LOG_OWN_LATER				/* written by this command or a later one of
								 * ours */
} LogVisibility;

/*
 * The current frozen offset.  The caller holds the content lock of the page
 * whose rows it decides about.
 */
extern int64 log_frozen_offset(Relation rel, int partition);

/* Ask the commit log about a run that is neither in progress nor frozen. */
extern bool log_xid_committed(Relation rel, const LogRun *run, Buffer buffer);

/*
 * The current first and frozen offset.  The caller has a page pinned and
 * locked.  If the page's base is not below *first, its block is not reused
 * while the pin is held.
 */
extern void log_low_offsets(Relation rel, int partition, int64 *first, int64 *frozen);
extern LogVisibility log_run_visibility(Relation rel, int partition, LogRun *run,
										int64 first_row, int64 frozen,
										Snapshot snapshot, Buffer buffer);

#endif
