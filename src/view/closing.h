/*
 * closing.h
 *	  Windows in the state table that are open, and those that are so old that
 *	  they are removed.
 */
#ifndef STREAMQ_VIEW_CLOSING_H
#define STREAMQ_VIEW_CLOSING_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "job/job_catalog.h"
#include "view/analyze.h"

/* most rows that a batch removes */
#define VIEW_REMOVE_ROWS	10000

/*
 * Find the least time after the watermark at which a window with rows may end;
 * false if there is none.
 */
extern bool view_find_open_window(ViewQuery *vq, Relation state, Timestamp watermark,
								  Timestamp *end);

/*
 * Remove windows that the job's retention does not keep, from the state table
 * and the result table.  At most VIEW_REMOVE_ROWS rows are removed.  Returns
 * their number.
 */
extern int64 view_remove_windows(const JobRow *job, ViewQuery *vq, Relation state,
								 Timestamp watermark);

#endif
