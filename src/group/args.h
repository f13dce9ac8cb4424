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

#include "group/catalog.h"

/*
 * Every function that changes a group begins here: 55000 if the library was not
 * loaded at server start, 25006 in a read-only transaction or on a standby.
 */
extern void args_begin_change(const char *funcname);

/* 22004 naming the argument if it is null */
extern void args_require(FunctionCallInfo fcinfo, int argno, const char *argname);

/* arguments 0 and 1: the stream, opened, and the name of the group */
extern Relation args_open_stream(FunctionCallInfo fcinfo);
extern char *args_get_group_name(FunctionCallInfo fcinfo);

/* both, and the group: it exists and the current user may use it */
extern Relation args_open_group(FunctionCallInfo fcinfo, char **name, Group *group);

/* a message id: 22023 if it is negative */
extern int64 args_check_msg_id(int64 msg_id);

/*
 * The point in time `interval` after now; 22023 naming the argument if the
 * interval is negative, or zero unless that is allowed.
 */
extern TimestampTz args_add_interval(TimestampTz now, const Interval *interval,
									 const char *argname, bool zero_allowed);

/* a message id array argument, sorted and without duplicates; 22004 for null elements */
extern int64 *args_get_msg_ids(FunctionCallInfo fcinfo, int argno, int *n);

#endif
