/*
 * latest.c
 *	  The latest message of each key: the aggregate latest(), and
 *	  create_latest_view().
 *
 * A latest view is a continuous view whose query groups the messages by their
 * key, and whose aggregates are all streamq.latest().  Two things are special
 * about such a query.  Its state table has an index on the keys, because users
 * read single ones.  And the next row of a group replaces all that is known
 * about it.  So a group that HAVING hides needs no row in the state table:
 * keys that are gone use no space.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job_define.h"
#include "log/log.h"
#include "log/options.h"
#include "view/latest.h"
#include "view/view_define.h"

PG_FUNCTION_INFO_V1(streamq_latest_accum);
PG_FUNCTION_INFO_V1(streamq_create_latest_view);

/* ---- the aggregate ---- */

/*
 * latest_accum(state anyelement, value anyelement) returns anyelement
 *
 * Transition function of latest(): the value.
 */
Datum
streamq_latest_accum(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(1));
}

bool
view_is_latest(const Node *node)
{
	const Aggref *aggref = (const Aggref *) node;

	return node != NULL && IsA(node, Aggref) &&
		aggref->aggfilter == NULL && aggref->aggdistinct == NIL && aggref->aggorder == NIL &&
		get_func_namespace(aggref->aggfnoid) == get_namespace_oid(STREAMQ_SCHEMA, false) &&
		strcmp(get_func_name(aggref->aggfnoid), "latest") == 0;
}

void
view_find_latest(ViewQuery *vq)
{
	NullTest   *having = (NullTest *) vq->query->havingQual;
	ListCell   *lc;

	vq->hidden_by = -1;
	if (vq->windowed || vq->aggs == NIL)
		return;
	foreach(lc, vq->aggs)
	{
		if (!view_is_latest((Node *) ((ViewAgg *) lfirst(lc))->aggref))
			return;
	}
	vq->latest = true;

	/* HAVING latest(x) IS NOT NULL */
	if (having != NULL && IsA(having, List) && list_length((List *) having) == 1)
		having = linitial((List *) having);
	if (having == NULL || !IsA(having, NullTest) || having->nulltesttype != IS_NOT_NULL ||
		having->argisrow || vq->single_group)
		return;
	foreach(lc, vq->aggs)
	{
		if (equal(((ViewAgg *) lfirst(lc))->aggref, having->arg))
			vq->hidden_by = foreach_current_index(lc);
	}
}

/* ---- creation ---- */

static bool
is_key(const StreamOptions *options, AttrNumber attno)
{
	for (int i = 0; i < options->nkeys; i++)
	{
		if (options->keys[i] == attno)
			return true;
	}
	return false;
}

/* the names of the key columns, with something before each of them */
static void
append_keys(StringInfo sql, Relation rel, const StreamOptions *options, const char *separator,
			const char *suffix)
{
	for (int i = 0; i < options->nkeys; i++)
		appendStringInfo(sql, "%ss.%s%s", i > 0 ? separator : "",
						 quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(rel),
																options->keys[i] - 1)->attname)),
						 suffix);
}

/* The query of a latest view, which has the columns of the stream and msg_id. */
static char *
make_query(Relation rel, const StreamOptions *options)
{
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData sql;
	bool		payload = false;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = quote_identifier(NameStr(att->attname));

		if (att->attisdropped)
			continue;
		if (is_key(options, att->attnum))
			appendStringInfo(&sql, "s.%s, ", name);
		else
			appendStringInfo(&sql, "%s.latest(s.%s) AS %s, ", STREAMQ_SCHEMA, name, name);
		payload |= strcmp(NameStr(att->attname), "payload") == 0 && !is_key(options, att->attnum);
	}
	appendStringInfo(&sql, "%s.latest(%s.msg_id(s.tableoid, s.ctid)) AS msg_id\nFROM %s s\nWHERE ",
					 STREAMQ_SCHEMA, STREAMQ_SCHEMA,
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												RelationGetRelationName(rel)));
	append_keys(&sql, rel, options, " OR ", " IS NOT NULL");
	appendStringInfoString(&sql, "\nGROUP BY ");
	append_keys(&sql, rel, options, ", ", "");
	if (payload)
		appendStringInfo(&sql, "\nHAVING %s.latest(s.payload) IS NOT NULL", STREAMQ_SCHEMA);
	return sql.data;
}

/*
 * create_latest_view(name text, stream regclass, if_not_exists bool)
 *	   returns regclass
 *
 * 42809 if it is not a stream, 55000 if its messages have no key, and the
 * errors of create_continuous_view().
 */
Datum
streamq_create_latest_view(PG_FUNCTION_ARGS)
{
	JobOptions	job_options = {.start_at = "earliest"};
	JobRow		job = {0};
	StreamOptions options;
	Relation	rel;
	char	   *query;

	base_require_loaded();
	PreventCommandIfReadOnly("create_latest_view()");
	if (PG_ARGISNULL(0))
		base_null_argument("name");
	if (PG_ARGISNULL(1))
		base_null_argument("stream");
	if (PG_ARGISNULL(2))
		base_null_argument("if_not_exists");

	rel = log_open_stream(PG_GETARG_OID(1), AccessShareLock);
	log_options_get(rel, &options);
	if (options.nkeys == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("messages of stream \"%s\" have no key", RelationGetRelationName(rel)),
				 errhint("Set the columns of the key with streamq.alter_stream(..., partition_by => ...).")));
	query = make_query(rel, &options);
	table_close(rel, NoLock);

	PG_RETURN_OID(view_create(text_to_cstring(PG_GETARG_TEXT_PP(0)), query, &job, &job_options,
							  PG_GETARG_BOOL(2)));
}
