/*
 * args.h
 *	  Arguments of the SQL functions on groups.
 */
#ifndef STREAMQ_GROUP_ARGS_H
#define STREAMQ_GROUP_ARGS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "group/group_catalog.h"

/*
 * Every function that changes a group begins here: 55000 if the library was not
 * loaded at server start, 25006 in a read-only transaction or on a standby.
 */
extern void group_begin_change(const char *funcname);

/* 22004 naming the argument if it is null */
extern void group_require_arg(FunctionCallInfo fcinfo, int argno, const char *argname);

/* arguments 0 and 1: the stream, opened, and the name of the group */
extern Relation group_open_stream(FunctionCallInfo fcinfo);
extern char *group_get_name_arg(FunctionCallInfo fcinfo);

/* the stream, and the group: it exists and the current user may use it */
extern Relation group_open(FunctionCallInfo fcinfo, ConsumerGroup *group);

/* a message id: 22023 if it is negative */
extern int64 group_check_msg_id(int64 msg_id);

/*
 * The point in time `interval` after now; 22023 naming the argument if the
 * interval is negative, or zero unless that is allowed.
 */
extern TimestampTz group_add_interval(TimestampTz now, const Interval *interval,
									  const char *argname, bool zero_allowed);

/* a message id array argument, sorted and without duplicates; 22004 for null elements */
extern int64 *group_get_msg_ids_arg(FunctionCallInfo fcinfo, int argno, int *n);

#endif
