/*
 * dead_letter.h
 *	  Dead letters: messages that a group will not get again.
 *
 * A message leaves its group if it was delivered too often, or if a consumer
 * rejects it.  If the group has a dead letter, which is a stream, the message
 * is written to it in the same transaction.  The same happens if the group's
 * filter fails for a message.  A group without a dead letter writes nothing.
 * With and without a dead letter, streamq.dead_lettered has the messages that
 * left the group, for redrive().
 *
 * The letter is written with the privileges of the group's owner.  If that is
 * impossible, the message stays in the group.
 */
#ifndef STREAMQ_GROUP_DEAD_LETTER_H
#define STREAMQ_GROUP_DEAD_LETTER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

#include "group/group_catalog.h"
#include "log/reader.h"

/*
 * Check that the current user may make `dead_letter` the dead letter of groups
 * of a stream, and that messages can be written to it.  Fails with 42501,
 * 42809, 42804 or 22023.
 */
extern void group_check_dead_letter(Relation rel, Oid dead_letter);

/*
 * Write the letter of one message, whose row is in the slot.  Returns false if
 * it cannot be written; then a warning has been raised.  row->note is not
 * used.
 */
extern bool group_write_letter(Relation rel, const ConsumerGroup *group, TupleTableSlot *slot,
							   const LogKeptRow *row, int32 deliveries, const char *reason);

/*
 * Mark messages as done that the caller may acknowledge, and write their
 * letters.  `reason` may be NULL: then it is the number of deliveries.
 * Returns how many were buried.  Messages whose letters cannot be written stay
 * as they are, and are returned in failed (room for n).
 */
extern int64 group_bury(Relation rel, const ConsumerGroup *group, int partition,
						const int64 *offsets, int n, const char *reason,
						int64 *failed, int *nfailed);

#endif
