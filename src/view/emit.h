/*
 * emit.h
 *	  Emitting the results of closed windows into a stream.
 */
#ifndef STREAMQ_VIEW_EMIT_H
#define STREAMQ_VIEW_EMIT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "job/job_catalog.h"
#include "view/analyze.h"

/* what a batch emits */
typedef struct ViewEmit ViewEmit;

/*
 * Called at the beginning of a batch; the emission lives in the current memory
 * context.  Windows that end at or before `emitted` were emitted by earlier
 * batches; there are none if `all` is true.
 */
extern ViewEmit *view_emit_create(const JobRow *job, ViewQuery *vq, bool all, Timestamp emitted);

/* must the emission know that a group of this window has changed? */
extern bool view_emit_wants(const ViewEmit *emit, Timestamp window_end);

/* the group with this hash of the keys may have changed in the window */
extern void view_emit_touch(ViewEmit *emit, Timestamp start, Timestamp end, uint64 hash);

/*
 * Emit corrections of what was touched, then the windows that end at or before
 * the watermark.  Returns the number of rows written.  Needs an active
 * snapshot and the privileges of the view's owner.
 */
extern int64 view_emit_run(ViewEmit *emit, Timestamp watermark);

/*
 * Raise an error unless the current user may emit the results of the query
 * into the stream.
 */
extern void view_emit_check(ViewQuery *vq, const char *view, Oid stream);

#endif
