/*
 * interval.c
 *	  Sets of disjoint intervals of time.
 *
 * Disjoint intervals are ordered.  For the tree, two intervals are equal if
 * they have a time in common, so that a search finds the interval that a range
 * meets.
 */
#include "postgres.h"

#include "lib/rbtree.h"
#include "utils/memutils.h"

#include "view/interval.h"

static int
compare(const RBTNode *a, const RBTNode *b, void *arg)
{
	const ViewWindow *left = &((const ViewInterval *) a)->range;
	const ViewWindow *right = &((const ViewInterval *) b)->range;

	if (left->end < right->start)
		return -1;
	return left->start > right->end ? 1 : 0;
}

static void
combine(RBTNode *existing, const RBTNode *newdata, void *arg)
{
	elog(ERROR, "intervals of a set overlap");
}

static RBTNode *
allocate(void *arg)
{
	return MemoryContextAlloc((MemoryContext) arg, sizeof(ViewInterval));
}

static void
release(RBTNode *node, void *arg)
{
	pfree(node);
}

ViewInterval *
view_interval_find(const ViewIntervals *set, Timestamp from, Timestamp to)
{
	ViewInterval probe = {.range = {from, to}};

	if (set->tree)
		return (ViewInterval *) rbt_find(set->tree, &probe.node);
	if (set->has_only && compare(&set->only.node, &probe.node, NULL) == 0)
		return unconstify(ViewInterval *, &set->only);
	return NULL;
}

void
view_interval_add(ViewIntervals *set, MemoryContext mcxt, const ViewWindow *range, void *data)
{
	ViewInterval interval = {.range = *range, .data = data};
	bool		is_new;

	if (set->tree == NULL && !set->has_only)
	{
		set->only = interval;
		set->has_only = true;
		return;
	}
	if (set->tree == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(mcxt);

		set->tree = rbt_create(sizeof(ViewInterval), compare, combine, allocate, release, mcxt);
		MemoryContextSwitchTo(old);
		(void) rbt_insert(set->tree, &set->only.node, &is_new);
		set->has_only = false;
	}
	(void) rbt_insert(set->tree, &interval.node, &is_new);
}

void
view_interval_remove(ViewIntervals *set, ViewInterval *interval)
{
	if (set->tree)
		rbt_delete(set->tree, &interval->node);
	else
		set->has_only = false;
}
