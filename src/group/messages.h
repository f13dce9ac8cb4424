/*
 * messages.h
 *	  Collecting consumed messages.  The functions that return them to the
 *	  caller are in group.h.
 */
#ifndef STREAMQ_GROUP_MESSAGES_H
#define STREAMQ_GROUP_MESSAGES_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "group/group.h"
#include "log/reader.h"

/*
 * A new registered snapshot for reading messages, even in REPEATABLE READ: it
 * must see every transaction on which the position read before is based.
 * SERIALIZABLE transactions use their own snapshot.
 */
extern Snapshot group_message_snapshot(void);

/*
 * Create an empty collection in the current memory context.  If typed, the
 * rows are those of consume_as(); otherwise `wanted` says which columns are
 * needed (MESSAGE_COLUMN).
 */
extern GroupMessages *group_messages_create(bool typed, uint32 wanted);

/*
 * Can the message be formed into a row of the result?  If not, neither this
 * message nor any after it may be handed out.  group_messages_throw() then
 * raises the error if the collection is empty, and a warning otherwise.
 */
extern bool group_messages_try(GroupMessages *messages, Relation rel, TupleTableSlot *slot,
							   const LogKeptRow *row);
extern void group_messages_throw(GroupMessages *messages);

/* add a message; the note of the row is its number of deliveries */
extern void group_messages_add(GroupMessages *messages, Relation rel, TupleTableSlot *slot,
							   const LogKeptRow *row);
extern int	group_messages_count(const GroupMessages *messages);

#endif
