/*
 * conflict.h
 *	  Recovery conflicts of changes that other access methods log.
 */
#ifndef STREAMQ_LOG_CONFLICT_H
#define STREAMQ_LOG_CONFLICT_H

#include "postgres.h"

#include "utils/rel.h"

/*
 * Log that the records that follow remove what a snapshot may need that does
 * not see the transaction.  A standby waits for such snapshots, or cancels
 * their queries.
 */
extern void log_conflict(Relation rel, TransactionId xid);

#endif
