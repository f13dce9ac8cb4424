/*
 * filter.h
 *	  The filter of a group: an SQL condition on the columns of its stream.
 *
 * The text is stored with qualified names, so that it means the same with
 * every search_path.  A session keeps the planned expression as long as
 * nothing changes on which it depends.
 *
 * A filter may come from another role than the one that consumes.  It is
 * evaluated with the privileges of the group's owner.
 */
#ifndef STREAMQ_GROUP_FILTER_H
#define STREAMQ_GROUP_FILTER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/elog.h"
#include "utils/rel.h"

#include "group/group_catalog.h"

/*
 * Check a filter, and return the text to be stored.  Fails with 42601, 42703,
 * 42804, 0A000 and other errors of expressions.
 */
extern char *group_filter_check(Relation rel, const char *text);

/* a filter that is ready to be evaluated */
typedef struct GroupFilter GroupFilter;

/*
 * Prepare the filter of a group, in the current memory context.  Fails with
 * 55000 if it is not valid any more.
 */
extern GroupFilter *group_filter_begin(Relation rel, const ConsumerGroup *group);

/*
 * Does the row in the slot match?  If the evaluation fails because of the row,
 * *error is set.
 */
extern bool group_filter_matches(GroupFilter *filter, TupleTableSlot *slot, ErrorData **error);

extern void group_filter_end(GroupFilter *filter);

#endif
