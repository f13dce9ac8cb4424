/*
 * messages.h
 *	  Collecting messages that are consumed; group.h has what is done with them.
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
 * A registered snapshot for reading messages.  It is new, also under REPEATABLE
 * READ: it sees everything that a position read before is based on.  A
 * SERIALIZABLE transaction reads by its own snapshot.
 */
extern Snapshot group_message_snapshot(void);

/*
 * In the current memory context; typed: of consume_as().  The caller wants these columns
 * (MESSAGE_COLUMN) of the others.
 */
extern GroupMessages *group_messages_create(bool typed, uint32 wanted);

/*
 * Can the message be returned?  If not, it is not to be handed out, nor what is behind it;
 * group_messages_throw raises its error if nothing else was added, else it warns.
 */
extern bool group_messages_try(GroupMessages *messages, Relation rel, TupleTableSlot *slot,
							   const LogKeptRow *row);
extern void group_messages_throw(GroupMessages *messages);

/* the row's note is the number of its deliveries */
extern void group_messages_add(GroupMessages *messages, Relation rel, TupleTableSlot *slot,
							   const LogKeptRow *row);
extern int	group_messages_count(const GroupMessages *messages);

#endif
