/*
 * pipe_internal.h
 *	  What the files of pipe/ share.
 */
#ifndef STREAMQ_PIPE_INTERNAL_H
#define STREAMQ_PIPE_INTERNAL_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "utils/rel.h"

#include "job/job_kind.h"
#include "pipe/join.h"

/* ---- pipe_query.c ---- */

/*
 * Find the stream of a pipe's query, or two streams, and return their number.
 * Fails with 0A000, naming the feature, if a pipe does not support it, and with
 * 42809 if there is no stream.
 */
extern int	pipe_check_query(Query *query, Oid *streams);

/* ---- pipe_target.c ---- */

/* where the columns of a pipe's view go */
typedef struct PipeColumns
{
	List	   *attnums;		/* of the target, for each column of the view;
								 * 0: nowhere */
	AttrNumber	row_attnum;		/* gets the whole row as JSON; 0: none */
} PipeColumns;

/*
 * Open a pipe's target and check that it is a stream or an ordinary table;
 * fails with 42809 otherwise.
 */
extern Relation pipe_open_target(Oid relid, LOCKMODE lockmode);

/* match columns by name; fails with 42703 if one has no place to go to */
extern PipeColumns *pipe_match_columns(Query *query, Relation target);

/* their form in streamq.job.query_tree */
extern char *pipe_write_columns(const PipeColumns *columns);
extern PipeColumns *pipe_read_columns(const char *text);

/*
 * Replace columns of the target that were dropped by new ones of the original
 * names.  Returns whether any was replaced.
 */
extern bool pipe_replace_columns(const JobRow *job, Relation target, PipeColumns *columns);

/*
 * Plan the insertion of the query's results into the target, for about nrows
 * rows.  *text gets the statement.
 *
 * `query` takes the place of the query of the job's view, unless it is NULL.
 * The results are in the order of the messages of its range table entry
 * `source`, which is marked (query_mark_source), or in any order if that is 0.
 */
extern PlannedStmt *pipe_plan(const JobRow *job, Relation target, const PipeColumns *columns,
							  Query *query, Index source, double nrows, char **text);

/*
 * Fail with 42501 unless the current user may read the streams of a join, and
 * write into the target.
 */
extern void pipe_join_check_privileges(const JobRow *job, Relation target,
									   const PipeColumns *columns, Query *query);

/* let a query use a relation whatever the current user's privileges are */
extern void pipe_allow(Query *query, RangeTblEntry *rte);

/* the subquery at the first place in the FROM clause of a query */
extern RangeTblEntry *pipe_first_subquery(Query *query);

/* ---- pipe_batch.c: functions of the kind (job/job_kind.h) ---- */

/* what a batch has loaded */
typedef struct PipeBatch
{
	Relation	target;
	PipeColumns *columns;
	MemoryContext context;		/* of the batch */

	/* one stream */
	PlannedStmt *plan;
	char	   *text;			/* of the planned statement */
	double		planned_rows;
	Plan	   *scan;			/* the whole plan, if it is a scan that can be
								 * evaluated row by row; else NULL */

	/* two streams */
	Query	   *query;
	PipeJoin   *join;			/* NULL: one stream */
	bool		had_watermark;	/* before the batch */
	Timestamp	watermark;
	bool		timeless[2];	/* a message without a finite time has come */
} PipeBatch;

extern void *pipe_load(JobBatch *batch);
extern void pipe_begin_round(JobRound *round);
extern void pipe_take_row(JobRound *round, JobInput *input);
extern void pipe_flush_round(JobRound *round);
extern bool pipe_finish(JobBatch *batch);
extern bool pipe_next_end(JobBatch *batch, Timestamp *end);
extern void pipe_close(JobBatch *batch);

#endif
