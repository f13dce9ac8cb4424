/*
 * trunc.c
 *	  Windows from expressions in GROUP BY: date_trunc(), date_bin(), and casts
 *	  to date.
 *
 * The value of the expression is the start of the window, and decides about the
 * group as any other GROUP BY expression does.  So the view equals its query,
 * whatever a time zone does.  Only the end of the window, where it closes, is
 * computed here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "view/trunc.h"
#include "view/window.h"

/* what an expression does with times */
struct ViewTrunc
{
	Oid			type;			/* timestamptz or timestamp */
	Interval	length;			/* of a window */
	text	   *zone;			/* NULL: that of the session, or none */

	/* for the start of the window of a time */
	PGFunction	function;
	Datum		args[3];
	int			time_arg;
	int			nargs;
};

/* units of date_trunc(); weeks begin with Monday */
static const struct
{
	const char *name;
	Interval	length;
}			units[] =

{
	{"microseconds", {.time = 1}},
	{"milliseconds", {.time = 1000}},
	{"second", {.time = USECS_PER_SEC}},
	{"minute", {.time = USECS_PER_MINUTE}},
	{"hour", {.time = USECS_PER_HOUR}},
	{"day", {.day = 1}},
	{"week", {.day = 7}},
	{"month", {.month = 1}},
	{"quarter", {.month = 3}},
	{"year", {.month = 12}},
	{"decade", {.month = 120}},
	{"century", {.month = 1200}},
	{"millennium", {.month = 12000}},
};

/* a constant argument that is not null */
static bool
get_constant(Node *arg, Datum *value)
{
	Const	   *constant = (Const *) arg;

	if (!IsA(constant, Const) || constant->constisnull)
		return false;
	*value = constant->constvalue;
	return true;
}

/*
 * date_trunc() makes a window if unit and time zone are constants.  The window
 * is as long as the unit.
 */
static bool
match_date_trunc(FuncExpr *func, ViewTrunc *trunc)
{
	char	   *unit;

	if (!get_constant(linitial(func->args), &trunc->args[0]))
		return false;
	trunc->type = func->funcid == F_DATE_TRUNC_TEXT_TIMESTAMP ? TIMESTAMPOID : TIMESTAMPTZOID;
	trunc->function = func->funcid == F_DATE_TRUNC_TEXT_TIMESTAMP ? timestamp_trunc :
		timestamptz_trunc;
	trunc->time_arg = 1;
	trunc->nargs = 2;
	if (func->funcid == F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT)
	{
		if (!get_constant(lthird(func->args), &trunc->args[2]))
			return false;
		trunc->zone = DatumGetTextPP(trunc->args[2]);
		trunc->function = timestamptz_trunc_zone;
		trunc->nargs = 3;
	}

	/* other spellings of a unit make no window */
	unit = TextDatumGetCString(trunc->args[0]);
	for (int i = 0; i < lengthof(units); i++)
	{
		if (pg_strcasecmp(units[i].name, unit) == 0)
		{
			trunc->length = units[i].length;
			return true;
		}
	}
	return false;
}

static bool
match_date_bin(FuncExpr *func, ViewTrunc *trunc)
{
	if (!get_constant(linitial(func->args), &trunc->args[0]) ||
		!get_constant(lthird(func->args), &trunc->args[2]))
		return false;
	trunc->length = *DatumGetIntervalP(trunc->args[0]);
	if (trunc->length.month != 0)
		return false;			/* an error for each row */
	trunc->length.time += trunc->length.day * USECS_PER_DAY;
	trunc->length.day = 0;
	if (func->funcid == F_DATE_BIN_INTERVAL_TIMESTAMPTZ_TIMESTAMPTZ)
	{
		trunc->type = TIMESTAMPTZOID;
		trunc->function = timestamptz_bin;
	}
	else
	{
		trunc->type = TIMESTAMPOID;
		trunc->function = timestamp_bin;
	}
	trunc->time_arg = 1;
	trunc->nargs = 3;
	return trunc->length.time > 0;
}

/*
 * A cast to date gives windows of a day, unless what it casts has longer ones:
 * date_trunc('month', at)::date.
 */
static bool
match_date(FuncExpr *func, ViewTrunc *trunc, Expr **event_time)
{
	bool		with_zone = func->funcid == F_DATE_TIMESTAMPTZ;

	if (view_trunc_match(linitial(func->args), trunc, event_time))
	{
		if (trunc->length.month == 0 && trunc->length.day == 0)
			return false;
		return !with_zone || trunc->zone == NULL;
	}
	memset(trunc, 0, sizeof(ViewTrunc));
	trunc->type = with_zone ? TIMESTAMPTZOID : TIMESTAMPOID;
	trunc->length.day = 1;
	trunc->function = with_zone ? timestamptz_trunc : timestamp_trunc;
	trunc->args[0] = CStringGetTextDatum("day");
	trunc->time_arg = 1;
	trunc->nargs = 2;
	*event_time = linitial(func->args);
	return true;
}

ViewTrunc *
view_trunc_create(void)
{
	return palloc0(sizeof(ViewTrunc));
}

bool
view_trunc_match(Node *expr, ViewTrunc *trunc, Expr **event_time)
{
	FuncExpr   *func;
	bool		matches;

	expr = eval_const_expressions(NULL, copyObject(expr));
	if (!IsA(expr, FuncExpr))
		return false;
	func = (FuncExpr *) expr;
	memset(trunc, 0, sizeof(ViewTrunc));
	switch (func->funcid)
	{
		case F_DATE_TRUNC_TEXT_TIMESTAMP:
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT:
			matches = match_date_trunc(func, trunc);
			*event_time = lsecond(func->args);
			break;
		case F_DATE_BIN_INTERVAL_TIMESTAMP_TIMESTAMP:
		case F_DATE_BIN_INTERVAL_TIMESTAMPTZ_TIMESTAMPTZ:
			matches = match_date_bin(func, trunc);
			*event_time = lsecond(func->args);
			break;
		case F_DATE_TIMESTAMP:
		case F_DATE_TIMESTAMPTZ:
			matches = match_date(func, trunc, event_time);
			break;
		default:
			matches = false;
	}
	return matches && contain_vars_of_level((Node *) *event_time, 0);
}

Oid
view_trunc_type(const ViewTrunc *trunc)
{
	return trunc->type;
}

Expr *
view_trunc_start(const ViewTrunc *trunc, Expr *expr)
{
	if (exprType((Node *) expr) != DATEOID)
		return expr;
	return (Expr *) makeFuncExpr(trunc->type == TIMESTAMPOID ? F_TIMESTAMP_DATE :
								 F_TIMESTAMPTZ_DATE,
								 trunc->type, list_make1(expr), InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CAST);
}

/* the end of the window that begins then; infinity if it is out of range */
static Timestamp
find_end(const ViewTrunc *trunc, Timestamp start)
{
	Datum		length = IntervalPGetDatum(&trunc->length);
	double		micros = trunc->length.month * 31.0 * USECS_PER_DAY +
		trunc->length.day * 2.0 * USECS_PER_DAY + trunc->length.time;
	Datum		local;

	if (start + micros >= END_TIMESTAMP - USECS_PER_DAY)
		return DT_NOEND;
	if (trunc->type == TIMESTAMPOID)
		return DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval,
													 TimestampGetDatum(start), length));
	if (trunc->zone == NULL || (trunc->length.month == 0 && trunc->length.day == 0))
		return DatumGetTimestamp(DirectFunctionCall2(timestamptz_pl_interval,
													 TimestampGetDatum(start), length));

	/* days have 23 or 25 hours when the clock changes */
	local = DirectFunctionCall2(timestamptz_zone, PointerGetDatum(trunc->zone),
								TimestampGetDatum(start));
	local = DirectFunctionCall2(timestamp_pl_interval, local, length);
	return DatumGetTimestamp(DirectFunctionCall2(timestamp_zone, PointerGetDatum(trunc->zone),
												 local));
}

void
view_trunc_window(const ViewTrunc *trunc, Timestamp start, bool isnull, ViewWindow *window)
{
	if (isnull || TIMESTAMP_NOT_FINITE(start))
	{
		/* the group of rows without a finite time never closes */
		window->start = DT_NOBEGIN;
		window->end = DT_NOEND;
		return;
	}
	window->start = start;
	window->end = find_end(trunc, start);
}

/*
 * Where the clock is set back over the start of a day, a window begins after
 * some of its events.  So look a day further back than necessary elsewhere.
 */
static bool
may_close(const ViewWindowSpec *spec, Timestamp from, Timestamp to, Timestamp *first_start)
{
	const ViewTrunc *trunc = spec->trunc;
	Datum		args[3];
	Timestamp	start;

	*first_start = DT_NOBEGIN;
	if (from < MIN_TIMESTAMP + 2000 * DAYS_PER_YEAR * USECS_PER_DAY)
		return true;
	memcpy(args, trunc->args, sizeof(args));
	args[trunc->time_arg] = TimestampGetDatum(from);
	start = DatumGetTimestamp(trunc->nargs == 2 ?
							  DirectFunctionCall2(trunc->function, args[0], args[1]) :
							  DirectFunctionCall3(trunc->function, args[0], args[1], args[2]));
	*first_start = start - USECS_PER_DAY;
	return start > from || find_end(trunc, start) <= to;
}

const ViewWindowKind view_truncated = {
	.may_close = may_close,
	.ends_in_order = true
};
