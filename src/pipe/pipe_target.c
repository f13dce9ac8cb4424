/*
 * pipe_target.c
 *	  What a pipe writes to: a stream or an ordinary table.
 *
 * A pipe is planned as the statement
 *
 *	INSERT INTO target (columns) SELECT columns FROM the pipe's view
 *
 * so defaults, generated columns, conversions, triggers, constraints and
 * policies are those of INSERT.  Columns are matched by name when the pipe is
 * created.  After that, it remembers their numbers, because columns may be
 * renamed.  If a column was dropped, another one of the original name takes its
 * place.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/loaded.h"
#include "compat.h"
#include "job/job_define.h"
#include "log/log.h"
#include "pipe/pipe_internal.h"
#include "query/query.h"

Relation
pipe_open_target(Oid relid, LOCKMODE lockmode)
{
	Relation	rel = table_open(relid, lockmode);

	if (rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("a pipe cannot write into \"%s\"", RelationGetRelationName(rel)),
				 errhint("Use a stream or an ordinary table.")));
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a pipe cannot write into temporary table \"%s\"",
						RelationGetRelationName(rel))));
	return rel;
}

/* ---- columns ---- */

/* the column for whole rows: "payload" of a type that JSON can have */
static AttrNumber
find_row_column(Relation target)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(target), "payload");
	Oid			type;

	if (attnum <= 0 || TupleDescAttr(RelationGetDescr(target), attnum - 1)->attgenerated)
		return InvalidAttrNumber;
	type = getBaseType(TupleDescAttr(RelationGetDescr(target), attnum - 1)->atttypid);
	return type == JSONBOID || type == JSONOID || type == TEXTOID || type == BYTEAOID ?
		attnum : InvalidAttrNumber;
}

PipeColumns *
pipe_match_columns(Query *query, Relation target)
{
	PipeColumns *columns = palloc0(sizeof(PipeColumns));
	bool		has_payload = false;
	const char *lost = NULL;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		AttrNumber	attnum;

		if (tle->resjunk)
			continue;
		attnum = get_attnum(RelationGetRelid(target), tle->resname);
		attnum = Max(attnum, 0);
		columns->attnums = lappend_int(columns->attnums, attnum);
		if (attnum == 0 && lost == NULL)
			lost = tle->resname;
		has_payload |= strcmp(tle->resname, "payload") == 0;
	}
	if (!has_payload)
		columns->row_attnum = find_row_column(target);
	if (lost && columns->row_attnum == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of the query is not a column of \"%s\"", lost,
						RelationGetRelationName(target)),
				 errhint("Name the columns of the query as in \"%s\".",
						 RelationGetRelationName(target))));
	return columns;
}

char *
pipe_write_columns(const PipeColumns *columns)
{
	return nodeToString(lappend_int(list_copy(columns->attnums), columns->row_attnum));
}

PipeColumns *
pipe_read_columns(const char *text)
{
	PipeColumns *columns = palloc0(sizeof(PipeColumns));

	columns->attnums = (List *) stringToNode(text);
	columns->row_attnum = llast_int(columns->attnums);
	columns->attnums = list_delete_last(columns->attnums);
	return columns;
}

static bool
is_dropped(Relation target, AttrNumber attnum)
{
	return attnum > 0 && TupleDescAttr(RelationGetDescr(target), attnum - 1)->attisdropped;
}

bool
pipe_replace_columns(const JobRow *job, Relation target, PipeColumns *columns)
{
	bool		changed = false;
	ListCell   *lc;

	foreach(lc, columns->attnums)
	{
		AttrNumber	attnum;

		if (!is_dropped(target, lfirst_int(lc)))
			continue;
		attnum = get_attnum(RelationGetRelid(target),
							get_attname(job->target, foreach_current_index(lc) + 1, false));
		if (attnum <= 0)
			continue;
		lfirst_int(lc) = attnum;
		changed = true;
	}
	if (is_dropped(target, columns->row_attnum))
	{
		AttrNumber	attnum = find_row_column(target);

		changed |= attnum != 0;
		if (attnum != 0)
			columns->row_attnum = attnum;
	}
	return changed;
}

/* ---- the statement ---- */

/* name: of the column when the pipe was created */
static const char *
column_name(Oid target, AttrNumber attnum, const char *name)
{
	HeapTuple	tup = SearchSysCacheAttNum(target, attnum);
	const char *result;

	if (!HeapTupleIsValid(tup))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("a column of \"%s\" into which the pipe writes was dropped",
						get_rel_name(target)),
				 errhint("Add column \"%s\" again, or drop the pipe and create it again.", name)));
	result = quote_identifier(pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tup))->attname)));
	ReleaseSysCache(tup);
	return result;
}

static void
add_column(StringInfo names, StringInfo values, const char *name, const char *value)
{
	appendStringInfo(names, "%s%s", names->len > 0 ? ", " : "", name);
	appendStringInfo(values, "%s%s", values->len > 0 ? ", " : "", value);
}

/* the statement that the pipe executes, with the names of today */
static char *
make_statement(const JobRow *job, const PipeColumns *columns)
{
	StringInfoData names;
	StringInfoData values;
	const char *from = "";
	ListCell   *lc;

	initStringInfo(&names);
	initStringInfo(&values);
	foreach(lc, columns->attnums)
	{
		AttrNumber	source = foreach_current_index(lc) + 1;

		if (lfirst_int(lc) != 0)
		{
			const char *name = get_attname(job->target, source, false);

			add_column(&names, &values, column_name(job->emit_into, lfirst_int(lc), name),
					   psprintf("job.%s", quote_identifier(name)));
		}
	}
	if (columns->row_attnum != 0)
	{
		const char *name = column_name(job->emit_into, columns->row_attnum, "payload");
		Oid			type = getBaseType(get_atttype(job->emit_into, columns->row_attnum));

		add_column(&names, &values, name,
				   type == JSONBOID ? "pg_catalog.to_jsonb(r)" :
				   type == JSONOID ? "pg_catalog.to_jsonb(r)::pg_catalog.json" :
				   type == BYTEAOID ?
				   "pg_catalog.convert_to(pg_catalog.to_jsonb(r)::pg_catalog.text, pg_catalog.getdatabaseencoding())" :
				   "pg_catalog.to_jsonb(r)::pg_catalog.text");
		from = ", LATERAL (SELECT job.*) r";
	}
	return psprintf("INSERT INTO %s (%s) SELECT %s FROM %s.%s job%s",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(job->emit_into)),
											   get_rel_name(job->emit_into)),
					names.data, values.data, STREAMQ_SCHEMA,
					quote_identifier(get_rel_name(job->target)), from);
}

static RangeTblEntry *
first_subquery(Query *query, Index *rti)
{
	RangeTblEntry *rte;

	*rti = castNode(RangeTblRef, linitial(query->jointree->fromlist))->rtindex;
	rte = rt_fetch(*rti, query->rtable);
	if (rte->rtekind != RTE_SUBQUERY)
		elog(ERROR, "unexpected form of a pipe's query");
	return rte;
}

RangeTblEntry *
pipe_first_subquery(Query *query)
{
	Index		rti;

	return first_subquery(query, &rti);
}

void
pipe_allow(Query *query, RangeTblEntry *rte)
{
	COMPAT_CLEAR_PRIVILEGES(query, rte);
}

/*
 * Does the plan's order of rows need care?  If the stream is the only relation,
 * no plan changes it.
 */
static bool
may_lose_order(Query *query)
{
	return query->hasSubLinks || list_length(query->jointree->fromlist) != 1 ||
		!IsA(linitial(query->jointree->fromlist), RangeTblRef);
}

/*
 * Sort the rows of the INSERT by the messages from which they are made.  The
 * view's query gets a column for that, which the SELECT above it sorts by.
 */
static void
add_order(Query *select, RangeTblEntry *view, Index view_rti, Index source_rti)
{
	Query	   *query = view->subquery;
	AttrNumber	attno = list_length(query->targetList) + 1;
	TargetEntry *key;
	SortGroupClause *clause = makeNode(SortGroupClause);
	Oid			sortop;
	Oid			eqop;
	bool		hashable;

	query->targetList = lappend(query->targetList,
								makeTargetEntry(query_message_order(source_rti), attno,
												pstrdup("message"), false));
	view->eref->colnames = lappend(view->eref->colnames, makeString(pstrdup("message")));

	key = makeTargetEntry((Expr *) makeVar(view_rti, attno, INT8OID, -1, InvalidOid, 0),
						  list_length(select->targetList) + 1, pstrdup("message"), true);
	key->ressortgroupref = 1;
	select->targetList = lappend(select->targetList, key);
	get_sort_group_operators(INT8OID, true, true, false, &sortop, &eqop, NULL, &hashable);
	clause->tleSortGroupRef = 1;
	clause->eqop = eqop;
	clause->sortop = sortop;
	clause->hashable = hashable;
	select->sortClause = list_make1(clause);
}

PlannedStmt *
pipe_plan(const JobRow *job, Relation target, const PipeColumns *columns,
		  Query *query, Index source, double nrows, char **text)
{
	List	   *queries;
	Query	   *insert;
	Query	   *select;
	RangeTblEntry *view;
	Index		rti;

	*text = make_statement(job, columns);
	queries = QueryRewrite(job_analyze_statement(*text));
	if (list_length(queries) != 1 || linitial_node(Query, queries)->commandType != CMD_INSERT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a pipe cannot write into \"%s\", because it has rules",
						get_rel_name(job->emit_into)),
				 errhint("Use a trigger.")));
	insert = linitial_node(Query, queries);
	select = first_subquery(insert, &rti)->subquery;
	view = first_subquery(select, &rti);
	if (query)
		view->subquery = query;
	else
		source = query_mark_source(view->subquery, job->source);
	if (source != 0 && log_is_stream(target) && may_lose_order(view->subquery))
		add_order(select, view, rti, source);
	return query_plan(insert, *text, nrows);
}

void
pipe_join_check_privileges(const JobRow *job, Relation target, const PipeColumns *columns,
						   Query *query)
{
	char	   *text;

	query_check_relations(pipe_plan(job, target, columns, copyObject(query), 0, 1000, &text));
}
