/*
 * join_rows.c
 *	  The messages of a join that wait for a match.
 *
 * There is a table for each side.  It has the columns of the stream that the
 * query uses, in their order, which a dump and restore keeps.  An index finds
 * messages by the columns that the join
 * compares, and by time.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/command.h"
#include "base/loaded.h"
#include "compat.h"
#include "pipe/join.h"
#include "pipe/pipe_internal.h"
#include "query/query.h"

/* name of the table of a side, with the job's id */
#define ROWS_TABLE_NAME	"pipe_%s_%d"

static const char *const side_names[] = {"left", "right"};

static Oid
rows_table(const JobRow *job, int side)
{
	return side == PIPE_LEFT ? job->state : job->results;
}

static void
run(const char *sql)
{
	SPI_connect();
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	SPI_finish();
}

/* ---- creating the tables ---- */

static void
append_columns(StringInfo sql, Relation stream, const PipeJoin *join, int side)
{
	TupleDesc	desc = RelationGetDescr(stream);
	int			attno = -1;

	while ((attno = bms_next_member(join->columns[side], attno)) >= 0)
	{
		Form_pg_attribute att = TupleDescAttr(desc, attno - 1);
		int			column = pipe_join_column(join, side, attno);

		appendStringInfo(sql, "%scolumn_%d %s", column > 1 ? ", " : "", column,
						 format_type_extended(att->atttypid, att->atttypmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
		if (OidIsValid(att->attcollation))
			appendStringInfo(sql, " COLLATE %s", base_collation_name(att->attcollation));
	}
}

/* the columns of a side that conditions of the join compare by equality */
static Bitmapset *
equal_columns(Node *node, const PipeJoin *join, int side)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, make_ands_implicit((Expr *) node))
	{
		OpExpr	   *op = lfirst(lc);
		Var		   *vars[2];

		if (!IsA(op, OpExpr) || list_length(op->args) != 2)
			continue;
		vars[0] = (Var *) strip_implicit_coercions(linitial(op->args));
		vars[1] = (Var *) strip_implicit_coercions(lsecond(op->args));
		if (!IsA(vars[0], Var) || !IsA(vars[1], Var) || vars[0]->varno == vars[1]->varno)
			continue;
		for (int i = 0; i < 2; i++)
		{
			Oid			opclass = GetDefaultOpClass(vars[i]->vartype, BTREE_AM_OID);

			if (vars[i]->varno == join->rti[side] && vars[i]->varattno > 0 &&
				OidIsValid(opclass) &&
				get_op_opfamily_strategy(op->opno, get_opclass_family(opclass)) == BTEqualStrategyNumber)
				columns = bms_add_member(columns, vars[i]->varattno);
		}
	}
	return columns;
}

/*
 * The table of one side's messages.  Its index begins with the columns that the
 * join condition compares with the other side, and ends with the time.  Messages
 * that are too old are found by their time alone.
 */
static void
create_table(const JobRow *job, const PipeJoin *join, Query *query, int side, Oid *result)
{
	char	   *name = psprintf(ROWS_TABLE_NAME, side_names[side], job->job_id);
	Relation	stream = table_open(join->stream[side], NoLock);
	StringInfoData sql;
	Bitmapset  *columns;
	int			time = pipe_join_column(join, side, join->time[side]);
	int			x = -1;
	int			n = 0;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s.%s (", STREAMQ_SCHEMA, name);
	append_columns(&sql, stream, join, side);
	appendStringInfoString(&sql, ") USING heap");
	run(sql.data);
	table_close(stream, NoLock);
	*result = get_relname_relid(name, get_namespace_oid(STREAMQ_SCHEMA, false));
	if (!OidIsValid(*result))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" was dropped or renamed by an event trigger", name)));

	resetStringInfo(&sql);
	appendStringInfo(&sql, "CREATE INDEX ON %s.%s (", STREAMQ_SCHEMA, name);
	columns = equal_columns(pipe_join_conditions(query), join, side);
	columns = bms_del_member(columns, join->time[side]);
	while ((x = bms_next_member(columns, x)) >= 0 && n++ < INDEX_MAX_KEYS - 1)
		appendStringInfo(&sql, "column_%d, ", pipe_join_column(join, side, x));
	appendStringInfo(&sql, "column_%d)", time);
	run(sql.data);
	if (n > 0)
		run(psprintf("CREATE INDEX ON %s.%s (column_%d)", STREAMQ_SCHEMA, name, time));
}

/* the tables belong to the job's view */
static void
tie_tables(const JobRow *job)
{
	ObjectAddress view;
	ObjectAddress table;

	ObjectAddressSet(view, RelationRelationId, job->target);
	for (int side = 0; side < 2; side++)
	{
		ObjectAddressSet(table, RelationRelationId, rows_table(job, side));
		recordDependencyOn(&table, &view, DEPENDENCY_INTERNAL);
	}
}

void
pipe_join_create_tables(JobRow *job, const PipeJoin *join, Query *query)
{
	BaseIdentity identity;

	base_become_extension_owner(&identity);
	create_table(job, join, query, PIPE_LEFT, &job->state);
	create_table(job, join, query, PIPE_RIGHT, &job->results);
	base_become_caller(&identity);
	tie_tables(job);
}

/* a restore creates indexes when it has loaded a table */
bool
pipe_join_tables_complete(const JobRow *job)
{
	Oid			tables[] = {job->state, job->results};
	bool		complete = true;

	for (int i = 0; i < lengthof(tables); i++)
	{
		Relation	rel = table_open(tables[i], AccessShareLock);

		complete &= rel->rd_rel->relhasindex;
		table_close(rel, NoLock);
	}
	return complete;
}

bool
pipe_join_has_tables(int32 job_id)
{
	return OidIsValid(get_relname_relid(psprintf(ROWS_TABLE_NAME, side_names[PIPE_LEFT], job_id),
										get_namespace_oid(STREAMQ_SCHEMA, false)));
}

/* ---- keeping and deleting messages ---- */

PlannedStmt *
pipe_join_plan_keep(const JobRow *job, const PipeJoin *join, int side, Query *query,
					double nrows, char **text)
{
	Oid			stream = join->stream[side];
	StringInfoData names;
	StringInfoData values;
	int			attno = -1;
	Query	   *insert;
	RangeTblEntry *select;

	initStringInfo(&names);
	initStringInfo(&values);
	while ((attno = bms_next_member(join->columns[side], attno)) >= 0)
	{
		appendStringInfo(&names, "%scolumn_%d", names.len > 0 ? ", " : "",
						 pipe_join_column(join, side, attno));
		appendStringInfo(&values, "%sm.%s", values.len > 0 ? ", " : "",
						 quote_identifier(get_attname(stream, attno, false)));
	}
	*text = psprintf("INSERT INTO %s.%s (%s) SELECT %s FROM ONLY %s m", STREAMQ_SCHEMA,
					 get_rel_name(rows_table(job, side)), names.data, values.data,
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(stream)),
												get_rel_name(stream)));
	insert = parse_analyze_fixedparams(linitial_node(RawStmt, raw_parser(*text, RAW_PARSE_DEFAULT)),
									   *text, NULL, 0, NULL);
	pipe_allow(insert, rt_fetch(insert->resultRelation, insert->rtable));
	select = pipe_first_subquery(insert);
	query_mark_source(select->subquery, stream);
	return query_plan(insert, *text, nrows);
}

/*
 * Run a statement about the messages of a side, as the owner of the tables.
 * A SELECT has one value.
 */
static bool
run_about_rows(const PipeJoin *join, const char *sql, Timestamp value, Timestamp *result)
{
	Datum		argument = TimestampGetDatum(value);
	Oid			type = join->time_type;
	BaseIdentity identity;
	bool		isnull = true;

	base_become_extension_owner(&identity);
	SPI_connect();
	if (SPI_execute_with_args(sql, 1, &type, &argument, NULL, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	if (result)
		*result = DatumGetTimestamp(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
												  1, &isnull));
	SPI_finish();
	base_become_caller(&identity);
	return !isnull;
}

bool
pipe_join_next(const JobRow *job, const PipeJoin *join, int side, Timestamp after,
			   Timestamp *time)
{
	int			column = pipe_join_column(join, side, join->time[side]);

	return run_about_rows(join,
						  psprintf("SELECT pg_catalog.min(column_%d) FROM %s.%s "
								   "WHERE column_%d OPERATOR(pg_catalog.>) $1",
								   column, STREAMQ_SCHEMA,
								   get_rel_name(rows_table(job, side)), column),
						  after, time);
}

void
pipe_join_delete(const JobRow *job, const PipeJoin *join, int side, Timestamp up_to)
{
	int			column = pipe_join_column(join, side, join->time[side]);

	(void) run_about_rows(join,
						  psprintf("DELETE FROM %s.%s WHERE column_%d OPERATOR(pg_catalog.<=) $1 "
								   "OR column_%d IS NULL OR column_%d OPERATOR(pg_catalog.=) 'infinity'",
								   STREAMQ_SCHEMA, get_rel_name(rows_table(job, side)),
								   column, column, column),
						  up_to, NULL);
}
