/*
 * joined.h
 *	  Ordinary tables that a continuous view joins with its stream.
 *
 * The messages of a round are collected.  At its end, one query joins them
 * with the tables, and each row of its result is processed as a row of a
 * stream is in other views.  The window function is no part of this query.
 */
#ifndef STREAMQ_VIEW_JOINED_H
#define STREAMQ_VIEW_JOINED_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "job/job_kind.h"
#include "query/query.h"
#include "view/analyze.h"

/* ---- join_plan.c: the query ---- */

/*
 * Choose the columns of the query's result.  Fails with 0A000 if an outer join
 * depends on the window.
 */
extern void view_join_choose_columns(ViewQuery *vq);

/* the column of the result for a column of the stream or a table */
extern Var *view_join_column(const ViewQuery *vq, const Var *var);

/* the planned query of a batch */
typedef struct ViewJoin ViewJoin;

/* plan the query; fails with 42501 if the current user may not run it */
extern ViewJoin *view_join_prepare(ViewQuery *vq, const char *text);

/* ---- join_rows.c: the messages of a round ---- */

typedef struct ViewMessage
{
	int64		msg_id;
	int64		number;			/* its place among the messages of the round */
	bool		replaying;		/* processed before the state was computed
								 * again */
	bool		late;
	bool		has_event;		/* it has a finite event time */
	Timestamp	event;
	bool		has_watermark;	/* before the message */
	Timestamp	watermark;
} ViewMessage;

typedef struct ViewJoinRows ViewJoinRows;

typedef void (*ViewJoinCallback) (ViewMessage *message, TupleTableSlot *slot, void *arg);

extern ViewJoinRows *view_join_begin(ViewJoin *join, Relation stream, int npartitions);

/* add a message; the caller sets what it has to know later */
extern ViewMessage *view_join_add(ViewJoinRows *rows, JobInput *input);

/*
 * Run the query and call a function for each row of its result, in the order
 * of the messages.
 */
extern void view_join_run(ViewJoinRows *rows, ViewJoinCallback callback, void *arg);

/* call a function for each message, as it is in the stream */
extern void view_join_each_message(ViewJoinRows *rows, ViewJoinCallback callback, void *arg);
extern void view_join_end(ViewJoinRows *rows);

/* run the plan of a batch, made for about as many rows as there are */
extern void view_join_execute(ViewJoin *join, QueryRows *rows, DestReceiver *receiver);

#endif
