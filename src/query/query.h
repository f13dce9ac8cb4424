/*
 * query.h
 *	  What the files of the query part share: the analyzed query of a
 *	  continuous view, its aggregates, its state table, its catalog rows.
 */
#ifndef STREAMQ_QUERY_H
#define STREAMQ_QUERY_H

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

#include "query/window.h"

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
extern AggSet *agg_set_create(ViewQuery *vq);
extern void agg_init(AggSet *set, AggValue *values);
extern void agg_advance(AggSet *set, AggValue *values, ExprContext *econtext);

/* to and from the state column; sealed: NULL that input does not change */
extern Datum agg_save(AggSet *set, int i, AggValue *value, bool *isnull, bool *sealed);
extern void agg_load(AggSet *set, int i, AggValue *value, Datum stored, bool isnull, bool sealed);

/* type of serialized states, streamq.aggregate_state */
extern Oid	agg_state_type(void);

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

#define STATE_TABLE_NAME	"view_state_%d"

/* create streamq.view_state_<job_id>, readable by role; returns its OID */
extern Oid	state_create(ViewQuery *vq, int32 job_id, Oid role);

/* owner of the extension: state tables belong to it */
extern Oid	state_owner(void);
extern void state_grant(Oid state, Oid role, bool grant);

/* column of a key or aggregate, counted from 0 */
extern AttrNumber state_key_attno(ViewQuery *vq, int i);
extern AttrNumber state_agg_attno(ViewQuery *vq, int i);

extern StateTable *state_open(Relation rel, ViewQuery *vq, AggSet *aggs);

/*
 * The group of these values: from memory, from the table, or new with initial
 * states.  Values are copied.
 */
extern StateGroup *state_find_group(StateTable *state, Timestamp start, Timestamp end,
									Datum *keys, bool *nulls);

/* write all groups in memory to the table */
extern void state_flush(StateTable *state);

/*
 * How many windows with rows end in (from, to]; `from` lies in the window that
 * begins at first_start.  all: every window that ends by `to`.
 */
extern int64 state_count_windows(StateTable *state, bool all, Timestamp first_start,
								 Timestamp from, Timestamp to);

/* ---- keyhash.c: hash values of grouping keys, as they are stored ---- */

/* NULL if the type has none */
extern KeyHash *key_hash_create(Oid type, Oid collation);
extern uint64 key_hash(KeyHash *hash, Datum value);

/* is the rowtype the type, or in it? */
extern bool key_type_contains(Oid type, Oid rowtype);

/* ---- tidcache.c: latest versions of rows that change all the time ---- */

extern HeapTuple tidcache_fetch(Relation rel, uint64 key, Snapshot snapshot);
extern void tidcache_store(Relation rel, uint64 key, ItemPointer tid);

/* ---- catalog.c: rows of streamq.job and what hangs on it ---- */

typedef struct JobRow
{
	int32		job_id;
	Oid			target;			/* the view */
	Oid			source;
	Oid			state;			/* its state table */
	bool		enabled;
	bool		drop_late;
	int64		delay;			/* watermark_delay, microseconds */
	int64		lateness;		/* microseconds */
	int32		format;
	Interval   *timeout;		/* for a batch; NULL: as the setting says */
	char	   *query;			/* as the user wrote it */
	char	   *query_tree;
	char	   *definition;		/* as a dump had it, or NULL */
	ArrayType  *settings;		/* name, value, name, value … */
} JobRow;

typedef struct JobStats
{
	int64		rows_processed;
	int64		late_rows;
	int64		lost_rows;		/* offsets that expired before they were read */
	int64		errors;
	bool		failing;		/* the last batch failed */
	char	   *last_error;
	bool		has_watermark;
	Timestamp	watermark;
} JobStats;

typedef struct JobProgress
{
	int			partition;
	int64		next_offset;	/* everything below has been processed */
	bool		has_event;
	Timestamp	max_event;		/* greatest event time so far */
	bool		changed;
	bool		stored;			/* has a row, at tid */
	ItemPointerData tid;
} JobProgress;

/* what of a stored query or state this build understands */
extern int32 job_format(void);

/* of a job that was restored and never ran */
#define JOB_FORMAT_RESTORED 0
/* a new job's row of job_stats; job_insert does it too */
extern void job_insert_stats(int32 job_id);

/* nothing was processed yet; writes query_tree and the server's format */
extern void job_reset(JobRow *job);

extern int32 job_next_id(void);
extern void job_insert(JobRow *job, const char *late, Interval *delay,
					   Interval *lateness, const char *start_at);

/* false if there is none */
extern bool job_read(int32 job_id, JobRow *job);
extern bool job_find_by_target(Oid target, JobRow *job);

/*
 * Could the view be a job's?  Asked about every view of the database, also where the
 * catalog is that of another version: then nothing but this is read from it.
 */
extern bool job_may_have_target(Oid target);
extern bool job_find_by_state(Oid state, JobRow *job);

/* the job of that name, as the user writes it, or ERRCODE_UNDEFINED_OBJECT */
extern void job_find_by_name(const char *name, JobRow *job);
extern void job_set_enabled(int32 job_id, bool enabled);
extern void job_set_timeout(int32 job_id, Interval *timeout);

/* remove the job and all its rows */
extern void job_delete(int32 job_id);

extern bool job_read_stats(int32 job_id, JobStats *stats, ItemPointer tid);
extern void job_write_stats(int32 job_id, JobStats *stats, ItemPointer tid);

/* array of npartitions entries, the stored ones filled in */
extern JobProgress *job_read_progress(int32 job_id, int npartitions);

/* write the changed entries */
extern void job_write_progress(int32 job_id, JobProgress *progress, int npartitions);
extern void job_add_error(int32 job_id, int64 msg_id, int sqlerrcode, const char *message);

/*
 * One process at a time runs a job: a heavyweight lock to the end of the
 * transaction.  Taken after the locks on stream, view and state table.
 * False when not waiting and somebody has it.
 */
extern bool job_lock(int32 job_id, bool wait);

/*
 * The same for who stops the job or drops it: a worker's batch is in the way no
 * longer than it takes to cancel it.
 */
extern void job_lock_out(int32 job_id);

/* ---- batch.c ---- */

#define JOB_BATCH_ROWS	50000

/* ms after which a worker's batch takes no more rows: others have their turn */
#define JOB_BATCH_TIME	100

/*
 * As job_run_batch, with a limit of rows and (wait) waiting for another
 * process that runs the job.  *rows is the number of rows read.
 */
extern int	job_run(int32 job_id, int64 max_rows, bool wait, int64 *rows);

/* are we called by the query of this job, or of any? */
extern bool job_is_running_here(int32 job_id);
extern bool job_any_running_here(void);

/* ---- rebuild.c ---- */

/* can this server work with the query and the state as they are stored? */
extern bool job_is_current(JobRow *job);

/*
 * Make a job current (job_is_current): analyzes its query anew, empties the
 * view's state and begins at the first message.
 * False if the state table is not complete yet, because a restore is going on.
 * The job is locked; errors are those of the query.
 */
extern bool job_rebuild(JobRow *job, Relation state, Oid owner);

/* view.c: a duration of days and smaller units, not negative, else 22023 */
extern void view_check_duration(Interval *value, const char *arg);

/* for the rest of the GUC nest level */
extern void job_apply_settings(ArrayType *settings);
extern void view_record_dependencies(Oid view, Oid state, Query *query);
extern void view_store_single_group(ViewQuery *vq, Oid state_oid);

#endif
