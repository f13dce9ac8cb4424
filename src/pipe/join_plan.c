/*
 * join_plan.c
 *	  The queries of the steps of a join.
 *
 * Each step runs the pipe's query, where one stream or both are replaced by the
 * tables of waiting messages.  The matches of new messages are those of an
 * inner join, whatever the pipe's join is.  Messages without a match are the
 * rows of an outer join whose other side is null.
 *
 * The parser marks columns that an outer join may turn into nulls, so the type
 * of the join cannot be changed in an analyzed query.  It is changed in the
 * query's text, which PostgreSQL writes with the current names.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_type_d.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "pipe/join.h"
#include "pipe/pipe_internal.h"
#include "query/query.h"

/* add a condition to WHERE of a raw query: the relation has no row */
static void
require_no_row(SelectStmt *select, Node *item)
{
	RangeVar   *relation = castNode(RangeVar, item);
	char	   *name = relation->alias ? relation->alias->aliasname : relation->relname;
	ColumnRef  *column = makeNode(ColumnRef);
	NullTest   *test = makeNode(NullTest);

	column->fields = list_make2(makeString(name), makeString("tableoid"));
	column->location = -1;
	test->arg = (Expr *) column;
	test->nulltesttype = IS_NULL;
	test->location = -1;
	select->whereClause = select->whereClause == NULL ? (Node *) test :
		(Node *) makeBoolExpr(AND_EXPR, list_make2(select->whereClause, test), -1);
}

/* the query with a join of another type; empty: the side without a row, or -1 */
static Query *
change_join(Query *query, JoinType type, int empty)
{
	char	   *text = pg_get_querydef(copyObject(query), false);
	RawStmt    *raw = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
	SelectStmt *select = castNode(SelectStmt, raw->stmt);
	JoinExpr   *join = linitial_node(JoinExpr, select->fromClause);

	join->jointype = type;
	if (empty >= 0)
		require_no_row(select, empty == PIPE_LEFT ? join->larg : join->rarg);
	return parse_analyze_fixedparams(raw, text, NULL, 0, NULL);
}

/* let the query read the table of waiting messages instead of the stream */
static void
read_waiting(Query *query, Index rti, Oid table)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);

	rte->relid = table;
	pipe_allow(query, rte);
}

static Expr *
compare(Var *var, int strategy, Timestamp value)
{
	Oid			family = get_opclass_family(GetDefaultOpClass(var->vartype, BTREE_AM_OID));
	Oid			op = get_opfamily_member(family, var->vartype, var->vartype, strategy);
	Expr	   *result = make_opclause(op, BOOLOID, false, (Expr *) copyObject(var),
									   (Expr *) makeConst(var->vartype, -1, InvalidOid, sizeof(Timestamp),
														  TimestampGetDatum(value), false, FLOAT8PASSBYVAL),
									   InvalidOid, InvalidOid);

	set_opfuncid((OpExpr *) result);
	return result;
}

static void
add_condition(Query *query, Expr *condition)
{
	query->jointree->quals = make_and_qual(query->jointree->quals, (Node *) condition);
}

/* the messages that are closed now, and those that have no time */
static Expr *
closed_now(Var *time, Timestamp from, Timestamp to)
{
	NullTest   *null = makeNode(NullTest);
	Expr	   *between = compare(time, BTLessEqualStrategyNumber, to);

	if (from != DT_NOBEGIN)
		between = makeBoolExpr(AND_EXPR,
							   list_make2(compare(time, BTGreaterStrategyNumber, from), between), -1);
	null->arg = (Expr *) copyObject(time);
	null->nulltesttype = IS_NULL;
	null->location = -1;
	return makeBoolExpr(OR_EXPR,
						list_make4(between, null,
								   compare(time, BTEqualStrategyNumber, DT_NOBEGIN),
								   compare(time, BTEqualStrategyNumber, DT_NOEND)), -1);
}

Query *
pipe_join_query(const JobRow *job, const PipeJoin *join, Query *query,
				PipeJoinStep step, const Timestamp *closed_from, const Timestamp *closed_to)
{
	bool		alone = step == JOIN_ALONE_LEFT || step == JOIN_ALONE_RIGHT;
	int			side = step == JOIN_NEW_LEFT || step == JOIN_ALONE_LEFT ? PIPE_LEFT : PIPE_RIGHT;
	int			other = 1 - side;
	Oid			tables[] = {job->state, job->results};
	Index		rti[2];
	Var		   *time;

	if (alone)
		query = change_join(query, side == PIPE_LEFT ? JOIN_LEFT : JOIN_RIGHT, other);
	else if (join->type != JOIN_INNER)
		query = change_join(query, JOIN_INNER, -1);
	else
		query = copyObject(query);
	for (int i = 0; i < 2; i++)
		rti[i] = query_find_source(query, join->stream[i]);

	read_waiting(query, rti[other], tables[other]);
	if (alone)
	{
		read_waiting(query, rti[side], tables[side]);
		time = makeVar(rti[side], join->time[side], join->time_type, -1, InvalidOid, 0);
		add_condition(query, closed_now(time, closed_from[side], closed_to[side]));
		return query;
	}
	/* a message that was written without a match has none later */
	if (pipe_join_keeps(join, other) && closed_from[other] != DT_NOBEGIN)
	{
		time = makeVar(rti[other], join->time[other], join->time_type, -1, InvalidOid, 0);
		add_condition(query, compare(time, BTGreaterStrategyNumber, closed_from[other]));
	}
	return query;
}
