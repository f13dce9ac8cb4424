/*
 * messages.h
 *	  Collecting messages that are consumed; group.h has what is done with them.
 */
#ifndef STREAMQ_GROUP_MESSAGES_H
#define STREAMQ_GROUP_MESSAGES_H

#include "postgres.h"

#include "group/group.h"
#include "log/log.h"

/* in the current memory context; typed: of consume_as() */
extern GroupMessages *group_messages_create(bool typed);

/* the row's note is the number of its deliveries */
extern void group_messages_add(GroupMessages *messages, Relation rel, TupleTableSlot *slot,
							   const LogKeptRow *row);
extern int	group_messages_count(const GroupMessages *messages);

#endif
