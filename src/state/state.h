/*
 * state.h
 *	  State tables: rows that are updated in place and read under MVCC.
 *
 * A state table is a relation with the access method "streamq_state".  One
 * job at a time writes it, with the functions below.  Everybody may read it
 * with ordinary scans.  README.md describes the format, and which versions of
 * a row are kept.
 */
#ifndef STREAMQ_STATE_H
#define STREAMQ_STATE_H

#include "postgres.h"

#include "access/htup.h"
#include "catalog/pg_class.h"
#include "nodes/plannodes.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#define STATE_ACCESS_METHOD	"streamq_state"

typedef struct StateWriter StateWriter;

extern void state_shmem_request(void);
extern void state_shmem_startup(void);

/* is the relation a state table? */
extern bool state_is_table(Relation rel);

/* The same for its row of pg_class: it is neither opened nor locked. */
extern bool state_is_table_class(Form_pg_class form);

/*
 * To be called when a plan starts: if it reads a state table with a snapshot
 * that is not the oldest of this backend, tell writers.
 */
extern void state_note_plan(PlannedStmt *plan, Snapshot snapshot);

/*
 * Begin to write in the current transaction.  The caller holds a lock until
 * the transaction ends, so that transactions that change existing rows of the
 * table follow one another.  The transaction id must be one that was assigned
 * while the lock was held: a caller that may have one already starts a
 * subtransaction.
 *
 * Changes are collected, and made by state_flush_writes() or
 * state_end_write(), page after page.  The writer is in CurrentMemoryContext.
 */
extern StateWriter *state_begin_write(Relation rel);

/* Insert a row.  When it is done, its TID is stored in *tid unless NULL. */
extern void state_insert(StateWriter *writer, HeapTuple tuple, ItemPointer tid);

/*
 * Replace or delete the row at a TID, which never changes.  The values of
 * indexed columns must be the same as before.  A row may be changed once
 * between two calls of state_flush_writes().
 */
extern void state_update(StateWriter *writer, ItemPointer tid, HeapTuple tuple);
extern void state_delete(StateWriter *writer, ItemPointer tid);

extern void state_flush_writes(StateWriter *writer);
extern void state_end_write(StateWriter *writer);

/*
 * Return a copy of the row at a TID, as the snapshot sees it, or NULL.  The
 * TID may be a guess.
 */
extern HeapTuple state_fetch(Relation rel, ItemPointer tid, Snapshot snapshot);

#endif
