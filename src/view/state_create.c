/*
 * state_create.c
 *	  Creating the state table and the result table of a continuous view, and
 *	  granting access to the state table.
 *
 * The tables belong to the owner of the extension.  A trigger refuses
 * statements that change the view or the tables, whoever runs them.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/command.h"
#include "base/loaded.h"
#include "compat.h"
#include "state/state.h"
#include "view/analyze.h"
#include "view/result_table.h"
#include "view/state_table.h"

AttrNumber
view_state_first_attno(ViewQuery *vq)
{
	if (!vq->windowed)
		return 1;
	return vq->sliced || view_is_merging(vq) ? WINDOW_END_ATTNO + 2 : WINDOW_END_ATTNO + 1;
}

AttrNumber
view_state_key_attno(ViewQuery *vq, int i)
{
	return view_state_first_attno(vq) + 1 + i;
}

AttrNumber
view_state_agg_attno(ViewQuery *vq, int i)
{
	return view_state_key_attno(vq, list_length(vq->keys)) + i;
}

AttrNumber
view_state_chunk_attno(ViewQuery *vq)
{
	return vq->collects ? view_state_agg_attno(vq, list_length(vq->aggs)) + 1 : InvalidAttrNumber;
}

int
view_state_natts(ViewQuery *vq)
{
	return view_state_agg_attno(vq, list_length(vq->aggs)) + (vq->collects ? 1 : 0);
}

bool
view_state_fits(ViewQuery *vq, Relation state)
{
	TupleDesc	desc = RelationGetDescr(state);
	ListCell   *lc;

	if (desc->natts != view_state_natts(vq))
		return false;
	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);

		if (TupleDescAttr(desc, view_state_key_attno(vq, foreach_current_index(lc)) - 1)->atttypid != key->type)
			return false;
	}
	foreach(lc, vq->aggs)
	{
		ViewAgg    *agg = lfirst(lc);

		if (TupleDescAttr(desc, view_state_agg_attno(vq, foreach_current_index(lc)) - 1)->atttypid != agg->storedtype)
			return false;
	}
	return true;
}

Oid
view_state_owner(void)
{
	return base_extension_owner();
}

/* run utility statements as the owner of the extension */
static void
run_as_owner(const char *sql)
{
	BaseIdentity identity;

	base_become_extension_owner(&identity);
	SPI_connect();
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	SPI_finish();
	base_become_caller(&identity);
}

static void
append_column(StringInfo sql, const char *name, int n, Oid type, int32 typmod,
			  Oid collation)
{
	appendStringInfo(sql, ", %s_%d %s", name, n + 1,
					 format_type_extended(type, typmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN |
										  FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(collation))
		appendStringInfo(sql, " COLLATE %s", base_collation_name(collation));
}

/* upper limit of a row's width after adding a column of the type */
static Size
add_width(Size width, Oid type)
{
	HeapTuple	tup = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tup);
	if (form->typlen > 0)
		width = att_align_nominal(width, form->typalign) + form->typlen;
	else if (form->typlen == -1 && form->typstorage != TYPSTORAGE_PLAIN)
		width += MAXALIGN(TOAST_POINTER_SIZE);	/* TOAST moves larger values
												 * out of the row */
	ReleaseSysCache(tup);
	return width;
}

/*
 * check that a row fits into a page, even with all large values moved out of
 * it
 */
static void
check_width(ViewQuery *vq)
{
	int			natts = view_state_natts(vq);
	Size		width = MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(natts));
	ListCell   *lc;

	if (vq->windowed)
		width = add_width(add_width(width, vq->event_type), vq->event_type);
	if (vq->sliced || view_is_merging(vq))
		width = add_width(width, vq->event_type);
	width = add_width(width, INT8OID);
	foreach(lc, vq->keys)
		width = add_width(width, ((ViewKey *) lfirst(lc))->type);
	foreach(lc, vq->aggs)
		width = add_width(width, ((ViewAgg *) lfirst(lc))->storedtype);
	width = add_width(width, BYTEAOID);
	if (vq->collects)
		width = add_width(width, BYTEAOID);

	if (natts > MaxHeapAttributeNumber || width > MaxHeapTupleSize)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("too many aggregates in a continuous view"),
				 errdetail("The state of a group has %d columns and up to %zu bytes, but the limits are %d columns and %zu bytes.",
						   natts, width, MaxHeapAttributeNumber, (Size) MaxHeapTupleSize),
				 errhint("Make several continuous views, each with some of the aggregates.")));
}

static void
create_index(const char *table, const char *columns)
{
	run_as_owner(psprintf("CREATE INDEX ON %s.%s (%s)", STREAMQ_SCHEMA, table, columns));
}

/*
 * Latest messages are read by key.  A hash index takes keys of any length, but
 * only one column.
 */
static void
create_index_on_keys(const char *table, ViewQuery *vq)
{
	StringInfoData columns;
	ListCell   *lc;
	bool		hash = list_length(vq->keys) == 1;

	initStringInfo(&columns);
	foreach(lc, vq->keys)
	{
		Oid			type = ((ViewKey *) lfirst(lc))->type;

		if (!OidIsValid(GetDefaultOpClass(type, hash ? HASH_AM_OID : BTREE_AM_OID)))
			return;
		appendStringInfo(&columns, "%skey_%d", foreach_current_index(lc) > 0 ? ", " : "",
						 foreach_current_index(lc) + 1);
	}
	run_as_owner(psprintf("CREATE INDEX ON %s.%s USING %s (%s)", STREAMQ_SCHEMA, table,
						  hash ? "hash" : "btree", columns.data));
}

static void
create_trigger(const char *table)
{
	run_as_owner(psprintf("CREATE TRIGGER refuse_change BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE "
						  "ON %s.%s FOR EACH STATEMENT EXECUTE FUNCTION %s.refuse_state_change()",
						  STREAMQ_SCHEMA, table, STREAMQ_SCHEMA));
}

Oid
view_state_create(ViewQuery *vq, int32 job_id, Oid role)
{
	StringInfoData sql;
	char		name[NAMEDATALEN];
	bool		windowed = vq->windowed;
	Oid			nsp = get_namespace_oid(STREAMQ_SCHEMA, false);
	Oid			state;
	ListCell   *lc;

	check_width(vq);
	snprintf(name, sizeof(name), VIEW_STATE_TABLE_NAME, job_id);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s.%s (", STREAMQ_SCHEMA, name);
	if (windowed)
	{
		const char *type = format_type_be_qualified(vq->event_type);

		appendStringInfo(&sql, "window_start %s NOT NULL, window_end %s NOT NULL, ",
						 type, type);
		if (vq->sliced)
			appendStringInfo(&sql, "counts_after %s NOT NULL, ", type);
		if (view_is_merging(vq))
			appendStringInfo(&sql, "due %s NOT NULL, ", type);
	}
	appendStringInfoString(&sql, "group_hash pg_catalog.int8 NOT NULL");
	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);

		append_column(&sql, "key", foreach_current_index(lc), key->type,
					  key->typmod, key->collation);
	}
	foreach(lc, vq->aggs)
	{
		ViewAgg    *agg = lfirst(lc);

		append_column(&sql, "agg", foreach_current_index(lc), agg->storedtype,
					  -1, agg->storedcollation);
	}
	appendStringInfoString(&sql, ", sealed pg_catalog.bytea");
	if (vq->collects)
		appendStringInfo(&sql, ", chunk %s.aggregate_input", STREAMQ_SCHEMA);
	appendStringInfoString(&sql, ") USING " STATE_ACCESS_METHOD);
	run_as_owner(sql.data);

	state = get_relname_relid(name, nsp);
	if (!OidIsValid(state))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("state table \"%s\" was dropped or renamed by an event trigger", name)));

	create_index(name, view_is_merging(vq) ? "group_hash, window_start" :
				 windowed ? "window_start, group_hash" : "group_hash");
	if (view_is_merging(vq))
		create_index(name, "due");
	if (vq->latest && vq->keys != NIL)
		create_index_on_keys(name, vq);
	create_trigger(name);
	view_state_grant(state, role, true);
	return state;
}

Oid
view_result_create(ViewQuery *vq, int32 job_id)
{
	StringInfoData sql;
	char		name[NAMEDATALEN];
	const char *type = format_type_be_qualified(vq->event_type);
	int			nouts = 0;
	Oid			results;
	ListCell   *lc;

	snprintf(name, sizeof(name), VIEW_RESULT_TABLE_NAME, job_id);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s.%s (window_start %s NOT NULL, window_end %s NOT NULL, "
					 "group_hash pg_catalog.int8 NOT NULL",
					 STREAMQ_SCHEMA, name, type, type);
	foreach(lc, vq->keys)
	{
		ViewKey    *key = lfirst(lc);

		append_column(&sql, "key", foreach_current_index(lc), key->type,
					  key->typmod, key->collation);
	}
	foreach(lc, vq->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *expr = (Node *) tle->expr;

		if (!tle->resjunk)
			append_column(&sql, "out", nouts++, exprType(expr), exprTypmod(expr),
						  exprCollation(expr));
	}
	appendStringInfoString(&sql, ", revision pg_catalog.int4 NOT NULL, deleted pg_catalog.bool NOT NULL) "
						   "USING heap WITH (fillfactor = 90)");
	run_as_owner(sql.data);

	results = get_relname_relid(name, get_namespace_oid(STREAMQ_SCHEMA, false));
	if (!OidIsValid(results))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("result table \"%s\" was dropped or renamed by an event trigger", name)));
	run_as_owner(psprintf("CREATE INDEX ON %s.%s (window_start, group_hash)", STREAMQ_SCHEMA, name));
	create_trigger(name);
	return results;
}

void
view_state_grant(Oid state, Oid role, bool grant)
{
	/* the owner has all privileges */
	if (role == view_state_owner())
		return;
	run_as_owner(psprintf("%s SELECT ON %s.%s %s %s",
						  grant ? "GRANT" : "REVOKE",
						  STREAMQ_SCHEMA, quote_identifier(get_rel_name(state)),
						  grant ? "TO" : "FROM",
						  quote_identifier(GetUserNameFromId(role, false))));
}
