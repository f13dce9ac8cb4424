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

/*
 * columns: [window_start, window_end, [due,]] group_hash, key_n …, agg_n …,
 * sealed.  Only windows that merge have "due" (sessions.c).
 */
#define VIEW_STATE_DUE_ATTNO	3

/* a group in memory, in one window */
typedef struct ViewStateGroup
{
	struct ViewStateGroup *next;	/* next in the hash bucket */
	uint64		hash;			/* hash of the keys, as stored */
	uint64		bucket_hash;	/* hash of keys and window */
	Timestamp	window_start;
	Timestamp	window_end;
	Timestamp	due;			/* of windows that merge */
	Datum	   *keys;
	Datum	   *toasted;		/* TOAST pointers to the stored keys; 0: not
								 * external */
	bool	   *nulls;
	ViewAggValue *aggs;
	bool		stored;			/* has a row at tid */
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

/* an open state table, with the groups of a round in memory */
typedef struct ViewStateTable
{
	Relation	rel;
	Oid			index;
	Oid			due_index;		/* of windows that merge */
	bool		windowed;
	bool		merging;		/* its windows merge (sessions.c) */
	AttrNumber	first;			/* column of the hash, before those of keys */
	int			nkeys;
	ViewStateKey *keys;
	ViewAggSet *aggs;
	ViewStateGroup **buckets;
	uint32		nbuckets;
	uint32		ngroups;
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

extern ViewStateTable *view_state_open(Relation rel, ViewQuery *vq, ViewAggSet *aggs);

/*
 * Find the group with these values: in memory, in the table, or a new one with
 * initial states.  The values are copied.
 */
extern ViewStateGroup *view_state_find_group(ViewStateTable *state, Timestamp start, Timestamp end,
											 Datum *keys, bool *nulls);

/* write all groups in memory to the table */
extern void view_state_flush(ViewStateTable *state);

/*
 * Count the windows with rows that end in (from, to].  first_start is the
 * start of the window that contains `from`.  With `all`, count every window
 * that ends at or before `to`.
 */
extern int64 view_state_count_windows(ViewStateTable *state, bool all, Timestamp first_start,
									  Timestamp from, Timestamp to);

#endif
