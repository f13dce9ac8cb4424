/*
 * analyze.h
 *	  From the text of a query to what a continuous view has to do.
 */
#ifndef STREAMQ_VIEW_ANALYZE_H
#define STREAMQ_VIEW_ANALYZE_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

#include "view/window.h"

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
	ViewWindowSpec window;
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

#endif
