/*
 * analyze.c
 *	  Finding stream, window, keys and aggregates in the query of a continuous
 *	  view, and refusing what cannot be kept up to date.
 *
 * PostgreSQL's own parser analyzes the text, so names, types, overloads and
 * collations mean what they mean in the same query run by hand.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_agg.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/loaded.h"
#include "compat.h"
#include "log/log.h"
#include "view/view_internal.h"
#include "view/window.h"

static void refuse(const char *what, const char *hint) pg_attribute_noreturn();

static void
refuse(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot use %s in a continuous view", what),
			 hint ? errhint("%s", hint) : 0));
}

/* positions in errors refer to the text of the view, not to the call */
static void
parse_error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

Query *
view_parse_query(const char *text)
{
	ErrorContextCallback callback;
	List	   *raw;
	RawStmt    *stmt;
	Query	   *query;

	callback.callback = parse_error_callback;
	callback.arg = unconstify(char *, text);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	raw = raw_parser(text, RAW_PARSE_DEFAULT);
	if (list_length(raw) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("query of a continuous view must be exactly one SELECT"),
				 errdetail("The text contains %d statements.", list_length(raw))));
	stmt = linitial_node(RawStmt, raw);
	if (!IsA(stmt->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("query of a continuous view must be exactly one SELECT"),
				 errhint("Write SELECT ... FROM a stream, with GROUP BY or aggregates.")));
	if (((SelectStmt *) stmt->stmt)->intoClause != NULL)
		refuse("SELECT INTO", NULL);

	query = parse_analyze_fixedparams(stmt, text, NULL, 0, NULL);
	error_context_stack = callback.previous;

	Assert(query->commandType == CMD_SELECT);
	return query;
}

/* ---- the FROM clause ---- */

typedef struct FromState
{
	Query	   *query;
	Index		source_rti;
	Index		window_rti;
	List	   *quals;
} FromState;

static void
add_source(FromState *from, Index rti, RangeTblEntry *rte)
{
	Relation	rel;
	bool		is_stream;
	bool		is_permanent;
	char	   *hint;

	rel = table_open(rte->relid, AccessShareLock);
	is_stream = log_is_stream(rel);
	is_permanent = RelationIsPermanent(rel);
	hint = is_stream || !rel->rd_rel->relhassubclass ? NULL : log_not_a_stream_hint(rel);
	table_close(rel, NoLock);

	if (from->source_rti != 0)
	{
		if (is_stream)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("continuous view cannot read more than one stream"),
					 errdetail("The query reads \"%s\" and \"%s\".",
							   get_rel_name(rt_fetch(from->source_rti, from->query->rtable)->relid),
							   get_rel_name(rte->relid)),
					 errhint("Create one continuous view for each stream, or copy the messages into one stream.")));
		refuse("a join with a table", "Join the table when you read the view.");
	}
	if (!is_stream)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream", get_rel_name(rte->relid)),
				 hint ? errhint("%s", hint) :
				 errhint("A continuous view reads exactly one stream, a table created with USING streamq.")));

	/*
	 * after a crash its offsets begin at 0 again, below the position of the
	 * job
	 */
	if (!is_permanent)
		refuse("an unlogged stream", "Create the stream without UNLOGGED.");
	if (rte->tablesample)
		refuse("TABLESAMPLE", NULL);
	if (rte->inh && has_subclass(rte->relid))
		refuse("a stream with child tables", "Write ONLY before its name.");
	from->source_rti = rti;
}

static void
add_window(FromState *from, Index rti, RangeTblEntry *rte)
{
	RangeTblFunction *rtfunc;
	FuncExpr   *func;

	if (list_length(rte->functions) != 1)
		refuse("ROWS FROM with several functions", NULL);
	if (rte->funcordinality)
		refuse("WITH ORDINALITY", NULL);
	rtfunc = linitial_node(RangeTblFunction, rte->functions);
	func = (FuncExpr *) rtfunc->funcexpr;

	if (!IsA(func, FuncExpr) ||
		get_func_namespace(func->funcid) != get_namespace_oid(STREAMQ_SCHEMA, false) ||
		strcmp(get_func_name(func->funcid), "tumble") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use function \"%s\" in FROM of a continuous view",
						IsA(func, FuncExpr) ? get_func_name(func->funcid) : rte->eref->aliasname),
				 errhint("Only the window function streamq.tumble() can be used there.")));
	if (from->window_rti != 0)
		refuse("more than one window function", NULL);
	from->window_rti = rti;
}

static void
walk_jointree(FromState *from, Node *node)
{
	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *f = (FromExpr *) node;
		ListCell   *lc;

		foreach(lc, f->fromlist)
			walk_jointree(from, lfirst(lc));
		if (f->quals)
			from->quals = lappend(from->quals, f->quals);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *j = (JoinExpr *) node;

		walk_jointree(from, j->larg);
		walk_jointree(from, j->rarg);
		if (j->jointype != JOIN_INNER)
			refuse("an outer join", NULL);
		if (j->quals)
			from->quals = lappend(from->quals, j->quals);
	}
	else
	{
		Index		rti = castNode(RangeTblRef, node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, from->query->rtable);

		switch (rte->rtekind)
		{
			case RTE_RELATION:
				add_source(from, rti, rte);
				break;
			case RTE_FUNCTION:
				add_window(from, rti, rte);
				break;
			case RTE_SUBQUERY:
				refuse("a subquery", NULL);
				break;
			case RTE_VALUES:
				refuse("VALUES", NULL);
				break;
			default:
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot use \"%s\" in FROM of a continuous view",
								rte->eref->aliasname),
						 errhint("FROM must name one stream, which a window function can follow.")));
		}
	}
}

/* event time, size and origin from the call of the window function */
static void
analyze_window(ViewQuery *vq)
{
	RangeTblEntry *rte = rt_fetch(vq->window_rti, vq->query->rtable);
	RangeTblFunction *rtfunc = linitial_node(RangeTblFunction, rte->functions);
	FuncExpr   *func;
	Const	   *size;
	Const	   *origin;

	/* fills in the defaults, puts named arguments in order, folds constants */
	func = castNode(FuncExpr, eval_const_expressions(NULL, copyObject(rtfunc->funcexpr)));
	Assert(list_length(func->args) == 3);
	vq->event_time = linitial(func->args);
	vq->event_type = exprType((Node *) vq->event_time);
	size = lsecond(func->args);
	origin = lthird(func->args);
	if (!IsA(size, Const) || !IsA(origin, Const))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("size and origin of the window of a continuous view must be constants")));
	if (size->constisnull || origin->constisnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("size and origin of the window of a continuous view must not be null")));
	view_window_check_size(DatumGetIntervalP(size->constvalue), &vq->size);
	vq->origin = DatumGetTimestamp(origin->constvalue);
	if (TIMESTAMP_NOT_FINITE(vq->origin))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("origin of a window must be finite")));
	if (!contain_vars_of_level((Node *) vq->event_time, 0))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("event time of a continuous view must come from the stream"),
				 errhint("Give the window function a column of the stream.")));
}

/* ---- expressions ---- */

static bool
is_volatile(Oid func, void *context)
{
	if (func_volatile(func) != PROVOLATILE_VOLATILE)
		return false;
	*(Oid *) context = func;
	return true;
}

static bool
volatile_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_volatile, context))
		return true;
	return expression_tree_walker(node, volatile_walker, context);
}

static void
refuse_volatile(Node *node)
{
	Oid			func = InvalidOid;

	if (volatile_walker(node, &func))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use volatile function \"%s\" in a continuous view",
						get_func_name(func))));
}

static bool
is_clock(Oid func, void *context)
{
	return func == F_NOW || func == F_TRANSACTION_TIMESTAMP ||
		func == F_STATEMENT_TIMESTAMP;
}

/*
 * What is evaluated once for each row, when the job comes to it, must not
 * depend on that moment, nor on who runs the job.
 */
static bool
row_expression_walker(Node *node, void *context)
{
	ViewQuery  *vq = context;

	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		refuse("the current time or user in an expression over rows", NULL);
	if (check_functions_in_node(node, is_clock, NULL))
		refuse("the current time in an expression over rows",
			   "Compare with the current time when you read the view.");
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == vq->source_rti && var->varattno < 0 &&
			var->varattno != SelfItemPointerAttributeNumber &&
			var->varattno != TableOidAttributeNumber)
			refuse("this system column", "Streams have \"ctid\" and \"tableoid\" only.");
		if (var->varno == vq->window_rti && var->varattno <= 0)
			refuse("the window's row as a whole",
				   "Name window_start and window_end.");
		if (var->varno != vq->source_rti && var->varno != vq->window_rti)
			refuse("columns of a join", "Name the stream's columns.");
		return false;
	}
	if (IsA(node, Aggref) || IsA(node, WindowFunc))
		refuse("an aggregate within an expression over rows", NULL);
	return expression_tree_walker(node, row_expression_walker, context);
}

static void
check_row_expression(ViewQuery *vq, Node *node)
{
	(void) row_expression_walker(node, vq);
	refuse_volatile(node);
}

static void
refuse_aggregate(Aggref *aggref, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot use aggregate %s in a continuous view",
					format_procedure(aggref->aggfnoid)),
			 errdetail("%s", why)));
}

static void
add_aggregate(ViewQuery *vq, Aggref *aggref)
{
	HeapTuple	tup;
	Form_pg_aggregate form;
	Oid			argtypes[FUNC_MAX_ARGS];
	int			nargs;
	ViewAgg    *agg;
	ListCell   *lc;

	foreach(lc, vq->aggs)
	{
		if (equal(((ViewAgg *) lfirst(lc))->aggref, aggref))
			return;
	}

	if (AGGKIND_IS_ORDERED_SET(aggref->aggkind))
		refuse_aggregate(aggref, "Ordered-set aggregates need all rows of a group at once.");
	if (aggref->aggdistinct != NIL)
		refuse_aggregate(aggref, "DISTINCT needs all rows of a group at once.");
	if (aggref->aggorder != NIL)
		refuse_aggregate(aggref, "ORDER BY needs all rows of a group at once.");
	check_row_expression(vq, (Node *) aggref->args);
	check_row_expression(vq, (Node *) aggref->aggfilter);

	agg = palloc0(sizeof(ViewAgg));
	agg->aggref = aggref;

	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tup);
	nargs = get_aggregate_argtypes(aggref, argtypes);
	agg->transtype = resolve_aggregate_transtype(aggref->aggfnoid,
												 form->aggtranstype,
												 argtypes, nargs);
	agg->internal = agg->transtype == INTERNALOID;
	if (agg->internal &&
		(!OidIsValid(form->aggserialfn) || !OidIsValid(form->aggdeserialfn) ||
		 !OidIsValid(form->aggcombinefn)))
		refuse_aggregate(aggref, "Its state cannot be stored: it has no combine and serialization functions.");
	if (!agg->internal && get_typtype(agg->transtype) == TYPTYPE_PSEUDO)
		refuse_aggregate(aggref, "The type of its state is a pseudo-type.");
	ReleaseSysCache(tup);

	if (agg->internal)
		agg->storedtype = view_agg_state_type();
	else
	{
		agg->storedtype = agg->transtype;
		if (OidIsValid(get_typcollation(agg->transtype)))
			agg->storedcollation = OidIsValid(aggref->aggcollid) ? aggref->aggcollid :
				OidIsValid(aggref->inputcollid) ? aggref->inputcollid :
				get_typcollation(agg->transtype);
	}
	vq->aggs = lappend(vq->aggs, agg);
}

static bool
collect_aggregates_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		add_aggregate(context, (Aggref *) node);
		return false;
	}
	if (IsA(node, GroupingFunc))
		refuse("GROUPING", NULL);
	return expression_tree_walker(node, collect_aggregates_walker, context);
}

static void
add_group_expression(ViewQuery *vq, SortGroupClause *clause, bool *has_window)
{
	Node	   *expr = get_sortgroupclause_expr(clause, vq->query->targetList);
	ViewKey    *key;

	check_row_expression(vq, expr);
	if (IsA(expr, Var) && ((Var *) expr)->varno == vq->window_rti)
	{
		*has_window = true;
		return;
	}

	key = palloc0(sizeof(ViewKey));
	key->expr = (Expr *) expr;
	key->type = exprType(expr);
	key->typmod = exprTypmod(expr);
	key->collation = exprCollation(expr);
	key->eqop = clause->eqop;
	if (get_typtype(key->type) == TYPTYPE_PSEUDO)
		refuse("GROUP BY of a row", "Group by its columns.");
	if (OidIsValid(get_typcollation(key->type)) && !OidIsValid(key->collation))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_COLLATION),
				 errmsg("could not determine which collation to use for GROUP BY"),
				 errhint("Use the COLLATE clause to set the collation explicitly.")));
	vq->keys = lappend(vq->keys, key);
}

static void
refuse_clauses(Query *query)
{
	if (query->setOperations)
		refuse("UNION, INTERSECT or EXCEPT", NULL);
	if (query->cteList)
		refuse("WITH", NULL);
	if (query->hasSubLinks)
		refuse("a subquery", NULL);
	if (query->hasWindowFuncs || query->windowClause)
		refuse("window functions with OVER", "Use them when you read the view.");
	if (query->hasTargetSRFs)
		refuse("set-returning functions in the select list", NULL);
	if (query->distinctClause || query->hasDistinctOn)
		refuse("DISTINCT", "Use GROUP BY.");
	if (query->groupingSets)
		refuse("GROUPING SETS, CUBE or ROLLUP", "Create one continuous view for each grouping.");
	/* GROUP BY puts its sorting wishes elsewhere: this is an ORDER BY */
	if (query->sortClause)
		refuse("ORDER BY", "Order the rows when you read the view.");
	if (query->limitCount || query->limitOffset)
		refuse("LIMIT, OFFSET or FETCH", "Limit the rows when you read the view.");
	if (query->rowMarks)
		refuse("FOR UPDATE or FOR SHARE", NULL);
}

/* columns that are computed when they are read are not in the stream's rows */
static void
check_columns(ViewQuery *vq)
{
	Relation	rel = table_open(vq->source, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	Bitmapset  *attrs = NULL;
	int			x = -1;

	pull_varattnos((Node *) vq->query->targetList, vq->source_rti, &attrs);
	pull_varattnos(vq->query->havingQual, vq->source_rti, &attrs);
	pull_varattnos((Node *) vq->where, vq->source_rti, &attrs);
	pull_varattnos((Node *) vq->event_time, vq->source_rti, &attrs);
	while ((x = bms_next_member(attrs, x)) >= 0)
	{
		AttrNumber	attno = x + FirstLowInvalidHeapAttributeNumber;

		if (attno > 0 && TupleDescAttr(desc, attno - 1)->attgenerated == 'v')
			refuse("a virtual generated column", "Write its expression instead.");
	}
	table_close(rel, NoLock);
}

ViewQuery *
view_analyze(Query *query)
{
	ViewQuery  *vq = palloc0(sizeof(ViewQuery));
	FromState	from = {0};
	bool		has_window = false;
	ListCell   *lc;

	refuse_clauses(query);

	query = copyObject(query);
	query->targetList = (List *) flatten_group_vars(query, (Node *) query->targetList);
	query->havingQual = flatten_group_vars(query, query->havingQual);
	vq->query = query;

	from.query = query;
	walk_jointree(&from, (Node *) query->jointree);
	if (from.source_rti == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query of a continuous view must read from a stream")));
	vq->source_rti = from.source_rti;
	vq->source = rt_fetch(from.source_rti, query->rtable)->relid;
	vq->window_rti = from.window_rti;

	if (!query->hasAggs && query->groupClause == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query of a continuous view must have GROUP BY or aggregates"),
				 errhint("Use an ordinary view to show single rows of a stream.")));

	if (vq->window_rti != 0)
	{
		analyze_window(vq);
		check_row_expression(vq, (Node *) vq->event_time);
	}
	if (from.quals)
	{
		vq->where = (Expr *) make_ands_explicit(from.quals);
		check_row_expression(vq, (Node *) vq->where);
	}

	foreach(lc, query->groupClause)
		add_group_expression(vq, lfirst_node(SortGroupClause, lc), &has_window);
	if (vq->window_rti != 0 && !has_window)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("GROUP BY of a continuous view over windows must contain the window"),
				 errhint("Add window_start or window_end to GROUP BY.")));
	vq->single_group = query->groupClause == NIL;

	(void) collect_aggregates_walker((Node *) query->targetList, vq);
	(void) collect_aggregates_walker(query->havingQual, vq);
	refuse_volatile((Node *) query->targetList);
	refuse_volatile(query->havingQual);
	check_columns(vq);
	return vq;
}

void
view_check_access(ViewQuery *vq, Oid role)
{
	Bitmapset  *attrs = NULL;
	int			x = -1;
	bool		ok = true;

	if (check_enable_rls(vq->source, role, true) != RLS_NONE &&
		check_enable_rls(vq->source, role, true) != RLS_NONE_ENV)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("continuous view cannot read stream \"%s\" under row-level security",
						get_rel_name(vq->source))));

	if (pg_class_aclcheck(vq->source, role, ACL_SELECT) == ACLCHECK_OK)
		return;

	pull_varattnos((Node *) vq->query->targetList, vq->source_rti, &attrs);
	pull_varattnos(vq->query->havingQual, vq->source_rti, &attrs);
	pull_varattnos((Node *) vq->where, vq->source_rti, &attrs);
	pull_varattnos((Node *) vq->event_time, vq->source_rti, &attrs);
	if (attrs == NULL)
		ok = pg_attribute_aclcheck_all(vq->source, role, ACL_SELECT,
									   ACLMASK_ANY) == ACLCHECK_OK;
	while (ok && (x = bms_next_member(attrs, x)) >= 0)
	{
		AttrNumber	attno = x + FirstLowInvalidHeapAttributeNumber;

		if (attno == InvalidAttrNumber)
			ok = pg_attribute_aclcheck_all(vq->source, role, ACL_SELECT,
										   ACLMASK_ALL) == ACLCHECK_OK;
		else
			ok = pg_attribute_aclcheck(vq->source, attno, role,
									   ACL_SELECT) == ACLCHECK_OK;
	}
	if (!ok)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(vq->source));
}
