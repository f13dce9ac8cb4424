/*
 * analyze.h
 *	  Analyzing the query of a continuous view.
 */
#ifndef STREAMQ_VIEW_ANALYZE_H
#define STREAMQ_VIEW_ANALYZE_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

#include "view/window.h"

/* a GROUP BY expression other than the window's start or end */
typedef struct ViewKey
{
	Expr	   *expr;
	Oid			type;
	int32		typmod;
	Oid			collation;
	SortGroupClause *clause;	/* operators of GROUP BY */
} ViewKey;

/* an aggregate call, and the column for its state */
typedef struct ViewAgg
{
	Aggref	   *aggref;
	Oid			transtype;		/* with polymorphic types resolved */
	bool		internal;		/* state is stored in serialized form */
	Oid			storedtype;		/* type of the state column */
	Oid			storedcollation;

	/* if it collects its input (collect.c) */
	bool		collected;
	List	   *inputs;			/* expressions over rows */
	List	   *input_types;	/* types of the columns, as OIDs */
	int			nstrict;		/* rows with a null in these first columns are
								 * ignored */
	bool		ordinal;		/* the last column is the row's number in the
								 * stream */
	Aggref	   *over_inputs;	/* aggref, with Vars of the columns */
} ViewAgg;

/* the analyzed query of a continuous view */
typedef struct ViewQuery
{
	Query	   *query;			/* as analyzed, with group references expanded */
	Oid			source;			/* the stream */
	Index		source_rti;
	Index		window_rti;		/* 0: no window function, so one window for
								 * all time */
	Expr	   *event_time;
	Oid			event_type;		/* timestamptz or timestamp */
	bool		windowed;		/* states belong to windows */
	Expr	   *window_start;	/* start of the window, if that is a GROUP BY
								 * expression; NULL: a window function */
	ViewWindowSpec window;
	List	   *window_args;	/* constant arguments after the event time */

	/*
	 * States belong to slices of windows (window.h), and the view's query
	 * expands slices to their windows.
	 */
	bool		sliced;

	/*
	 * A window and group may have several rows in the state table, which the
	 * view's query merges.
	 */
	bool		merged;
	Expr	   *where;			/* NULL: all rows */

	/* if tables are joined with the stream (joined.h) */
	List	   *tables;			/* their range table indexes */
	List	   *outer_quals;	/* conditions of outer joins */
	List	   *columns;		/* Vars that expressions over rows use */
	Expr	   *window_quals;	/* the part of `where` that uses the window */
	List	   *keys;			/* of ViewKey */
	List	   *aggs;			/* of ViewAgg, without duplicates */
	bool		collects;		/* some aggregates collect their input */

	/*
	 * All aggregates are streamq.latest(), without windows: only the last row
	 * of each group matters (latest.c).  If HAVING hides the groups in which
	 * one of them is null, hidden_by is its number, otherwise -1.
	 */
	bool		latest;
	int			hidden_by;
	bool		single_group;	/* no GROUP BY, so one row even without input */
} ViewQuery;

/* do the windows of the query merge (sessions)? */
static inline bool
view_is_merging(const ViewQuery *vq)
{
	return vq->window_rti != 0 && vq->window.kind->merging;
}

/*
 * Parse and analyze the text as the query of a continuous view, with the
 * session's search_path.  Fails with 42601 unless it is a single SELECT.
 */
extern Query *view_parse_query(const char *text);

/*
 * Find stream, window, keys and aggregates.  Fails with 0A000, naming the
 * feature, if a continuous view does not support it, and with 42809 if the
 * source is not a stream.  The query's relations must be locked.
 */
extern ViewQuery *view_analyze(Query *query);

/*
 * Fail with 42501 unless the role may read everything that the query reads,
 * and with 0A000 if row-level security applies to the role.
 */
extern void view_check_access(ViewQuery *vq, Oid role);

/* columns of the window function's result and of the state table */
#define WINDOW_START_ATTNO	1
#define WINDOW_END_ATTNO	2

#endif
