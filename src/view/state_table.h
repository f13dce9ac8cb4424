/*
 * state_table.h
 *	  The state table of a continuous view: one row for each window and group.
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

/* name of a state table, by the number of its job */
#define VIEW_STATE_TABLE_NAME	"view_state_%d"

/* columns: [window_start, window_end,] group_hash, key_n …, agg_n …, sealed */
#define VIEW_STATE_FIRST_ATTNO(windowed)	((windowed) ? 3 : 1)

typedef struct ViewStateGroup
{
	struct ViewStateGroup *next;	/* in its hash bucket */
	uint64		hash;			/* of the keys, as stored */
	uint64		bucket_hash;	/* of keys and window */
	Timestamp	window_start;
	Timestamp	window_end;
	Datum	   *keys;
	Datum	   *toasted;		/* as they are in the table; 0: not apart from
								 * the row */
	bool	   *nulls;
	ViewAggValue *aggs;
	bool		stored;			/* has a row, at tid */
	ItemPointerData tid;
} ViewStateGroup;

typedef struct ViewStateKey
{
	Oid			collation;
	int16		len;
	bool		byval;
	ViewKeyHash *hash;			/* NULL: none that agrees with what GROUP BY
								 * takes for equal */
	FmgrInfo	eq;
} ViewStateKey;

typedef struct ViewStateTable
{
	Relation	rel;
	Oid			index;
	bool		windowed;
	int			nkeys;
	ViewStateKey *keys;
	ViewAggSet *aggs;
	ViewStateGroup **buckets;
	uint32		nbuckets;
	uint32		ngroups;
	bool		loading;		/* a stored state is being taken */
	MemoryContext mcxt;
} ViewStateTable;

/* create streamq.view_state_<job_id>, readable by role; returns its OID */
extern Oid	view_state_create(ViewQuery *vq, int32 job_id, Oid role);

/* owner of the extension: state tables belong to it */
extern Oid	view_state_owner(void);
extern void view_state_grant(Oid state, Oid role, bool grant);

/* column of a key or aggregate, counted from 0 */
extern AttrNumber view_state_key_attno(ViewQuery *vq, int i);
extern AttrNumber view_state_agg_attno(ViewQuery *vq, int i);

extern ViewStateTable *view_state_open(Relation rel, ViewQuery *vq, ViewAggSet *aggs);

/*
 * The group of these values: from memory, from the table, or new with initial
 * states.  Values are copied.
 */
extern ViewStateGroup *view_state_find_group(ViewStateTable *state, Timestamp start, Timestamp end,
											 Datum *keys, bool *nulls);

/* write all groups in memory to the table */
extern void view_state_flush(ViewStateTable *state);

/*
 * How many windows with rows end in (from, to]; `from` lies in the window that
 * begins at first_start.  all: every window that ends by `to`.
 */
extern int64 view_state_count_windows(ViewStateTable *state, bool all, Timestamp first_start,
									  Timestamp from, Timestamp to);

#endif
