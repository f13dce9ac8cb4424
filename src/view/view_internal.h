/*
 * view_internal.h
 *	  What the files of view/ share: the analyzed query of a
 *	  continuous view, its aggregates, its state table, its catalog rows.
 */
#ifndef STREAMQ_VIEW_INTERNAL_H
#define STREAMQ_VIEW_INTERNAL_H

#include "postgres.h"

#include "access/htup.h"
#include "datatype/timestamp.h"
#include "executor/nodeAgg.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "nodes/parsenodes.h"
#include "utils/rel.h"
#include "utils/array.h"
#include "utils/snapshot.h"

#include "job/job.h"
#include "job/job_catalog.h"
#include "view/window.h"

/* ---- analyze.c: from query text to what the job has to do ---- */

/* one GROUP BY expression that is not the window's start or end */
typedef struct ViewKey
{
	Expr	   *expr;
	Oid			type;
	int32		typmod;
	Oid			collation;
	Oid			eqop;
} ViewKey;

typedef struct ViewAgg
{
	Aggref	   *aggref;
	Oid			transtype;		/* polymorphic types resolved */
	bool		internal;		/* state is kept in serialized form */
	Oid			storedtype;		/* type of the state column */
	Oid			storedcollation;
} ViewAgg;

typedef struct ViewQuery
{
	Query	   *query;			/* as analyzed, group references expanded */
	Oid			source;			/* the stream */
	Index		source_rti;
	Index		window_rti;		/* 0: no window function, one window for ever */
	Expr	   *event_time;
	Oid			event_type;		/* timestamptz or timestamp */
	WindowSize	size;
	Timestamp	origin;
	Expr	   *where;			/* NULL: all rows */
	List	   *keys;			/* of ViewKey */
	List	   *aggs;			/* of ViewAgg, no two equal */
	bool		single_group;	/* no GROUP BY: one row even without input */
} ViewQuery;

/*
 * Parse and analyze the text as the query of a continuous view, with the
 * session's search_path.  Anything but one SELECT is ERRCODE_SYNTAX_ERROR.
 */
extern Query *view_parse_query(const char *text);

/*
 * Find stream, window, keys and aggregates.  What a continuous view cannot do
 * is refused by name: ERRCODE_FEATURE_NOT_SUPPORTED, or WRONG_OBJECT_TYPE for
 * a source that is no stream.  The query's relations must be locked.
 */
extern ViewQuery *view_analyze(Query *query);

/*
 * role may read what the query reads, else ERRCODE_INSUFFICIENT_PRIVILEGE; row-level
 * security that would apply to it is ERRCODE_FEATURE_NOT_SUPPORTED.
 */
extern void view_check_access(ViewQuery *vq, Oid role);

/* columns of the window function's result, and of the state table */
#define WINDOW_START_ATTNO	1
#define WINDOW_END_ATTNO	2

/* ---- agg.c: aggregates outside an Agg node ---- */

typedef struct AggCall
{
	Oid			collation;
	int			nargs;			/* without the state */
	ExprState **args;			/* NULL when only finishing */
	ExprState  *filter;
	Oid			transtype;
	bool		internal;
	int16		translen;
	bool		transbyval;
	Datum		initvalue;
	bool		initnull;
	Oid			deserialfn_oid;
	uint32		argtypes_hash;
	FmgrInfo	transfn;
	FmgrInfo	combinefn;
	FmgrInfo	serialfn;
	FmgrInfo	deserialfn;
	FunctionCallInfo trans_fcinfo;
	AggStatePerTransData pertrans;	/* what AggGetAggref and friends look at */
} AggCall;

/* the state of one aggregate for one group */
typedef struct AggValue
{
	Datum		value;
	bool		isnull;
	bool		none;			/* strict, no initial value, no input yet */
} AggValue;

typedef struct AggSet
{
	int			ncalls;
	AggCall    *calls;
	AggState   *aggstate;		/* makes AggCheckCallContext true */
	ExprContext *aggcontext;	/* states live here */
	ExprContext *tmpcontext;
} AggSet;

/*
 * Compile an expression over rows: Vars of the stream refer to the scan
 * slot, those of the window function to the inner slot.
 */
extern ExprState *view_compile_expression(ViewQuery *vq, Expr *expr);

/*
 * Set up the aggregate calls of a view in the current memory context.  Checks
 * EXECUTE of the current user as the executor does.
 */
extern AggSet *view_agg_set_create(ViewQuery *vq);
extern void view_agg_init(AggSet *set, AggValue *values);
extern void view_agg_advance(AggSet *set, AggValue *values, ExprContext *econtext);

/* to and from the state column; sealed: NULL that input does not change */
extern Datum view_agg_save(AggSet *set, int i, AggValue *value, bool *isnull, bool *sealed);
extern void view_agg_load(AggSet *set, int i, AggValue *value, Datum stored, bool isnull, bool sealed);

/* type of serialized states, streamq.aggregate_state */
extern Oid	view_agg_state_type(void);

/* ---- state.c: the state table ---- */

typedef struct StateGroup
{
	struct StateGroup *next;	/* in its hash bucket */
	uint64		hash;			/* of the keys, as stored */
	uint64		bucket_hash;	/* of keys and window */
	Timestamp	window_start;
	Timestamp	window_end;
	Datum	   *keys;
	Datum	   *toasted;		/* as they are in the table; 0: not apart from
								 * the row */
	bool	   *nulls;
	AggValue   *aggs;
	bool		stored;			/* has a row, at tid */
	ItemPointerData tid;
} StateGroup;

typedef struct KeyHash KeyHash;

typedef struct StateKey
{
	Oid			collation;
	int16		len;
	bool		byval;
	KeyHash    *hash;			/* NULL: none that agrees with what GROUP BY
								 * takes for equal */
	FmgrInfo	eq;
} StateKey;

typedef struct StateTable
{
	Relation	rel;
	Oid			index;
	bool		windowed;
	int			nkeys;
	StateKey   *keys;
	AggSet	   *aggs;
	StateGroup **buckets;
	uint32		nbuckets;
	uint32		ngroups;
	bool		loading;		/* a stored state is being taken */
	MemoryContext mcxt;
} StateTable;

/* create streamq.view_state_<job_id>, readable by role; returns its OID */
extern Oid	view_state_create(ViewQuery *vq, int32 job_id, Oid role);

/* owner of the extension: state tables belong to it */
extern Oid	view_state_owner(void);
extern void view_state_grant(Oid state, Oid role, bool grant);

/* column of a key or aggregate, counted from 0 */
extern AttrNumber view_state_key_attno(ViewQuery *vq, int i);
extern AttrNumber view_state_agg_attno(ViewQuery *vq, int i);

extern StateTable *view_state_open(Relation rel, ViewQuery *vq, AggSet *aggs);

/* from memory, from the table, or new with initial states; copies the values */
extern StateGroup *view_state_find_group(StateTable *state, Timestamp start, Timestamp end,
										 Datum *keys, bool *nulls);

/* write all groups in memory to the table */
extern void view_state_flush(StateTable *state);

/*
 * How many windows with rows end in (from, to]; `from` lies in the window that
 * begins at first_start.  all: every window that ends by `to`.
 */
extern int64 view_state_count_windows(StateTable *state, bool all, Timestamp first_start,
									  Timestamp from, Timestamp to);

/* ---- keyhash.c: hash values of grouping keys, as they are stored ---- */

/* NULL if the type has none */
extern KeyHash *view_key_hash_create(Oid type, Oid collation);
extern uint64 view_key_hash(KeyHash *hash, Datum value);

/* is the rowtype the type, or in it? */
extern bool view_key_type_contains(Oid type, Oid rowtype);

/* ---- batch.c ---- */

/* JobKind.run */
extern JobBatchResult view_run_batch(int32 job_id, int64 max_rows, bool wait, int64 *rows);

/* ---- rebuild.c ---- */

/* can this server work with the query and the state as they are stored? */
extern bool view_is_current(JobRow *job);

/*
 * Make a job current (view_is_current): analyze its query, empty the view's
 * state, and begin at the first message.  False if a restore has not completed
 * the state table yet.  The caller has locked the job.
 */
extern bool view_rebuild(JobRow *job, Relation state, Oid owner);

extern void view_record_dependencies(Oid view, Oid state, Query *query);
extern void view_store_single_group(ViewQuery *vq, Oid state_oid);

#endif
