/*
 * batch_query.c
 *	  The query of a continuous view as an ordinary query over the stream.
 *
 * Most queries can be run as they are.  Sessions cannot, because session() is
 * only a mark.  The batch form of such a query reads a subquery in place of
 * the stream.  The subquery has the rows of the stream that pass WHERE, each
 * with the bounds of its session: a row begins a session if the one before it,
 * in order of event time, is more than a gap away.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_func.h"
#include "parser/parse_node.h"
#include "parser/parse_oper.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job_catalog.h"
#include "view/analyze.h"
#include "view/analyze_internal.h"
#include "view/latest.h"
#include "view/view.h"
#include "view/view_define.h"

/* columns of the subquery after those of the stream */
enum
{
	SUBQUERY_TABLEOID = 1,
	SUBQUERY_CTID,
	SUBQUERY_ROW,
	SUBQUERY_WINDOW_START,
	SUBQUERY_WINDOW_END
};

typedef struct SubqueryState
{
	ViewQuery  *vq;
	int			natts;			/* of the stream */
} SubqueryState;

/* refer to the subquery in place of the stream and its window function */
static Node *
refer_mutator(Node *node, void *context)
{
	SubqueryState *state = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		AttrNumber	attno = var->varattno;

		if (var->varno == state->vq->window_rti)
			attno = state->natts + (attno == WINDOW_START_ATTNO ? SUBQUERY_WINDOW_START : SUBQUERY_WINDOW_END);
		else if (attno == TableOidAttributeNumber)
			attno = state->natts + SUBQUERY_TABLEOID;
		else if (attno == SelfItemPointerAttributeNumber)
			attno = state->natts + SUBQUERY_CTID;
		else if (attno == InvalidAttrNumber)
			attno = state->natts + SUBQUERY_ROW;
		return (Node *) makeVar(state->vq->source_rti, attno, var->vartype, var->vartypmod,
								var->varcollid, 0);
	}
	return expression_tree_mutator(node, refer_mutator, context);
}

/* the columns of the stream that the query reads, and NULL for the others */
static void
append_columns(StringInfo sql, ViewQuery *vq, Relation source)
{
	TupleDesc	desc = RelationGetDescr(source);
	Bitmapset  *used = view_source_columns(vq);

	for (int i = 1; i <= desc->natts; i++)
	{
		if (bms_is_member(i - FirstLowInvalidHeapAttributeNumber, used) &&
			!TupleDescAttr(desc, i - 1)->attisdropped)
			appendStringInfo(sql, "s.%s AS c%d, ",
							 quote_identifier(NameStr(TupleDescAttr(desc, i - 1)->attname)), i);
		else
			appendStringInfo(sql, "NULL::pg_catalog.text AS c%d, ", i);
	}
	appendStringInfo(sql, "s.tableoid AS c%d, s.ctid AS c%d, ",
					 desc->natts + SUBQUERY_TABLEOID, desc->natts + SUBQUERY_CTID);
	appendStringInfo(sql, "%s AS c%d",
					 bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used) ? "s" :
					 "NULL::pg_catalog.text", desc->natts + SUBQUERY_ROW);
}

/* a place for an expression, of the same type and collation */
static void
append_place(StringInfo sql, Oid type, int32 typmod, Oid collation, const char *name, int n)
{
	appendStringInfo(sql, ", NULL::%s",
					 format_type_extended(type, typmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(collation) && collation != get_typcollation(type))
	{
		HeapTuple	tup = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
		Form_pg_collation form;

		if (!HeapTupleIsValid(tup))
			elog(ERROR, "cache lookup failed for collation %u", collation);
		form = (Form_pg_collation) GETSTRUCT(tup);
		appendStringInfo(sql, " COLLATE %s",
						 quote_qualified_identifier(get_namespace_name(form->collnamespace),
													NameStr(form->collname)));
		ReleaseSysCache(tup);
	}
	appendStringInfo(sql, " AS %s%d", name, n);
}

/*
 * The text of the subquery, with places for the event time and the keys.  All
 * rows of one time are peers in the window frame of count(), so their order
 * does not matter.
 */
static char *
subquery_text(ViewQuery *vq, Relation source)
{
	int			natts = RelationGetNumberOfAttributes(source);
	char	   *event_type = format_type_be_qualified(vq->event_type);
	char	   *gap = psprintf("'" INT64_FORMAT " microseconds'::pg_catalog.interval",
							   vq->window.size.micros);
	StringInfoData keys;
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&keys);
	foreach(lc, vq->keys)
		appendStringInfo(&keys, "k%d, ", foreach_current_index(lc) + 1);
	if (keys.len > 0)
		keys.data[keys.len - 2] = '\0';

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 1; i <= natts + SUBQUERY_ROW; i++)
		appendStringInfo(&sql, "c%d, ", i);
	appendStringInfo(&sql,
					 "pg_catalog.min(e0) OVER island AS window_start, "
					 "pg_catalog.max(e0) OVER island OPERATOR(pg_catalog.+) %s AS window_end "
					 "FROM (SELECT *, pg_catalog.count(*) FILTER (WHERE begins) OVER in_order AS island "
					 "FROM (SELECT *, ((e0 OPERATOR(pg_catalog.-) pg_catalog.lag(e0) OVER in_order) "
					 "OPERATOR(pg_catalog.<=) %s) IS NOT TRUE AS begins FROM (SELECT ",
					 gap, gap);
	append_columns(&sql, vq, source);
	append_place(&sql, vq->event_type, -1, InvalidOid, "e", 0);
	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);

		append_place(&sql, key->type, key->typmod, key->collation, "k",
					 foreach_current_index(lc) + 1);
	}
	appendStringInfo(&sql,
					 " FROM ONLY %s s WHERE pg_catalog.isfinite(NULL::%s)) AS rows "
					 "WINDOW in_order AS (%s%s ORDER BY e0)) AS rows "
					 "WINDOW in_order AS (%s%s ORDER BY e0)) AS rows "
					 "WINDOW island AS (PARTITION BY %s%sisland)",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(source)),
												RelationGetRelationName(source)),
					 event_type,
					 keys.len > 0 ? "PARTITION BY " : "", keys.data,
					 keys.len > 0 ? "PARTITION BY " : "", keys.data,
					 keys.data, keys.len > 0 ? ", " : "");
	return sql.data;
}

/* an expression over the stream, for the query in which that is the first */
static Expr *
move_expression(ViewQuery *vq, Expr *expr)
{
	Node	   *moved = (Node *) copyObject(expr);

	ChangeVarNodes(moved, vq->source_rti, 1, 0);
	return (Expr *) moved;
}

/* put the event time, the keys and WHERE into the innermost query */
static void
fill_places(ViewQuery *vq, Query *rows, int natts)
{
	int			place = natts + SUBQUERY_ROW;
	FuncExpr   *finite = castNode(FuncExpr, rows->jointree->quals);
	ListCell   *lc;

	list_nth_node(TargetEntry, rows->targetList, place++)->expr =
		move_expression(vq, vq->event_time);
	foreach(lc, vq->keys)
		list_nth_node(TargetEntry, rows->targetList, place++)->expr =
		move_expression(vq, ((ViewKey *) lfirst(lc))->expr);

	finite->args = list_make1(move_expression(vq, vq->event_time));
	if (vq->where)
		rows->jointree->quals = make_and_qual((Node *) finite,
											  (Node *) move_expression(vq, vq->where));
}

static void
forget_relation(RangeTblEntry *rte)
{
	Alias	   *eref = rte->eref;

	memset(rte, 0, sizeof(RangeTblEntry));
	rte->type = T_RangeTblEntry;
	rte->rtekind = RTE_RESULT;
	rte->eref = makeAlias(eref->aliasname, NIL);
}

/* replace the stream and its window function by the subquery */
static void
use_subquery(ViewQuery *vq, Query *query)
{
	Relation	source = table_open(vq->source, AccessShareLock);
	SubqueryState state = {vq, RelationGetNumberOfAttributes(source)};
	char	   *sql = subquery_text(vq, source);
	RangeTblEntry *rte = rt_fetch(vq->source_rti, query->rtable);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *subquery;
	Query	   *rows;
	ListCell   *lc;

	subquery = parse_analyze_fixedparams(linitial_node(RawStmt,
													   raw_parser(sql, RAW_PARSE_DEFAULT)),
										 sql, NULL, 0, NULL);
	rows = subquery;
	for (int i = 0; i < 3; i++)
		rows = linitial_node(RangeTblEntry, rows->rtable)->subquery;
	fill_places(vq, rows, state.natts);
	table_close(source, NoLock);

	query->targetList = (List *) refer_mutator((Node *) query->targetList, &state);
	query->havingQual = refer_mutator(query->havingQual, &state);

	lfirst(list_nth_cell(query->rtable, vq->source_rti - 1)) =
		addRangeTableEntryForSubquery(make_parsestate(NULL), subquery,
									  makeAlias(rte->eref->aliasname, NIL), false, true)->p_rte;
	ref->rtindex = vq->source_rti;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	foreach(lc, query->rtable)
	{
		if (foreach_current_index(lc) != vq->source_rti - 1)
			forget_relation(lfirst(lc));
	}
	COMPAT_FORGET_RELATIONS(query);
}

/* sort the input of an aggregate by an expression, after what it is sorted by */
static void
add_order(Aggref *aggref, Expr *expr)
{
	TargetEntry *tle = makeTargetEntry(expr, list_length(aggref->args) + 1, NULL, true);
	SortGroupClause *clause = makeNode(SortGroupClause);

	tle->ressortgroupref = list_length(aggref->aggorder) + 1;
	aggref->args = lappend(aggref->args, tle);
	clause->tleSortGroupRef = tle->ressortgroupref;
	get_sort_group_operators(exprType((Node *) expr), true, true, false,
							 &clause->sortop, &clause->eqop, NULL, &clause->hashable);
	aggref->aggorder = lappend(aggref->aggorder, clause);
}

/*
 * latest() takes its input as it comes.  A sort of the groups would mix it up,
 * so it gets the order in which the job takes the rows.
 */
static Node *
order_latest(Node *node, void *context)
{
	ViewQuery  *vq = context;

	if (node == NULL)
		return NULL;
	if (view_is_latest(node))
	{
		Aggref	   *aggref = copyObject((Aggref *) node);
		Oid			types[] = {OIDOID, TIDOID};
		Oid			produced_at = LookupFuncName(list_make2(makeString(STREAMQ_SCHEMA),
															makeString("produced_at")),
												 2, types, false);
		Var		   *tableoid = makeVar(vq->source_rti, TableOidAttributeNumber, OIDOID, -1,
									   InvalidOid, 0);
		Var		   *ctid = makeVar(vq->source_rti, SelfItemPointerAttributeNumber, TIDOID, -1,
								   InvalidOid, 0);

		add_order(aggref, (Expr *) makeFuncExpr(produced_at, TIMESTAMPTZOID,
												list_make2(tableoid, ctid), InvalidOid,
												InvalidOid, COERCE_EXPLICIT_CALL));
		add_order(aggref, (Expr *) ctid);
		return (Node *) aggref;
	}
	return expression_tree_mutator(node, order_latest, context);
}

Query *
view_make_batch_query(Query *query)
{
	ViewQuery  *vq = view_analyze(query);
	Query	   *result;

	if (!view_is_merging(vq))
	{
		result = copyObject(query);
		result->targetList = (List *) order_latest((Node *) result->targetList, vq);
		result->havingQual = order_latest(result->havingQual, vq);
		return result;
	}
	if (vq->tables)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("sessions of messages that are joined with tables have no query over the stream")));
	result = copyObject(vq->query);
	use_subquery(vq, result);
	return result;
}

/*
 * view_batch_query(view regclass) returns text
 *
 * 42809 if the relation is not a continuous view, 42501 unless the caller may
 * read it, 55000 if the view was restored and has not been computed yet.
 */
PG_FUNCTION_INFO_V1(streamq_view_batch_query);
Datum
streamq_view_batch_query(PG_FUNCTION_ARGS)
{
	Oid			view = PG_GETARG_OID(0);
	JobRow		job;
	Query	   *query;

	base_require_loaded();
	if (get_rel_name(view) == NULL || !job_find_by_target(view, &job) ||
		strcmp(job.kind, VIEW_JOB_KIND) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a continuous view",
						get_rel_name(view) ? get_rel_name(view) : psprintf("%u", view))));
	if (pg_class_aclcheck(view, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_VIEW, get_rel_name(view));
	if (job.format != job_format())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" has not been computed yet", get_rel_name(view))));
	query = view_make_batch_query(castNode(Query, stringToNode(job.query_tree)));
	PG_RETURN_TEXT_P(cstring_to_text(pg_get_querydef(query, false)));
}
