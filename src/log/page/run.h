/*
 * run.h
 *	  Walking over the runs of a data page.
 */
#ifndef STREAMQ_LOG_RUN_H
#define STREAMQ_LOG_RUN_H

#include "postgres.h"

#include "storage/bufmgr.h"

#include "log/page/page.h"

#define LOG_RUN_UNKNOWN "it has a run that a later version of streamq made, or unknown flags"

/*
 * Walk over the runs of a data page:
 *
 * 		log_run_begin(&walk, page);
 * 		while ((run = log_run_next(&walk)) != NULL)
 * 			...
 *
 * Only runs whose header is within the page's content are returned.  The caller
 * checks the header itself (log_run_fits), unless log_page_check_runs() has
 * accepted the page.
 */
typedef struct LogRunWalk
{
	char	   *page;
	uint32		lower;			/* end of the page's content */
	uint32		pos;			/* of the run's header */
	uint32		end;			/* of the run; at the end, of all runs */
	uint32		nrows;			/* rows that start in the run */
	int64		off;			/* of the first of them; at the end, of the
								 * row after all runs */
} LogRunWalk;

static inline void
log_run_begin(LogRunWalk *walk, Page page)
{
	walk->page = (char *) page;
	walk->lower = ((PageHeader) page)->pd_lower;
	walk->pos = walk->end = LOG_PAGE_START + LOG_OPAQUE(page)->cont_len;
	walk->nrows = 0;
	walk->off = LOG_OPAQUE(page)->base;
}

static inline LogRun *
log_run_next(LogRunWalk *walk)
{
	uint32		pos = MAXALIGN(walk->end);
	LogRun	   *run;

	walk->off += walk->nrows;
	walk->nrows = 0;
	if (pos + sizeof(LogRun) > walk->lower)
		return NULL;
	run = (LogRun *) (walk->page + pos);
	walk->pos = pos;
	walk->end = pos + sizeof(LogRun) + run->nbytes;
	walk->nrows = run->nrows;
	return run;
}

/*
 * Is the run within the page's content, and are its rows among those that the
 * page counts?  A row takes at least two bytes.
 */
static inline bool
log_run_fits(const LogRunWalk *walk, const LogRun *run)
{
	LogPageOpaque *opaque = LOG_OPAQUE(walk->page);

	return walk->end <= walk->lower && (run->flags & ~LOG_RUN_KNOWN) == 0 &&
		run->nbytes >= run->nrows * sizeof(uint16) &&
		walk->off + run->nrows <= opaque->base + opaque->nrows;
}

/* Raise an error if a run of a page in a buffer does not fit. */
static inline void
log_run_check(const LogRunWalk *walk, const LogRun *run, Relation rel, Buffer buffer)
{
	if (unlikely(!log_run_fits(walk, run)))
		log_page_corrupted(rel, BufferGetBlockNumber(buffer),
						   (run->flags & ~LOG_RUN_KNOWN) != 0 ? LOG_RUN_UNKNOWN :
						   "its runs do not fit");
}

#endif
