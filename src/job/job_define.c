/*
 * job_define.c
 *	  Creating a job: its query, name, view, dependencies and start.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "commands/view.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteSupport.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/command.h"
#include "base/dependency.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job_define.h"
#include "log/log.h"
#include "log/reader.h"

/* ---- the query ---- */

void
job_refuse(const char *kind, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot use %s in a %s", what, kind),
			 hint ? errhint("%s", hint) : 0));
}

/* an error position refers to the text of the query, not to the SQL call */
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

static void
push_parse_callback(ErrorContextCallback *callback, const char *text)
{
	callback->callback = parse_error_callback;
	callback->arg = unconstify(char *, text);
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

Query *
job_analyze_statement(const char *text)
{
	ErrorContextCallback callback;
	Query	   *query;

	push_parse_callback(&callback, text);
	query = parse_analyze_fixedparams(linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT)),
									  text, NULL, 0, NULL);
	error_context_stack = callback.previous;
	return query;
}

Query *
job_parse_query(const char *text, const char *what, const char *hint)
{
	ErrorContextCallback callback;
	List	   *raw;
	RawStmt    *stmt;
	Query	   *query;

	push_parse_callback(&callback, text);
	raw = raw_parser(text, RAW_PARSE_DEFAULT);
	if (list_length(raw) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("query of a %s must be exactly one SELECT", what),
				 errdetail("The text contains %d statements.", list_length(raw))));
	stmt = linitial_node(RawStmt, raw);
	if (!IsA(stmt->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("query of a %s must be exactly one SELECT", what),
				 errhint("%s", hint)));
	if (((SelectStmt *) stmt->stmt)->intoClause != NULL)
		job_refuse(what, "SELECT INTO", NULL);

	query = parse_analyze_fixedparams(stmt, text, NULL, 0, NULL);
	error_context_stack = callback.previous;

	Assert(query->commandType == CMD_SELECT);
	return query;
}

/* ---- the name ---- */

bool
job_check_new_name(const char *kind, const char *name, bool if_not_exists)
{
	JobRow		job;

	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of a %s must not be empty", kind)));
	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of %s \"%s\" is too long", kind, name),
				 errdetail("It may have up to %d bytes.", NAMEDATALEN - 1)));
	if (!job_find_named(name, &job))
		return true;
	if (if_not_exists && strcmp(job.kind, kind) == 0)
	{
		ereport(NOTICE,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("%s \"%s\" already exists, skipping", kind, name)));
		return false;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("%s \"%s\" already exists", job.kind, name)));
}

/* ---- the view ---- */

/*
 * A view whose columns have the types of the query's.  The text contains
 * nothing but names of types, because it is analyzed as the extension's owner.
 */
static char *
make_view_command(const char *relname, Query *query)
{
	StringInfoData columns;
	StringInfoData types;
	ListCell   *lc;

	initStringInfo(&columns);
	initStringInfo(&types);
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *expr = (Node *) tle->expr;
		const char *separator = foreach_current_index(lc) > 0 ? ", " : "";

		if (tle->resjunk)
			continue;
		if (get_typtype(exprType(expr)) == TYPTYPE_PSEUDO)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("column \"%s\" has pseudo-type %s", tle->resname,
							format_type_be(exprType(expr)))));
		if (type_is_collatable(exprType(expr)) && !OidIsValid(exprCollation(expr)))
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_COLLATION),
					 errmsg("could not determine which collation to use for column \"%s\"",
							tle->resname),
					 errhint("Use the COLLATE clause to set the collation explicitly.")));
		appendStringInfo(&columns, "%s%s", separator, quote_identifier(tle->resname));
		appendStringInfo(&types, "%sNULL::%s", separator,
						 format_type_extended(exprType(expr), exprTypmod(expr),
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY));
		if (OidIsValid(exprCollation(expr)))
			appendStringInfo(&types, " COLLATE %s", base_collation_name(exprCollation(expr)));
	}
	return psprintf("CREATE VIEW %s.%s (%s) AS SELECT %s", STREAMQ_SCHEMA,
					quote_identifier(relname), columns.data, types.data);
}

static char *
view_name(const JobRow *job)
{
	char	   *name = psprintf("%s %s", job->kind, job->name);
	char		number[16];

	if (strlen(name) < NAMEDATALEN)
		return name;
	snprintf(number, sizeof(number), "%d", job->job_id);
	return makeObjectName(name, number, NULL);
}

Oid
job_create_view(const JobRow *job, Query *query)
{
	char	   *relname = view_name(job);
	char	   *command = make_view_command(relname, query);
	Oid			owner = GetUserId();
	BaseIdentity identity;
	Oid			view;

	base_become_extension_owner(&identity);
	base_run_utility(linitial_node(RawStmt, raw_parser(command, RAW_PARSE_DEFAULT))->stmt,
					 command);
	view = get_relname_relid(relname, get_namespace_oid(STREAMQ_SCHEMA, false));
	if (!OidIsValid(view) || get_rel_relkind(view) != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("view \"%s\" was dropped or renamed by an event trigger", relname)));
	StoreViewQuery(view, query, true);
	CommandCounterIncrement();
	CreateComments(view, RelationRelationId, 0,
				   psprintf("belongs to %s \"%s\"", job->kind, job->name));
	ATExecChangeOwner(view, owner, true, AccessExclusiveLock);
	CommandCounterIncrement();
	base_become_caller(&identity);
	return view;
}

Query *
job_view_query(Oid view)
{
	Relation	rel = table_open(view, NoLock);
	Query	   *query = copyObject(get_view_query(rel));

	table_close(rel, NoLock);
	return query;
}

/* ---- dependencies ---- */

void
job_record_dependency(Oid view, Oid classid, Oid objid)
{
	ObjectAddress depender;
	ObjectAddress referenced;

	ObjectAddressSet(depender, RelationRelationId, view);
	ObjectAddressSet(referenced, classid, objid);
	recordDependencyOn(&depender, &referenced, DEPENDENCY_NORMAL);
}

bool
job_has_dependency(Oid view, Oid classid, Oid objid)
{
	return base_depends_on(RelationRelationId, view, classid, objid, BASE_ANY_DEPENDENCY);
}

int
job_view_relations(Oid view, Oid except, Oid *relids, int max)
{
	Oid			rule = get_rewrite_oid(view, ViewSelectRuleName, true);
	Relation	depend;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			n = 0;

	if (!OidIsValid(rule))
		return 0;
	depend = table_open(DependRelationId, AccessShareLock);
	scan = base_scan_dependencies(depend, RewriteRelationId, rule);
	while (n < max && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		bool		known = form->refobjid == view || form->refobjid == except;

		if (form->refclassid != RelationRelationId)
			continue;
		for (int i = 0; i < n && !known; i++)
			known = relids[i] == form->refobjid;
		if (!known && get_rel_relkind(form->refobjid) != RELKIND_SEQUENCE)
			relids[n++] = form->refobjid;
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return n;
}

/* ---- settings ---- */

ArrayType *
job_collect_settings(void)
{
	static const char *const names[] = {
		"search_path", "TimeZone", "DateStyle", "IntervalStyle",
		"extra_float_digits", "bytea_output", "xmlbinary", "xmloption",
		"lc_monetary", "lc_numeric", "lc_time", "default_text_search_config",
		"array_nulls", "transform_null_equals",
	};
	Datum		values[lengthof(names) * 2];
	int			n = 0;

	for (int i = 0; i < lengthof(names); i++)
	{
		values[n++] = CStringGetTextDatum(names[i]);
		values[n++] = CStringGetTextDatum(GetConfigOption(names[i], false, false));
	}
	return construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT);
}

/* ---- the start ---- */

/* false for earliest and latest */
static bool
start_is_time(const char *start_at, TimestampTz *time)
{
	if (strcmp(start_at, "earliest") == 0 || strcmp(start_at, "latest") == 0)
		return false;
	/* a word that is neither of them is more likely than a time */
	if (strpbrk(start_at, "0123456789") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", "start_at", start_at),
				 errhint("Use \"earliest\", \"latest\" or a time.")));
	*time = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
													CStringGetDatum(start_at),
													ObjectIdGetDatum(InvalidOid),
													Int32GetDatum(-1)));
	return true;
}

void
job_check_start(const char *start_at)
{
	TimestampTz time;

	(void) start_is_time(start_at, &time);
}

static void
set_start_in(const JobRow *job, bool other, bool at_time, TimestampTz time)
{
	Relation	rel = log_open_stream(other ? job->other_source : job->source, NoLock);
	int			npartitions = log_partition_count(rel);
	JobProgress *progress = job_read_progress(job->job_id, other ? 0 : npartitions,
											  other ? npartitions : 0);

	for (int i = 0; i < npartitions; i++)
	{
		/*
		 * The latest place is before the first message of a transaction in
		 * progress, because that message may still be committed.
		 */
		progress[i].next_offset = at_time ? log_offset_at_time(rel, i, time) :
			log_stable_offset(rel, i, NULL, NULL);
		progress[i].start_offset = progress[i].next_offset;
		progress[i].changed = true;
	}
	job_write_progress(job->job_id, progress, npartitions);
	table_close(rel, NoLock);
}

void
job_set_start(const JobRow *job, const char *start_at)
{
	TimestampTz time = 0;
	bool		at_time = start_is_time(start_at, &time);

	if (strcmp(start_at, "earliest") == 0)
		return;
	set_start_in(job, false, at_time, time);
	if (OidIsValid(job->other_source))
		set_start_in(job, true, at_time, time);
}
