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
	LOG_OWN_LATER				/* our own, by this command or a later one */
} LogVisibility;

/* frozen offset as now, to be read under the content lock of the page in question */
extern int64 log_frozen_offset(Relation rel, int partition);

/* what the commit log says about a run that is not in progress nor frozen */
extern bool log_xid_committed(Relation rel, const LogRun *run, Buffer buffer);

/*
 * First and frozen offset as now, for whoever holds a page pinned and locked: if
 * its base is not below *first, the block is not used again while the pin is
 * held.
 */
extern void log_low_offsets(Relation rel, int partition, int64 *first, int64 *frozen);
extern LogVisibility log_run_visibility(Relation rel, int partition, LogRun *run,
										int64 first_row, int64 frozen,
										Snapshot snapshot, Buffer buffer);

#endif
