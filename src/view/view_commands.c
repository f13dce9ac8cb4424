/*
 * view_commands.c
 *	  create_continuous_view() and drop_continuous_view().
 *
 * Dependencies connect the objects of a view.  The view's rule depends on the
 * objects in the query, so the stream cannot be dropped without CASCADE.  The
 * state table belongs to the view.  An object access hook (view_objects.c)
 * removes the job's rows whenever the view is dropped.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "commands/comment.h"
#include "commands/view.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "base/argument.h"
#include "base/command.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "job/job_define.h"
#include "view/agg.h"
#include "view/analyze.h"
#include "view/emit.h"
#include "view/joined.h"
#include "view/late.h"
#include "view/result_table.h"
#include "view/state_table.h"
#include "view/view.h"
#include "view/view_define.h"

PG_FUNCTION_INFO_V1(streamq_create_continuous_view);
PG_FUNCTION_INFO_V1(streamq_drop_continuous_view);

/* ---- creation ---- */

/*
 * Create the view.  CREATE VIEW makes event triggers and other hooks of
 * commands work.  Then the view gets the query tree itself, because parsing
 * the text of the query may give a different tree.
 */
static Oid
define_view(Oid namespaceid, const char *relname, Query *query)
{
	StringInfoData sql;
	Oid			view;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE VIEW %s (",
					 quote_qualified_identifier(get_namespace_name(namespaceid), relname));
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		/* grouping columns that are not selected come last */
		if (tle->resjunk)
			break;
		if (type_is_collatable(exprType((Node *) tle->expr)) &&
			!OidIsValid(exprCollation((Node *) tle->expr)))
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_COLLATION),
					 errmsg("could not determine which collation to use for view column \"%s\"",
							tle->resname),
					 errhint("Use the COLLATE clause to set the collation explicitly.")));
		appendStringInfo(&sql, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(tle->resname));
	}
	appendStringInfo(&sql, ") AS %s", pg_get_querydef(copyObject(query), false));
	base_run_utility(linitial_node(RawStmt, raw_parser(sql.data, RAW_PARSE_DEFAULT))->stmt,
					 sql.data);

	view = get_relname_relid(relname, namespaceid);
	if (!OidIsValid(view) || get_rel_relkind(view) != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("view \"%s\" was dropped or renamed by an event trigger", relname)));
	StoreViewQuery(view, query, true);
	CommandCounterIncrement();
	return view;
}

static void
tie(Oid relid, Oid to, DependencyType type)
{
	ObjectAddress object;
	ObjectAddress referenced;

	if (!OidIsValid(relid) || !OidIsValid(to))
		return;
	/* a restored view may have such a dependency already */
	deleteDependencyRecordsForSpecific(RelationRelationId, relid, type, RelationRelationId, to);
	ObjectAddressSet(object, RelationRelationId, relid);
	ObjectAddressSet(referenced, RelationRelationId, to);
	recordDependencyOn(&object, &referenced, type);
}

void
view_tie(const JobRow *job)
{
	tie(job->target, job->source, DEPENDENCY_NORMAL);
	tie(job->target, job->emit_into, DEPENDENCY_NORMAL);
	tie(job->target, job->late_stream, DEPENDENCY_NORMAL);
	tie(job->state, job->target, DEPENDENCY_INTERNAL);
	tie(job->results, job->target, DEPENDENCY_INTERNAL);
}

void
view_record_dependencies(const JobRow *job, Query *query)
{
	ObjectAddress rule;

	ObjectAddressSet(rule, RewriteRelationId,
					 get_rewrite_oid(job->target, ViewSelectRuleName, false));
	recordDependencyOnExpr(&rule, (Node *) query, NIL, DEPENDENCY_NORMAL);
	view_tie(job);
}

/*
 * \d+ shows how the view is stored, so add a comment that tells where the
 * query is
 */
static void
describe_view(Oid view, Oid source)
{
	char	   *comment = psprintf("continuous view of stream \"%s\"; its query is in streamq.jobs",
								   get_rel_name(source));

	CreateComments(view, RelationRelationId, 0, comment);
}

/* without GROUP BY there is always one row: count(*) of nothing is 0 */
void
view_store_single_group(ViewQuery *vq, Oid state_oid)
{
	Relation	rel;
	ViewStateTable *state;
	static const ViewWindow whole = {0, 0};

	rel = table_open(state_oid, RowExclusiveLock);
	PushActiveSnapshot(GetTransactionSnapshot());
	state = view_state_open(rel, vq, view_agg_set_create(vq));
	(void) view_state_find_group(state, &whole, DT_NOBEGIN, NULL, NULL);
	view_state_flush(state);
	PopActiveSnapshot();
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/* skip ids of restored state tables, which have the ids of other jobs */
static int32
next_job_id(void)
{
	Oid			nsp = get_namespace_oid(STREAMQ_SCHEMA, false);
	int32		job_id;
	char		name[NAMEDATALEN];

	do
	{
		job_id = job_next_id();
		snprintf(name, sizeof(name), VIEW_STATE_TABLE_NAME, job_id);
	} while (OidIsValid(get_relname_relid(name, nsp)));
	return job_id;
}

static text *
required_text(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		base_null_argument(name);
	return PG_GETARG_TEXT_PP(arg);
}

/* a duration, or NULL */
static Interval *
optional_duration(FunctionCallInfo fcinfo, int arg, const char *name)
{
	Interval   *value;

	if (PG_ARGISNULL(arg))
		return NULL;
	value = PG_GETARG_INTERVAL_P(arg);
	job_check_duration(value, name);
	return value;
}

static Interval *
duration_arg(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		base_null_argument(name);
	return optional_duration(fcinfo, arg, name);
}

/* arguments of create_continuous_view() */
enum
{
	ARG_NAME,
	ARG_QUERY,
	ARG_WATERMARK_DELAY,
	ARG_LATE_ROWS,
	ARG_ALLOWED_LATENESS,
	ARG_LATE_STREAM,
	ARG_EMIT_INTO,
	ARG_IDLE_TIMEOUT,
	ARG_START_AT,
	ARG_RETENTION,
	ARG_IF_NOT_EXISTS,
	ARG_JOB_TIMEOUT
};

/* the retention, or NULL; a month counts as 30 days, as in comparisons */
static Interval *
retention_arg(FunctionCallInfo fcinfo)
{
	Interval   *value;

	if (PG_ARGISNULL(ARG_RETENTION))
		return NULL;
	value = palloc(sizeof(Interval));
	*value = *PG_GETARG_INTERVAL_P(ARG_RETENTION);
	if (value->month != 0 && !INTERVAL_NOT_FINITE(value))
	{
		int64		days = value->day + (int64) value->month * DAYS_PER_MONTH;

		if (days < PG_INT32_MIN || days > PG_INT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("interval out of range")));
		value->day = (int32) days;
		value->month = 0;
	}
	job_check_duration(value, "retention");
	return value;
}

static void
check_late_rows(const char *late_rows, bool has_stream)
{
	bool		route = strcmp(late_rows, "route") == 0;

	if (!route && strcmp(late_rows, "update") != 0 && strcmp(late_rows, "drop") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", "late_rows", late_rows),
				 errhint("Use \"update\", \"drop\" or \"route\".")));
	if (route && !has_stream)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be given if late rows are routed", "late_stream")));
	if (!route && has_stream)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be given unless late rows are routed",
						"late_stream"),
				 errhint("Use late_rows => 'route'.")));
}

/* read and check the arguments that do not depend on the query */
static void
read_options(FunctionCallInfo fcinfo, JobOptions *options, JobRow *job)
{
	memset(options, 0, sizeof(JobOptions));
	options->watermark_delay = duration_arg(fcinfo, ARG_WATERMARK_DELAY, "watermark_delay");
	options->late_rows = text_to_cstring(required_text(fcinfo, ARG_LATE_ROWS, "late_rows"));
	options->allowed_lateness = duration_arg(fcinfo, ARG_ALLOWED_LATENESS, "allowed_lateness");
	options->idle_timeout = optional_duration(fcinfo, ARG_IDLE_TIMEOUT, "idle_timeout");
	options->start_at = text_to_cstring(required_text(fcinfo, ARG_START_AT, "start_at"));
	options->retention = retention_arg(fcinfo);
	options->job_timeout = optional_duration(fcinfo, ARG_JOB_TIMEOUT, "job_timeout");
	if (PG_ARGISNULL(ARG_IF_NOT_EXISTS))
		base_null_argument("if_not_exists");
	if (!PG_ARGISNULL(ARG_LATE_STREAM))
		job->late_stream = PG_GETARG_OID(ARG_LATE_STREAM);
	if (!PG_ARGISNULL(ARG_EMIT_INTO))
		job->emit_into = PG_GETARG_OID(ARG_EMIT_INTO);

	check_late_rows(options->late_rows, OidIsValid(job->late_stream));
	if (options->idle_timeout && job_is_zero(options->idle_timeout))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", "idle_timeout")));
	job_check_start(options->start_at);
}

/* check the streams that the view writes to */
static void
check_streams(ViewQuery *vq, const JobRow *job, const char *name)
{
	if (OidIsValid(job->emit_into))
	{
		if (!vq->windowed)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot emit the results of a continuous view without windows"),
					 errdetail("Results are emitted when their window closes."),
					 errhint("Use a window function in the query.")));
		view_emit_check(vq, name, job->emit_into);
	}
	if (OidIsValid(job->late_stream))
	{
		Relation	source = table_open(vq->source, NoLock);

		view_late_check(source, job->late_stream);
		table_close(source, NoLock);
	}
	if (OidIsValid(job->emit_into) || OidIsValid(job->late_stream))
	{
		const Oid	sinks[] = {job->emit_into, job->late_stream};

		job_check_loop(VIEW_JOB_KIND, name, vq->source, sinks, lengthof(sinks));
	}
}

Oid
view_create(const char *name, char *text, JobRow *job, const JobOptions *options, bool if_not_exists)
{
	RangeVar   *rv = makeRangeVarFromNameList(base_qualified_name(name));
	Query	   *query;
	ViewQuery  *vq;
	Oid			namespaceid;
	Oid			existing;
	Oid			owner;

	namespaceid = RangeVarGetAndCheckCreationNamespace(rv, NoLock, &existing);
	if (OidIsValid(existing))
	{
		if (if_not_exists && job_find_by_target(existing, job))
		{
			ereport(NOTICE,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("continuous view \"%s\" already exists, skipping", name)));
			return existing;
		}
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", rv->relname)));
	}

	query = view_parse_query(text);
	vq = view_analyze(query);
	view_check_access(vq, GetUserId());
	if (vq->tables)
		(void) view_join_prepare(vq, text);
	check_streams(vq, job, rv->relname);

	job->kind = VIEW_JOB_KIND;
	job->job_id = next_job_id();
	job->source = vq->source;
	job->state = view_state_create(vq, job->job_id, GetUserId());
	if (OidIsValid(job->emit_into))
		job->results = view_result_create(vq, job->job_id);
	job->target = define_view(namespaceid, rv->relname, view_make_query(vq, job->state));
	/* an event trigger may have changed the owner of the view */
	owner = job_relation_owner(job->target);
	if (owner != GetUserId())
	{
		view_state_grant(job->state, GetUserId(), false);
		view_state_grant(job->state, owner, true);
	}
	view_record_dependencies(job, query);
	describe_view(job->target, job->source);
	job->settings = job_collect_settings();
	job->query = text;

	job->query_tree = nodeToString(query);
	job_insert(job, options);
	if (vq->single_group)
		view_store_single_group(vq, job->state);
	job_set_start(job, options->start_at);
	job_note_changed();
	return job->target;
}

/*
 * create_continuous_view(name text, query text, watermark_delay interval,
 *					   late_rows text, allowed_lateness interval,
 *					   late_stream regclass, emit_into regclass,
 *					   idle_timeout interval, start_at text,
 *					   retention interval, if_not_exists bool,
 *					   job_timeout interval) returns regclass
 *
 * 42P07 if the view exists and if_not_exists is false, 0A000 if a continuous
 * view does not support the query, 42501 if the caller may not read the
 * stream or write to the others, 42703 or 42804 if their columns do not fit,
 * 22023 for invalid options.
 */
Datum
streamq_create_continuous_view(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(required_text(fcinfo, ARG_NAME, "name"));
	char	   *text = text_to_cstring(required_text(fcinfo, ARG_QUERY, "query"));
	JobOptions	options;
	JobRow		job = {0};

	base_require_loaded();
	PreventCommandIfReadOnly("create_continuous_view()");
	read_options(fcinfo, &options, &job);
	PG_RETURN_OID(view_create(name, text, &job, &options, PG_GETARG_BOOL(ARG_IF_NOT_EXISTS)));
}

/* ---- removal ---- */

/*
 * drop_continuous_view(name text, if_exists bool)
 *
 * 42501 unless the caller owns the view, and the errors of DROP VIEW.
 */
Datum
streamq_drop_continuous_view(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(required_text(fcinfo, 0, "name"));
	List	   *names = textToQualifiedNameList(cstring_to_text(name));
	Oid			view = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	DropStmt   *drop = makeNode(DropStmt);
	JobRow		job;

	base_require_loaded();
	PreventCommandIfReadOnly("drop_continuous_view()");
	if (PG_ARGISNULL(1))
		base_null_argument("if_exists");
	if (!OidIsValid(view))
	{
		if (PG_GETARG_BOOL(1))
		{
			ereport(NOTICE,
					(errmsg("continuous view \"%s\" does not exist, skipping", name)));
			PG_RETURN_VOID();
		}
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("continuous view \"%s\" does not exist", name)));
	}
	if (!job_find_by_target(view, &job))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a continuous view", name),
				 errhint("The view streamq.jobs lists the continuous views of this database.")));

	drop->removeType = OBJECT_VIEW;
	drop->objects = list_make1(list_make2(makeString(get_namespace_name(get_rel_namespace(view))),
										  makeString(get_rel_name(view))));
	drop->behavior = DROP_RESTRICT;
	base_run_utility((Node *) drop,
					 psprintf("DROP VIEW %s",
							  quote_qualified_identifier(get_namespace_name(get_rel_namespace(view)),
														 get_rel_name(view))));
	PG_RETURN_VOID();
}
