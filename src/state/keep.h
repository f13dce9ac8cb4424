/*
 * keep.h
 *	  Which versions may still be needed by a snapshot?
 */
#ifndef STREAMQ_STATE_KEEP_H
#define STREAMQ_STATE_KEEP_H

#include "postgres.h"

#include "access/transam.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/*
 * What is known about one snapshot, in the sequence of the table's
 * transactions: it sees all before `low`, and none from `high` on.  Without a
 * high, it may see any.
 */
typedef struct StateRange
{
	TransactionId low;
	TransactionId high;
} StateRange;

typedef struct StateKeep
{
	StateRange *ranges;
	int			nranges;

	/* the last answer */
	TransactionId xmin;
	TransactionId xmax;
	bool		needed;
} StateKeep;

/*
 * Look at all snapshots of the server.  To be called by a writer, with the
 * transaction id that it will write.
 */
extern StateKeep *state_keep_create(Relation rel, TransactionId xid);

/*
 * May a version be needed that committed transactions made and replaced?
 */
extern bool state_keep_needs(StateKeep *keep, TransactionId xmin, TransactionId xmax);

/* Is the snapshot one that the backend's xmin does not tell of? */
extern bool state_keep_is_newer(Snapshot snapshot);

/* Tell writers how the snapshot of a scan relates to others of the backend. */
extern void state_keep_note_snapshot(Snapshot snapshot);

extern void state_keep_shmem_request(void);
extern void state_keep_shmem_startup(void);

#endif
