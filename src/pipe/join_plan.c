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

#include "access/attmap.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_type_d.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "pipe/join.h"
#include "pipe/pipe_internal.h"
#include "query/query.h"

/* the query with a join of another type */
static Query *
change_join(Query *query, JoinType type)
{
	char	   *text = pg_get_querydef(copyObject(query), false);
	RawStmt    *raw = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
	SelectStmt *select = castNode(SelectStmt, raw->stmt);

	linitial_node(JoinExpr, select->fromClause)->jointype = type;
	return parse_analyze_fixedparams(raw, text, NULL, 0, NULL);
}

/* let the query read a side's table of waiting messages instead of the stream */
static void
read_waiting(Query *query, const PipeJoin *join, int side, Index rti, Oid table)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	Relation	stream = table_open(rte->relid, NoLock);
	AttrMap    *map = make_attrmap(RelationGetNumberOfAttributes(stream));
	bool		whole_row;
	Query	   *mapped;

	table_close(stream, NoLock);
	/* an alias of the join names columns that are not used, too */
	for (int i = 0; i < map->maplen; i++)
		map->attnums[i] = bms_is_member(i + 1, join->columns[side]) ?
			pipe_join_column(join, side, i + 1) : 1;
	mapped = (Query *) map_variable_attnos((Node *) query, rti, 0, map, InvalidOid, &whole_row);
	*query = *mapped;
	rte = rt_fetch(rti, query->rtable);
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

/* the relation on the nullable side of an outer join has no row */
static Expr *
has_no_row(const JoinExpr *join, Index rti)
{
	Var		   *column = makeVar(rti, TableOidAttributeNumber, OIDOID, -1, InvalidOid, 0);
	NullTest   *test = makeNode(NullTest);

	COMPAT_SET_NULLING_JOIN(column, join->rtindex);
	test->arg = (Expr *) column;
	test->nulltesttype = IS_NULL;
	test->location = -1;
	return (Expr *) test;
}

/* infinite times are within all bounds of each other, but match nothing */
static Expr *
is_finite(Var *time)
{
	return makeBoolExpr(AND_EXPR,
						list_make2(compare(time, BTGreaterStrategyNumber, DT_NOBEGIN),
								   compare(time, BTLessStrategyNumber, DT_NOEND)), -1);
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
		query = change_join(query, side == PIPE_LEFT ? JOIN_LEFT : JOIN_RIGHT);
	else if (join->type != JOIN_INNER)
		query = change_join(query, JOIN_INNER);
	else
		query = copyObject(query);
	for (int i = 0; i < 2; i++)
		rti[i] = query_find_source(query, join->stream[i]);

	read_waiting(query, join, other, rti[other], tables[other]);
	if (alone)
		read_waiting(query, join, side, rti[side], tables[side]);
	time = makeVar(rti[side],
				   alone ? pipe_join_column(join, side, join->time[side]) : join->time[side], join->time_type, -1, InvalidOid, 0);
	if (alone)
	{
		JoinExpr   *expr = linitial_node(JoinExpr, query->jointree->fromlist);

		expr->quals = make_and_qual(expr->quals, (Node *) is_finite(time));
		add_condition(query, has_no_row(expr, rti[other]));
		add_condition(query, closed_now(time, closed_from[side], closed_to[side]));
		return query;
	}
	if (join->type != JOIN_INNER)
		add_condition(query, is_finite(time));
	/* a message that was written without a match has none later */
	if (pipe_join_keeps(join, other) && closed_from[other] != DT_NOBEGIN)
	{
		time = makeVar(rti[other], pipe_join_column(join, other, join->time[other]), join->time_type, -1, InvalidOid, 0);
		add_condition(query, compare(time, BTGreaterStrategyNumber, closed_from[other]));
	}
	return query;
}
