/*
 * change.h
 *	  Changing a row: what the new bytes are.
 */
#ifndef STREAMQ_STATE_CHANGE_H
#define STREAMQ_STATE_CHANGE_H

#include "postgres.h"

#include "access/htup.h"
#include "storage/bufpage.h"

#include "state/keep.h"
#include "state/state_row.h"

/* what a transaction id means to a writer or VACUUM */
typedef enum StateFate
{
	STATE_XID_ABORTED,
	STATE_XID_COMMITTED,
	STATE_XID_OWN,				/* of this transaction */
	STATE_XID_RUNNING			/* of another transaction that is running */
} StateFate;

#define STATE_FATE_CACHE	16

/* who changes rows */
typedef struct StateChanger
{
	TransactionId xid;			/* writes new versions; invalid for VACUUM */
	StateKeep  *keep;			/* of a writer */
	TransactionId oldest_xmin;	/* of VACUUM */

	/*
	 * The newest transaction whose changes replaced a removed version.  A
	 * snapshot on a standby that does not see it may need that version.
	 */
	TransactionId removed;

	TransactionId wait_for;		/* a running transaction changed the row */

	TransactionId xids[STATE_FATE_CACHE];
	StateFate	fates[STATE_FATE_CACHE];
} StateChanger;

typedef union StateRowBuffer
{
	char		data[BLCKSZ];
	StateRow	row;
	int64		force_align;
} StateRowBuffer;

extern StateFate state_fate(StateChanger *changer, TransactionId xid);

/* Can nobody need the version any more? */
extern bool state_is_garbage(StateChanger *changer, StateVersion *v);

/* The version that a writer replaces, or NULL if the row is deleted. */
extern StateVersion *state_newest_version(StateChanger *changer, StateRow *row);

/*
 * Copy a row without garbage.  Returns the size of the copy, or 0 if there was
 * no garbage.
 */
extern Size state_prune_row(StateChanger *changer, StateRow *row, StateRowBuffer *to);

/*
 * Add a version to a row.  If the bytes of a version that nobody needs can be
 * overwritten, that is done in the row itself, and 0 returned.  Otherwise the
 * new row is written to `to`, and its size returned.
 */
extern Size state_add_version(StateChanger *changer, StateRow *row, HeapTuple tuple,
							  StateRowBuffer *to);

/* Mark a row as deleted. */
extern void state_mark_deleted(StateChanger *changer, StateRow *row);

/* Form a row with one version.  Returns its size. */
extern Size state_form_row(TransactionId xid, HeapTuple tuple, StateRowBuffer *to);

/* Form a row at another place than its home.  Returns its size. */
extern Size state_form_moved(StateRow *row, Size size, ItemPointer home, StateRowBuffer *to);

/* Remove the garbage of all rows of a page; false if there was none. */
extern bool state_prune_page(StateChanger *changer, Page page);

#endif
