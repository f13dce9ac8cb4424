/*
 * backlog.h
 *	  How far the groups of a stream are behind, and what producers do about
 *	  it: the backlog policy of the stream.
 */
#ifndef STREAMQ_GROUP_BACKLOG_H
#define STREAMQ_GROUP_BACKLOG_H

#include "postgres.h"

#include "utils/rel.h"

/*
 * Hooks of the log (log_enter_hook, log_leave_hook): wait for the stream's
 * max_rate, then for room by its backlog policy, or fail.  Until leave, nobody
 * counts the room.
 */
extern void group_backlog_enter(Relation rel, int64 nrows);
extern void group_backlog_leave(Relation rel);

#endif
