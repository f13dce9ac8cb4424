/*
 * args.h
 *	  Arguments of the SQL functions on groups: checks and conversions.
 */
#ifndef STREAMQ_GROUP_ARGS_H
#define STREAMQ_GROUP_ARGS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "group/group_catalog.h"

/*
 * Every SQL function that changes a group calls this first.  Fails with 55000
 * if the library was not loaded at server start, and with 25006 in a read-only
 * transaction or on a standby.
 */
extern void group_begin_change(const char *funcname);

/* fail with 22004, naming the argument, if it is null */
extern void group_require_arg(FunctionCallInfo fcinfo, int argno, const char *argname);

/* argument 0, the stream, opened; argument 1, the name of the group */
extern Relation group_open_stream(FunctionCallInfo fcinfo);
extern char *group_get_name_arg(FunctionCallInfo fcinfo);

/*
 * Open the stream and look up the group.  Fails with 42704 if there is no such
 * group, and with 42501 if the current user may not use it.
 */
extern Relation group_open(FunctionCallInfo fcinfo, ConsumerGroup *group);

/* return a message id; fail with 22023 if it is negative */
extern int64 group_check_msg_id(int64 msg_id);

/*
 * The point in time `interval` after now.  Fails with 22023, naming the
 * argument, if the interval is negative, or if it is zero and zero is not
 * allowed.
 */
extern TimestampTz group_add_interval(TimestampTz now, const Interval *interval,
									  const char *argname, bool zero_allowed);

/*
 * Return an argument of type int8[], sorted and without duplicates.  Fails
 * with 22004 if it is null or has null elements.
 */
extern int64 *group_get_msg_ids_arg(FunctionCallInfo fcinfo, int argno, int *n);

#endif
