/*
 * group.h
 *	  Consumer groups: initialization, events that concern groups, and
 *	  consuming from a scan node.  The other entry points are SQL functions.
 */
#ifndef STREAMQ_GROUP_H
#define STREAMQ_GROUP_H

#include "postgres.h"

#include "access/attnum.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "stream/message.h"

extern void group_init(void);	/* called by _PG_init: registers callbacks */
extern void group_shmem_request(void);
extern void group_shmem_startup(void);

/* shared memory (hooks of the same names) */
extern void group_shmem_request(void);
extern void group_shmem_startup(void);

/*
 * remove the catalog rows of the groups of a stream dropped in this
 * transaction
 */
extern void group_stream_dropped(Oid relid);

/*
 * A column of a stream was changed, or is about to be dropped.  Fails with
 * 2BP01 if the filter of a group uses it.
 */
extern void group_column_changed(Relation rel, AttrNumber attnum, bool dropped);

/*
 * pg_upgrade copies the rows of groups, but not their dependencies on roles
 * (pg_shdepend).  Record those that are missing.
 */
extern void group_record_roles(void);

/*
 * Consumed messages: leased to the consumer, or already acknowledged
 * (auto_ack).  They are copies, so later changes of the stream or the group do
 * not affect them.
 */
typedef struct GroupMessages GroupMessages;

/*
 * Columns of streamq.consume_as().  streamq.consume() returns MESSAGE_NATTS
 * columns.
 */
#define GROUP_TYPED_NATTS	6

/*
 * Consume as streamq.consume() or, with a row type, streamq.consume_as() does.
 * fcinfo has the arguments of the SQL function; group_consume_as() finds the
 * stream by the row type.  `wanted` says which columns the caller needs (see
 * MESSAGE_COLUMN).  The result is allocated in the current memory context.
 */
extern GroupMessages *group_consume(FunctionCallInfo fcinfo, uint32 wanted);
extern GroupMessages *group_consume_as(FunctionCallInfo fcinfo, Oid row_type);

/*
 * Return the next message as a row of the function's result, with the wanted
 * columns only; false at the end.  The values are valid until the next call,
 * or until the current memory context is reset.
 */
extern bool group_messages_next(GroupMessages *messages, uint32 wanted,
								Datum *values, bool *nulls);

/*
 * The same without forming values; not for consume_as().  The row is valid
 * until the next call.
 */
extern bool group_messages_fetch(GroupMessages *messages, MessageRow *row);
extern void group_messages_rewind(GroupMessages *messages);
extern void group_messages_end(GroupMessages *messages);

/*
 * Hooks of the log (log_enter_hook, log_leave_hook): wait for the stream's
 * max_rate, then for room by its backlog policy, or fail.  Until leave, nobody
 * counts the room.
 */
extern void group_backlog_enter(Relation rel, int64 nrows);
extern void group_backlog_leave(Relation rel);

/* log_room_hook: is there room by the backlog policy, or wait until there is */
extern bool group_backlog_room(Relation rel, int64 nrows, bool wait);

/* SQL functions that the planner recognizes by their addresses */
extern PGDLLEXPORT Datum streamq_consume(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum streamq_consume_as(PG_FUNCTION_ARGS);

#endif
