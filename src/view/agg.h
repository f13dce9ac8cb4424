/*
 * agg.h
 *	  Running aggregates outside of an Agg node.
 */
#ifndef STREAMQ_VIEW_AGG_H
#define STREAMQ_VIEW_AGG_H

#include "postgres.h"

#include "executor/nodeAgg.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "utils/array.h"

#include "view/analyze.h"

/* an aggregate call: its functions, and expressions of its arguments */
typedef struct ViewAggCall
{
	Oid			collation;
	int			nargs;			/* number of arguments, without the state */
	ExprState **args;			/* NULL if only the final function is used */
	int			projected;		/* number of the first argument in set->row,
								 * or -1 */
	bool		counts;			/* adds 1 for each row */
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
	struct ViewInputCall *inputs;	/* collects its input (inputs.h); then the
									 * other fields are not used */
	AggStatePerTransData pertrans;	/* for AggGetAggref() and similar
									 * functions */
} ViewAggCall;

/* the state of one aggregate for one group */
typedef struct ViewAggValue
{
	Datum		value;			/* a pointer to ViewInputs if it collects its
								 * input */
	bool		isnull;
	bool		none;			/* strict, no initial value and no input so
								 * far */
} ViewAggValue;

/* the aggregate calls of a view */
typedef struct ViewAggSet
{
	int			ncalls;
	ViewAggCall *calls;
	AggState   *aggstate;		/* makes AggCheckCallContext() true */
	ExprContext *aggcontext;	/* memory of the states */
	ExprContext *tmpcontext;
	int64		ordinal;		/* number of the current row in the stream */
	TupleTableSlot *row;		/* of view_agg_project() */
} ViewAggSet;

/*
 * Compile an expression over rows: Vars of the stream read the scan slot, and
 * Vars of the window function read the inner slot.
 */
extern ExprState *view_compile_expression(ViewQuery *vq, Expr *expr);

/*
 * Set up the aggregate calls of a view in the current memory context.  Checks
 * EXECUTE of the current user, as the executor does.
 */
extern ViewAggSet *view_agg_set_create(ViewQuery *vq);

/* the steps of view_agg_set_create(), for a caller without a query */
extern ViewAggSet *view_agg_make_set(int ncalls);
extern void view_agg_init_call(ViewAggCall *call, Aggref *aggref, Oid transtype);

/* look up the combine function, if there is one: for view_agg_merge() */
extern void view_agg_init_merge(ViewAggCall *call);

/*
 * Build the Aggref of an aggregate that an SQL function names by its OID and
 * argument types.  The types are checked: 22023 if they do not fit.
 */
extern Aggref *view_agg_named(Oid aggregate, ArrayType *argtypes, Oid collation);

/* fail with 42501 unless the role has EXECUTE on a function */
extern void view_agg_check_execute(Oid func, Oid role);
extern Oid	view_agg_function_owner(Oid func);

/*
 * Compile the keys and the arguments of aggregates into one projection, because
 * an expression for each costs more.  Its result is in set->row, keys first,
 * and has to be there when view_agg_advance() is called.  Arguments of
 * aggregates with a filter are not in it.
 */
extern ProjectionInfo *view_agg_project(ViewAggSet *set, ViewQuery *vq, ExprContext *econtext);

extern void view_agg_init(ViewAggSet *set, ViewAggValue *values);
extern void view_agg_advance(ViewAggSet *set, ViewAggValue *values, ExprContext *econtext);

/*
 * Add the states of other rows of the group, which become invalid.  Only for
 * views whose windows merge.
 */
extern void view_agg_combine(ViewAggSet *set, ViewAggValue *values, ViewAggValue *others);

/*
 * Convert a state to and from its column.  A sealed state is NULL whatever the
 * later input is.
 */
extern Datum view_agg_save(ViewAggSet *set, int i, ViewAggValue *value, bool *isnull, bool *sealed);
extern void view_agg_load(ViewAggSet *set, int i, ViewAggValue *value, Datum stored, bool isnull, bool sealed);

/* the bit of aggregate i in the column `sealed` */
extern bool view_agg_is_sealed(bytea *sealed, int i);

/*
 * Merge a stored state into a state in memory.  A value with `isnull` and
 * `none` has had no input.
 */
extern void view_agg_merge(ViewAggSet *set, int i, ViewAggValue *value, Datum stored, bool isnull,
						   bool sealed);

/* OID of streamq.aggregate_state, the type of serialized states */
extern Oid	view_agg_state_type(void);

#endif
