/*
 * state_table.h
 *	  The state table of a continuous view: one row for each window and
 *	  group.
 */
#ifndef STREAMQ_VIEW_STATE_TABLE_H
#define STREAMQ_VIEW_STATE_TABLE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

#include "view/agg.h"
#include "view/analyze.h"
#include "view/keyhash.h"

/* name of a state table, with the job's id */
#define VIEW_STATE_TABLE_NAME	"view_state_%d"

/* the trigger that refuses changes of the table */
#define VIEW_STATE_TRIGGER		"refuse_change"

/*
 * columns: [window_start, window_end, [counts_after | due,]] group_hash,
 * key_n …, agg_n …, sealed [, chunk]
 *
 * If windows are sliced, window_start and window_end are those of a slice.
 * Then counts_after is usually -infinity.  Otherwise the row counts only for
 * windows that end later than that: its messages are late for the others.
 *
 * Only windows that merge have "due" (sessions.c).  There is a column "chunk"
 * if some aggregates collect their input.  It is NULL in the rows of groups,
 * and has the contents of chunks (chunks.c).
 */
#define VIEW_STATE_COUNTS_AFTER_ATTNO	3
#define VIEW_STATE_DUE_ATTNO	3

/* a group in memory, in one window */
typedef struct ViewStateGroup
{
	uint64		hash;			/* hash of the keys, as stored */
	uint64		bucket_hash;	/* hash of keys and window */
	Timestamp	window_start;
	Timestamp	window_end;
	Timestamp	counts_after;	/* of slices; otherwise -infinity */
	Timestamp	due;			/* of windows that merge */
	Datum	   *keys;
	Datum	   *toasted;		/* TOAST pointers to the stored keys; 0: not
								 * external */
	bool	   *nulls;
	ViewAggValue *aggs;
	bool		stored;			/* has a row at tid */
	bool		removed;		/* has no row, because HAVING hides it */
	ItemPointerData tid;
} ViewStateGroup;

/* a key column */
typedef struct ViewStateKey
{
	Oid			collation;
	int16		len;
	bool		byval;
	ViewKeyHash *hash;			/* NULL if no hash agrees with the equality of
								 * GROUP BY */
	FmgrInfo	eq;
} ViewStateKey;

/* a place in the hash table of groups; in a sorted list, all are used */
typedef struct ViewStateEntry
{
	uint64		bucket_hash;
	ViewStateGroup *group;		/* NULL: free */
} ViewStateEntry;

/* an open state table, with the groups of a round in memory */
typedef struct ViewStateTable
{
	Relation	rel;
	Oid			index;
	Oid			due_index;		/* of windows that merge */
	bool		windowed;
	bool		collects;		/* has a column for chunks */
	int			sealed;			/* column, counted from 0 */
	bool		sliced;
	bool		merging;		/* its windows merge (sessions.c) */
	bool		partial;		/* stored states are left to the leader of the
								 * round (parts.c) */
	int			hidden_by;		/* aggregate; -1: none (ViewQuery) */
	AttrNumber	first;			/* column of the hash, before those of keys */
	int			nkeys;
	ViewStateKey *keys;
	ViewAggSet *aggs;
	ViewStateEntry *groups;		/* open addressing, with linear probing */
	uint32		nplaces;		/* a power of two */
	uint32		ngroups;
	ViewWindow	last_window;	/* of the last look-up */
	Timestamp	last_counts_after;
	uint64		last_window_hash;
	char	   *free_space;		/* for new groups */
	Size		free_bytes;
	bool		has_last_start;
	Timestamp	last_start;		/* greatest start of a stored window */
	bool		loading;		/* a stored state is being loaded */
	MemoryContext mcxt;
} ViewStateTable;

/* create streamq.view_state_<job_id>, readable by role; returns its OID */
extern Oid	view_state_create(ViewQuery *vq, int32 job_id, Oid role);

/* owner of the extension, which owns the state tables */
extern Oid	view_state_owner(void);
extern void view_state_grant(Oid state, Oid role, bool grant);

/* columns: the hash; a key or aggregate, counted from 0 */
extern AttrNumber view_state_first_attno(ViewQuery *vq);
extern AttrNumber view_state_key_attno(ViewQuery *vq, int i);
extern AttrNumber view_state_agg_attno(ViewQuery *vq, int i);

/* the column `chunk`; InvalidAttrNumber: there is none */
extern AttrNumber view_state_chunk_attno(ViewQuery *vq);
extern int	view_state_natts(ViewQuery *vq);

/* does a state table have the columns that it would be created with now? */
extern bool view_state_fits(ViewQuery *vq, Relation rel);

/*
 * the index on the window's start and the hash of the keys; on the hash first
 * if windows merge
 */
extern Oid	view_state_index(Relation rel, ViewQuery *vq);

extern ViewStateTable *view_state_open(Relation rel, ViewQuery *vq, ViewAggSet *aggs);

/*
 * Find the group with these values: in memory, in the table, or a new one with
 * initial states.  The values are copied.
 */
extern ViewStateGroup *view_state_find_group(ViewStateTable *state, const ViewWindow *window,
											 Timestamp counts_after, Datum *keys, bool *nulls);

/* write all groups in memory to the table */
extern void view_state_flush(ViewStateTable *state);

/*
 * Count the windows with rows that end in (from, to].  first_start is the
 * start of the window that contains `from`.  With `all`, count every window
 * that ends at or before `to`.
 */
extern int64 view_state_count_windows(ViewStateTable *state, bool all, Timestamp first_start,
									  Timestamp from, Timestamp to);

/* the same if the rows are of slices (state_slices.c) */
extern int64 view_state_count_sliced_windows(ViewStateTable *state, const ViewWindowSpec *spec,
											 bool all, Timestamp first_start,
											 Timestamp from, Timestamp to);

#endif
