/*
 * join_query.c
 *	  Analyzing the query of a pipe that joins two streams.
 *
 * Messages of two streams are joined if their times are near enough.  The
 * conditions of the join tell how near, so they must bound the difference of
 * two columns from both sides.  Then a message has to be kept only until the
 * other stream cannot have a match for it any more.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/sysattr.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_type_d.h"
#include "commands/defrem.h"
#include "common/int.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "job/job_define.h"
#include "pipe/join.h"
#include "pipe/pipe.h"

/* longest and shortest month, and how much a day may be longer or shorter */
#define MONTH_MAX_DAYS	31
#define MONTH_MIN_DAYS	28
#define CLOCK_CHANGE	(3 * USECS_PER_HOUR)

/* an expression "column + offset", where the offset is in [low, high] */
typedef struct TimeTerm
{
	Var		   *var;
	int64		low;
	int64		high;
} TimeTerm;

/* ---- the two streams ---- */

static void
refuse(const char *what, const char *hint)
{
	job_refuse(PIPE_JOB_KIND, what, hint);
}

/* the range table index of a relation in FROM; 0 if it is something else */
static Index
relation_rti(Query *query, Node *node)
{
	Index		rti;

	if (!IsA(node, RangeTblRef))
		return 0;
	rti = ((RangeTblRef *) node)->rtindex;
	return rt_fetch(rti, query->rtable)->rtekind == RTE_RELATION ? rti : 0;
}

/*
 * Find the streams in FROM, which must be a list or a join of both, and return
 * the conditions of the join.
 */
static Node *
find_streams(Query *query, PipeJoin *join)
{
	List	   *from = query->jointree->fromlist;
	Node	   *left = NULL;
	Node	   *right = NULL;
	Node	   *quals = query->jointree->quals;

	join->type = JOIN_INNER;
	if (list_length(from) == 2)
	{
		left = linitial(from);
		right = lsecond(from);
	}
	else if (list_length(from) == 1 && IsA(linitial(from), JoinExpr))
	{
		JoinExpr   *expr = linitial_node(JoinExpr, from);

		left = expr->larg;
		right = expr->rarg;
		join->type = expr->jointype;
		quals = expr->jointype == JOIN_INNER ? make_and_qual(quals, expr->quals) : expr->quals;
	}
	if (left == NULL || (join->rti[0] = relation_rti(query, left)) == 0 ||
		(join->rti[1] = relation_rti(query, right)) == 0)
		refuse("a table or subquery in a join of two streams",
			   "Join the two streams in one pipe, and the rest in a second one.");
	for (int i = 0; i < 2; i++)
		join->stream[i] = rt_fetch(join->rti[i], query->rtable)->relid;
	if (join->stream[0] == join->stream[1])
		refuse("a join of a stream with itself",
			   "Copy the messages into a second stream with another pipe.");
	return quals;
}

/* ---- bounds ---- */

static bool
is_time_type(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID;
}

/* add the interval, or subtract it, to the offset of a term */
static bool
add_interval(TimeTerm *term, const Interval *interval, bool subtract, bool zoned)
{
	int64		months = interval->month;
	int64		days = interval->day;
	int64		low;
	int64		high;

	if (INTERVAL_NOT_FINITE(interval))
		return false;
	low = (months * (months > 0 ? MONTH_MIN_DAYS : MONTH_MAX_DAYS) + days) * USECS_PER_DAY;
	high = (months * (months > 0 ? MONTH_MAX_DAYS : MONTH_MIN_DAYS) + days) * USECS_PER_DAY;
	if (zoned && (months != 0 || days != 0))
	{
		low -= CLOCK_CHANGE;
		high += CLOCK_CHANGE;
	}
	if (pg_add_s64_overflow(low, interval->time, &low) ||
		pg_add_s64_overflow(high, interval->time, &high))
		return false;
	if (subtract)
	{
		int64		swap = low;

		low = -high;
		high = -swap;
	}
	return !pg_add_s64_overflow(term->low, low, &term->low) &&
		!pg_add_s64_overflow(term->high, high, &term->high);
}

/* is the node a column of one of the streams, plus or minus constants? */
static bool
read_term(PipeJoin *join, Node *node, TimeTerm *term)
{
	char	   *name;
	Node	   *left;
	Node	   *right;

	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if ((var->varno != join->rti[0] && var->varno != join->rti[1]) ||
			var->varattno <= 0 || !is_time_type(var->vartype))
			return false;
		term->var = var;
		term->low = term->high = 0;
		return true;
	}
	if (!IsA(node, OpExpr) || list_length(((OpExpr *) node)->args) != 2 ||
		((OpExpr *) node)->opno >= FirstNormalObjectId)
		return false;
	name = get_opname(((OpExpr *) node)->opno);
	left = linitial(((OpExpr *) node)->args);
	right = lsecond(((OpExpr *) node)->args);
	if (strcmp(name, "+") == 0 && exprType(left) == INTERVALOID)
	{
		Node	   *swap = left;

		left = right;
		right = swap;
	}
	else if (strcmp(name, "+") != 0 && strcmp(name, "-") != 0)
		return false;
	if (!IsA(right, Const) || exprType(right) != INTERVALOID || ((Const *) right)->constisnull)
		return false;
	return read_term(join, left, term) &&
		add_interval(term, DatumGetIntervalP(((Const *) right)->constvalue),
					 strcmp(name, "-") == 0, term->var->vartype == TIMESTAMPTZOID);
}

/* a pair of columns, and the bounds of their difference so far */
typedef struct TimePair
{
	AttrNumber	column[2];
	Oid			type;
	bool		has_low;
	bool		has_high;
	int64		low;			/* of right minus left */
	int64		high;
} TimePair;

static TimePair *
find_pair(List **pairs, const Var *left, const Var *right)
{
	TimePair   *pair;
	ListCell   *lc;

	foreach(lc, *pairs)
	{
		pair = lfirst(lc);
		if (pair->column[0] == left->varattno && pair->column[1] == right->varattno)
			return pair;
	}
	pair = palloc0(sizeof(TimePair));
	pair->column[0] = left->varattno;
	pair->column[1] = right->varattno;
	pair->type = left->vartype;
	*pairs = lappend(*pairs, pair);
	return pair;
}

/* use a condition "a <op> b", if it compares times of both streams */
static void
read_condition(PipeJoin *join, Node *node, List **pairs)
{
	OpExpr	   *op = (OpExpr *) node;
	int			strategy;
	TimeTerm	a;
	TimeTerm	b;
	TimePair   *pair;

	if (!IsA(node, OpExpr) || list_length(op->args) != 2 ||
		!read_term(join, linitial(op->args), &a) || !read_term(join, lsecond(op->args), &b) ||
		a.var->varno == b.var->varno || a.var->vartype != b.var->vartype)
		return;
	strategy = get_op_opfamily_strategy(op->opno,
										get_opclass_family(GetDefaultOpClass(a.var->vartype, BTREE_AM_OID)));
	if (strategy == 0)
		return;
	if (a.var->varno != join->rti[0])
	{
		TimeTerm	swap = a;

		a = b;
		b = swap;
		strategy = BTCommuteStrategyNumber(strategy);
	}

	/* left + a <op> right + b, so right - left is compared with a - b */
	pair = find_pair(pairs, a.var, b.var);
	if (strategy != BTLessEqualStrategyNumber && strategy != BTLessStrategyNumber)
	{
		/* right - left <= a - b */
		int64		high = a.high - b.low;

		pair->high = pair->has_high ? Min(pair->high, high) : high;
		pair->has_high = true;
	}
	if (strategy != BTGreaterEqualStrategyNumber && strategy != BTGreaterStrategyNumber)
	{
		int64		low = a.low - b.high;

		pair->low = pair->has_low ? Max(pair->low, low) : low;
		pair->has_low = true;
	}
}

static void
find_bounds(PipeJoin *join, Node *quals)
{
	List	   *pairs = NIL;
	ListCell   *lc;

	foreach(lc, make_ands_implicit((Expr *) eval_const_expressions(NULL, quals)))
		read_condition(join, lfirst(lc), &pairs);
	foreach(lc, pairs)
	{
		TimePair   *pair = lfirst(lc);

		if (!pair->has_low || !pair->has_high)
			continue;
		join->time[0] = pair->column[0];
		join->time[1] = pair->column[1];
		join->time_type = pair->type;
		join->low = pair->low;
		join->high = Max(pair->low, pair->high);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a join of two streams needs bounds for the difference of their times"),
			 errdetail("A message is kept until no match can come any more."),
			 errhint("Add a condition like b.at BETWEEN a.at - interval '5 minutes' AND a.at + interval '5 minutes' to the join.")));
}

static void
collect_quals(Node *node, List **quals)
{
	if (IsA(node, RangeTblRef))
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		ListCell   *lc;

		foreach(lc, from->fromlist)
			collect_quals(lfirst(lc), quals);
		if (from->quals)
			*quals = lappend(*quals, from->quals);
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);

		collect_quals(join->larg, quals);
		collect_quals(join->rarg, quals);
		if (join->quals)
			*quals = lappend(*quals, join->quals);
	}
}

Node *
pipe_join_conditions(Query *query)
{
	List	   *quals = NIL;

	collect_quals((Node *) query->jointree, &quals);
	return eval_const_expressions(NULL, (Node *) make_ands_explicit(quals));
}

/*
 * Find the columns that the query uses.  Rows that wait for a match have no
 * place in the stream any more, so there are no system columns.
 */
static void
find_columns(Query *query, PipeJoin *join)
{
	for (int i = 0; i < 2; i++)
	{
		Bitmapset  *attrs = NULL;
		int			x = -1;

		pull_varattnos((Node *) query->targetList, join->rti[i], &attrs);
		pull_varattnos((Node *) query->jointree, join->rti[i], &attrs);
		while ((x = bms_next_member(attrs, x)) >= 0)
		{
			AttrNumber	attno = x + FirstLowInvalidHeapAttributeNumber;

			if (attno < 0)
				refuse("system columns in a join of two streams", NULL);
			if (attno == 0)
				refuse("whole rows in a join of two streams", "Name the columns.");
			join->columns[i] = bms_add_member(join->columns[i], attno);
		}
	}
}

int
pipe_join_column(const PipeJoin *join, int side, AttrNumber attno)
{
	Assert(bms_is_member(attno, join->columns[side]));
	return bms_member_index(join->columns[side], attno) + 1;
}

PipeJoin *
pipe_join_analyze(Query *query)
{
	PipeJoin   *join = palloc0(sizeof(PipeJoin));
	Node	   *quals = find_streams(query, join);

	find_columns(query, join);
	find_bounds(join, quals);
	return join;
}
