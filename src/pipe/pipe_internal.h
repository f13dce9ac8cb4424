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

/* ---- pipe_query.c ---- */

/*
 * Find the stream of a pipe's query.  Fails with 0A000, naming the feature, if
 * a pipe does not support it, and with 42809 if there is no stream.
 */
extern Oid	pipe_check_query(Query *query);

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
 * Plan the insertion of the query's results into the target, for about nrows
 * rows.  *text gets the statement.
 */
extern PlannedStmt *pipe_plan(const JobRow *job, Relation target, const PipeColumns *columns,
							  double nrows, char **text);

/* ---- pipe_batch.c: functions of the kind (job/job_kind.h) ---- */

extern void *pipe_load(JobBatch *batch);
extern void pipe_begin_round(JobRound *round);
extern void pipe_take_row(JobRound *round, JobInput *input);
extern void pipe_flush_round(JobRound *round);
extern void pipe_close(JobBatch *batch);

#endif
