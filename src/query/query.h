/*
 * query.h
 *	  Running a query over the rows that a job has read in a round.
 *
 * PostgreSQL plans the query with one change: the stream is not scanned, but
 * its rows are those of the round.  So joins, functions and all the rest mean
 * what they mean in any query.
 */
#ifndef STREAMQ_QUERY_H
#define STREAMQ_QUERY_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "tcop/dest.h"
#include "utils/rel.h"

#include "job/job_kind.h"

/* called by _PG_init, after plan_init() */
extern void query_init(void);

/* ---- the rows of a round ---- */

/*
 * The rows are kept in memory up to work_mem, then in a temporary file.  A
 * scan returns them partition by partition, each in offset order.
 */
typedef struct QueryRows QueryRows;

extern QueryRows *query_rows_create(Relation stream, int npartitions);
extern void query_rows_add(QueryRows *rows, JobInput *input);
extern int64 query_rows_count(const QueryRows *rows);

/*
 * The next row of a scan that was set to zeros at its beginning, or NULL.  The
 * slot is valid until the next call.
 */
typedef struct QueryRowsScan
{
	int			partition;
	bool		started;		/* the rows of the partition were rewound */
} QueryRowsScan;

extern TupleTableSlot *query_rows_next(QueryRows *rows, QueryRowsScan *scan, int64 *msg_id);
extern void query_rows_end(QueryRows *rows);

/* ---- planning and running ---- */

/*
 * Mark the stream in the FROM clause of a query, where it is a relation of the
 * query itself and not of a subquery.  Fails with XX000 if it is not there.
 */
extern Index query_mark_source(Query *query, Oid stream);

/* the same place, without the mark; 0 if it is not there */
extern Index query_find_source(Query *query, Oid stream);

/*
 * streamq.msg_id() of the rows of a range table entry.  Sorting by it costs
 * nothing if the rows still have the order of the scan.
 */
extern Expr *query_message_order(Index rti);

/*
 * Plan a rewritten query with a marked source that has about nrows rows.
 * Privileges are checked when it runs.
 */
extern PlannedStmt *query_plan(Query *query, const char *text, double nrows);

/*
 * fail with 42501 unless the current user may run the plan, and with 55000 if
 * it reads a materialized view that has no rows yet
 */
extern void query_check_relations(PlannedStmt *plan);

/*
 * Run the plan over the rows, and return how many rows it produced or wrote.
 * Results of a SELECT go to the receiver.
 */
extern uint64 query_run(PlannedStmt *plan, const char *text, QueryRows *rows,
						DestReceiver *dest);

/* is this plan node the scan of the round's rows? */
extern bool query_is_source_scan(const Plan *plan);

/*
 * Fail with 0A000 if row-level security applies to the role that reads the
 * stream.
 */
extern void query_check_row_security(Oid stream, Oid role, const char *kind);

#endif
