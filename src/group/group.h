/*
 * group.h
 *	  Consumer groups: start-up of the part, and consuming for who plans it in
 *	  FROM.  Its other entry points are SQL functions.
 */
#ifndef STREAMQ_GROUP_H
#define STREAMQ_GROUP_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/rel.h"

extern void group_init(void);	/* from _PG_init: state callbacks, hooks */

/*
 * The stream was dropped in this transaction: remove its groups' catalog rows.
 */
extern void group_stream_dropped(Oid relid);

/*
 * After pg_upgrade PostgreSQL does not know the roles of groups: tell it of all that it does
 * not know.
 */
extern void group_record_roles(void);

/*
 * Messages that were consumed: leased, or acknowledged at once.  They are copies:
 * what happens to the stream or the group does not concern them.
 */
typedef struct GroupMessages GroupMessages;

/* columns of streamq.consume_as(); those of streamq.consume() are a message's */
#define GROUP_TYPED_NATTS	6

/*
 * What streamq.consume() does, with its seven arguments, if these columns are wanted (see
 * MESSAGE_COLUMN); with a row type, streamq.consume_as() for the stream of that type.  The
 * result is in the current memory context.
 */
extern GroupMessages *group_consume(FunctionCallInfo fcinfo, uint32 wanted);
extern GroupMessages *group_consume_as(FunctionCallInfo fcinfo, Oid row_type);

/*
 * The next of them, as a row of the function's result, with the columns that are
 * wanted.  The values are good until the next call, or the reset of the current
 * memory context.  False at the end.
 */
extern bool group_messages_next(GroupMessages *messages, uint32 wanted,
								Datum *values, bool *nulls);
extern void group_messages_rewind(GroupMessages *messages);
extern void group_messages_end(GroupMessages *messages);

/* SQL functions that the planner knows */
extern PGDLLEXPORT Datum streamq_consume(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum streamq_consume_as(PG_FUNCTION_ARGS);

#endif
