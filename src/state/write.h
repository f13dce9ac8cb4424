/*
 * write.h
 *	  Writing a state table.
 */
#ifndef STREAMQ_STATE_WRITE_H
#define STREAMQ_STATE_WRITE_H

#include "postgres.h"

#include "access/htup.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

#include "state/change.h"

/*
 * Insert n rows and set their t_self.  The rows fit on a page.  Indexes are
 * up to the caller.
 */
extern void state_put_rows(Relation rel, HeapTuple *tuples, int n);

/* Log that replaced versions are about to be removed. */
extern void state_log_conflict(Relation rel, TransactionId xid);

#endif
