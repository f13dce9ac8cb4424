/*
 * ordered_version.h
 *	  Versions of a group's state on its page: what gives the state the
 *	  semantics of transactions.
 *
 * The page is changed in place and at once, so it keeps, beside the state of a
 * transaction that has not ended, the states to go back to.  A version counts if
 * its transaction committed or is the reader's own; from the newest one down
 * the first that counts is the state.
 *
 * Only who holds the heavyweight lock of the group and partition to the end of
 * the transaction pushes versions, so all that are undecided belong to one
 * top-level transaction.
 */
#ifndef STREAMQ_GROUP_ORDERED_VERSION_H
#define STREAMQ_GROUP_ORDERED_VERSION_H

#include "postgres.h"

#include "access/transam.h"
#include "utils/snapshot.h"

#include "group/ordered_state.h"
#include "log/state_page.h"

/*
 * The state that counts for the current transaction: false if there is none.
 * *blob points into data.
 */
extern bool group_ordered_version_find(const char *data, int len,
									   const char **blob, int *bloblen);

/*
 * The state as an older snapshot sees it; false if nothing is known about that.  What was
 * acknowledged out of order is missing where only the position is known.
 */
extern bool group_ordered_version_seen(const char *data, int len, Snapshot snapshot,
									   OrderedState *state);

/* is there a version of a transaction that this backend is still in? */
extern bool group_ordered_version_is_pending(const char *data, int len);

/*
 * New bytes of the page in `result` (LOG_STATE_MAX bytes), returns their
 * length.  The new version is the current (sub)transaction's: it gets an xid.
 * Versions nobody can come back to are left out.  54000 if savepoints are
 * nested too deeply for the page.
 */
extern int	group_ordered_version_push(const char *data, int len,
									   const char *blob, int bloblen, char *result);

/*
 * The same for a state that is true whatever becomes of the transaction.  xid is
 * that of the version it comes from (group_ordered_version_xid).
 */
extern int	group_ordered_version_make_settled(TransactionId xid, const char *data, int len,
											   const char *blob, int bloblen, char *result);

/*
 * Who wrote the state that counts for the current transaction: InvalidTransactionId
 * if that was before anybody's time.
 */
extern TransactionId group_ordered_version_xid(const char *data, int len);

/* what the log does with the pages: for GroupMode */
#define GROUP_ORDERED_PAGE_KIND	1
extern const LogStateKind group_ordered_pages;

#endif
