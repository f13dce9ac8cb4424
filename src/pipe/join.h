/*
 * join.h
 *	  Pipes that join two streams.
 *
 * Two messages are joined if the difference of their times is within bounds,
 * and the other conditions of the join hold.  The messages of each stream wait
 * in a table (join_rows.c) until the other stream cannot have a match for them
 * any more.  Each new message is joined with the messages that wait on the
 * other side, so each pair is found once: when its second message comes.
 *
 * The watermark tells how far both streams are.  A message of the left stream
 * with time t is closed, and later ones like it are late, when
 *		watermark >= t + high + grace
 * and a message of the right stream when
 *		watermark >= t - low + grace
 * because from then on only late messages could match it.  In an outer join, a
 * message that is closed without a match is written with nulls.
 */
#ifndef STREAMQ_PIPE_JOIN_H
#define STREAMQ_PIPE_JOIN_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

#include "job/job_kind.h"

/* the sides of a join */
#define PIPE_LEFT	0
#define PIPE_RIGHT	1

/* a join of two streams */
typedef struct PipeJoin
{
	JoinType	type;
	Index		rti[2];			/* in the analyzed query */
	Oid			stream[2];
	AttrNumber	time[2];		/* columns that are compared */
	Oid			time_type;		/* timestamptz or timestamp */
	Bitmapset  *columns[2];		/* columns that the query uses */
	int64		low;			/* bounds of right time minus left time, */
	int64		high;			/* microseconds */
} PipeJoin;

/* does the join write a side's messages that have no match? */
static inline bool
pipe_join_keeps(const PipeJoin *join, int side)
{
	return join->type == JOIN_FULL ||
		join->type == (side == PIPE_LEFT ? JOIN_LEFT : JOIN_RIGHT);
}

/*
 * Analyze the query of a pipe with two streams.  Fails with 0A000 if a pipe
 * does not support it, or if its conditions do not bound the difference of the
 * times.
 */
extern PipeJoin *pipe_join_analyze(Query *query);

/*
 * Messages of a side up to this time are closed by a watermark.
 */
extern Timestamp pipe_join_closed(const PipeJoin *join, int side, Timestamp watermark,
								  int64 grace);

/* ---- join_rows.c: the messages that wait ---- */

/*
 * Create the tables for the messages of both sides, which belong to the view
 * of the job; job->state and job->results are set.
 */
extern void pipe_join_create_tables(JobRow *job, const PipeJoin *join, Query *query);

/* are the tables of a restored job complete, with their messages? */
extern bool pipe_join_tables_complete(const JobRow *job);

/* are there tables of a job with this id? */
extern bool pipe_join_has_tables(int32 job_id);

/* the column of a side's table for a column of its stream */
extern int	pipe_join_column(const PipeJoin *join, int side, AttrNumber attno);

/* all conditions of the query */
extern Node *pipe_join_conditions(Query *query);

/* the statement that puts new messages of a side into its table */
extern PlannedStmt *pipe_join_plan_keep(const JobRow *job, const PipeJoin *join, int side,
										Query *query, double nrows, char **text);

/* the least time after this one of the messages of a side; false: none */
extern bool pipe_join_next(const JobRow *job, const PipeJoin *join, int side,
						   Timestamp after, Timestamp *time);

/* delete the messages of a side up to this time, and those without a time */
extern void pipe_join_delete(const JobRow *job, const PipeJoin *join, int side,
							 Timestamp up_to);

/* ---- join_plan.c ---- */

/* what a statement of a join finds */
typedef enum PipeJoinStep
{
	JOIN_NEW_LEFT,				/* matches of new messages of the left side */
	JOIN_NEW_RIGHT,
	JOIN_ALONE_LEFT,			/* closed messages without a match */
	JOIN_ALONE_RIGHT
} PipeJoinStep;

/*
 * The pipe's query for a step, to be planned in place of the query of its view.
 * A closed message has a time in (closed_from, closed_to].
 */
extern Query *pipe_join_query(const JobRow *job, const PipeJoin *join, Query *query,
							  PipeJoinStep step, const Timestamp *closed_from,
							  const Timestamp *closed_to);

/* ---- join_batch.c: functions of the kind (job/job_kind.h) ---- */

extern void pipe_join_begin_round(JobRound *round);
extern void pipe_join_take_row(JobRound *round, JobInput *input);
extern void pipe_join_flush_round(JobRound *round);
extern bool pipe_join_finish(JobBatch *batch);
extern bool pipe_join_next_end(JobBatch *batch, Timestamp *end);

#endif
