/*
 * parts.h
 *	  Views whose rows several processes share (job/share.h).
 */
#ifndef STREAMQ_VIEW_PARTS_H
#define STREAMQ_VIEW_PARTS_H

#include "postgres.h"

#include "job/job_kind.h"
#include "view/agg.h"
#include "view/analyze.h"
#include "view/state_table.h"

extern JobSharing view_may_share(const JobRow *job, ViewQuery *vq);

/* look up what merges the states of several processes */
extern void view_parts_begin(ViewAggSet *aggs);

/* a helper: send all groups in memory to the leader */
extern void view_parts_send(JobRound *round, ViewStateTable *state);

/* the leader: merge a group of a helper into the group in memory */
extern void view_parts_take(ViewStateTable *state, void *data, Size size);

#endif
