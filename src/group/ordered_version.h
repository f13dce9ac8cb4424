/*
 * ordered_version.h
 *	  Versions of a group's state on its page, which make the state
 *	  transactional.
 *
 * The page is changed in place, and at once, so a rollback would not restore
 * it. Therefore the page also has the states to return to.  A version is valid
 * if its transaction committed, or is the reader's own.  The newest valid
 * version is the state.
 *
 * Only the holder of the heavyweight lock of (group, partition) adds versions,
 * and the lock is held until the end of the transaction.  So all versions that
 * are not decided yet belong to one top-level transaction.
 */
#ifndef STREAMQ_GROUP_ORDERED_VERSION_H
#define STREAMQ_GROUP_ORDERED_VERSION_H

#include "postgres.h"

#include "access/transam.h"
#include "utils/snapshot.h"

#include "group/ordered_state.h"
#include "log/state_page.h"

/*
 * Find the state for the current transaction; false if there is none.  *blob
 * points into data.
 */
extern bool group_ordered_version_find(const char *data, int len,
									   const char **blob, int *bloblen);

/*
 * The state as seen by an older snapshot; false if it is not known.  Where
 * only the position is known, messages acknowledged out of order are missing.
 */
extern bool group_ordered_version_seen(const char *data, int len, Snapshot snapshot,
									   OrderedState *state);

/* is there a version of the current transaction? */
extern bool group_ordered_version_is_pending(const char *data, int len);

/*
 * Add a version for the current (sub)transaction, which gets an xid.  Versions
 * that can never be valid again are left out.  Writes the new bytes of the
 * page to `result` (LOG_STATE_MAX bytes) and returns their length.  Fails with
 * 54000 if savepoints are nested too deeply for the page.
 */
extern int	group_ordered_version_push(const char *data, int len,
									   const char *blob, int bloblen, char *result);

/*
 * Like group_ordered_version_push(), for a state that stays if the transaction
 * aborts.  xid is the writer of the version it is derived from
 * (group_ordered_version_xid).
 */
extern int	group_ordered_version_make_settled(TransactionId xid, const char *data, int len,
											   const char *blob, int bloblen, char *result);

/*
 * The transaction that wrote the current state; InvalidTransactionId if there
 * is no state, or if it is settled.
 */
extern TransactionId group_ordered_version_xid(const char *data, int len);

/* callbacks of the log for these pages (GroupMode.pages) */
#define GROUP_ORDERED_PAGE_KIND	1
extern const LogStateKind group_ordered_pages;

#endif
