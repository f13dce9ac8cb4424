/*
 * interval.h
 *	  Sets of disjoint intervals of time.
 *
 * Intervals include both ends.  A set with one interval, the usual case, needs
 * no other memory; a larger one is a balanced tree.
 */
#ifndef STREAMQ_VIEW_INTERVAL_H
#define STREAMQ_VIEW_INTERVAL_H

#include "postgres.h"

#include "lib/rbtree.h"

#include "view/window.h"

/* an interval, and data of the caller */
typedef struct ViewInterval
{
	RBTNode		node;			/* in a tree; must be first */
	ViewWindow	range;
	void	   *data;
} ViewInterval;

/* a set; all bytes zero: empty */
typedef struct ViewIntervals
{
	bool		has_only;
	ViewInterval only;			/* the only one, as long as there is no tree */
	RBTree	   *tree;
} ViewIntervals;

/*
 * Find an interval that has a time in common with the range.  NULL if there is
 * none.  The result is valid until the set changes.  The caller may change its
 * range as long as it stays apart from the others.
 */
extern ViewInterval *view_interval_find(const ViewIntervals *set, Timestamp from, Timestamp to);

/* add an interval that is apart from the others */
extern void view_interval_add(ViewIntervals *set, MemoryContext mcxt,
							  const ViewWindow *range, void *data);
extern void view_interval_remove(ViewIntervals *set, ViewInterval *interval);

#endif
