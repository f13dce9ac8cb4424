/*
 * latest.h
 *	  Views of the latest message of each key.
 */
#ifndef STREAMQ_VIEW_LATEST_H
#define STREAMQ_VIEW_LATEST_H

#include "postgres.h"

#include "view/analyze.h"

/* a call of streamq.latest() without FILTER, DISTINCT or ORDER BY? */
extern bool view_is_latest(const Node *node);

/* set vq->latest and vq->hidden_by; the aggregates have been collected */
extern void view_find_latest(ViewQuery *vq);

#endif
