/*
 * view.c
 *	  Making and dropping continuous views.
 *
 * A continuous view is an ordinary view over its state table: the target
 * list of the query with grouping expressions replaced by key columns and
 * aggregates by streamq.aggregate_result() over state columns, HAVING as
 * WHERE, and streamq.is_loaded(): without the library nobody keeps it current.
 *
 * Dependencies do the bookkeeping: the view's rule depends on what the query
 * names (so the stream cannot be dropped without CASCADE), the state table
 * belongs to the view, and the hook below removes the job's rows when the
 * view goes, whatever made it go.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "commands/view.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_func.h"
#include "parser/parser.h"
#include "rewrite/rewriteSupport.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "base/argument.h"
#include "base/catalog.h"
#include "base/command.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "log/log.h"
#include "view/view.h"
#include "view/view_guard.h"
#include "view/view_internal.h"
#include "view/window.h"

PG_FUNCTION_INFO_V1(streamq_create_continuous_view);
PG_FUNCTION_INFO_V1(streamq_drop_continuous_view);
PG_FUNCTION_INFO_V1(streamq_refuse_state_change);

/* ---- the view's query ---- */

typedef struct RewriteState
{
	ViewQuery  *vq;
	Oid			result_func;	/* streamq.aggregate_result */
} RewriteState;

static Node *
finish_expression(RewriteState *rs, ViewAgg *agg, Var *state)
{
	Aggref	   *aggref = agg->aggref;
	HeapTuple	tup;
	Oid			finalfn;
	Datum	   *types;
	int			ntypes = 0;
	ArrayType  *array;
	ListCell   *lc;
	Node	   *result_type;

	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	finalfn = ((Form_pg_aggregate) GETSTRUCT(tup))->aggfinalfn;
	ReleaseSysCache(tup);

	/* the state is the result */
	if (!OidIsValid(finalfn) && agg->transtype == aggref->aggtype &&
		exprCollation((Node *) state) == aggref->aggcollid)
		return (Node *) state;

	types = palloc(sizeof(Datum) * Max(1, list_length(aggref->aggargtypes)));
	foreach(lc, aggref->aggargtypes)
		types[ntypes++] = ObjectIdGetDatum(lfirst_oid(lc));
	array = construct_array(types, ntypes, REGTYPEOID, sizeof(Oid), true, TYPALIGN_INT);

	result_type = (Node *) makeNullConst(aggref->aggtype, -1,
										 get_typcollation(aggref->aggtype));
	if (OidIsValid(aggref->inputcollid) &&
		OidIsValid(get_typcollation(aggref->aggtype)) &&
		aggref->inputcollid != get_typcollation(aggref->aggtype))
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = (Expr *) result_type;
		collate->collOid = aggref->inputcollid;
		collate->location = -1;
		result_type = (Node *) collate;
	}

	return (Node *) makeFuncExpr(rs->result_func, aggref->aggtype,
								 list_make4(makeConst(REGPROCEDUREOID, -1, InvalidOid, sizeof(Oid),
													  ObjectIdGetDatum(aggref->aggfnoid), false, true),
											makeConst(REGTYPEARRAYOID, -1, InvalidOid, -1,
													  PointerGetDatum(array), false, false),
											state,
											result_type),
								 aggref->aggcollid, aggref->inputcollid,
								 COERCE_EXPLICIT_CALL);
}

static Node *
rewrite_mutator(Node *node, void *context)
{
	RewriteState *rs = context;
	ViewQuery  *vq = rs->vq;
	ListCell   *lc;

	if (node == NULL)
		return NULL;

	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);

		if (equal(key->expr, node))
			return (Node *) makeVar(1, view_state_key_attno(vq, foreach_current_index(lc)),
									key->type, key->typmod, key->collation, 0);
	}
	if (IsA(node, Aggref))
	{
		foreach(lc, vq->aggs)
		{
			ViewAgg    *agg = lfirst(lc);

			if (equal(agg->aggref, node))
				return finish_expression(rs, agg,
										 makeVar(1, view_state_agg_attno(vq, foreach_current_index(lc)),
												 agg->storedtype, -1, agg->storedcollation, 0));
		}
		elog(ERROR, "aggregate not found");
	}
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		/* the parser let only grouped columns pass */
		if (var->varno != vq->window_rti)
			elog(ERROR, "column is not grouped");
		return (Node *) makeVar(1, var->varattno, var->vartype, var->vartypmod,
								var->varcollid, 0);
	}
	return expression_tree_mutator(node, rewrite_mutator, context);
}

static Query *
make_view_query(ViewQuery *vq, Oid state)
{
	RewriteState rs;
	Query	   *query;
	RawStmt    *raw;
	List	   *tlist = NIL;
	ListCell   *lc;
	char	   *sql;
	Oid			loaded;
	Oid			save_user;
	int			save_context;
	Oid			argtypes[] = {REGPROCEDUREOID, REGTYPEARRAYOID, ANYOID, ANYELEMENTOID};

	rs.vq = vq;
	rs.result_func = LookupFuncName(list_make2(makeString(STREAMQ_SCHEMA),
											   makeString("aggregate_result")),
									4, argtypes, false);

	/*
	 * Let the parser make the range table entry; it looks names up, so do it
	 * as somebody who surely may.
	 */
	sql = psprintf("SELECT * FROM %s.%s state", STREAMQ_SCHEMA,
				   quote_identifier(get_rel_name(state)));
	raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(view_state_owner(), save_context | SECURITY_LOCAL_USERID_CHANGE);
	query = parse_analyze_fixedparams(raw, sql, NULL, 0, NULL);
	SetUserIdAndSecContext(save_user, save_context);

	foreach(lc, vq->query->targetList)
	{
		TargetEntry *old = lfirst_node(TargetEntry, lc);

		if (old->resjunk)
			continue;
		tlist = lappend(tlist,
						makeTargetEntry((Expr *) rewrite_mutator((Node *) old->expr, &rs),
										list_length(tlist) + 1,
										pstrdup(old->resname), false));
	}
	query->targetList = tlist;
	loaded = LookupFuncName(list_make2(makeString(STREAMQ_SCHEMA), makeString("is_loaded")),
							0, NULL, false);
	query->jointree->quals =
		make_and_qual((Node *) makeFuncExpr(loaded, BOOLOID, NIL, InvalidOid, InvalidOid,
											COERCE_EXPLICIT_CALL),
					  rewrite_mutator(vq->query->havingQual, &rs));
	return query;
}

/* ---- creation ---- */

static Oid
old_owner(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tup))
	{
		owner = ((Form_pg_class) GETSTRUCT(tup))->relowner;
		ReleaseSysCache(tup);
	}
	return owner;
}

/*
 * The view is made by CREATE VIEW, so that event triggers and whatever else follows commands
 * see it, and then gets the query tree itself: that which is parsed from its text may
 * differ in what no text says.
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

void
view_record_dependencies(Oid view, Oid state, Query *query)
{
	ObjectAddress rule;
	ObjectAddress viewobj;
	ObjectAddress stateobj;

	ObjectAddressSet(rule, RewriteRelationId, get_rewrite_oid(view, ViewSelectRuleName, false));
	ObjectAddressSet(viewobj, RelationRelationId, view);
	ObjectAddressSet(stateobj, RelationRelationId, state);
	recordDependencyOnExpr(&rule, (Node *) query, NIL, DEPENDENCY_NORMAL);
	/* a restored view may have some already */
	deleteDependencyRecordsForSpecific(RelationRelationId, state, DEPENDENCY_INTERNAL,
									   RelationRelationId, view);
	recordDependencyOn(&stateobj, &viewobj, DEPENDENCY_INTERNAL);
}

/* settings that what the query does to a row may depend on */
static ArrayType *
collect_settings(void)
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

void
view_check_duration(Interval *value, const char *arg)
{
	WindowSize	size;

	if (INTERVAL_NOT_FINITE(value) || value->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be finite and must not contain months or years", arg),
				 errhint("Use days and smaller units.")));
	if (value->day == 0 && value->time == 0)
		return;
	if (value->time + (double) value->day * USECS_PER_DAY < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", arg),
				 errhint("Use an interval such as '30 s'.")));
	if (value->time + (double) value->day * USECS_PER_DAY >= 1)
		view_window_check_size(value, &size);
}

/* \d+ shows how the view is stored; tell where the query is */
static void
describe_view(Oid view, Oid source)
{
	char	   *comment = psprintf("continuous view of stream \"%s\"; its query is in streamq.jobs",
								   get_rel_name(source));

	CreateComments(view, RelationRelationId, 0, comment);
}

/* without GROUP BY there is one row from the start: count(*) of nothing is 0 */
void
view_store_single_group(ViewQuery *vq, Oid state_oid)
{
	Relation	rel;
	StateTable *state;

	rel = table_open(state_oid, RowExclusiveLock);
	PushActiveSnapshot(GetTransactionSnapshot());
	state = view_state_open(rel, vq, view_agg_set_create(vq));
	(void) view_state_find_group(state, 0, 0, NULL, NULL);
	view_state_flush(state);
	PopActiveSnapshot();
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/* begin behind what is there now */
static void
start_at_latest(int32 job_id, Oid source)
{
	Relation	rel = log_open_stream(source, NoLock);
	int			npartitions = log_partition_count(rel);
	JobProgress *progress = job_read_progress(job_id, npartitions);

	for (int i = 0; i < npartitions; i++)
	{
		progress[i].next_offset = log_next_offset(rel, i);
		progress[i].changed = true;
	}
	job_write_progress(job_id, progress, npartitions);
	table_close(rel, NoLock);
}

static text *
required_text(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		base_null_argument(name);
	return PG_GETARG_TEXT_PP(arg);
}

static Interval *
duration_arg(FunctionCallInfo fcinfo, int arg, const char *name)
{
	Interval   *value;

	if (PG_ARGISNULL(arg))
		base_null_argument(name);
	value = PG_GETARG_INTERVAL_P(arg);
	view_check_duration(value, name);
	return value;
}

/*
 * create_continuous_view(name text, query text, watermark_delay interval, late_rows text,
 *		allowed_lateness interval, start_at text, if_not_exists bool, job_timeout interval) regclass
 */
Datum
streamq_create_continuous_view(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(required_text(fcinfo, 0, "name"));
	char	   *text = text_to_cstring(required_text(fcinfo, 1, "query"));
	Interval   *delay = duration_arg(fcinfo, 2, "watermark_delay");
	char	   *late = text_to_cstring(required_text(fcinfo, 3, "late_rows"));
	Interval   *lateness = duration_arg(fcinfo, 4, "allowed_lateness");
	char	   *start_at = text_to_cstring(required_text(fcinfo, 5, "start_at"));
	RangeVar   *rv = makeRangeVarFromNameList(base_qualified_name(name));
	JobRow		job = {0};
	Query	   *query;
	ViewQuery  *vq;
	Oid			namespaceid;
	Oid			existing;
	Oid			owner;

	base_require_loaded();
	PreventCommandIfReadOnly("create_continuous_view()");
	if (PG_ARGISNULL(6))
		base_null_argument("if_not_exists");
	if (strcmp(late, "update") != 0 && strcmp(late, "drop") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", "late_rows", late),
				 errhint("Use \"update\" or \"drop\".")));
	if (strcmp(start_at, "earliest") != 0 && strcmp(start_at, "latest") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", "start_at", start_at),
				 errhint("Use \"earliest\" or \"latest\".")));

	if (!PG_ARGISNULL(7))
		job.timeout = duration_arg(fcinfo, 7, "job_timeout");

	namespaceid = RangeVarGetAndCheckCreationNamespace(rv, NoLock, &existing);
	if (OidIsValid(existing))
	{
		if (PG_GETARG_BOOL(6) && job_find_by_target(existing, &job))
		{
			ereport(NOTICE,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("continuous view \"%s\" already exists, skipping", name)));
			PG_RETURN_OID(existing);
		}
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", rv->relname)));
	}

	query = view_parse_query(text);
	vq = view_analyze(query);
	view_check_access(vq, GetUserId());

	job.kind = VIEW_JOB_KIND;
	job.job_id = job_next_id();
	job.source = vq->source;
	job.state = view_state_create(vq, job.job_id, GetUserId());
	job.target = define_view(namespaceid, rv->relname, make_view_query(vq, job.state));
	/* an event trigger may have given the view to somebody else */
	owner = old_owner(job.target);
	if (owner != GetUserId())
	{
		view_state_grant(job.state, GetUserId(), false);
		view_state_grant(job.state, owner, true);
	}
	view_record_dependencies(job.target, job.state, query);
	describe_view(job.target, job.source);
	job.settings = collect_settings();
	job.query = text;

	job.query_tree = nodeToString(query);
	job_insert(&job, late, delay, lateness, start_at);
	if (vq->single_group)
		view_store_single_group(vq, job.state);
	if (strcmp(start_at, "latest") == 0)
		start_at_latest(job.job_id, job.source);
	job_note_changed();
	PG_RETURN_OID(job.target);
}

/* ---- removal ---- */

/*
 * drop_continuous_view(name text, if_exists bool) void
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

/* statement trigger of every state table; the view passes changes on to it */
Datum
streamq_refuse_state_change(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	JobRow		job;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"refuse_state_change")));
	if (!job_find_by_state(RelationGetRelid(data->tg_relation), &job))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" belongs to no continuous view",
						RelationGetRelationName(data->tg_relation))));
	view_guard_refuse_change(job.target);
}

/* owner of a relation as this command has left it, not yet visible to others */
static Oid
new_owner(Oid relid)
{
	HeapTuple	tup = base_row_by_oid(RelationRelationId, ClassOidIndexId,
									  Anum_pg_class_oid, relid);

	return HeapTupleIsValid(tup) ? ((Form_pg_class) GETSTRUCT(tup))->relowner : InvalidOid;
}

/* relation of a rule that this command has just made */
static Oid
rule_relation(Oid rule)
{
	HeapTuple	tup = base_row_by_oid(RewriteRelationId, RewriteOidIndexId,
									  Anum_pg_rewrite_oid, rule);

	return HeapTupleIsValid(tup) ? ((Form_pg_rewrite) GETSTRUCT(tup))->ev_class : InvalidOid;
}

/*
 * CREATE OR REPLACE VIEW would cut the view off from its state.  A restored view gets
 * its definition that way (view_rebuild waits for it), as pg_dump makes an empty one first.
 */
static void
refuse_rule(Oid rule)
{
	Oid			view = rule_relation(rule);
	JobRow		job;

	if (OidIsValid(view) && job_may_have_target(view) &&
		job_find_by_target(view, &job) &&
		job.format != JOB_FORMAT_RESTORED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change the definition of continuous view \"%s\"",
						get_rel_name(view)),
				 errhint("Drop the continuous view and create it again.")));
}

void
view_object(ObjectAccessType access, Oid classId, Oid objectId, int subId)
{
	JobRow		job;

	/* pg_upgrade makes our own tables one by one */
	if (!IsNormalProcessingMode() || IsBinaryUpgrade)
		return;
	if (access == OAT_POST_CREATE && classId == RewriteRelationId)
	{
		refuse_rule(objectId);
		return;
	}
	if (classId == RelationRelationId && access == OAT_DROP)
	{
		if (subId > 0)
			view_guard_drop_attribute(objectId, subId);
		else if (job_any_running_here())
			view_guard_drop_while_running(objectId);
	}
	if (classId != RelationRelationId || subId != 0 ||
		(access != OAT_DROP && access != OAT_POST_ALTER))
		return;
	if (get_rel_relkind(objectId) != RELKIND_VIEW ||
		!job_may_have_target(objectId) ||
		!job_find_by_target(objectId, &job))
		return;

	if (access == OAT_DROP)
	{
		/*
		 * no batch runs now, as it would have locked the view, but run_job
		 * may
		 */
		job_lock_out(job.job_id);
		job_delete(job.job_id);
		job_note_changed();
	}
	else
	{
		Oid			before = old_owner(objectId);
		Oid			after = new_owner(objectId);

		view_guard_view_options(objectId);

		/* the owner of a view reads what is below it */
		if (OidIsValid(after) && before != after)
		{
			view_state_grant(job.state, before, false);
			view_state_grant(job.state, after, true);
		}
	}
}

static const JobKind view_kind = {
	.name = VIEW_JOB_KIND,
	.run = view_run_batch
};

void
view_init(void)
{
	job_register_kind(&view_kind);
}
