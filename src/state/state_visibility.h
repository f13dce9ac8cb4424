/*
 * state_visibility.h
 *	  Which version of a row does a snapshot see?
 */
#ifndef STREAMQ_STATE_VISIBILITY_H
#define STREAMQ_STATE_VISIBILITY_H

#include "postgres.h"

#include "utils/rel.h"
#include "utils/snapshot.h"

#include "state/state_row.h"

/*
 * A snapshot, and what it has been asked.  The rows of a table were written by
 * few transactions.
 */
#define STATE_EYE_CACHE	16

typedef struct StateEye
{
	Snapshot	snapshot;
	TransactionId xids[STATE_EYE_CACHE];
	bool		seen[STATE_EYE_CACHE];
} StateEye;

extern void state_eye_init(StateEye *eye, Snapshot snapshot);
extern bool state_eye_sees(StateEye *eye, TransactionId xid);

/*
 * Return the version that the snapshot sees, or NULL.  Fails with
 * ERRCODE_SNAPSHOT_TOO_OLD if it was removed.
 */
extern StateVersion *state_visible_version(Relation rel, StateEye *eye, StateRow *row);

#endif
